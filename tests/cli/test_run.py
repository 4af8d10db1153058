"""``./run``: installs once, then hands over. Python, pip and the tools are stand-ins that tell how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TOOLS = "python pytest ruff mypy zizmor check-jsonschema actionlint pip-audit gantry"
_PYTHON = """#!/bin/sh
echo "$(basename "$0")${GANTRY_TEST_DATABASE:+ with $GANTRY_TEST_DATABASE} $*" >> "$CALLS"
case "$*" in
    "-m venv "*) mkdir -p "$3/bin"; for tool in $TOOLS; do cp "$0" "$3/bin/$tool"; done ;;
esac
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "run", tmp_path / "run")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    for name in ("dev.txt", "mutate.txt"):
        (tmp_path / "requirements" / name).touch()
    (tmp_path / "path").mkdir()
    python = tmp_path / "path" / "python3.11"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    return tmp_path


def calls(copy: Path, *arguments: str) -> list[str]:
    (copy / "calls").write_text("")
    environ = {"PATH": f"{copy / 'path'}:/usr/bin:/bin", "CALLS": str(copy / "calls"), "TOOLS": _TOOLS}
    subprocess.run([str(copy / "run"), *arguments], env=environ, cwd="/", check=True, capture_output=True, timeout=30)
    return (copy / "calls").read_text().splitlines()


def test_run_installs_once_and_again_after_a_change(copy: Path) -> None:
    pip, lock = "python -m pip install --quiet --disable-pip-version-check", copy / "requirements" / "dev.txt"
    install = [
        f"{pip} --require-hashes --requirement {lock}",
        f"{pip} --no-deps --no-build-isolation --editable {copy}",
    ]
    first = calls(copy, "stores", "list")
    assert first[-4:] == [f"python3.11 -m venv {copy}/.venv", *install, "gantry stores list"]
    assert calls(copy, "demo") == ["gantry demo"]
    for changed in (copy / "pyproject.toml", lock):
        os.utime(copy / ".venv" / ".installed", (3e9, 3e9))
        os.utime(changed, (4e9, 4e9))
        assert calls(copy, "demo")[-3:-1] == install
        os.utime(changed, (1e9, 1e9))


def test_run_knows_the_tasks(copy: Path) -> None:
    calls(copy)
    assert calls(copy, "test", "-k", "a b") == ["pytest -p no:randomly -n 2 -m not slow and not further -k a b"]
    assert calls(copy, "test-slow") == ["pytest -p no:randomly -n 2 -m (slow or further) and not long"]
    assert calls(copy, "test-random", "tests/api") == [
        "pytest -n 2 -m not slow and not further --randomly-seed=1 tests/api"
    ]
    suites = "tests/access tests/api tests/buckets tests/cli tests/clients tests/console tests/corpus tests/dicomweb"
    suites += " tests/hostile tests/iam tests/pages tests/seams tests/support"
    postgresql = f"pytest with postgresql -p no:randomly -n 2 -m not long -o testpaths={suites} "
    assert calls(copy, "test-postgresql", "-k", "a") == [f"{postgresql} -k a"]
    audit = f"pip-audit --require-hashes --disable-pip --requirement {copy}/requirements/dev.txt"
    assert calls(copy, "audit") == [audit]
    check, forms = "check-jsonschema --quiet --builtin-schema vendor.", ".github/ISSUE_TEMPLATE"
    lint = [
        *("ruff check", "ruff format --check", "mypy ", "zizmor --offline --quiet --persona pedantic .github"),
        f"{check}github-workflows .github/workflows/*.yml",
        f"{check}dependabot .github/dependabot.yml",
        f"{check}github-issue-config {forms}/config.yml",
        f"{check}github-issue-forms {forms}/bug.yml {forms}/feature.yml",
        "actionlint ",
    ]
    assert calls(copy, "lint") == lint
    assert calls(copy, "check") == [*lint, audit, "pytest -p no:randomly -n 2 -m not slow and not further"]
    assert calls(copy, "bench", "import_rate") == ["python -m benchmarks import_rate"]
    assert calls(copy, "serve", "--port", "1") == ["gantry serve --port 1"]


def test_mutants_are_made_by_an_environment_of_their_own(copy: Path) -> None:
    """Made at the first run, and again where the lock is newer."""
    calls(copy)
    install = "python -m pip install --quiet --disable-pip-version-check --require-hashes"
    first = calls(copy, "mutate", "ingest", "--count", "5")
    assert first == [
        f"python -m venv {copy}/.venv-mutate",
        f"{install} --requirement requirements/mutate.txt",
        "python -m mutation ingest --count 5",
    ]
    assert calls(copy, "mutate", "uris") == ["python -m mutation uris"]
    os.utime(copy / "requirements" / "mutate.txt", (4e9, 4e9))
    assert calls(copy, "mutate", "uris") == [*first[1:2], "python -m mutation uris"]
