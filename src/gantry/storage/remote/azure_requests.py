"""Requests of Blob Storage, signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate
from html import unescape
from urllib.parse import quote, urlsplit

from gantry.storage.remote.azure_signing import Access
from gantry.storage.remote.connections import MOST_BYTES, Answer, Connections
from gantry.storage.remote.errors import Refusal
from gantry.storage.remote.place import RemotePlace

VERSION = "2023-11-03"
"""Of the protocol: emulators and appliances know it too. Since 2021-02-12 listings escape keys that XML cannot hold."""
_DOTS = re.compile(r"(?<![^/])\.{1,2}(?![^/])")
_CODE, _MESSAGE = re.compile(r"<Code>([^<]{1,100})</Code>"), re.compile(r"<Message>([^<]{1,1000})</Message>")


class Requests:
    """Of one container. Safe to use from many threads."""

    def __init__(self, place: RemotePlace, access: Access) -> None:
        """Raises FailedPrecondition where the file of certificates cannot be read."""
        origin, self._base = _split(place)
        self._access = access
        self._connections = Connections(place, origin)

    def name(self, key: str) -> str:
        """The path of a blob; of the container for "". Dots that stand alone are escaped, so that nothing on the way
        takes them for directories (RFC 3986 §5.2.4)."""
        return f"{self._base}/{quote_key(key)}" if key else self._base

    def locate(self, place: RemotePlace, key: str) -> str:
        """The whole address of a blob, as a request to copy it needs it. ``place`` is reached with the same access."""
        query, _ = self._access.sign("GET", "", {}, {})  # a SAS token is in the query
        return f"{''.join(_split(place))}/{quote_key(key)}{_write_query(query)}"

    def send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        most: int = MOST_BYTES,
    ) -> Answer:
        """Raises Refusal for an answer that is an error, and exceptions of urllib3."""
        path, asked = self.name(key), dict(query or {})
        sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, **(headers or {})}
        if method in ("PUT", "POST"):
            sent["content-length"] = str(len(body)) if body else ""
        more_query, more_headers = self._access.sign(method, path, asked, sent)
        if "content-length" in sent:
            sent["content-length"] = str(len(body))
        target = f"{path}{_write_query({**asked, **more_query})}"
        all_headers = {**sent, **more_headers, "accept-encoding": "identity"}
        answer = self._connections.send(method, target, all_headers, body, most)
        if answer.status >= 300:
            raise _make_refusal(*answer)
        return answer


def _split(place: RemotePlace) -> tuple[str, str]:
    """Scheme and host, and the path of the container."""
    parts = urlsplit(place.endpoint)
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path.rstrip('/')}/{place.bucket}"


def quote_key(key: str) -> str:
    return _DOTS.sub(lambda found: found[0].replace(".", "%2E"), quote(key, safe="/~"))


def _write_query(query: Mapping[str, str]) -> str:
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items())
    return f"?{text}" if text else ""


def _make_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    """The answer to a HEAD request has no body: the code is in a header too."""
    text = body[:10_000].decode("utf-8", "replace")
    code, message = _CODE.search(text), _MESSAGE.search(text)
    sentence = unescape(message[1]).partition("\n")[0] if message else ""  # what follows names the request
    return Refusal(status, headers.get("x-ms-error-code") or (code[1] if code else ""), sentence, headers)
