"""STOW-RS of DICOM JSON and bulk data (PS3.18 §10.5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Protocol

from gantry.containment import contain
from gantry.dicom.from_json import SplitFile, check_bulk_type, encode_instance, file_chunks
from gantry.errors import InvalidArgument, ResourceExhausted, StatusError, Unavailable
from gantry.json_text import charset_of, decode_text, locate_fault, parse_items, require_few_values
from gantry.studies.spool import Spool
from gantry.studies.store import Incoming

MAX_METADATA, MAX_VALUES = 64 << 20, 8_000_000  # bytes and values of the JSON part: it is read into memory


class BodyPart(Protocol):
    headers: Mapping[str, str]

    @property
    def content_type(self) -> str: ...

    def chunks(self) -> Iterator[bytes]: ...


def read_json_parts(parts: Iterator[Any]) -> Iterator[Incoming]:
    """Yield instances without bulk data first, the others when their part arrives, in any order.

    Raises InvalidArgument where the first part is not DICOM JSON.
    """
    first = next(parts, None)
    if first is None or first.content_type not in ("application/dicom+json", "application/json"):
        raise InvalidArgument("the first part must be application/dicom+json: the attributes of all instances")
    waiting: dict[str, SplitFile] = {}
    for number, attributes in enumerate(_parse_objects(first), 1):
        name = f"instance {number}"
        try:
            with contain(name, "while its attributes were read"):
                found = encode_instance(attributes)
            if found.bulk_uri in waiting:
                raise InvalidArgument(f"its BulkDataURI {found.bulk_uri[:200]!r} belongs to another instance")
        except StatusError as error:
            yield Incoming(name, iter(()), error)
            continue
        if found.bulk_uri:
            waiting[found.bulk_uri] = found
        else:
            yield Incoming(name, _contain_chunks(name, file_chunks(found, (), 0)))
    yield from _add_bulk_data(parts, waiting)
    for found in waiting.values():
        missing = InvalidArgument(f"no part has the Content-Location {found.bulk_uri[:200]!r}")
        yield Incoming(f"instance {found.sop_instance_uid}", iter(()), missing)


def _parse_objects(part: BodyPart) -> Iterator[Any]:
    """Parse one object at a time, because objects take many times the memory of their text.

    Raises InvalidArgument before the first object.
    """
    text = decode_text(_read_all(part), charset_of(part.headers.get("content-type", "")))
    try:
        require_few_values(text, MAX_VALUES)
        for _ in parse_items(text):
            pass  # so that a fault at the end is found before anything is stored
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the attributes of the instances cannot be read as JSON{locate_fault(error)}") from None
    return parse_items(text)


def _read_all(part: BodyPart) -> bytes:
    held, size = [], 0
    for chunk in part.chunks():
        size += len(chunk)
        if size > MAX_METADATA:
            raise InvalidArgument(f"the attributes have more than {MAX_METADATA} bytes")
        held.append(chunk)
    return b"".join(held)


def _add_bulk_data(parts: Iterator[Any], waiting: dict[str, SplitFile]) -> Iterator[Incoming]:
    for part in parts:
        location = part.headers.get("content-location", "").strip()
        found = waiting.pop(location, None)
        if found is None:
            problem = InvalidArgument(f"the Content-Location {location[:200]!r} belongs to no instance")
            yield Incoming("a part of bulk data", iter(()), problem)
            continue
        name = f"instance {found.sop_instance_uid}"
        try:
            check_bulk_type(found, part.headers.get("content-type", ""))
        except InvalidArgument as error:
            yield Incoming(name, iter(()), error)
            continue
        # In the file the length comes before the value, so it must be known first.
        try:
            spool = Spool()
        except StatusError as error:
            yield Incoming(name, iter(()), error)
            continue
        with closing(spool):
            try:
                size = spool.fill(part.chunks())
            except InvalidArgument as error:  # the body ends here
                yield Incoming(name, iter(()), error)
                return
            except (ResourceExhausted, Unavailable) as error:  # the rest of the part is skipped
                yield Incoming(name, iter(()), error)
                continue
            yield Incoming(name, _contain_chunks(name, file_chunks(found, spool.chunks(), size)))


def _contain_chunks(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The file of one instance, written while it is read. ``contain`` is safe: nothing is read from the request."""
    with contain(name, "while its file was made"):
        yield from chunks
