"""What those who join read and what checks their changes agree with the project."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")}
RUN = (ROOT / "run").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "tests/README.md", ".github/pull_request_template.md")
TASKS = set(re.findall(r"^    ([a-z-]+)\)", RUN, re.MULTILINE))


def test_workflows_test_every_python_that_is_supported() -> None:
    classified = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)}
    (matrix,) = re.findall(r"python: \[(.*)\]", WORKFLOWS["test"])
    assert set(re.findall(r"3\.\d+", matrix)) == classified == {"3.11", "3.12", "3.13", "3.14"}
    assert PROJECT["requires-python"] == f">={min(classified, key=lambda text: int(text[2:]))}"
    oldest = [found for text in WORKFLOWS.values() for found in re.findall(r'python-version: "(.*)"', text)]
    assert set(oldest) == {"3.11"}


def test_actions_are_pinned_to_commits() -> None:
    used = [found for text in WORKFLOWS.values() for found in re.findall(r"uses: (.*)", text)]
    assert len(used) >= 10
    for each in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each
    assert len(set(used)) == len({each.partition("@")[0] for each in used}), "one action, one version"


def test_no_workflow_may_more_than_it_says() -> None:
    for name, text in WORKFLOWS.items():
        assert "\npermissions: {}\n" in text, name
        jobs = re.findall(r"^  [a-z]+:\n    name:", text, re.MULTILINE)
        assert len(jobs) == text.count("timeout-minutes:") == text.count("    permissions:\n"), name
        assert "pull_request_target" not in text and "secrets." not in text, name


def test_workflows_run_tasks_that_exist() -> None:
    used = {found for text in WORKFLOWS.values() for found in re.findall(r"run: \./run ([a-z-]+)", text)}
    assert used == {"test", "test-slow", "test-long", "lint", "audit", "dist"} and used <= TASKS


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_tasks_and_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"\./run ([a-z-]+)", text)) - {"demo"} <= TASKS
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), target
    for path in re.findall(r"`((?:src|tests|docs|requirements|\.github)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_lint_task_checks_every_workflow_and_form() -> None:
    lint = RUN.partition("    lint)\n")[2].partition(";;")[0]
    for tool in ("ruff check", "ruff format --check", "mypy", "zizmor --offline", "check-jsonschema", "actionlint"):
        assert re.search(rf"^ .*\b{tool}\b", lint, re.MULTILINE), tool
    forms = (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")
    assert {path.name for path in forms} == set(re.findall(r"ISSUE_TEMPLATE/(\w+\.yml)", lint))


@pytest.mark.parametrize("broken", ["ruff", "mypy", "zizmor", "check-jsonschema"])
def test_the_lint_task_fails_with_each_of_its_tools(broken: str, tmp_path: Path) -> None:
    """With tools that do nothing, one of which fails."""
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("ruff", "mypy", "zizmor", "check-jsonschema", "actionlint"):
        (tools / name).write_text(f"#!/bin/sh\nexit {int(name == broken)}\n")
        (tools / name).chmod(0o755)
    (tmp_path / "run").write_text(RUN)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").touch()
    (tmp_path / ".venv" / ".installed").touch()
    command = ["sh", str(tmp_path / "run"), "lint"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 1
    (tools / broken).write_text("#!/bin/sh\n")
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def test_the_bill_of_materials_is_a_part_of_what_is_tested() -> None:
    """requirements/server.txt, from which it is made, has the versions of requirements/dev.txt."""

    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / "requirements" / name).read_text(encoding="utf-8"), re.M))

    server = pins("server.txt")
    assert server <= pins("dev.txt")
    for needed in PROJECT["dependencies"]:
        name = re.match(r"[a-z0-9-]+", needed)
        assert name and any(pin.startswith(f"{name[0]}==") for pin in server), needed
