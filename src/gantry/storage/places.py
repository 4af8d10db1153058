"""Blobs on several disks: the first segment of a key names the place that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gantry.errors import FailedPrecondition, Unavailable
from gantry.resources import ObjectMeta
from gantry.seams import BlobStore, Check, OpenedObject, without_gaps


class PlacedBlobStore:
    """One bucket made of several. Every key of a place begins with its name, inside the place too.

    Raises FailedPrecondition for a key of a place that is not there: its bytes are somewhere, so it is not NotFound.
    """

    def __init__(self, places: Mapping[str, BlobStore]) -> None:
        self._places = dict(sorted(places.items()))

    def exists(self) -> bool:
        return all(store.exists() for store in self._places.values())

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """One place after the other, which is the order of the keys: names of places are plain letters."""
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
        """A place that is not there any more was empty when it went, so nothing is deleted there."""
        if key.partition("/")[0] in self._places:
            self._store(key).delete(key)

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None) -> int:
        """A prefix that names no place reaches into all of them."""
        count = 0
        for found in without_gaps(self.list(prefix, start_after, check=check)):
            if check is not None:
                check()
            self.delete(found.key)
            count += 1
        if not self.exists():
            raise Unavailable("the directory of a storage class is not there any more; is it mounted?")
        return count

    def flush(self) -> None:
        """One sync for every place that was written to."""
        for store in self._places.values():
            store.flush()

    def _store(self, key: str) -> BlobStore:
        place = key.partition("/")[0]
        try:
            return self._places[place]
        except KeyError:
            raise FailedPrecondition(
                f"the bytes lie in the directory of storage class {place}, which this server's setting storage_classes "
                "does not name"
            ) from None
