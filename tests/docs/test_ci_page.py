"""docs/howto/ci.md: its examples as printed, in an empty virtual environment; its workflow is a workflow."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dicom import make_instance
from tests.support.missing import not_tested
from tests.support.wheel import ROOT, build_wheel, install_wheel

PAGE = (ROOT / "docs" / "howto" / "ci.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(build_wheel(tmp_path_factory.mktemp("wheel")), tmp_path_factory.mktemp("installed"), "pytest")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the Python files of the page, and the DICOM file that they are about."""
    for text in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", text)
        assert name
        (tmp_path / name[1]).write_text(text)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.dcm").write_bytes(make_instance())
    return tmp_path


def run(command: list[str], home: Path, scripts: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(home)}
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.slow
def test_the_fixture_as_printed(scripts: Path, project: Path) -> None:
    """Each test finds what the emulator began with, whatever ran before, and nothing of it is left."""
    (project / "test_again.py").write_text((project / "test_archive.py").read_text())
    done = run([str(scripts / "pytest"), "-q", "-p", "no:cacheprovider"], project, scripts)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_nothing_is_imported_for_those_who_do_not_ask(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import sys\n\n\ndef test_nothing():\n"
        "    assert {name for name in sys.modules if name.startswith('gantry')} == {'gantry', 'gantry.pytest_plugin'}\n"
    )
    done = run([str(scripts / "pytest"), "-q", "-p", "no:cacheprovider"], tmp_path, scripts)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_server_beside_as_printed(scripts: Path, tmp_path: Path) -> None:
    (text,) = [each for each in blocks("sh") if "curl" in each]
    done = run_beside(text, tmp_path, scripts)
    assert done.returncode == 0 and '"name": "projects/gantry/' in done.stdout, done.stdout + done.stderr


def run_beside(text: str, home: Path, scripts: Path) -> subprocess.CompletedProcess[str]:
    """A block that starts an emulator, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = "set -e\ntrap 'kill $!; wait' EXIT\n" + text.replace("8080", str(port))
    script = script.replace("wait-ready", f"wait-ready --server http://127.0.0.1:{port}")
    return run(["sh", "-c", script.replace("PORT", str(port))], home, scripts)


@pytest.mark.slow
def test_the_first_commands_as_printed(scripts: Path, tmp_path: Path) -> None:
    """The first line is what ``scripts`` did; the second runs in the background here."""
    (text,) = [each for each in blocks("sh") if each.startswith("pip install gantry-dicom\n")]
    command = text.partition("\n")[2].rstrip()
    asking = "curl -sSf http://127.0.0.1:PORT/v1/projects/gantry/locations/us-central1/datasets/radiology/dicomStores"
    done = run_beside(f"{command} --port PORT &\ngantry wait-ready\n{asking}\n", tmp_path, scripts)
    assert done.returncode == 0 and "radiology/dicomStores/main" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_variables_of_the_credentials(scripts: Path, tmp_path: Path) -> None:
    (text,) = [each for each in blocks("sh") if each.startswith('eval "$(gantry emulator credentials')]
    text = text.partition("#")[0].replace("emulator.json", "emulator.json --server http://127.0.0.1:PORT")
    script = "gantry emulator --port PORT &\ngantry wait-ready\n" + text + "\nenv\n"
    done = run_beside(script, tmp_path, scripts)
    assert done.returncode == 0, done.stderr
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if re.match(r"\w+=", line))
    assert Path(variables["GOOGLE_APPLICATION_CREDENTIALS"]).name == "emulator.json"
    for name in ("API_ENDPOINT_OVERRIDES_HEALTHCARE", "AUTH_CREDENTIAL_FILE_OVERRIDE"):
        assert f"CLOUDSDK_{name}" in variables and name in PAGE


@pytest.mark.slow
def test_the_workflow_is_one(tmp_path: Path) -> None:
    (text,) = blocks("yaml")[:1]
    (tmp_path / "test.yml").write_text(text)
    if (
        importlib.util.find_spec("check_jsonschema") is None
        or shutil.which("zizmor", path=Path(sys.executable).parent) is None
    ):
        not_tested("check-jsonschema and zizmor are not installed")
    schema = ["check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(tmp_path / "test.yml")]
    subprocess.run([sys.executable, "-m", *schema], check=True, capture_output=True)
    zizmor = str(Path(sys.executable).parent / "zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--quiet", str(tmp_path / "test.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_actions_are_those_of_our_own_workflows() -> None:
    ours = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    used = re.findall(r"uses: (.*)", PAGE)
    assert used and all(each in ours for each in used)
