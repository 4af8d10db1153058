"""Metadata of a study, a series or an instance as DICOM JSON (PS3.18 §10.4.1.1.2), with a cache.

Writing JSON is far more expensive than reading headers, and viewers request the same series repeatedly.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, NamedTuple

from gantry.containment import contain
from gantry.dicom.file_meta import IMPLEMENTATION_VERSION_NAME
from gantry.dicom.json_model import JsonWriter
from gantry.dicom.xml_model import PrivateKeywords, native_xml
from gantry.errors import DataLoss, StatusError
from gantry.json_text import parse_with_digits
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import FoundHeader, log_unread, name_instance, read_headers
from gantry.studies.looking_up import require_same

MAX_REMEMBERED_ROWS = 10_000  # instances of an answer that gets an ETag: the rows are held in memory to compute it
_MAX_BODY, _MAX_BODIES = 8 << 20, 64 << 20  # bytes of one cached answer, and of all
_MAX_LACKING = 10_000  # ETags in memory
_PROCESS = secrets.token_hex(8)
"""A part of the ETag where a header is read from its file: what an answer lacks because its bucket was away is known to
the process that has sent it (``is_whole``), and no other one may say that it is the same."""
# SOPClassUID, SOPInstanceUID, AvailableTransferSyntaxUID, StudyInstanceUID, SeriesInstanceUID
_IDENTITY = ("00080016", "00080018", "00083002", "0020000D", "0020000E")


class MetadataCache:
    """A cache of complete answers by ETag: the latest ones, up to a number of bytes."""

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

    def keep_pieces(self, etag: str, pieces: Iterator[bytes], unread: Collection[object] = ()) -> Iterator[bytes]:
        """Yield the pieces; then cache the answer, unless it is long, has no ETag or lacks ``unread`` instances."""
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

    def pass_pieces(self, etag: str, pieces: Iterator[bytes], unread: Collection[object]) -> Iterator[bytes]:
        """Pass pieces on without caching them; after the last one, record for ``is_whole`` whether some are missing."""
        yield from pieces
        if unread:
            self._lacks(etag)
        else:
            with self._lock:
                self._lacking.pop(etag, None)

    def is_whole(self, etag: str) -> bool:
        """False where the last answer lacked an instance that could not be read then: it may be readable now."""
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
    """``etag`` is empty for more than MAX_REMEMBERED_ROWS instances; ``objects`` are JSON texts.

    ``unread`` are the instances that could not be read; it is filled while ``objects`` are read.
    """

    etag: str
    objects: Iterator[str]
    unread: list[StoredInstance]


def read_metadata(
    seams: Seams, store: DicomStoreName, path: ResourcePath, web_url: str, keeps_digits: bool = False
) -> Metadata:
    """The metadata below a path; ``keeps_digits`` as a ``JsonWriter`` has it. Raises NotFound.

    An instance that cannot be read is included with its UIDs. If ``path`` is that instance, its error is raised when
    the first object is read, as Replaced is where the entity tag is not that of the instance any more.
    """
    rows = seams.index.instances.list_below(store, path)
    first = list(islice(rows, MAX_REMEMBERED_ROWS + 1))
    about = [web_url] if all(row.pack_id is not None for row in first) else [web_url, _PROCESS]
    etag = make_etag_of(first, *about) if len(first) <= MAX_REMEMBERED_ROWS else ""
    unread: list[StoredInstance] = []
    alone = first[0] if path.instance else None
    objects = _write_objects(seams, store, chain(first, rows), web_url, alone, unread, JsonWriter(keeps_digits))
    return Metadata(etag, objects, unread)


def write_xml(text: str, private: PrivateKeywords | None = None) -> bytes:
    """A DICOM JSON object as a document of the Native DICOM Model (PS3.19 §A.1); only its UIDs if that fails."""
    return write_document(parse_with_digits(text), private)


def write_document(attributes: dict[str, Any], private: PrivateKeywords | None = None) -> bytes:
    """As ``write_xml``, of an object that was parsed before."""
    uid = _read_uid(attributes, "00080018")
    try:
        with contain(f"instance {uid}", "while its attributes were written as XML"):
            return native_xml(attributes, private)
    except StatusError:
        return native_xml({tag: attributes[tag] for tag in _IDENTITY if tag in attributes})


def find_path(attributes: dict[str, Any]) -> ResourcePath:
    """The path of the instance that an object is about."""
    return ResourcePath(*(_read_uid(attributes, tag) for tag in ("0020000D", "0020000E", "00080018")))


def _read_uid(attributes: dict[str, Any], tag: str) -> str:
    return str(attributes.get(tag, {}).get("Value", [""])[0])


def make_etag(row: StoredInstance, *about: object) -> str:
    """An ETag that changes with the bytes of an instance, and with ``about``, the parameters of the request."""
    return make_etag_of([row], *about)


def make_etag_of(rows: list[StoredInstance], *about: object) -> str:
    """``make_etag`` for several instances, in their order.

    Computed from pack numbers and blob keys: their contents never change, so they need not be read. Another version of
    the program may write other metadata, and its codecs other pixels.
    """
    digest = blake2b(repr((IMPLEMENTATION_VERSION_NAME, about)).encode(), digest_size=16)
    for row in rows:
        digest.update(f"{row.blob_key} {row.pack_id} {row.pack_number} {'/'.join(row.uids)}\n".encode())
    return f'"{digest.hexdigest()}"'


def _write_objects(
    seams: Seams,
    store: DicomStoreName,
    rows: Iterator[StoredInstance],
    web_url: str,
    alone: StoredInstance | None,
    unread: list[StoredInstance],
    writer: JsonWriter,
) -> Iterator[str]:
    for found in read_headers(seams, store, rows):
        if alone:
            require_same(found.row, alone)
        try:
            text = write_json(found, writer, web_url)
        except StatusError as error:
            if alone:
                raise name_instance(found.row, error) from None
            log_unread(found.row, error, "metadata")
            unread.append(found.row)
            text = write_identity(found.row)
        yield text


def write_json(found: FoundHeader, writer: JsonWriter, web_url: str) -> str:
    """All attributes of an instance as DICOM JSON. Raises only StatusError."""
    if found.header is None:
        raise found.error or DataLoss("its header cannot be read")
    path = str(ResourcePath(*found.row.uids))
    with contain(path, "while its header was written as JSON"):
        return writer.write(found.header, f"{web_url}/{path}/bulkdata")


def write_identity(row: StoredInstance) -> str:
    """The UIDs of an instance whose header cannot be read, as a DICOM JSON object."""
    study, series, sop = row.uids
    uids = (row.sop_class_uid, sop, row.transfer_syntax_uid, study, series)
    members = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(_IDENTITY, uids, strict=True)}
    return json.dumps(members, separators=(",", ":"))
