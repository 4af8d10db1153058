"""The bulk data of whole instances: what has an address, and the pixels (PS3.18 §10.4.1.1.5, §10.4.1.1.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from gantry.containment import contain
from gantry.dicom.buffers import FileValue
from gantry.dicom.bulk import BulkPath, BulkReader, Encapsulated, parse_bulk_path
from gantry.dicom.json_model import JsonWriter
from gantry.dicom.open_source import count_frames
from gantry.errors import Cancelled, Interrupted, NotFound, Replaced, StatusError
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.seams import OpenedObject, Seams
from gantry.studies.departure import require_client
from gantry.studies.headers import FoundHeader, read_headers
from gantry.studies.metadata import write_json
from gantry.studies.retrieve import PIXEL_DATA, Value, describe_bulk, open_blob

_ADDRESS = re.compile(r'"BulkDataURI":"([^"\\]+)"')
"""In DICOM JSON. A quotation mark in a value has a backslash before it, so that no value looks like this."""

_PIXEL_PATHS: tuple[BulkPath, ...] = (PIXEL_DATA, (0x7FE00008,), (0x7FE00009,))
"""Pixel Data, Float and Double Float Pixel Data. Icons are not among them (§10.4.3.3.6)."""


class Addressed(NamedTuple):
    """A value and its address in the metadata; to be read and closed before the next one."""

    address: str
    value: Value


Values = Generator[Addressed | StatusError, None, None]


def list_bulk(
    seams: Seams, store: DicomStoreName, rows: Iterator[StoredInstance], web_url: str
) -> Iterator[tuple[StoredInstance, Callable[[], Values]]]:
    """For each instance what gives its values, in the order of their addresses in the metadata, and an error for each
    value that cannot be read; it raises the error of an instance. Raises Interrupted."""
    writer = JsonWriter()
    for found in read_headers(seams, store, rows):
        yield found.row, partial(_read_values, seams, store, web_url, writer, found)


def _read_values(seams: Seams, store: DicomStoreName, web_url: str, writer: JsonWriter, found: FoundHeader) -> Values:
    addresses, row = _ADDRESS.findall(write_json(found, writer, web_url)), found.row
    blob = open_blob(seams, store, row) if addresses else None
    if blob is None:
        return
    prefix = f"{web_url}/{row.path}/bulkdata/"
    with blob:
        with contain(row.path, "while its header was read"):
            reader = BulkReader(blob)
        for address in addresses:
            require_client()
            try:
                yield Addressed(address, _read(seams, store, row, blob, reader, address.removeprefix(prefix)))
            except (Cancelled, Interrupted, Replaced):
                raise
            except StatusError as error:
                yield error.within(address)


def _read(
    seams: Seams, store: DicomStoreName, row: StoredInstance, blob: OpenedObject, reader: BulkReader, text: str
) -> Value:
    path = parse_bulk_path(text)
    with contain(row.path, "while its bulk data were located"):
        found = reader.find(path)
    return describe_bulk(seams, store, row, blob, path, found)


class StoredPixels(NamedTuple):
    """The pixel data of an open instance: ``found`` at ``path``."""

    seams: Seams
    store: DicomStoreName
    row: StoredInstance
    blob: OpenedObject
    path: BulkPath
    found: FileValue | bytes | Encapsulated

    @property
    def address(self) -> str:
        """Below the address of the instance, as the metadata has it."""
        return f"bulkdata/{self.path[0]:08X}"

    @property
    def is_encapsulated(self) -> bool:
        return isinstance(self.found, Encapsulated)

    def read_value(self) -> Value:
        """All of them, decoded; of a video the stream. To be read while the instance is open."""
        return describe_bulk(self.seams, self.store, self.row, self.blob, self.path, self.found)

    def count_frames(self) -> int:
        with contain(self.row.path, "while its frames were counted"):
            return count_frames(self.blob)


@contextmanager
def open_pixels(seams: Seams, store: DicomStoreName, row: StoredInstance) -> Iterator[StoredPixels | None]:
    """The pixel data of an instance; None where it has none, or was deleted meanwhile."""
    blob = open_blob(seams, store, row)
    if blob is None:
        yield None
        return
    with blob:
        with contain(row.path, "while its pixels were located"):
            path, found = _find_pixels(BulkReader(blob))
        yield None if found is None else StoredPixels(seams, store, row, blob, path, found)


def _find_pixels(reader: BulkReader) -> tuple[BulkPath, FileValue | bytes | Encapsulated | None]:
    for path in _PIXEL_PATHS:
        try:
            return path, reader.find(path)
        except NotFound:
            continue
    return (), None
