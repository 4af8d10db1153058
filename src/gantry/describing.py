"""From headers to what the index keeps: attributes by level, and headers packed by series."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from gantry.dicom.attributes import read_attributes
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.part10 import InstanceIdentity
from gantry.dicom.tags import BITS_ALLOCATED, COLUMNS, INSTANCE_NUMBER, NUMBER_OF_FRAMES, ROWS
from gantry.header_packs import FEW_ITEMS, PACK_BYTES, PACK_ITEMS, SHARED_BYTES, SHARED_ITEMS, pack
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

    def at(self, blob_key: str) -> Read:
        """The same, with bytes that lie at ``blob_key``."""
        return Read(self.instance._replace(blob_key=blob_key), self.header, self.header_bytes, self.said)


_Items = list[tuple[int, Read]]
_Series = dict[tuple[str, str], _Items]


def describe(outcomes: Sequence[Read | Failure]) -> list[Instance | Failure]:
    """Add descriptions to the instances. Where a header is too long to be kept, the description has no pack."""
    found: list[Instance | Failure] = [item.instance if isinstance(item, Read) else item for item in outcomes]
    all_series = _group_by_series(outcomes)
    said = _describe_all(all_series)
    for items, most, size in _group(all_series):
        for chunk in _split_into_packs(items, most, size):
            kept = [entry for _, _, entry in chunk if entry]
            data = pack(kept) if kept else b""
            for number, (place, item, _) in enumerate(chunk):
                described = _make_description(item, said[item.instance.uids[:2]], data, len(kept), number)
                found[place] = item.instance._replace(description=described)
    return found


def _group_by_series(outcomes: Sequence[Read | Failure]) -> _Series:
    """Those that were read, with their places in ``outcomes``, in their order."""
    found: _Series = {}
    for place, item in enumerate(outcomes):
        if isinstance(item, Read):
            found.setdefault(item.instance.uids[:2], []).append((place, item))
    return found


def _describe_all(all_series: _Series) -> dict[tuple[str, str], tuple[StudyAttributes, SeriesAttributes]]:
    found = {}
    studies: dict[str, StudyAttributes] = {}
    for uids, items in all_series.items():
        said = _describe_series([item for _, item in items], studies.get(uids[0]))
        if said.whole:
            studies[uids[0]] = said.study  # one object for all its instances, on their way out of a worker
        found[uids] = said.study, said.series
    return found


def _group(all_series: _Series) -> Iterator[tuple[_Items, int, int]]:
    """Instances whose headers may share packs, and how many headers and bytes a pack holds.

    Each series has its own, but for studies of few instances: alone, their headers would be six times as long. They
    stay in the order of the batch.
    """
    of_study: Counter[str] = Counter()
    for (study_uid, _), items in all_series.items():
        of_study[study_uid] += len(items)
    few: _Items = []
    for (study_uid, _), items in all_series.items():
        if of_study[study_uid] > FEW_ITEMS:
            yield items, PACK_ITEMS, PACK_BYTES
        else:
            few += items
    yield sorted(few, key=itemgetter(0)), SHARED_ITEMS, SHARED_BYTES


def describe_study_and_series(read: Read) -> tuple[StudyAttributes, SeriesAttributes]:
    """What a header says of its study and series."""
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


def _split_into_packs(items: _Items, most: int, most_bytes: int) -> list[list[tuple[int, Read, bytes]]]:
    """Items with their headers as bytes, by packs; one whose header is too long is alone, without."""
    chunks: list[list[tuple[int, Read, bytes]]] = []
    size, full = 0, True
    for place, item in items:
        entry = item.header_bytes.to_bytes() if item.header_bytes is not None else b""
        if full or not entry or len(chunks[-1]) >= most or size + len(entry) > most_bytes:
            chunks.append([])
            size = 0
        chunks[-1].append((place, item, entry))
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
