"""``/readyz``: what the server cannot serve, by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gantry.api.call import Context
from gantry.api.looking import Look
from gantry.api.responses import json_response
from gantry.seams import Seams


def readyz(context: Context, _request: Request) -> Response:
    """``ok``, or 503 with all parts that are in trouble, as JSON: ``{"error": …, "parts": [{"part", "message"}]}``.

    Lines of the audit log that are lost where calls go on without them are reported beside the ``ok``.
    """
    parts = [{"part": part, "message": message} for part, message in find_troubles(context)]
    if not parts:
        loss = context.audit.describe_loss() if context.audit else ""
        return PlainTextResponse(f"ok, but lines of the audit log are lost: {loss}\n" if loss else "ok\n")
    message = "; ".join(f"{each['part']}: {each['message']}" for each in parts)
    return json_response({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}, "parts": parts}, 503)


def find_troubles(context: Context) -> Iterator[tuple[str, str]]:
    """(part, sentence) of all that cannot be served now. A part is ``index``, ``blobs/PLACE``, ``disk/PLACE``,
    ``audit``."""
    begun = [(part, look.begin()) for part, look in context.looks.items()]
    yield from ((part, message) for part, found in begun for message in found.get())
    if context.audit is not None and context.audit.is_required and (loss := context.audit.describe_loss()):
        yield "audit", f"the audit log cannot be written: {loss}"


def make_looks(seams: Seams) -> dict[str, Look]:
    """What is looked at, by part."""
    looks = {"index": Look(partial(_look_at_index, seams))}
    for place in seams.places:
        looks[f"blobs/{place}"] = Look(partial(_list, partial(seams.blobs.find_absence, place)))
    for place in seams.places:
        looks[f"disk/{place}"] = Look(partial(_list, partial(seams.blobs.find_shortage, place)))
    return looks


def _list(find: Callable[[], str]) -> list[str]:
    found = find()
    return [found] if found else []


def _look_at_index(seams: Seams) -> list[str]:
    seams.index.garbage.list_deleted_stores()
    return seams.index.find_troubles()
