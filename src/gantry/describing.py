"""From headers to what the index keeps: attributes by level, and headers packed by series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.dicom.attributes import read_attributes
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import InstanceIdentity
from gantry.dicom.tags import BITS_ALLOCATED, COLUMNS, INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS
from gantry.header_packs import PACK_BYTES, PACK_ITEMS, pack
from gantry.matching import date_key, time_key
from gantry.merging import fill
from gantry.resources import Description, Failure, HeaderAttributes, Instance, SeriesAttributes, StudyAttributes

logger = logging.getLogger(__name__)


_TRIES = 8
"""Instances of a series that are read at most, when those before could not be read in full."""


@dataclass(frozen=True, slots=True)
class Read:
    """An instance whose header has been read; ``header_bytes`` is None where it is too long to be kept.

    ``said`` are the attributes of a header that is too long.
    """

    instance: Instance
    header: InstanceIdentity
    header_bytes: HeaderBytes | None
    said: HeaderAttributes | None = None


def describe(outcomes: Sequence[Read | Failure]) -> list[Instance | Failure]:
    """Add descriptions to the instances. Where a header is too long to be kept, the description has no pack."""
    found: list[Instance | Failure] = [item.instance if isinstance(item, Read) else item for item in outcomes]
    studies: dict[str, StudyAttributes] = {}
    for (uid, _), places in _group_by_series(outcomes).items():
        items = [item for place in places if isinstance(item := outcomes[place], Read)]
        said = _describe_series(items, studies.get(uid))
        study = said.study
        if said.whole:
            studies[uid] = study  # one object for all its instances: pickled once on the way out of a worker
        for start, chunk in _split_into_packs(items):
            kept = [entry for _, entry in chunk if entry]
            data = pack(kept) if kept else b""
            for number, (item, _) in enumerate(chunk):
                described = _make_description(item, (study, said.series), data, len(kept), number)
                found[places[start + number]] = item.instance._replace(description=described)
    return found


def _group_by_series(outcomes: Sequence[Read | Failure]) -> dict[tuple[str, str], list[int]]:
    """(Study, Series Instance UID) → positions in ``outcomes`` of instances that were read, in order."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, item in enumerate(outcomes):
        if isinstance(item, Read):
            found.setdefault(item.instance.uids[:2], []).append(place)
    return found


def describe_study_and_series(read: Read) -> tuple[StudyAttributes, SeriesAttributes]:
    """The attributes of study and series in a header."""
    said = _describe_read(read)
    return said.study, said.series


def describe_header(header_bytes: HeaderBytes, study: StudyAttributes | None = None) -> HeaderAttributes:
    """The attributes in a header. Raises nothing: an instance whose structure is whole can be found by its UIDs.

    A ``study`` that was read from another header is used as it is.
    """
    try:
        said = read_attributes(header_bytes, study)
    except Exception:
        logger.exception("the attributes of a header cannot be read")
        return HeaderAttributes()
    if study is None:
        dated = said.study
        study = dated._replace(study_date=date_key(dated.study_date), study_time=time_key(dated.study_time))
    series = said.series._replace(start_date=date_key(said.series.start_date))
    return said._replace(study=study, series=series)


def _describe_series(items: Sequence[Read], study: StudyAttributes | None) -> HeaderAttributes:
    """The attributes in the first header. Where it cannot be read in full, the next ones fill the gaps."""
    found = _describe_read(items[0], study)
    for item in items[1:_TRIES]:
        if found.whole:
            break
        more = _describe_read(item)
        found = HeaderAttributes(fill(found.study, more.study), fill(found.series, more.series), more.whole)
    return found


def _describe_read(read: Read, study: StudyAttributes | None = None) -> HeaderAttributes:
    if read.header_bytes is None:
        return read.said or HeaderAttributes()
    said = describe_header(read.header_bytes, study)
    if not said.whole:
        logger.warning("not all of the header of %s can be read", read.instance.path)
    return said


def _split_into_packs(items: Sequence[Read]) -> list[tuple[int, list[tuple[Read, bytes]]]]:
    """(start, [(item, header as bytes)]) of each pack. A header that is too long is alone, as empty bytes."""
    chunks: list[tuple[int, list[tuple[Read, bytes]]]] = []
    size, full = 0, True
    for place, item in enumerate(items):
        entry = item.header_bytes.to_bytes() if item.header_bytes is not None else b""
        if full or not entry or len(chunks[-1][1]) >= PACK_ITEMS or size + len(entry) > PACK_BYTES:
            chunks.append((place, []))
            size = 0
        chunks[-1][1].append((item, entry))
        size += len(entry)
        full = not entry
    return chunks


def _make_description(
    item: Read, attributes: tuple[StudyAttributes, SeriesAttributes], data: bytes, packed: int, number: int
) -> Description:
    kept = item.header_bytes
    numbers = item.header.numbers
    return Description(
        study=attributes[0],
        series=attributes[1],
        instance_number=numbers.get(INSTANCE_NUMBER),
        number_of_frames=numbers.get(NUMBER_OF_FRAMES),
        rows=numbers.get(ROWS),
        columns=numbers.get(COLUMNS),
        bits_allocated=numbers.get(BITS_ALLOCATED),
        pack=data,
        packed=packed,
        number=number,
        size=len(kept.meta) + len(kept.body) if kept is not None else item.instance.uids_size,
    )
