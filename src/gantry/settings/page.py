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
    flag = f"`--{_flag_name(each.name)}`" if about.flag else ""
    default = about.absent or f"`{_format_default(each.default)}`"
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
    """Add a flag for each setting that has one; ``load_settings`` reads the values."""
    for name, about, default in _flags():
        help = f"{about.help} Default: {about.absent or default}.".replace("%", "%%")
        if about.reader.metavar:
            command.add_argument(f"--{_flag_name(name)}", metavar=about.reader.metavar, help=help)
        else:
            command.add_argument(f"--{_flag_name(name)}", action="store_const", const=True, help=help)


def _flags() -> Iterator[tuple[str, Setting, str]]:
    for group in GROUPS:
        for each in fields(group):
            if (about := about_field(each)).flag:
                yield each.name, about, _format_default(each.default)


def _flag_name(name: str) -> str:
    return name.replace("_", "-")


def _format_default(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
