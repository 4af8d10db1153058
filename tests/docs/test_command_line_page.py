"""docs/howto/command-line.md: every command has an example there, each can be read, and those of the API are run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from gantry.client.arguments import parser
from gantry.client.command_tree import read_tree
from tests.docs.test_howto import PREPARE, commands, home
from tests.docs.test_readme import ROOT, shell

__all__ = ["home"]
_PAGE = (ROOT / "docs" / "howto" / "command-line.md").read_text(encoding="utf-8")
_ALONE = {("storage",), ("emulator",)}
"""Commands that do something although there are commands below them."""


def examples() -> list[list[str]]:
    blocks = re.findall(r"```(?:sh|text)\n(.*?)```", _PAGE, re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_every_command_has_one_example() -> None:
    known = {
        each.path for each in read_tree(parser()).walk() if each.path and (not each.commands or each.path in _ALONE)
    }
    shown = [max((path for path in known if path == tuple(line[: len(path)])), key=len) for line in examples()]
    assert sorted(shown) == sorted(known)


@pytest.mark.parametrize("example", examples(), ids=" ".join)
def test_every_example_can_be_read(example: list[str]) -> None:
    parser().parse_args(example)


def test_the_exit_codes_are_those_of_the_help() -> None:
    told = set(re.findall(r"^  (\d+) ", str(parser().epilog), re.MULTILINE))
    assert set(re.findall(r"^\| (\d+) \|", _PAGE, re.MULTILINE)) == told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "counts", "moved"),
    [
        ("C.UTF-8", "0 stored, 2 already there, 0 failed", "set blob storage settings: 1 succeeded"),
        (
            "pt_BR.UTF-8",
            "0 armazenado, 2 já existentes, 0 com falha",
            "mudança da classe de armazenamento: 1 com sucesso",
        ),
        ("fr_FR.UTF-8", "0 stocké, 2 déjà présents, 0 en échec", "changement de la classe de stockage: 1 avec succès"),
    ],
)
def test_every_command_of_the_api_works(locale: str, counts: str, moved: str, home: Path) -> None:
    shutil.copytree(home / "buckets" / "incoming" / "d", home / "d")
    done = shell(f"export LC_ALL={locale}\n{PREPARE}{''.join(commands('command-line.md'))}", home, seconds=400)
    assert done.returncode == 0, done.stderr
    assert counts in done.stdout
    assert moved in done.stdout
