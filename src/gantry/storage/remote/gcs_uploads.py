"""Objects that are written in parts: resumable uploads ("Resumable uploads", Cloud Storage documentation).

All parts but the last must be multiples of 256 KiB, and the last says so. Which one is the last is known when the
upload ends, so one part is held back. An upload that was never ended costs nothing, and is gone after a week.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import google_crc32c

from gantry.errors import Aborted, Unavailable
from gantry.storage.remote.connections import Answer
from gantry.storage.remote.errors import GONE
from gantry.storage.remote.gcs_errors import Refused
from gantry.storage.remote.gcs_http import Http
from gantry.storage.remote.gcs_tags import write_crc32c

_GOES_ON, _CANCELLED = 308, 499
_GONE = (404, 410)  # "Handling errors" of resumable uploads


@dataclass
class _Upload:
    """``offset`` is where ``held`` begins, the part that was not sent yet; ``number`` is that of the last part."""

    offset: int = 0
    held: bytes = b""
    number: int = 0
    crc32c: int = 0


class Uploads:
    """Each upload is fed by one thread, part after part; a part may come again until it was taken."""

    def __init__(self, http: Http, path: str) -> None:
        """``path`` is that of uploads to the bucket."""
        self._http, self._path = http, path
        self._open: dict[str, _Upload] = {}

    def begin(self, key: str, more: Mapping[str, str]) -> str:
        """The path of the upload, below that of the endpoint: the server's address is the settings' business, whatever
        it answers."""
        sent = {"content-type": "application/json; charset=UTF-8"}
        body = json.dumps({"name": key, "contentType": "application/octet-stream", **more}).encode()
        said = self._http.ask("POST", self._path, {"uploadType": "resumable", "name": key}, sent, body)
        found = urlsplit(said.headers.get("location", ""))
        if not found.query or not found.path.startswith("/"):
            raise Unavailable("the object storage began an upload and did not say where", advice="try again")
        name = f"{found.path.removeprefix(self._http.base)}?{found.query}"
        self._open[name] = _Upload()
        return name

    def put(self, name: str, number: int, data: bytes) -> None:
        upload = self._open[name]
        if number == upload.number:
            return  # it was held, and what came before is written
        if upload.held:
            self._send(name, upload, last=False)
        upload.offset += len(upload.held)
        upload.held, upload.number = data, number
        upload.crc32c = google_crc32c.extend(upload.crc32c, data)

    def end(self, name: str) -> tuple[dict[str, Any], str]:
        """The object as the server has it, and the CRC32C that it should have. Asked again, it answers the same."""
        upload = self._open[name]
        found = json.loads(self._send(name, upload, last=True).body)
        if not isinstance(found, dict):
            raise ValueError
        return found, write_crc32c(upload.crc32c)

    def forget(self, name: str) -> None:
        self._open.pop(name, None)

    def drop(self, name: str) -> None:
        self._open.pop(name, None)
        with suppress(Refused):  # it is gone, or goes by itself
            self._http.ask("DELETE", name, passes=(_CANCELLED,))

    def _send(self, name: str, upload: _Upload, last: bool) -> Answer:
        """Bytes that the server has already are left out: the answer to an earlier request may have been lost."""
        start, data = upload.offset, upload.held
        end = start + len(data)
        total = str(end) if last else "*"
        while True:
            span = f"bytes {start}-{end - 1}/{total}" if start < end else f"bytes */{total}"
            said = self._put(name, span, data[start - upload.offset :])
            if said.status != _GOES_ON:
                return said
            reached = _read_end(said.headers.get("range", ""))
            if reached == end and not last:
                return said
            if not start < reached <= end:
                raise Unavailable(
                    f"the object storage took {reached} bytes of an upload, not {end}", advice="try again"
                )
            start = reached

    def _put(self, name: str, span: str, data: bytes) -> Answer:
        """Raises Aborted where the upload is gone: its parts went with it, and nobody has them any more."""
        try:
            return self._http.ask("PUT", name, None, {"content-range": span}, data, (_GOES_ON,))
        except Refused as error:
            if error.trouble.status in _GONE and error.trouble.code not in GONE:
                raise Aborted("the object storage has given up the upload of the object", advice="try again") from None
            raise


def _read_end(text: str) -> int:
    """How many bytes the server has: ``bytes=0-41`` are 42, no header is none."""
    last = text.rpartition("-")[2]
    return int(last) + 1 if last.isdigit() else 0
