"""Describes studies and series anew that an older reader has described, so that searches answer what is in the files.

A study after the other, in the background: what is done is marked, and never done again. Headers are read in worker
processes, a few at a time, and what changes is written in small transactions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from gantry.dicom.header_bytes import HeaderBytes
from gantry.errors import DataLoss
from gantry.header_packs import unpack
from gantry.ingest import AWAY, describe_headers
from gantry.merging import fold
from gantry.operations.interruption import Stopping, until
from gantry.resources import (
    HeaderAttributes,
    OutdatedSeries,
    OutdatedStudy,
    SeriesAttributes,
    StoredInstance,
    StudyAttributes,
)
from gantry.seams import Seams, WorkerDied, result_of

logger = logging.getLogger(__name__)

_STUDIES = 20  # marked in one transaction
_SERIES = 32  # headers read in one call: 32 MiB at the very most
_TRIES = 8  # instances that are asked where the first one says too little
_KEPT = 64  # different descriptions of one study that are held
_MOST_PAUSE = 1.0  # seconds
_TELL_SECONDS = 30
_WAIT_SECONDS = 5
Attributes = TypeVar("Attributes", StudyAttributes, SeriesAttributes)


class _Heard(NamedTuple):
    """What the header of an instance says of its study and series."""

    place: StoredInstance
    said: HeaderAttributes


class _Changed(Exception):
    """Something was stored, changed or deleted just now: the study is looked at once more, later."""


def describe_anew(seams: Seams, stopping: threading.Event) -> None:
    """Until there is no study of an older reader, or ``stopping``.

    Those whose files cannot be reached now are left to the next start.
    """
    total = seams.index.description.count_outdated()
    if not total:
        return
    logger.info("describing anew: an older version has described %d studies", total)
    work = _Work(seams, stopping, total)
    while work.go_through() and not stopping.wait(_WAIT_SECONDS):
        pass
    work.tell("ended" if not stopping.is_set() else "goes on at the next start")


class _Work:
    def __init__(self, seams: Seams, stopping: threading.Event, total: int) -> None:
        self.seams, self.stopping, self.total = seams, stopping, total
        self.done = self.changed = 0
        self.away: set[tuple[int, int]] = set()  # positions of studies that cannot be reached now
        self._told = time.monotonic()

    def go_through(self) -> bool:
        """All studies once; whether one of them has to be looked at once more."""
        after, again = (0, 0), False
        while studies := self.seams.index.description.list_outdated_studies(after, _STUDIES):
            after = studies[-1].position
            right = []
            for study in studies:
                if self.stopping.is_set():
                    break
                if study.position in self.away:
                    continue
                try:
                    if self._study(study):
                        right.append(study)
                    self.done += 1
                except _Changed:
                    again = True
                except Stopping:
                    break
                except AWAY as error:
                    self.away.add(study.position)
                    logger.warning("study %s cannot be described anew now: %s", study.study_instance_uid, error)
                except Exception:  # of one study; the others do not wait for it
                    self.away.add(study.position)
                    logger.exception("study %s: an error that nobody foresaw", study.study_instance_uid)
            if right:
                self.seams.index.description.mark_described(right)
            self._tell_at_times()
            if self.stopping.is_set():
                return False
        return again

    def tell(self, word: str) -> None:
        """How far it has come."""
        counts = self.done, self.total, self.changed, len(self.away)
        logger.info("describing anew: %d of %d studies, %d of them changed, %d out of reach; %s", *counts, word)

    def _tell_at_times(self) -> None:
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self.tell("under way")

    # --- one study

    def _study(self, study: OutdatedStudy) -> bool:
        """Describe it with its series; True where its row is right as it is. Raises _Changed, and those of AWAY."""
        heard: list[_Heard] = []
        after = 0
        while page := self.seams.index.description.list_series(study.id, after, _SERIES):
            after = page[-1].id
            heard = _first_of_each(heard + self._all_series(study, page))
            if self.stopping.is_set():
                raise _Changed
        if not any(item.said.whole and item.said.study == study.said for item in heard):
            heard = _first_of_each(
                heard + self._hear(self.seams.index.description.list_first_in_study(study.id, _TRIES))
            )
        said = _decide(study.said, [item.said.study for item in heard])
        if not heard:
            logger.warning("study %s: none of its headers can be read; it stays as it is", study.study_instance_uid)
        if said == study.said:
            return True
        self._write(lambda: self.seams.index.description.redescribe_study(study, said, [item.place for item in heard]))
        self.changed += 1
        return False

    def _all_series(self, study: OutdatedStudy, page: Sequence[OutdatedSeries]) -> list[_Heard]:
        first = [place for item in page for place in self.seams.index.description.list_first_in_series(item.id, 1)]
        heard = self._hear(first)
        for item in page:
            mine = [each for each in heard if each.place.series_id == item.id]
            if not any(each.said.whole and each.said.series == item.said for each in mine):
                mine = self._hear(self.seams.index.description.list_first_in_series(item.id, _TRIES))
                heard += mine
                self._series(study, item, mine)
        return heard

    def _series(self, study: OutdatedStudy, before: OutdatedSeries, heard: Sequence[_Heard]) -> None:
        said = _decide(before.said, [item.said.series for item in heard])
        if not heard:
            uids = study.study_instance_uid, before.series_instance_uid
            logger.warning("study %s: no header of its series %s can be read; it stays as it is", *uids)
        if said != before.said:
            places = [item.place for item in heard]
            self._write(lambda: self.seams.index.description.redescribe_series(study.id, before, said, places))

    def _write(self, write: Callable[[], bool]) -> None:
        """Then wait as long as that took: whoever else wants to write comes in between."""
        began = time.monotonic()
        if not write():
            raise _Changed
        self.stopping.wait(min(time.monotonic() - began, _MOST_PAUSE))

    def _hear(self, places: Sequence[StoredInstance]) -> list[_Heard]:
        """What the headers say that can be read."""
        found = self._describe([self._header(place) for place in places])
        unread = [place for place, said in zip(places, found, strict=True) if said is None]
        if unread and not self.seams.index.description.are_there(unread):
            raise _Changed
        return [_Heard(place, said) for place, said in zip(places, found, strict=True) if said is not None]

    def _header(self, place: StoredInstance) -> bytes | str:
        """As the index has it; otherwise the key of the blob."""
        if place.pack_id is None or place.pack_number is None:
            return place.blob_key
        packs = self.seams.index.instances.get_header_packs([place.pack_id])
        if place.pack_id not in packs:
            raise _Changed
        try:
            entry = unpack(packs[place.pack_id])[place.pack_number]
            if entry:
                HeaderBytes.from_bytes(entry)
        except (DataLoss, IndexError):
            return place.blob_key
        if not entry:
            raise _Changed
        return entry

    def _describe(self, headers: Sequence[bytes | str]) -> list[HeaderAttributes | None]:
        """One that a worker dies of is one that cannot be read."""
        try:
            future = self.seams.executor.submit(describe_headers, headers, blobs=self.seams.blobs)
            found = result_of(future, until(self.stopping))
            return list(found)
        except WorkerDied:
            if len(headers) < 2:
                return [None]
        return [said for header in headers for said in self._describe([header])]


def _first_of_each(heard: Sequence[_Heard]) -> list[_Heard]:
    """In the order in which they were stored; of those that say the same of the study, the first."""
    found: dict[StudyAttributes, _Heard] = {}
    for item in sorted(heard, key=lambda each: (not each.said.whole, each.place.order)):
        found.setdefault(item.said.study, item)
    return sorted(found.values(), key=lambda each: each.place.order)[:_KEPT]


def _decide(row: Attributes, heard: Sequence[Attributes]) -> Attributes:
    """What a row should say: what it says, if one of its instances does; else what the first one says.

    What that leaves open is from the others, as where instances come in. Where none says anything the row stays.
    """
    said = [each for each in heard if each != type(row)()]
    base = [row] if row in said else []
    return fold(base + said) or row
