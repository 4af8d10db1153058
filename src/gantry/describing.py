"""From headers to what the index keeps: attributes by level, and headers packed by series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.containment import contain
from gantry.dicom.attributes import series_attributes, study_attributes
from gantry.dicom.elements import BITS_ALLOCATED, COLUMNS, INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS
from gantry.dicom.part10 import Header
from gantry.dicom.skeleton import Skeleton
from gantry.errors import StatusError
from gantry.header_packs import PACK_BYTES, PACK_ITEMS, pack
from gantry.matching import date_key, time_key
from gantry.resources import Description, Failure, Instance, SeriesAttributes, StudyAttributes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """An instance whose header has been read; ``skeleton`` is None where it is too long to be kept."""

    instance: Instance
    header: Header
    skeleton: Skeleton | None


def describe(outcomes: Sequence[Read | Failure]) -> list[Instance | Failure]:
    """The instances, with descriptions. A header that is too long to be kept gives none: it is in the blob."""
    found: list[Instance | Failure] = [item.instance if isinstance(item, Read) else item for item in outcomes]
    studies: dict[str, StudyAttributes] = {}
    for places in _by_series(outcomes).values():
        items = [item for place in places if isinstance(item := outcomes[place], Read)]
        attributes = _attributes(items[0], studies)
        for start, chunk in _chunks(items):
            data = pack([entry for _, entry in chunk])
            for number, (item, _) in enumerate(chunk):
                described = _description(item, attributes, data, len(chunk), number)
                found[places[start + number]] = item.instance._replace(description=described)
    return found


def _by_series(outcomes: Sequence[Read | Failure]) -> dict[tuple[str, str], list[int]]:
    """Places in ``outcomes`` of those that have a skeleton, in their order."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, item in enumerate(outcomes):
        if isinstance(item, Read) and item.skeleton is not None:
            found.setdefault(item.instance.uids[:2], []).append(place)
    return found


def attributes_of(read: Read) -> tuple[StudyAttributes, SeriesAttributes]:
    """What a header says of its study and series; nothing where it is too long to be kept."""
    return (StudyAttributes(), SeriesAttributes()) if read.skeleton is None else _attributes(read, {})


def _attributes(first: Read, studies: dict[str, StudyAttributes]) -> tuple[StudyAttributes, SeriesAttributes]:
    """Those of the first instance; a study's are made once, so that its instances share them on their way."""
    assert first.skeleton is not None  # noqa: S101 - ``_by_series`` has seen to it
    study = first.instance.study_instance_uid
    if study not in studies:
        studies[study] = _study(first)
    return studies[study], _series(first)


def _study(read: Read) -> StudyAttributes:
    """Whatever its header is made of, an instance whose structure is whole is stored, and found by its UIDs."""
    assert read.skeleton is not None  # noqa: S101
    try:
        with contain(read.instance.path, "while its study was described"):
            found = study_attributes(read.skeleton)
    except StatusError as error:
        logger.warning("%s: its study is described without it: %s", read.instance.path, error.message)
        return StudyAttributes()
    return found._replace(study_date=date_key(found.study_date), study_time=time_key(found.study_time))


def _series(read: Read) -> SeriesAttributes:
    assert read.skeleton is not None  # noqa: S101
    try:
        with contain(read.instance.path, "while its series was described"):
            found = series_attributes(read.skeleton)
    except StatusError as error:
        logger.warning("%s: its series is described without it: %s", read.instance.path, error.message)
        return SeriesAttributes()
    return found._replace(start_date=date_key(found.start_date))


def _chunks(items: Sequence[Read]) -> list[tuple[int, list[tuple[Read, bytes]]]]:
    """Where each chunk starts, and its items with their headers as bytes."""
    chunks: list[tuple[int, list[tuple[Read, bytes]]]] = []
    size = 0
    for place, item in enumerate(items):
        assert item.skeleton is not None  # noqa: S101
        entry = item.skeleton.to_bytes()
        if not chunks or len(chunks[-1][1]) >= PACK_ITEMS or size + len(entry) > PACK_BYTES:
            chunks.append((place, []))
            size = 0
        chunks[-1][1].append((item, entry))
        size += len(entry)
    return chunks


def _description(
    item: Read, attributes: tuple[StudyAttributes, SeriesAttributes], data: bytes, packed: int, number: int
) -> Description:
    assert item.skeleton is not None  # noqa: S101
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
        size=len(item.skeleton.meta) + len(item.skeleton.body),
    )
