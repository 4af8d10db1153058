"""The README's commands, run by a shell as a new user would."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.dicom import make_instance

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language: str, holding: str) -> str:
    (found,) = [text for text in blocks(language) if holding in text]
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with some DICOM files and nothing else."""
    (tmp_path / "some").mkdir()
    for number in range(7):
        (tmp_path / "some" / f"{number}.dcm").write_bytes(make_instance(sop=f"1.2.3.{number}"))
    return tmp_path


def shell(
    script: str,
    home: Path,
    scripts: str = sysconfig.get_path("scripts"),
    *,
    as_printed: bool = False,
    seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with the commands of ``scripts`` on PATH and a server of its own on a free port. Unless
    ``as_printed`` it waits for the server where a block ends with its start, and a person sees the greeting."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("GANTRY_", "CLOUDSDK_"))}
    environ |= {"GANTRY_PORT": str(port), "CLOUDSDK_CONFIG": str(home / "gcloud"), "HOME": str(home)}
    environ |= {"GANTRY_SERVER": f"http://127.0.0.1:{port}", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    environ["PATH"] = f"{scripts}:{environ['PATH']}"
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    if not as_printed:
        script = re.sub(
            r"^(gantry serve .*&).*$(?!\ngantry wait-ready)", r"\1\ngantry wait-ready", script, flags=re.MULTILINE
        )
    script = "set -e\ntrap 'kill $! 2>/dev/null; wait' EXIT\n" + script
    return subprocess.run(
        ["sh", "-c", script], cwd=home, env=environ, capture_output=True, text=True, timeout=seconds, check=False
    )


def from_nothing(home: Path) -> str:
    script = block("sh", "gantry serve").replace("/path/to/some", str(home / "some"))
    assert script.startswith("pip install .")
    return script.partition("\n")[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "counts"),
    [("C.UTF-8", "7 succeeded"), ("pt_BR.UTF-8", "7 com sucesso"), ("fr_FR.UTF-8", "7 avec succès")],
)
def test_from_nothing_to_an_import_and_an_export(locale: str, counts: str, home: Path) -> None:
    done = shell(f"export LC_ALL={locale}\n{from_nothing(home)}", home, as_printed=True)
    assert done.returncode == 0, done.stderr
    assert len(list((home / "buckets" / "outgoing" / "all").rglob("*.dcm"))) == 7
    assert counts in done.stdout


@pytest.mark.slow
def test_curl_and_python(home: Path) -> None:
    python = block("python", "discovery.build") + (
        "store = 'projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct'\n"
        "assert client.projects().locations().datasets().dicomStores().get(name=store).execute() == {'name': store}\n"
    )
    (home / "client.py").write_text(python.replace("127.0.0.1:8080", "HOST"))
    done = shell(
        from_nothing(home)
        + block("sh", "curl -X POST")
        + f'sed -i "s#http://HOST#$GANTRY_SERVER#" client.py\n{sys.executable} client.py\n',
        home,
    )
    assert done.returncode == 0, done.stderr
    assert '"name": "projects/gantry/locations/us-central1/datasets/hospital/operations/' in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="NOT TESTED: gcloud is not installed")
def test_gcloud(home: Path) -> None:
    done = shell(from_nothing(home) + block("sh", "gcloud healthcare dicom-stores import"), home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("name: projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct") == 2


def test_it_is_short_and_begins_with_the_two_commands() -> None:
    assert len(README.splitlines()) <= 120
    assert [line.split("#")[0].strip() for line in blocks("sh")[0].splitlines()] == ["./run demo", "./run test"]


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
