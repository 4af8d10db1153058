"""The tables of docs/settings.md, and the flags of ``gantry serve``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from gantry.settings.groups import GROUPS
from gantry.settings.setting import Setting, about_field

_HEAD = "| flag | variable | file | default | meaning | example |\n|---|---|---|---|---|---|"


def write_tables() -> str:
    """A section of Markdown for each group."""
    return "\n".join(f"## {group.__doc__}\n\n{_HEAD}\n{''.join(map(_row, fields(group)))}" for group in GROUPS)


def _row(each: Field[Any]) -> str:
    about = about_field(each)
    flag = f"`--{_dashed(each.name)}`" if about.flag else ""
    default = about.absent or f"`{_plain(each.default)}`"
    meaning = f"{about.help} {about.more}".strip()
    cells = (
        flag,
        f"`GANTRY_{each.name.upper()}`",
        f"`{each.name}`",
        default,
        meaning,
        f"`{each.name} = {about.example}`",
    )
    return f"| {' | '.join(cells)} |\n"


def add_flags(command: argparse.ArgumentParser) -> None:
    """A flag for each setting that has one; what it is given is read with all other settings."""
    for name, about, default in _flags():
        help = f"{about.help} Default: {about.absent or default}.".replace("%", "%%")
        if about.reader.metavar:
            command.add_argument(f"--{_dashed(name)}", metavar=about.reader.metavar, help=help)
        else:
            command.add_argument(f"--{_dashed(name)}", action="store_const", const=True, help=help)


def _flags() -> Iterator[tuple[str, Setting, str]]:
    for group in GROUPS:
        for each in fields(group):
            if (about := about_field(each)).flag:
                yield each.name, about, _plain(each.default)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _plain(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
