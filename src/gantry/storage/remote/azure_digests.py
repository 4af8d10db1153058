"""MD5s that need no request: those that an answer with bytes has told, and those of objects written in parts."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from typing import Any

from gantry.storage.remote.connections import Answer

_KEPT = 4096  # objects whose MD5 is remembered until it is asked for


class KnownDigests:
    """The MD5 of a whole blob, in Base64, from the answer to a read. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, key: str, answer: Answer) -> None:
        """In an answer to a range the header Content-MD5 would be that of the range."""
        md5 = answer.headers.get("x-ms-blob-content-md5", "")
        if not md5 and answer.status == 200:
            md5 = answer.headers.get("content-md5", "")
        if md5:
            with self._lock:
                self._found[key, answer.headers.get("etag", "")] = md5
                while len(self._found) > _KEPT:
                    self._found.popitem(last=False)

    def take(self, key: str, tag: str) -> str | None:
        with self._lock:
            return self._found.pop((key, tag), None)


class UploadDigests:
    """Azure computes no MD5 of a blob that is written in blocks: we do, as parts come in their order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[int, Any]] = {}

    def note(self, upload: str, number: int, data: bytes) -> None:
        """Parts that come out of order leave the object without an MD5."""
        if number == 1:
            count, digest = 0, hashlib.md5(usedforsecurity=False)
        else:
            with self._lock:
                count, digest = self._running.get(upload, (-1, None))
        if number != count + 1 or digest is None:
            self.drop(upload)
            return
        digest.update(data)
        with self._lock:
            self._running[upload] = number, digest

    def take(self, upload: str, count: int) -> str:
        """Of all ``count`` parts, in Base64; "" where they are not known."""
        with self._lock:
            known, digest = self._running.get(upload, (-1, None))
        return base64.b64encode(digest.digest()).decode() if known == count and digest is not None else ""

    def drop(self, upload: str) -> None:
        with self._lock:
            self._running.pop(upload, None)
