"""The segments of a request's path: the one place where paths are decoded, for the API and for pages."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import Scope

from gantry.errors import InvalidArgument, NotFound
from gantry.names import is_path_segment


def segments_of(scope: Scope) -> list[str]:
    """Path segments, decoded after splitting, so that an encoded slash cannot begin a new one.

    The last one is empty for a path that ends in a slash; only pages may have such a path. Raises NotFound for a path
    that clients and proxies shorten (RFC 3986 §5.2.4): its meaning would depend on them. Raises InvalidArgument for
    characters that no name can have.
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    try:
        parts = [unquote(part, errors="strict") for part in raw.decode("ascii").split("/")[1:]] or [""]
    except UnicodeDecodeError:
        raise InvalidArgument("the path is not valid UTF-8") from None
    for part in parts[:-1] if parts[-1] == "" else parts:
        _check(part)
    return parts


def page_path(scope: Scope) -> list[str]:
    """The segments behind the first one, which names the page; a slash at the end does not count."""
    parts = segments_of(scope)[1:]
    return parts[:-1] if parts and parts[-1] == "" else parts


def _check(part: str) -> None:
    if is_path_segment(part):
        return
    if not part or (part.isprintable() and "/" not in part):
        raise NotFound(f"nothing is there: {part!r} cannot be a segment of a path")
    raise InvalidArgument(f"the path: {part!r} holds an encoded slash or a character that cannot be shown")
