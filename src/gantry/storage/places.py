"""Blobs on several disks, or in several tiers of a bucket: the first segment of a key names its place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from gantry.errors import FailedPrecondition, StatusError
from gantry.resources import ObjectMeta
from gantry.seams import Blobs, BlobWriter, OpenedObject
from gantry.storage.extents import Entry
from gantry.storage.removal import delete_each
from gantry.worker_calls import Check


class PlacedBlobStore:
    """One bucket made of several. Every key begins with the name of its place, in the directory of the place too.

    Raises FailedPrecondition for a key of an unknown place: its bytes exist, so NotFound would be wrong.
    """

    def __init__(self, places: Mapping[str, Blobs]) -> None:
        self._places = dict(sorted(places.items()))

    def exists(self) -> bool:
        return not self.find_absence() and all(store.exists() for store in self._places.values())

    def find_absence(self, place: str = "") -> str:
        wanted = [self._store(place)] if place else self._places.values()
        return next(filter(None, (store.find_absence() for store in wanted)), "")

    def find_shortage(self, place: str) -> str:
        return self._store(place).find_shortage(place)

    def count_freed(self, segment: str) -> int:
        return self._store(segment).count_freed(segment)

    def count_unlisted(self, segment: str, named: Collection[str]) -> int:
        return self._store(segment).count_unlisted(segment, named)

    def list_store_ids(self) -> list[int]:
        return sorted({number for place, store in self._places.items() for number in store.list_numbers(place)})

    def list_numbers(self, prefix: str) -> list[int]:
        return self._store(prefix).list_numbers(prefix)

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """List one place after the other: that is the order of the keys, because places have names of plain letters."""
        for place, store in self._places.items():
            inside = f"{place}/"
            if prefix.startswith(inside):
                yield from store.list(prefix, start_after, depth, check)
            elif inside.startswith(prefix):
                yield from store.list(inside, start_after, depth, check)

    def head(self, key: str) -> ObjectMeta:
        return self._store(key).head(key)

    def open(self, key: str) -> OpenedObject:
        return self._store(key).open(key)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        return self._store(key).put(key, chunks)

    def copy_from(self, source: OpenedObject, key: str) -> int:
        return self._store(key).copy_from(source, key)

    def delete(self, key: str) -> None:
        """Delete a blob; does nothing in an unknown place, which was empty when it was removed from the settings."""
        if key.partition("/")[0] in self._places:
            self._store(key).delete(key)

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        failed: dict[str, StatusError] = {}
        for place, store in self._places.items():
            mine = [key for key in keys if key.partition("/")[0] == place]
            failed |= store.delete_all(mine) if mine else {}
        return failed

    def sync_removed(self, directories: set[str]) -> None:
        for place, store in self._places.items():
            store.sync_removed({each for each in directories if each.partition("/")[0] == place})

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None, before: str = "") -> int:
        """Delete by prefix; a prefix that contains no place applies to all of them."""
        store = self._places.get(prefix.partition("/")[0]) if "/" in prefix else None
        return (
            delete_each(self, prefix, start_after, check, before)
            if store is None
            else store.delete_prefix(prefix, start_after, check, before)
        )

    def require_mounted(self) -> None:
        """Raises DiskAway where a place is missing."""
        for store in self._places.values():
            store.require_mounted()

    def flush(self) -> None:
        """Flush every place that was written to."""
        for store in self._places.values():
            store.flush()

    def writer(self, prefix: str) -> BlobWriter:
        return self._store(prefix).writer(prefix)

    def find_lost(
        self, held: Sequence[tuple[ObjectMeta, Collection[str]]], whole: bool = False
    ) -> Sequence[dict[str, StatusError]]:
        return self._store(held[0][0].key).find_lost(held, whole) if held else ()

    def hold(self, segment: str) -> Blobs:
        return self._store(segment).hold(segment)

    def entries(self, segment: str) -> Iterator[Entry]:
        return self._store(segment).entries(segment)

    def read_crc32cs(self, keys: Collection[str]) -> dict[str, int | None]:
        return self._store(next(iter(keys), "")).read_crc32cs(keys)

    def free_rest(self, segment: str, live: Collection[str]) -> None:
        self._store(segment).free_rest(segment, live)

    def end_uploads(self, prefix: str) -> None:
        self._store(prefix).end_uploads(prefix)

    def _store(self, key: str) -> Blobs:
        place = key.partition("/")[0]
        try:
            return self._places[place]
        except KeyError:
            raise FailedPrecondition(
                f"the bytes lie in the place of storage class {place}, which neither storage_classes nor storage_tiers "
                "of this server's settings names"
            ) from None
