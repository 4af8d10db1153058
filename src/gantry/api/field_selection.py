"""The system parameter ``fields``: which parts of a JSON answer are wanted: ``name,metadata/counter,a(b,c/d)``.

A dot is as good as a slash: a field mask has dots (AIP-161).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from gantry.errors import InvalidArgument, invalid_field

MAX_CHARACTERS, MAX_PATHS = 4096, 100
"""More than any resource has fields; every path is tried at each field of an answer."""

_TOKEN = re.compile(r"\s*(?:([\w@*-]+)|([,/.()]))\s*")

Path = tuple[str, ...]
"""Field names from the answer inwards; ``*`` stands for every field."""


def parse_fields(text: str) -> list[Path]:
    """``a,b`` are fields, ``a/b`` is a field of a field, ``a(b,c)`` are several of them. Raises InvalidArgument."""
    if len(text) > MAX_CHARACTERS:
        raise invalid_field("fields", f"is longer than {MAX_CHARACTERS} characters")
    paths: list[Path] = []
    path: Path = ()
    outer: list[Path] = [()]  # the path in front of each open bracket
    before, position = ",", 0
    while position < len(text) and text.strip():
        token = _TOKEN.match(text, position)
        word = "" if token is None else (token[1] or token[2]).replace(".", "/")
        if token is None or not _may_follow(word, before, len(outer) > 1):
            raise _bad(text, position)
        if token[1]:
            path += (word,)
        elif before not in ",/()" and word in ",)":
            paths.append(path)
        if word == "(":
            outer.append(path)
        elif word == ")":
            outer.pop()
        if word in ",)":
            path = outer[-1]
        before, position = word, token.end()
    if text.strip() and (before in ",/(" or len(outer) > 1):
        raise _bad(text, len(text))
    paths = paths if before in ",)" else [*paths, path]
    if len(paths) > MAX_PATHS:
        raise invalid_field("fields", f"names more than {MAX_PATHS} fields")
    return paths


def _may_follow(word: str, before: str, is_inside: bool) -> bool:
    """A name follows a separator; a separator follows a name, and behind a bracket only what ends or goes on there."""
    if word not in ",/()":
        return before in ",/("
    if word == ")" and not is_inside:
        return False
    return before not in ",/()" or (before == ")" and word in ",)")


def _bad(text: str, position: int) -> InvalidArgument:
    return invalid_field("fields", f"is not understood at {text[position : position + 50]!r}; write a,b/c,d(e,f)")


def select(value: Any, paths: Collection[Path]) -> Any:
    """The parts of an answer that the paths name; all of it without paths. Missing fields are left out."""
    if not paths or () in paths:
        return value
    if isinstance(value, list):
        return [select(item, paths) for item in value]
    selected = {}
    for name, item in value.items():
        below = [path[1:] for path in paths if path[0] in (name, "*")]
        if below and (() in below or isinstance(item, (dict, list))):
            selected[name] = select(item, below)
    return selected
