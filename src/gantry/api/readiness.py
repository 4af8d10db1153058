"""``/readyz``: what the server cannot serve, by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gantry.api.call import Context
from gantry.api.responses import json_response
from gantry.errors import StatusError
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
    seams = context.seams
    yield from _look("index", lambda: _read_index(seams))
    yield from ((f"blobs/{place}", message) for place, message in seams.blobs.missing_places().items())
    yield from ((f"disk/{place}", message) for place, message in seams.blobs.full_places().items())
    if context.audit is not None and context.audit.is_required and (loss := context.audit.describe_loss()):
        yield "audit", f"the audit log cannot be written: {loss}"


def _look(part: str, find: Callable[[], list[str]]) -> Iterator[tuple[str, str]]:
    try:
        yield from ((part, message) for message in find())
    except StatusError as error:
        yield part, error.message


def _read_index(seams: Seams) -> list[str]:
    seams.index.garbage.list_deleted_stores()
    return seams.index.find_troubles()
