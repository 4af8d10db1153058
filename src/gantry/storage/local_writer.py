"""Writing instances into a directory: small ones share segments, large ones have a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import google_crc32c

from gantry.checksums import require_sum
from gantry.errors import Aborted, StatusError
from gantry.resources import Uids
from gantry.seams import OpenedObject
from gantry.storage.durable import Part
from gantry.storage.extents import OWN_BYTES, Extent, align, parse_extent
from gantry.storage.freed import CHECKED, looks_freed
from gantry.storage.gathering import HELD_BYTES, find_first_bytes, gather
from gantry.storage.group_commit import BROKEN_OFF, GroupCommit
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_deletion import free_extents
from gantry.storage.local_objects import LocalObject, fill_from, write_all, write_chunks
from gantry.storage.new_files import NewFiles
from gantry.storage.own_objects import OwnObjects
from gantry.storage.pieces import read_pieces
from gantry.storage.room import Room
from gantry.storage.segments import Segments
from gantry.storage.shared_flushes import Flushes, free_again


class LocalWriter:
    """``own_bytes``: the size from which an instance has a file of its own; 0 for all of them."""

    def __init__(self, store: LocalBlobStore, prefix: str, own_bytes: int = OWN_BYTES) -> None:
        self._store, self._prefix, self._own_bytes = store, prefix, own_bytes
        self._files = NewFiles(store, prefix)
        self._segments = Segments(self._files)
        self._own = OwnObjects(self._files)
        self._commit = GroupCommit(self._sync)
        self._flushes = Flushes[Part](self._commit)
        self._discarded: list[str] = []  # extents
        self.left: tuple[str, ...] = ()
        self.late: tuple[str, ...] = ()  # a disk carries out no call that has failed
        self._room = Room(store.root)

    def put(self, chunks: Iterable[bytes], uids: Uids | None = None) -> tuple[str, int]:
        with self._errors():
            chunks = self._room.take_each(chunks)
            if uids is None:
                return self._write_own(lambda fd: write_chunks(fd, chunks))
            held, rest = gather(chunks, min(self._own_bytes, HELD_BYTES))
            size = sum(map(len, held))
            if size < HELD_BYTES and self._goes_into_segment(held, size):
                return self._append(held, size, uids), size
            return self._write_own(lambda fd: write_chunks(fd, chain(held, rest)))

    def copy_from(self, source: OpenedObject, uids: Uids, written: int | None = None) -> str:
        with self._errors():
            self._room.take(source.size)
            if source.size < self._own_bytes:
                pieces = read_pieces(source) if isinstance(source, LocalObject) else source.chunks()
                held, rest = gather(pieces, CHECKED)
                if self._goes_into_segment(held, source.size):
                    return self._append(chain(held, rest), source.size, uids, written)
            return self._write_own(fill_from(source) if written is None else _fill_checked(source, written))[0]

    def discard(self, key: str) -> None:
        extent = parse_extent(key)
        if extent is not None:
            self._segments.discard(extent)
            self._discarded.append(key)
            self._store.delete(key)
        else:
            self._own.discard(key)
            self._files.remove_or_raise(key)

    def flush(self) -> None:
        self._flushes.flush()

    def close(self) -> tuple[str, ...]:
        """Durable on return: nothing that was discarded or not finished comes back, but for what is ``left``. Raises
        DiskAway, NoRoom where that is not certain."""
        with self._errors():
            self._own.close()
            segments = self._segments.close()
            self.left = (*self._free_discarded(), *self._files.remove_left())
            self._files.sync_removed()
        return segments

    def _free_discarded(self) -> list[str]:
        """Once more, and durably: a crash may bring them back. The keys of those that cannot be freed now."""

        def free(segment: str, extents: Sequence[Extent]) -> Mapping[str, StatusError]:
            return free_extents(self._store.root, self._store.name_to_write(segment), extents)

        return free_again(self._discarded, free)

    def _goes_into_segment(self, start: Sequence[bytes], size: int) -> bool:
        """A range that begins with nothing but zeros would look like one that was freed."""
        if size >= self._own_bytes or align(size) > self._segments.most_bytes:
            return False
        return not looks_freed(find_first_bytes(start))

    def _append(self, chunks: Iterable[bytes], size: int, uids: Uids, written: int | None = None) -> str:
        segment, key = self._segments.append(chunks, size, uids, written)
        self._flushes.note(segment)
        return key

    def _write_own(self, fill: Callable[[int], int]) -> tuple[str, int]:
        if self._own.is_full:
            self._commit.run()
        part, size = self._own.write(fill)
        self._flushes.note(part)
        return part.key, size

    def _sync(self) -> None:
        steps, own = self._segments.take(), self._own.take()
        parts: list[Part] = [*own, *(step.segment for step in steps)]
        try:
            with self._errors():
                self._own.sync(own)
                self._segments.sync(steps)
                self._files.sync_names()
            self._store.require_mounted()  # what is synced may lie on a disk that nobody finds here any more
            for part in parts:
                self._store.require_root(part.made_in)
        except BaseException as error:
            for part in parts:
                part.error = error if isinstance(error, StatusError) else BROKEN_OFF
            raise
        finally:
            self._segments.settle(steps)
            self._own.settle(own)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._store.disk.translate_write_error(error, self._prefix) from None


def _fill_checked(source: OpenedObject, written: int) -> Callable[[int], int]:
    """Writes the bytes of an open object to a descriptor, and raises DataLoss at the end where they are damaged."""

    def fill(fd: int) -> int:
        crc = size = 0
        for chunk in source.chunks():
            size += write_all(fd, chunk)
            crc = google_crc32c.extend(crc, chunk)
        if size != source.size:
            raise Aborted(f"{size} bytes came where there should be {source.size}")
        require_sum(crc, written)
        return size

    return fill
