"""Headers of every answer, set in one place: which caches may keep it, and that browsers must not run it.

Answers hold patients' data, and bytes that anybody may have stored. So shared caches must not keep them, and browsers
must not take them for a page, a script or a style sheet of this server, whatever their media type says.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from gantry.api.cross_origin import CrossOrigin
from gantry.api.intake import must_close

_RUN_NOTHING = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
_OF_THE_API = ("/v1", "/v2", "/bigquery/", "/$discovery/", "/discovery/")
_SHOWN = {
    *("application/json", "application/dicom+json", "application/x-ndjson", "text/plain", "text/csv"),
    *("application/dicom", "application/octet-stream", "application/zip", "multipart/related"),
    *("image/jpeg", "image/png", "image/gif"),
}
"""Media types, beside videos, of which a browser runs nothing. It saves all others to a file (RFC 6266 §4.2), except
our own pages."""


def with_headers(send: Send, is_guarded: bool, scope: Scope, cross_origin: CrossOrigin) -> Send:
    """``send`` that completes the head of the answer. ``is_guarded``: answers depend on who is calling.

    A connection that cannot serve another request is closed behind the answer (RFC 9112 §9.6).
    """
    depends_on = ("Accept", "Authorization", "Cookie") if is_guarded else ("Accept",)

    async def complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            _limit_content(headers)
            _limit_caches(headers, message["status"], depends_on)
            if scope["path"].startswith(_OF_THE_API):  # pages are for their own origin alone
                cross_origin.complete(headers, Headers(scope=scope).get("origin", ""))
            if must_close(scope):
                headers["connection"] = "close"
            message = {**message, "headers": headers.raw}
        await send(message)

    return complete


def _limit_content(headers: MutableHeaders) -> None:
    """Our own pages set a policy; an answer without one is data (WHATWG Fetch §3.6, CSP3 §6.3.2)."""
    headers.setdefault("x-content-type-options", "nosniff")
    if "content-security-policy" in headers:
        return
    headers["content-security-policy"] = _RUN_NOTHING
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in _SHOWN and not kind.startswith("video/"):
        headers.setdefault("content-disposition", "attachment")


def _limit_caches(headers: MutableHeaders, status: int, depends_on: tuple[str, ...]) -> None:
    """Browsers may keep an answer with an entity tag, but must ask before each use (RFC 9111 §5.2.2.4)."""
    is_kept = "etag" in headers and status in (200, 206, 304)
    headers.setdefault("cache-control", "private, no-cache" if is_kept else "private, no-store")
    if not headers["cache-control"].startswith("public"):
        for name in depends_on:
            headers.add_vary_header(name)
