"""Rows of a query as a file in a bucket."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gantry.errors import InvalidArgument
from gantry.query_seams import Batch, Field
from gantry.querying.text_rows import write_csv, write_json
from gantry.querying.writing import write_rows
from gantry.seams import BucketUse, Seams
from gantry.storage.uris import StorageUri
from gantry.worker_calls import Check

CSV, JSON_LINES = "CSV", "NEWLINE_DELIMITED_JSON"
_GZIP = 31  # window bits of zlib for the form of gzip


@dataclass(frozen=True, slots=True)
class Extract:
    """``writer`` makes temporary names unique."""

    uri: StorageUri
    project: str
    writer: str
    format: str = CSV
    header: bool = True
    delimiter: str = ","
    is_gzip: bool = False


def parse_uri(text: str) -> StorageUri:
    """``gs://BUCKET/OBJECT``; one ``*`` becomes the number of the only file. Raises InvalidArgument."""
    uri = StorageUri.parse(text)
    key = uri.key.replace("*", "0" * 12, 1)
    if not key or key.endswith("/") or "*" in key or "?" in key:
        raise InvalidArgument(f"{text[:200]!r} must name an object, gs://BUCKET/OBJECT, with at most one *")
    return StorageUri(uri.bucket, key)


def write_extract(
    seams: Seams, extract: Extract, fields: Sequence[Field], batches: Iterable[Batch], check: Check
) -> int:
    """The number of rows. Raises as ``write_rows``."""
    use = BucketUse(extract.uri.bucket, "write", extract.uri.key, f"projects/{extract.project}", extract.writer)
    return write_rows(seams, use, partial(_make_chunks, extract, fields), batches, check)


def _make_chunks(extract: Extract, fields: Sequence[Field], batches: Iterable[Batch]) -> Iterator[bytes]:
    if extract.format == JSON_LINES:
        chunks = write_json(fields, batches)
    else:
        chunks = write_csv(fields, batches, extract.header, extract.delimiter)
    return _compress(chunks) if extract.is_gzip else chunks


def _compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=_GZIP)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()
