"""Output to the terminal. Names come from other people's buckets, so control characters are escaped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gantry.client.messages import describe_error
from gantry.errors import FailedPrecondition, StatusError
from gantry.languages import _, ngettext
from gantry.sizes import format_decimal, format_number

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _CONTROLS if code > 0x7E}


def printable(text: str) -> str:
    """``text`` with control characters, line breaks and bidirectional controls escaped."""
    return text.translate(_ESCAPES)


def discard_stdout() -> None:
    """Send stdout to /dev/null, after its reader has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1, which means a failed operation here


@cache
def console(stderr: bool = False) -> Console:
    return _Console(stderr=stderr, highlight=False, emoji=False, markup=False)


def say(text: str | Text = "", style: str = "") -> None:
    """Print one line on stdout, without wrapping it."""
    console().print(Text(text, style) if isinstance(text, str) else text, soft_wrap=True)


def note(text: str, style: str = "dim") -> None:
    """Print a remark on stderr."""
    console(stderr=True).print(Text(printable(text), style), soft_wrap=True)


def print_error(message: str) -> None:
    """Print an error as one line on stderr."""
    line = Text.assemble(("gantry: ", "bold red"), printable(message))
    console(stderr=True).print(line, soft_wrap=True)


def print_failure(error: StatusError, as_json: bool = False) -> None:
    """On stderr for people; ``as_json``: on stdout, too, as the API writes errors."""
    print_error(describe_error(error))
    if as_json:
        say_json(error_json(error))


def error_json(error: StatusError) -> dict[str, Any]:
    return {"error": {"code": error.http, "message": error.message, "status": error.code.name}}


def say_json(value: Any, indent: int | None = 2) -> None:
    """Print JSON on stdout; without ``indent`` on one line."""
    print(write_json(value, indent))


def write_json(value: Any, indent: int | None = None) -> str:
    """JSON for stdout, in its encoding, without what a terminal would act on."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not utf8, indent=indent).translate(_JSON_ESCAPES)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print aligned columns on stdout; those named in ``right`` are right-aligned."""
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        line = "  ".join(
            " " * (width - cell_len(cell)) + cell if name in right else cell + " " * (width - cell_len(cell))
            for name, cell, width in zip(head, row, widths, strict=True)
        )
        say(line.rstrip(), "" if number else "bold")


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns on stdout, without the empty ones."""
    shown = [(name, value) for name, value in pairs if value]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        say(Text.assemble((f"{name:<{width}}  ", "dim"), printable(value)))


def confirm(question: str, yes: bool) -> bool:
    """Whether the user agrees. Raises FailedPrecondition without a terminal and without ``yes``."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise FailedPrecondition(_("nothing was deleted: confirmation needs a terminal; give --yes"))
    # For translators: what may be answered stands in the text "y yes".
    answers = _("[y/N]")
    print(f"{printable(question)} {answers} ", end="", file=sys.stderr, flush=True)
    # For translators: the answers that mean yes, in lower case, with spaces between them.
    return sys.stdin.readline().strip().lower() in _("y yes").split()


def count_instances(count: int) -> str:
    """``1,204 instances``."""
    return ngettext("{count} instance", "{count} instances", count).format(count=format_number(count))


def format_duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``, ``4 d 3 h``."""
    if seconds < 9.95:
        return _("{seconds} s").format(seconds=format_decimal(max(seconds, 0)))
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds} s").format(minutes=whole // 60, seconds=f"{whole % 60:02d}")
    if whole < 86400:
        return _("{hours} h {minutes} min").format(hours=whole // 3600, minutes=f"{whole % 3600 // 60:02d}")
    return _("{days} d {hours} h").format(days=whole // 86400, hours=f"{whole % 86400 // 3600:02d}")
