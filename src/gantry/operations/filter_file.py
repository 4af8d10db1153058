"""Filter files: one path per line, ``/studies/U[/series/U[/instances/U]]``, as people and BigQuery write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gantry.names import ResourcePath

MAX_LINE_BYTES = 1024
_UID = r"[0-9.]{1,64}"
_PATH = re.compile(rf"/?studies/({_UID})(?:/series/({_UID})(?:/instances/({_UID}))?)?/?")


class Line(NamedTuple):
    """One line by its number (from 1). ``path`` is None when the line is not a path. ``text`` is the line, cut to a
    length that can be shown."""

    number: int
    text: str
    path: ResourcePath | None


def read_lines(chunks: Iterable[bytes]) -> Iterator[Line]:
    """Lines that mean something: without blank ones and without a CSV header (line 1 without any ``/``)."""
    for number, raw in enumerate(_split(chunks), 1):
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip().strip('"').strip()
        if not text or (number == 1 and "/" not in text):
            continue
        match = _PATH.fullmatch(text) if len(raw) <= MAX_LINE_BYTES else None
        path = None if match is None else ResourcePath(*match.groups(""))
        yield Line(number, text[:200], path)


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; what a line holds beyond MAX_LINE_BYTES is dropped, so memory stays bounded."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line[: MAX_LINE_BYTES + 1] for line in lines)
        rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest
