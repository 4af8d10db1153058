"""From headers to what the index keeps: attributes by level, and headers packed by series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.dicom.attributes import series_attributes, study_attributes
from gantry.dicom.part10 import Header
from gantry.dicom.skeleton import Skeleton
from gantry.dicom.tags import BITS_ALLOCATED, COLUMNS, INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS
from gantry.errors import StatusError
from gantry.header_packs import PACK_BYTES, PACK_ITEMS, pack
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
    try:
        if study not in studies:
            studies[study] = study_attributes(first.skeleton)
        return studies[study], series_attributes(first.skeleton)
    except StatusError:
        return StudyAttributes(), SeriesAttributes()
    except Exception:
        # Whatever its header is made of, an instance whose structure is whole is stored, and found by its UIDs.
        logger.exception("the header of %s cannot be described", first.instance.sop_instance_uid)
        return StudyAttributes(), SeriesAttributes()


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
