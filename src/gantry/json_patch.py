"""JSON Patch (RFC 6902) on JSON values, addressed by JSON Pointers (RFC 6901)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from gantry.errors import InvalidArgument

MAX_OPERATIONS = 10_000  # applied one by one, while the client waits
MAX_TOKENS = 1000  # of a pointer: more than MAX_DEPTH, so that only depth decides
MAX_DEPTH = 610
"""Metadata has at most 200 levels of sequences (``dicom/elements.py``), each three levels of JSON, and a few more."""
MAX_COPIED = 64 << 20
"""Characters of JSON that operations may add or copy: copying the whole document into itself doubles it."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_MEMBERS = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
_Path = list[str]


class _Wrong(Exception):
    """What is wrong with an operation; its number and path are put in front."""


def apply_patch(document: Any, patch: Any) -> Any:
    """A new document; the arguments are not changed. All operations are applied or none (RFC 6902 §5).

    Both arguments are values of ``json.loads``. Raises InvalidArgument, which names the operation by its number, from
    1, and path; also for more than MAX_OPERATIONS, and for a result nested deeper than MAX_DEPTH.
    """
    work = _Work(document)
    _apply_each(patch, work.apply)
    _require_shallow(work.root)
    return work.root


def require_patch(patch: Any) -> None:
    """Raises InvalidArgument for a patch that no document could fit."""
    _apply_each(patch, _parse_operation)


def _apply_each(patch: Any, apply: Callable[[Any], object]) -> None:
    if not isinstance(patch, list):
        raise InvalidArgument("a JSON Patch is an array of operations (RFC 6902 §3)")
    if len(patch) > MAX_OPERATIONS:
        raise InvalidArgument(f"the JSON Patch has {len(patch)} operations; up to {MAX_OPERATIONS} are taken")
    for number, operation in enumerate(patch, 1):
        try:
            apply(operation)
        except _Wrong as error:
            raise InvalidArgument(
                f"operation {number} of the JSON Patch{_name_operation(operation)}: {error}"
            ) from None
        except RecursionError:
            raise InvalidArgument(
                f"operation {number} of the JSON Patch{_name_operation(operation)}: nested too deep"
            ) from None


def _parse_operation(operation: Any) -> tuple[str, _Path, _Path]:
    """``op``, ``path`` and ``from`` of an operation."""
    if not isinstance(operation, dict):
        raise _Wrong("is no JSON object")
    op = operation.get("op")
    if not isinstance(op, str) or op not in _MEMBERS:
        raise _Wrong(f"op is none of {', '.join(_MEMBERS)}")
    for member in _MEMBERS[op]:
        if member not in operation:
            raise _Wrong(f"has no {member!r}")
    source = _parse_pointer(operation["from"], "from") if "from" in _MEMBERS[op] else []
    return op, _parse_pointer(operation.get("path"), "path"), source


def _name_operation(operation: Any) -> str:
    if not isinstance(operation, dict):
        return ""
    names = (operation.get(key) for key in ("op", "path"))
    return "".join(f" {name[:200]!r}" for name in names if isinstance(name, str))


class _Work:
    """The document while it is changed. It shares no value with the arguments, and no value appears in it twice."""

    def __init__(self, document: Any) -> None:
        try:
            self.root = json.loads(json.dumps(document))
        except RecursionError:
            raise InvalidArgument("the document is nested too deep to be patched") from None
        self.left = MAX_COPIED

    def apply(self, operation: Any) -> None:
        op, path, source = _parse_operation(operation)
        if op in ("move", "copy"):
            self._transfer(source, path, op == "move")
        elif op == "add":
            self._add(path, self._copy(operation["value"]))
        elif op == "remove":
            self._remove(path)
        elif op == "replace":
            self._replace(path, self._copy(operation["value"]))
        elif not _is_equal(self._get(path), operation["value"]):
            raise _Wrong("the value there is different")

    def _copy(self, value: Any) -> Any:
        text = json.dumps(value)
        self.left -= len(text)
        if self.left < 0:
            raise _Wrong(f"the operations add more than {MAX_COPIED} characters")
        return json.loads(text)

    def _transfer(self, source: _Path, path: _Path, move: bool) -> None:
        if not move:
            self._add(path, self._copy(self._get(source)))
        elif source == path:
            self._get(source)
        elif path[: len(source)] == source:
            raise _Wrong("moves a value into itself (RFC 6902 §4.4)")
        else:
            value = self._get(source)
            self._remove(source)
            self._add(path, value)

    def _get(self, path: _Path) -> Any:
        value = self.root
        for token in path:
            value = value[_find_member(value, token)]
        return value

    def _add(self, path: _Path, value: Any) -> None:
        if not path:
            self.root = value
            return
        parent, token = self._get(path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.insert(len(parent) if token == "-" else _parse_index(token, len(parent)), value)  # noqa: S105
        elif isinstance(parent, dict):
            parent[token] = value
        else:
            raise _Wrong(f"{token[:100]!r} cannot be added to what is neither object nor array")

    def _remove(self, path: _Path) -> None:
        if not path:
            raise _Wrong("the whole document cannot be removed")
        parent = self._get(path[:-1])
        del parent[_find_member(parent, path[-1])]

    def _replace(self, path: _Path, value: Any) -> None:
        if not path:
            self.root = value
            return
        parent = self._get(path[:-1])
        parent[_find_member(parent, path[-1])] = value


def _parse_pointer(text: Any, name: str) -> _Path:
    """The reference tokens, unescaped: ``~1`` first, so that ``~01`` becomes ``~1`` (RFC 6901 §4)."""
    if not isinstance(text, str):
        raise _Wrong(f"{name} is no string")
    if text and not text.startswith("/"):
        raise _Wrong(f"{name} {text[:200]!r} does not begin with / (RFC 6901 §3)")
    if _BAD_ESCAPE.search(text):
        raise _Wrong(f"{name} {text[:200]!r} has a ~ that neither 0 nor 1 follows (RFC 6901 §3)")
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]
    if len(tokens) > MAX_TOKENS:
        raise _Wrong(f"{name} has {len(tokens)} tokens; up to {MAX_TOKENS} are taken")
    return tokens


def _find_member(parent: Any, token: str) -> Any:
    """The key of a member that exists, or the index of an element that does."""
    if isinstance(parent, list):
        return _parse_index(token, len(parent) - 1)
    if not isinstance(parent, dict) or token not in parent:
        raise _Wrong(f"there is no {token[:100]!r}")
    return token


def _parse_index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token):
        raise _Wrong(f"{token[:100]!r} is no index of an element that exists (RFC 6901 §4)")
    if int(token) > last:
        raise _Wrong(f"there is no element {token}")
    return int(token)


def _is_equal(one: Any, other: Any) -> bool:
    """Equality of RFC 6902 §4.6: 1 equals 1.0 but not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _require_shallow(root: Any) -> None:
    """Raises InvalidArgument for a document that is too deep for recursive functions."""
    level = [root]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, (dict, list)):
                below.extend(value.values() if isinstance(value, dict) else value)
        if not below:
            return
        level = below
    raise InvalidArgument(f"the patched document is nested deeper than {MAX_DEPTH} levels")
