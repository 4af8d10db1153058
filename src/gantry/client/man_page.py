"""``man``: the manual page, made from the parser, in the macros of man(7)."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator

from gantry import __version__
from gantry.client.command_tree import Argument, Command, read_english_tree

_ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "…": "\\&..."}
_TABLE = str.maketrans(_ESCAPES)


def show(args: Namespace) -> int:
    """Print the page."""
    sys.stdout.write("\n".join(_write(read_english_tree())) + "\n")
    return 0


def _write(root: Command) -> Iterator[str]:
    yield f'.TH GANTRY 1 "" "Gantry {_escape(__version__)}" "User Commands"'
    yield from (".SH NAME", f"gantry \\- {_escape(root.help.rstrip('.'))}")
    yield from (".SH SYNOPSIS", ".B gantry", _escape("COMMAND [--help] ..."))
    yield from (".SH DESCRIPTION", *_write_epilog(root.epilog))
    yield ".SH COMMANDS"
    for command in root.walk():
        if (command.path and not command.commands) or (command.path and command.arguments[1:]):
            yield from _write_command(command)


def _write_command(command: Command) -> Iterator[str]:
    yield f'.SS "gantry {_escape(" ".join(command.path))}"'
    yield _line(f"{command.help[:1].upper()}{command.help[1:]}.")
    yield from (".PP", ".nf", *map(_line, _wrap(command.usage)), ".fi")
    for each in command.arguments:
        if "--help" not in each.flags:
            yield from _write_argument(each)
    if command.epilog:
        yield from (".PP", *_write_epilog(command.epilog))


def _wrap(usage: str) -> Iterator[str]:
    """A usage in lines that fit a page."""
    line = ""
    for word in usage.split(" "):
        if len(line) + len(word) > 70:
            yield line
            line = "   "
        line = f"{line} {word}" if line else word
    yield line


def _write_argument(argument: Argument) -> Iterator[str]:
    value = f" \\fI{_escape(argument.value)}\\fR" if argument.flags and argument.value else ""
    names = (
        ", ".join(f"\\fB{_escape(flag)}\\fR{value}" for flag in argument.flags) or f"\\fI{_escape(argument.value)}\\fR"
    )
    yield from (".TP", names, _line(argument.help or argument.value))


def _write_epilog(text: str) -> Iterator[str]:
    """As it stands: it has examples and tables."""
    yield from (".nf", *(_line(line) for line in text.rstrip().splitlines()), ".fi")


def _line(text: str) -> str:
    """A line of text that begins with no request."""
    escaped = _escape(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escape(text: str) -> str:
    return text.translate(_TABLE)
