"""The tables of docs/settings.md, and the flags of ``gantry serve``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from gantry.languages import _
from gantry.settings.groups import GROUPS
from gantry.settings.setting import about_field

_HEAD = "| flag | variable | file | default | meaning | example |\n|---|---|---|---|---|---|"


def write_tables() -> str:
    """A section of Markdown for each group."""
    return "\n".join(f"## {group.__doc__}\n\n{_HEAD}\n{''.join(map(_row, fields(group)))}" for group in GROUPS)


def _row(each: Field[Any]) -> str:
    about = about_field(each)
    flag = f"`{_flag_of(each)}`" if about.flag else ""
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
    for each in _flags():
        about = about_field(each)
        default = _(about.absent) if about.absent else _format_default(each.default)
        help = _("{meaning} Default: {default}.").format(meaning=_(about.help), default=default).replace("%", "%%")
        if about.reader.metavar:
            command.add_argument(_flag_of(each), metavar=about.reader.metavar, help=help)
        else:
            const = not each.default
            command.add_argument(_flag_of(each), dest=each.name, action="store_const", const=const, help=help)


def _flags() -> Iterator[Field[Any]]:
    return (each for group in GROUPS for each in fields(group) if about_field(each).flag)


def _flag_of(each: Field[Any]) -> str:
    """One that is true by itself has a flag that makes it false."""
    return f"--{'no-' if each.default is True else ''}{each.name.replace('_', '-')}"


def _format_default(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
