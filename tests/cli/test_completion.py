"""Completion, tried with the shells themselves, and the manual page, read by man."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gantry.cli import run as run_here
from gantry.client.arguments import parser
from gantry.client.command_tree import read_tree

CASES = [
    ("sto", {"storage", "storage-class", "stores"}),
    ("stores ", {"list", "create", "describe", "delete", "update"}),
    ("stores list --js", {"--json"}),
    ("--version sto", {"storage", "storage-class", "stores"}),
    ("import --storage-class A", {"ARCHIVE"}),
    ("import --store stores --as", {"--async"}),
    ("storage-class set ", {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}),
    ("buckets check --wr", {"--write"}),
    ("storage --data show co", {"compact"}),
    ("serve --port-f", {"--port-file"}),
    ("upload a", {"a file.dcm", "a.dcm"}),
    ("import --from-file a.", {"a.dcm"}),
]
_TRY_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gantry; printf '%s\\n' "${COMPREPLY[@]}"
"""
_TRY_ZSH = r"""
zmodload zsh/zpty || exit 9
zpty shell "PS1= $3 -f -i"
zpty -w shell "cd $(pwd); autoload -U compinit; compinit -u -D; LISTMAX=1000; unsetopt beep; source $1"
zpty -w shell "bindkey '^I' complete-word; bindkey '^X' list-choices; print REA''DY"
zpty -r -m shell line '*READY*'
zpty -w -n shell "$2"$'\t\t'
for i in {1..100}; do zpty -r -t shell piece && print -rn -- "$piece" || sleep 0.03; done
"""


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run_here(["completion", shell]) == 0
    file = folder / f"completion.{shell}"
    file.write_text(capsys.readouterr().out)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.dcm", "a file.dcm", "b.dcm"):
        (tmp_path / "files" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "files" / name).touch()
    return tmp_path


def ask(folder: Path, *command: str) -> str:
    environ = os.environ | {"TERM": "dumb"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environ, cwd=folder / "files"
    )
    assert done.stderr == ""
    return done.stdout


def shell_of(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"NOT TESTED: {name} is not installed")
    return path


def test_bash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, bash = script("bash", folder, capsys), shell_of("bash")
    for line, wanted in CASES:
        words = ["gantry", *line.split(" ")]
        found = ask(folder, bash, "--norc", "-c", _TRY_BASH, "try", str(file), *words).splitlines()
        assert set(found) == wanted, line


def test_fish(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, fish = script("fish", folder, capsys), shell_of("fish")
    for line, wanted in CASES:
        found = ask(folder, fish, "--no-config", "-c", f"source {file}; complete -C 'gantry {line}'").splitlines()
        assert {each.partition("\t")[0].replace("\\ ", " ") for each in found} == wanted, line


@pytest.mark.slow
def test_zsh(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, zsh = script("zsh", folder, capsys), shell_of("zsh")
    for line, wanted in CASES:
        shown = ask(folder, zsh, "-f", "-c", _TRY_ZSH, "try", str(file), f"gantry {line}", zsh)
        assert all(word.replace(" ", "\\ ") in shown or word in shown for word in wanted), (line, shown)


def test_a_script_holds_every_command_and_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {shell: script(shell, folder, capsys).read_text() for shell in ("bash", "zsh", "fish")}
    for command in read_tree(parser()).walk():
        for word in (*command.path, *(flag for each in command.arguments for flag in each.flags)):
            assert all(word.lstrip("-") in text for text in texts.values()), word


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("man") / "gantry.1"
    with pytest.MonkeyPatch.context() as patch, file.open("w") as opened:
        patch.setattr("sys.stdout", opened)
        assert run_here(["man"]) == 0
    return file


def test_the_manual_page_is_read_without_a_warning(page: Path) -> None:
    man = shell_of("man")
    environ = os.environ | {"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-ww"}
    done = subprocess.run([man, "--warnings", "-l", str(page)], capture_output=True, text=True, env=environ, check=True)
    assert done.stderr == ""
    shown = done.stdout
    assert "import 'gs://incoming/**.dcm'" in shown and "`gantry serve`" in shown
    for command in read_tree(parser()).walk():
        if not command.commands:
            assert f"gantry {' '.join(command.path)}\n" in shown, command.path
            assert all(flag in shown for each in command.arguments for flag in each.flags)


def test_the_manual_page_has_no_request_in_its_text(page: Path) -> None:
    """A line of text that begins with a period or an apostrophe would be a request of roff."""
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".nf", ".fi"}
    lines = page.read_text().splitlines()
    assert {line.partition(" ")[0] for line in lines if line.startswith((".", "'"))} <= known
