"""Reads the attributes of studies and series again after an upgrade that reads headers differently (``READER``).

One study after the other, in the background; each is marked when it is done. Headers are read in worker processes, a
few at a time, and changes are written in small transactions.
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
from gantry.operations.interruption import Stopping, make_stop_check
from gantry.resources import (
    HeaderAttributes,
    OutdatedSeries,
    OutdatedStudy,
    SeriesAttributes,
    StoredInstance,
    StudyAttributes,
)
from gantry.seams import Seams
from gantry.worker_calls import WorkerDied, wait_for_result

logger = logging.getLogger(__name__)

_STUDIES = 20  # marked in one transaction
_SERIES = 32  # headers read in one call: at most 32 MiB
_TRIES = 8  # instances that are read where the first one is not enough
_KEPT = 64  # different descriptions of one study that are compared
_MOST_PAUSE = 1.0  # seconds after a transaction
_REPORT_SECONDS = 30  # between two lines of the log
_WAIT_SECONDS = 5  # before studies that have just changed are tried again
Attributes = TypeVar("Attributes", StudyAttributes, SeriesAttributes)


class _Answer(NamedTuple):
    """The attributes of study and series in the header of one instance."""

    place: StoredInstance
    said: HeaderAttributes


class _Changed(Exception):
    """An instance was stored, changed or deleted just now: the study must be tried again later."""


def describe_anew(seams: Seams, stopping: threading.Event) -> None:
    """Work until no study of an older READER is left, or until ``stopping`` is set.

    Studies whose files cannot be reached now are left for the next start.
    """
    total = seams.index.description.count_outdated()
    if not total:
        return
    logger.info("reading attributes again: %d studies were read by an older version", total)
    work = _Work(seams, stopping, total)
    while work.go_through() and not stopping.wait(_WAIT_SECONDS):
        pass
    work.report("finished" if not stopping.is_set() else "continues at the next start")


class _Work:
    def __init__(self, seams: Seams, stopping: threading.Event, total: int) -> None:
        self.seams, self.stopping, self.total = seams, stopping, total
        self.done = self.changed = 0
        self.away: set[tuple[int, int]] = set()  # positions of studies that cannot be reached now
        self._reported = time.monotonic()

    def go_through(self) -> bool:
        """Try each study once; whether one of them must be tried again."""
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
                    if self._redescribe_study(study):
                        right.append(study)
                    self.done += 1
                except _Changed:
                    again = True
                except Stopping:
                    break
                except AWAY as error:
                    self.away.add(study.position)
                    logger.warning("study %s: its headers cannot be read now: %s", study.study_instance_uid, error)
                except Exception:  # must not stop the other studies
                    self.away.add(study.position)
                    logger.exception("study %s: an unexpected error", study.study_instance_uid)
            if right:
                self.seams.index.description.mark_described(right)
            self._report_at_times()
            if self.stopping.is_set():
                return False
        return again

    def report(self, word: str) -> None:
        """Log the progress."""
        counts = self.done, self.total, self.changed, len(self.away)
        logger.info("reading attributes again: %d of %d studies, %d changed, %d not readable now; %s", *counts, word)

    def _report_at_times(self) -> None:
        if time.monotonic() - self._reported >= _REPORT_SECONDS:
            self._reported = time.monotonic()
            self.report("running")

    # --- one study

    def _redescribe_study(self, study: OutdatedStudy) -> bool:
        """Update a study and its series; True where its row was right. Raises _Changed, and the errors of AWAY."""
        answers: list[_Answer] = []
        after = 0
        while page := self.seams.index.description.list_series(study.id, after, _SERIES):
            after = page[-1].id
            answers = _keep_first_of_each(answers + self._redescribe_all_series(study, page))
            if self.stopping.is_set():
                raise _Changed
        if not any(item.said.whole and item.said.study == study.said for item in answers):
            answers = _keep_first_of_each(
                answers + self._read_answers(self.seams.index.description.list_first_in_study(study.id, _TRIES))
            )
        said = _decide(study.said, [item.said.study for item in answers])
        if not answers:
            logger.warning("study %s: no header can be read; it is not changed", study.study_instance_uid)
        if said == study.said:
            return True
        self._write(
            lambda: self.seams.index.description.redescribe_study(study, said, [item.place for item in answers])
        )
        self.changed += 1
        return False

    def _redescribe_all_series(self, study: OutdatedStudy, page: Sequence[OutdatedSeries]) -> list[_Answer]:
        first = [place for item in page for place in self.seams.index.description.list_first_in_series(item.id, 1)]
        answers = self._read_answers(first)
        for item in page:
            mine = [each for each in answers if each.place.series_id == item.id]
            if not any(each.said.whole and each.said.series == item.said for each in mine):
                mine = self._read_answers(self.seams.index.description.list_first_in_series(item.id, _TRIES))
                answers += mine
                self._redescribe_series(study, item, mine)
        return answers

    def _redescribe_series(self, study: OutdatedStudy, before: OutdatedSeries, answers: Sequence[_Answer]) -> None:
        said = _decide(before.said, [item.said.series for item in answers])
        if not answers:
            uids = study.study_instance_uid, before.series_instance_uid
            logger.warning("study %s: no header of series %s can be read; the series is not changed", *uids)
        if said != before.said:
            places = [item.place for item in answers]
            self._write(lambda: self.seams.index.description.redescribe_series(study.id, before, said, places))

    def _write(self, write: Callable[[], bool]) -> None:
        """Run a transaction, then wait as long as it took, so that other writers have their turn."""
        began = time.monotonic()
        if not write():
            raise _Changed
        self.stopping.wait(min(time.monotonic() - began, _MOST_PAUSE))

    def _read_answers(self, places: Sequence[StoredInstance]) -> list[_Answer]:
        """The attributes of the headers that can be read. Raises _Changed."""
        attributes = self._describe([self._find_header(place) for place in places])
        unread = [place for place, said in zip(places, attributes, strict=True) if said is None]
        if unread and not self.seams.index.description.are_there(unread):
            raise _Changed
        return [_Answer(place, said) for place, said in zip(places, attributes, strict=True) if said is not None]

    def _find_header(self, place: StoredInstance) -> bytes | str:
        """The header as bytes from its pack, else the key of its blob. Raises _Changed."""
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
        """The attributes of headers; None for one that cannot be read, or that a worker dies of."""
        try:
            future = self.seams.executor.submit(describe_headers, headers, blobs=self.seams.blobs)
            attributes: list[HeaderAttributes | None] = wait_for_result(future, make_stop_check(self.stopping))
            return attributes
        except WorkerDied:
            if len(headers) < 2:
                return [None]
        return [said for header in headers for said in self._describe([header])]


def _keep_first_of_each(answers: Sequence[_Answer]) -> list[_Answer]:
    """The first answer for each different study description, in the order in which the instances were stored."""
    first: dict[StudyAttributes, _Answer] = {}
    for item in sorted(answers, key=lambda each: (not each.said.whole, each.place.order)):
        first.setdefault(item.said.study, item)
    return sorted(first.values(), key=lambda each: each.place.order)[:_KEPT]


def _decide(row: Attributes, answers: Sequence[Attributes]) -> Attributes:
    """The right attributes for a row: its own if one of its instances has them, else those of the first instance.

    Gaps are filled from the other instances, as when instances are stored. Without any attributes the row is kept.
    """
    said = [each for each in answers if each != type(row)()]
    base = [row] if row in said else []
    return fold(base + said) or row
