"""The names of stores beside blobs in a bucket: what the file in the data directory says is written there too, before
the first blob of a new store comes to the bucket.

Several servers may write there. The index says which stores there are, and each adds the lines of those that it knows.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from functools import partial

from gantry.errors import StatusError
from gantry.storage.remote.place_files import PlaceFiles
from gantry.storage.store_records import LocalStoreRecords, Names, add_records, read_records, records_name


class CopiedStoreRecords:
    """``records`` are those in the data directory, ``directories`` where: place → directory; ``remote`` are the places
    with their blobs in a bucket. ``names`` asks the index. Safe to use from many threads."""

    def __init__(
        self,
        records: LocalStoreRecords,
        directories: Mapping[str, str],
        remote: Mapping[str, PlaceFiles],
        names: Names,
    ) -> None:
        self._records, self._directories, self._remote, self._names = records, directories, remote, names
        self._locks = {place: threading.Lock() for place in remote}
        self._kept: dict[str, set[int]] = {place: set() for place in remote}

    def keep(self, store_ids: Collection[int], place: str) -> None:
        """Raises what the records and the bucket raise."""
        if place not in self._remote:
            return self._records.keep(store_ids, place)
        if not self._kept[place].issuperset(store_ids):
            self._records.keep(store_ids, place)
            self._copy(place, store_ids)
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

    def _copy(self, place: str, store_ids: Collection[int] = ()) -> None:
        """Whoever waits for the lock finds its own names copied by the one before."""
        with self._locks[place]:
            if not store_ids or not self._kept[place].issuperset(store_ids):
                self._remote[place].update(records_name(place), partial(self._add, place, store_ids))
                self._kept[place].update(store_ids)

    def _add(self, place: str, store_ids: Collection[int], text: str | None) -> str | None:
        """The index is asked after ``text`` was read: whoever has deleted a store meanwhile writes that afterwards."""
        ours = store_ids if text is not None else {*self._kept[place], *store_ids}
        names = self._names(list(ours)) if ours else {}
        here = read_records(self._directories[place], place)
        deleted = {number: None for number, name in here.items() if name is None}
        new = add_records(text or "", {**deleted, **names})
        return None if new == (text or "") else new
