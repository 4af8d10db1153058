"""The bytes of stored instances in a directory: files of their own, and ranges of segments."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from gantry.errors import NotFound, StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.contents import count_unlisted, find_crc32cs, find_rest
from gantry.storage.disks import SHORT, Disk, translate_delete_error
from gantry.storage.durable import sync_file
from gantry.storage.extents import OWN_BYTES, Entry, Extent, group_by_segment, parse_extent, parse_inside
from gantry.storage.freed import find_freed
from gantry.storage.listed import count_freed, list_entries
from gantry.storage.local import ABSENT, LocalBlobStore
from gantry.storage.local_deletion import free_extents
from gantry.storage.local_extents import GONE, free_extent, free_locked, open_extent, open_to_free
from gantry.storage.local_objects import LocalObject
from gantry.storage.local_writer import LocalWriter
from gantry.storage.new_files import sync_directories
from gantry.storage.own_files import open_own_file, translate_stored_error
from gantry.storage.owners import Owner, find_owner, most_read
from gantry.storage.room import read_room
from gantry.storage.roots import identify
from gantry.storage.store_numbers import PLACES, read_numbers
from gantry.system_errors import describe_os_error


class LocalBlobs(LocalBlobStore):
    """One directory of blobs. ``shared``: small instances share segments; otherwise each has a file of its own.

    ``mark`` is the path of a file and what stands in it: it says that the directory is the server's own.
    """

    def __init__(
        self, root: str, shared: bool = True, name: str = "the data directory", mark: tuple[str, str] | None = None
    ) -> None:
        super().__init__(root, write_once=True, disk=Disk(name, os.fsencode(os.path.realpath(root))))
        self._own_bytes = OWN_BYTES if shared else 0
        self._mark = mark

    def find_absence(self, place: str = "") -> str:
        """A disk may come back with another device number: where it has the mark, it is the same one."""
        if self._mark is None:
            return super().find_absence()
        try:
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            return _describe_absence(error)
        try:
            if not (why := _compare_mark(root, *self._mark)):
                self._identity = identify(os.fstat(root))
            return why
        finally:
            os.close(root)

    def writer(self, prefix: str) -> LocalWriter:
        self.require_mounted()
        return LocalWriter(self, prefix, self._own_bytes)

    def find_shortage(self, place: str) -> str:
        room = read_room(self.root)
        if room is None or room[0] >= room[1]:
            return ""
        return f"its disk is full: {room[0]:,} bytes are free, of which {room[1]:,} are left to the index"

    def open(self, key: str) -> LocalObject:
        with self._judging_absence():
            return self._open(key)

    def _open_whole(self, segment: str) -> LocalObject:
        with self._judging_absence():
            return super().open(segment)

    @contextmanager
    def _judging_absence(self) -> Iterator[None]:
        """What another directory lacks is not missing. Raises DiskAway there."""
        try:
            yield
        except NotFound:
            self.require_mounted()
            raise

    def _open(self, key: str) -> LocalObject:
        extent = parse_extent(key)
        try:
            if extent is None:
                return open_own_file(self.root, self._name(key), key)
            return open_extent(self.root, self._name(extent.segment), extent)
        except OSError as error:
            if error.errno in SHORT:
                raise self.disk.translate_read_error(error) from None
            raise translate_stored_error(error) from None

    def delete(self, key: str) -> None:
        extent = parse_extent(key)
        if extent is None:
            return super().delete(key)
        try:
            name = self._name(extent.segment)
        except NotFound:
            return None
        try:
            free_extent(self.root, name, extent)
        except OSError as error:
            if error.errno not in GONE:
                raise translate_delete_error(error, key) from None
            self.require_mounted()

    def delete_all(self, keys: Sequence[str]) -> dict[str, StatusError]:
        if why := self.find_absence():
            return dict.fromkeys(keys, self.disk.away(why))
        failed: dict[str, StatusError] = {}
        for segment, extents in group_by_segment(keys):
            with suppress(NotFound):  # the key can be no path
                failed |= free_extents(self.root, self._name(segment), extents)
        objects = [key for key in keys if parse_extent(key) is None]
        for key in objects:
            try:
                super().delete(key)
            except StatusError as error:
                failed[key] = error
        try:
            self.sync_removed({key.rpartition("/")[0] for key in objects})
            self.require_mounted()
        except StatusError as error:
            failed |= dict.fromkeys(keys, error)
        return failed

    def sync_removed(self, directories: set[str]) -> None:
        try:
            sync_directories(self.root, {os.fsencode(each) for each in directories})
        except OSError as error:
            raise self.disk.translate_sync_error(error) from None
        if directories:  # a directory that is not there was deleted, or its disk went away before the sync
            self.require_mounted()

    def find_lost(
        self, held: Sequence[tuple[ObjectMeta, Collection[str]]], whole: bool = False
    ) -> Sequence[dict[str, StatusError]]:
        return [self._find_lost(found.key, keys) for found, keys in held]

    def _find_lost(self, key: str, keys: Collection[str]) -> dict[str, StatusError]:
        try:
            with self.open(key) as opened:
                return find_freed(opened, keys)
        except StatusError as error:
            if error.waits_for is not None:
                raise
            return dict.fromkeys(keys, error)

    def hold(self, segment: str) -> LocalBlobs:
        return self

    def entries(self, segment: str) -> Iterator[Entry]:
        with self._open_whole(segment) as opened:
            yield from list_entries(opened)

    def read_crc32cs(self, keys: Collection[str]) -> dict[str, int | None]:
        extents = [extent for key in keys if (extent := parse_extent(key))]
        if not extents:
            return dict.fromkeys(keys)
        with self._open_whole(extents[0].segment) as opened:
            return find_crc32cs(opened, extents)

    def count_freed(self, segment: str) -> int:
        with self._open_whole(segment) as opened:
            return count_freed(opened)

    def count_unlisted(self, segment: str, named: Collection[str]) -> int:
        with self._open_whole(segment) as opened:
            return count_unlisted(opened, [parse_inside(segment, key) for key in named])

    def list_store_ids(self) -> list[int]:
        return sorted({number for place in PLACES for number in self.list_numbers(place)})

    def list_numbers(self, prefix: str) -> list[int]:
        return read_numbers(self.list_folders(prefix, sys.maxsize))

    def end_uploads(self, prefix: str) -> None:
        """A file that is not whole is an object like others."""

    def free_rest(self, segment: str, live: Collection[str]) -> None:
        if not live:
            return self._delete_for_good(segment)
        if segment in live:
            return None
        kept = [parse_inside(segment, key) for key in live]
        try:
            fd = open_to_free(self.root, self._name(segment))
            try:
                _free_gaps(fd, segment, kept)
                sync_file(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in GONE:
                raise translate_delete_error(error, segment) from None
            self.require_mounted()
            raise self.disk.translate_read_error(error) from None

    def _delete_for_good(self, segment: str) -> None:
        for error in self.delete_all([segment]).values():
            raise error


def _compare_mark(root: int, path: str, wanted: str) -> str:
    """Why the mark in the open directory ``root`` is not what it should be; "" where it is."""
    try:
        fd = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        try:  # no file object around it: that takes ten times as long, for each sync
            found = os.read(fd, most_read(wanted))
        finally:
            os.close(fd)
    except OSError as error:
        return _describe_absence(error)
    if find_owner(found, wanted) is Owner.OWN:
        return ""
    return "is that of another server now; another disk may be mounted there"


def _describe_absence(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return ABSENT
    return f"cannot be read: {describe_os_error(error)}"


def _free_gaps(fd: int, segment: str, live: Collection[Extent]) -> None:
    """Free all but the ranges ``live`` and the tables. What is being read stays, and the last such is reported."""
    opened = LocalObject(fd, segment)
    busy = None
    for start, end in find_rest(opened, live):
        try:
            free_locked(fd, start, end, segment)
        except Unavailable as error:
            busy = error
    if busy is not None:
        raise busy
