"""Metadata of a study, a series or an instance as DICOM JSON (PS3.18 §10.4.1.1.2), with a memory of what was asked for.

Making JSON costs far more than reading headers, and viewers ask for the same series again and again.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain, islice
from typing import NamedTuple

from gantry.dicom.json_model import JsonWriter
from gantry.dicom.xml_model import native_xml
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundInstance
from gantry.seams import Seams
from gantry.studies.headers import with_headers

MAX_REMEMBERED_ROWS = 10_000
_MAX_BODY, _MAX_BODIES = 8 << 20, 64 << 20


class Remembered:
    """Whole answers by ETag, the latest ones, up to a number of bytes."""

    def __init__(self, most: int = _MAX_BODIES) -> None:
        self._most, self._held = most, 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, etag: str) -> bytes | None:
        with self._lock:
            if etag in self._bodies:
                self._bodies.move_to_end(etag)
            return self._bodies.get(etag)

    def keeping(self, etag: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces; once all have been drawn the whole is kept, unless it is long or has no ETag."""
        held: list[bytes] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if etag and size <= _MAX_BODY:
                held.append(piece)
            yield piece
        if etag and size <= _MAX_BODY:
            self._keep(etag, b"".join(held))

    def _keep(self, etag: str, body: bytes) -> None:
        with self._lock:
            if etag not in self._bodies:
                self._bodies[etag] = body
                self._held += len(body)
            while self._held > self._most:
                self._held -= len(self._bodies.popitem(last=False)[1])


class Metadata(NamedTuple):
    """``etag`` is empty where there are too many instances to tell one; ``objects`` are JSON texts."""

    etag: str
    objects: Iterator[str]


def metadata(seams: Seams, store: DicomStoreName, path: ResourcePath, web_url: str) -> Metadata:
    """Raises NotFound."""
    rows = seams.index.found_below(store, path)
    first = list(islice(rows, MAX_REMEMBERED_ROWS + 1))
    if len(first) > MAX_REMEMBERED_ROWS:
        return Metadata("", _objects(seams, chain(first, rows), web_url))
    return Metadata(_etag(first, web_url), _objects(seams, iter(first), web_url))


def object_xml(text: str) -> bytes:
    """A DICOM JSON object as a document of the Native DICOM Model (PS3.19 §A.1)."""
    return native_xml(json.loads(text))


def etag_of(row: FoundInstance, *about: object) -> str:
    """One that changes with the bytes of an instance, and with what is asked of it."""
    return _etag([row], *about)


def _etag(rows: list[FoundInstance], *about: object) -> str:
    """A pack, like a blob, is never written twice under its number, so what they hold need not be read."""
    digest = blake2b(repr(about).encode(), digest_size=16)
    for row in rows:
        digest.update(f"{row.blob_key} {row.pack_id} {row.pack_number} {'/'.join(row.uids)}\n".encode())
    return f'"{digest.hexdigest()}"'


def _objects(seams: Seams, rows: Iterator[FoundInstance], web_url: str) -> Iterator[str]:
    writer = JsonWriter()
    for row, header in with_headers(seams, rows):
        study, series, instance = row.uids
        yield writer.write(header, f"{web_url}/studies/{study}/series/{series}/instances/{instance}/bulkdata")
