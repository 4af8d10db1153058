"""The names of stores beside blobs in a bucket: the file in the data directory is copied there whenever it has changed,
before the first blob of a new store comes to the bucket."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from functools import partial

from gantry.errors import StatusError
from gantry.storage.remote.place_files import PlaceFiles
from gantry.storage.store_records import LocalStoreRecords, read_text, records_name


class CopiedStoreRecords:
    """``records`` are those in the data directory, ``directories`` where: place → directory; ``remote`` are the places
    with their blobs in a bucket. Safe to use from many threads."""

    def __init__(
        self, records: LocalStoreRecords, directories: Mapping[str, str], remote: Mapping[str, PlaceFiles]
    ) -> None:
        """Raises FailedPrecondition where a bucket does not answer."""
        self._records, self._directories, self._remote = records, directories, remote
        self._locks = {place: threading.Lock() for place in remote}
        self._kept: dict[str, set[int]] = {place: set() for place in remote}
        self._copied = {place: files.read(records_name(place)) or "" for place, files in remote.items()}

    def keep(self, store_ids: Collection[int], place: str) -> None:
        """Raises what the records and the bucket raise."""
        if place not in self._remote:
            return self._records.keep(store_ids, place)
        if not self._kept[place].issuperset(store_ids):
            self._records.keep(store_ids, place)
            self._copy(place)
            self._kept[place].update(store_ids)
        return None

    def forget(self, store_id: int) -> None:
        """Raises the first error, after all other places."""
        failed: StatusError | None = None
        for act in (partial(self._records.forget, store_id), *(partial(self._copy, each) for each in self._remote)):
            try:
                act()
            except StatusError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _copy(self, place: str) -> None:
        """Whoever waits for the lock finds its own names copied by the one before."""
        with self._locks[place]:
            text = read_text(self._directories[place], place)
            if text != self._copied[place]:
                self._remote[place].write(records_name(place), text)
                self._copied[place] = text
