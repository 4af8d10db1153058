"""Metadata of a study, a series or an instance as DICOM JSON (PS3.18 §10.4.1.1.2), with a memory of what was asked for.

Making JSON costs far more than reading headers, and viewers ask for the same series again and again.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from hashlib import blake2b
from itertools import chain, islice
from typing import NamedTuple

from gantry.containment import contain
from gantry.dicom.json_model import JsonWriter
from gantry.dicom.xml_model import PrivateKeywords, native_xml
from gantry.errors import DataLoss, StatusError
from gantry.json_text import parse_with_digits
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import Found, named, tell, with_headers

MAX_REMEMBERED_ROWS = 10_000
_MAX_BODY, _MAX_BODIES = 8 << 20, 64 << 20
_MAX_LACKING = 10_000
# SOPClassUID, SOPInstanceUID, AvailableTransferSyntaxUID, StudyInstanceUID, SeriesInstanceUID
_IDENTITY = ("00080016", "00080018", "00083002", "0020000D", "0020000E")


class Remembered:
    """Whole answers by ETag, the latest ones, up to a number of bytes."""

    def __init__(self, most: int = _MAX_BODIES) -> None:
        self._most, self._held = most, 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._lacking: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, etag: str) -> bytes | None:
        with self._lock:
            if etag in self._bodies:
                self._bodies.move_to_end(etag)
            return self._bodies.get(etag)

    def keeping(self, etag: str, pieces: Iterator[bytes], unread: Collection[object] = ()) -> Iterator[bytes]:
        """The pieces; once all have been drawn the whole is kept, unless it is long, has no ETag or lacks something."""
        held: list[bytes] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if etag and size <= _MAX_BODY:
                held.append(piece)
            yield piece
        if etag and unread:
            self._lacks(etag)
        elif etag and size <= _MAX_BODY:
            self._keep(etag, b"".join(held))

    def noting(self, etag: str, pieces: Iterator[bytes], unread: Collection[object]) -> Iterator[bytes]:
        """The pieces, which are not kept; once all have been drawn, ``is_whole`` knows whether they lack something."""
        yield from pieces
        if unread:
            self._lacks(etag)
        else:
            with self._lock:
                self._lacking.pop(etag, None)

    def is_whole(self, etag: str) -> bool:
        """False where the last answer lacked an instance that could not be read: it may be readable by now."""
        with self._lock:
            return etag not in self._lacking

    def _lacks(self, etag: str) -> None:
        with self._lock:
            self._lacking[etag] = None
            while len(self._lacking) > _MAX_LACKING:
                self._lacking.popitem(last=False)

    def _keep(self, etag: str, body: bytes) -> None:
        with self._lock:
            self._lacking.pop(etag, None)
            if etag not in self._bodies:
                self._bodies[etag] = body
                self._held += len(body)
            while self._held > self._most:
                self._held -= len(self._bodies.popitem(last=False)[1])


class Metadata(NamedTuple):
    """``etag`` is empty where there are too many instances to tell one; ``objects`` are JSON texts.

    ``unread`` are the instances that could not be read, once their objects have been drawn.
    """

    etag: str
    objects: Iterator[str]
    unread: list[StoredInstance]


def metadata(seams: Seams, store: DicomStoreName, path: ResourcePath, web_url: str) -> Metadata:
    """Raises NotFound. An instance that cannot be read is there with its UIDs; where it is the only one that was asked
    for, its error is raised, once the first object is drawn."""
    rows = seams.index.instances.list_below(store, path)
    first = list(islice(rows, MAX_REMEMBERED_ROWS + 1))
    etag = _etag(first, web_url) if len(first) <= MAX_REMEMBERED_ROWS else ""
    unread: list[StoredInstance] = []
    return Metadata(etag, _objects(seams, store, chain(first, rows), web_url, bool(path.instance), unread), unread)


def object_xml(text: str, private: PrivateKeywords | None = None) -> bytes:
    """A DICOM JSON object as a document of the Native DICOM Model (PS3.19 §A.1); of its UIDs, where it cannot be."""
    found = parse_with_digits(text)
    uid = str(found.get("00080018", {}).get("Value", [""])[0])
    try:
        with contain(f"instance {uid}", "while its attributes were written as XML"):
            return native_xml(found, private)
    except StatusError:
        return native_xml({tag: found[tag] for tag in _IDENTITY if tag in found})


def etag_of(row: StoredInstance, *about: object) -> str:
    """One that changes with the bytes of an instance, and with what is asked of it."""
    return _etag([row], *about)


def _etag(rows: list[StoredInstance], *about: object) -> str:
    """A pack, like a blob, is never written twice under its number, so what they hold need not be read."""
    digest = blake2b(repr(about).encode(), digest_size=16)
    for row in rows:
        digest.update(f"{row.blob_key} {row.pack_id} {row.pack_number} {'/'.join(row.uids)}\n".encode())
    return f'"{digest.hexdigest()}"'


def _objects(
    seams: Seams,
    store: DicomStoreName,
    rows: Iterator[StoredInstance],
    web_url: str,
    alone: bool,
    unread: list[StoredInstance],
) -> Iterator[str]:
    writer = JsonWriter()
    for found in with_headers(seams, store, rows):
        try:
            text = json_of(found, writer, web_url)
        except StatusError as error:
            if alone:
                raise named(found.row, error) from None
            tell(found.row, error, "metadata")
            unread.append(found.row)
            text = identity(found.row)
        yield text


def json_of(found: Found, writer: JsonWriter, web_url: str) -> str:
    """All attributes of an instance. Raises StatusError alone."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    path = str(ResourcePath(*found.row.uids))
    with contain(path, "while its header was written as JSON"):
        return writer.write(found.header, f"{web_url}/{path}/bulkdata")


def identity(row: StoredInstance) -> str:
    """What the index knows of an instance whose header cannot be read, as a DICOM JSON object."""
    study, series, sop = row.uids
    uids = (row.sop_class_uid, sop, row.transfer_syntax_uid, study, series)
    members = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(_IDENTITY, uids, strict=True)}
    return json.dumps(members, separators=(",", ":"))
