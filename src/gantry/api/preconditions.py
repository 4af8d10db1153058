"""Conditions of requests (RFC 9110 §13): If-Match of changes and answers, If-None-Match of answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import Headers

from gantry.api.web import Answer
from gantry.errors import PreconditionFailed

_SAFE = ("GET", "HEAD", "OPTIONS")
_ENTITY_TAG = re.compile(r'((?:W/)?)("[\x21\x23-\x7e\x80-\xff]*")')
_ENTITY_TAGS = re.compile(rf"[ \t,]*{_ENTITY_TAG.pattern}(?:[ \t]*,[ \t,]*{_ENTITY_TAG.pattern})*[ \t,]*")
_ANY = "*"


def require_unconditional(verb: str, headers: Mapping[str, str]) -> None:
    """A change that depends on an entity tag is not made, as nothing that can be changed has one.

    Raises PreconditionFailed.
    """
    if verb not in _SAFE and headers.get("if-match", _ANY).strip() != _ANY:
        raise PreconditionFailed(
            "If-Match names an entity tag, but changes cannot depend on one here; leave the header out, or send *"
        )


def is_known(headers: Headers, etag: str) -> bool:
    """Whether If-None-Match lists this entity tag, by weak comparison (§8.8.3.2): its answer need not be made, as it
    was made before. ``*`` proves nothing of the kind, so ``apply_conditions`` is for that.

    ``etag`` is as in the header ETag, with its quotes. A text that is no list of entity tags matches nothing.
    """
    wanted = etag.removeprefix("W/")
    return any(tag == wanted for _, tag in _list_tags(_read(headers, "if-none-match")))


def apply_conditions(headers: Headers, answer: Answer) -> Answer:
    """The answer, once its first piece is made, or 304 for ``If-None-Match: *``. What would be no success is an error
    before this: conditions do not hide it (§13.2.1).

    Raises PreconditionFailed where no entity tag of If-Match is that of the answer, by strong comparison (§13.1.1).
    """
    etag = answer.headers.get("etag", "")
    if not _may_send(_read(headers, "if-match"), etag):
        _close(answer)
        raise PreconditionFailed("what is stored has none of the entity tags of If-Match now; leave the header out")
    if etag and _read(headers, "if-none-match").strip() == _ANY:
        _close(answer)
        return Answer(b"", status=304, headers={"etag": etag})
    return answer


def weaken(etag: str) -> str:
    """The entity tag of an answer whose parts are the same and whose bytes are not: each has a boundary of its own
    (§8.8.1)."""
    return f"W/{etag}"


def _may_send(if_match: str, etag: str) -> bool:
    if not if_match or if_match.strip() == _ANY:
        return True
    return ("", etag) in _list_tags(if_match)


def _read(headers: Headers, name: str) -> str:
    """All lines of a header that is a list (§5.3)."""
    return ", ".join(headers.getlist(name))


def _list_tags(text: str) -> list[tuple[str, str]]:
    """``W/`` or nothing, and the tag with its quotes."""
    return _ENTITY_TAG.findall(text) if _ENTITY_TAGS.fullmatch(text) else []


def _close(answer: Answer) -> None:
    if not isinstance(answer.body, bytes) and hasattr(answer.body, "close"):
        answer.body.close()
