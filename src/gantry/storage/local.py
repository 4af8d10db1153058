"""Object storage in a directory: keys are paths, never normalised, and never lead out of the directory.

``flush`` makes all earlier writes durable at once. An object that takes the place of an older one does so in ``flush``,
once its bytes are durable: until then the older one is there, whatever happens to the system.

A key that cannot be a path (empty, ``.`` or ``..`` segments, NUL, a segment of more than 255 bytes) names no object.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gantry.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from gantry.reasons import Reason
from gantry.resources import ObjectMeta
from gantry.seams import OpenedObject
from gantry.storage.beneath import create_beneath, open_beneath, open_directory
from gantry.storage.disks import Disk, translate_delete_error
from gantry.storage.durable import sync_file_system
from gantry.storage.local_listing import TEMPORARY, Part, describe, list_directories, walk
from gantry.storage.local_objects import Filler, LocalObject, fill_from, write_chunks
from gantry.storage.removal import delete_each
from gantry.storage.replacements import Replacements
from gantry.storage.roots import Identity, find_root, identify, identify_root, is_same_bucket
from gantry.storage.unfinished import remove_unfinished
from gantry.worker_calls import Check

_OPEN = os.O_RDONLY | os.O_NONBLOCK  # a pipe must not make the reader wait for a writer
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES)
"""Of a directory: errors that do not pass by themselves. For the server's user it does not exist."""

ABSENT = "is not there any more; it may not be mounted"
"""To follow the name of a disk."""


class LocalBlobStore:
    """One directory as a bucket. ``writer`` makes the temporary names of a writer unique.

    ``disk`` is where the directory lies, for messages. With ``write_once`` objects are written under their final names:
    for keys that nobody reads before they are committed. Otherwise an object appears, or is replaced, as a whole.
    ``server`` is the identity of the server's data directory (``identify_root``).
    """

    concurrency = 1

    def __init__(
        self, root: str, writer: str = "", write_once: bool = False, disk: Disk | None = None, server: str = ""
    ) -> None:
        self.root = os.fsencode(os.path.realpath(root))
        self.disk = disk or Disk("bucket", self.root, is_bucket=not write_once)
        self._suffix = b"." + os.fsencode(writer or str(os.getpid()))
        self._write_once = write_once
        self._identity, self._server = find_root(self.root), server
        # Open from the first write to the next flush: write errors in between are reported to this descriptor only.
        self._watch: int | None = None
        self._device = 0  # of that directory
        self._replacements = Replacements()
        self._others: dict[int, int] = {}  # the same for other devices: a disk may be mounted below the root
        self._undeleted: set[bytes] = set()  # temporary files that could not be deleted: tried again at the next flush

    def exists(self) -> bool:
        """Raises BucketAway, DiskAway where its disk cannot say so now."""
        try:
            status = os.stat(self.root)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return False
            raise self.disk.unseen(error) from None
        if self._identity is None:  # it is new, or could not be looked at before
            self._identity = identify(status)
        return stat.S_ISDIR(status.st_mode) and identify(status) == self._identity

    def _is_away(self) -> bool:
        """Whether the directory is not the one of the start, because its disk is no longer mounted."""
        return self._identity is not None and find_root(self.root) != self._identity

    def find_absence(self) -> str:
        """Why the directory is not the one of the start, to follow the name of its disk; "" where it is."""
        return ABSENT if self._is_away() else ""

    def require_mounted(self) -> None:
        """Before anything is written, before a missing object is taken for deleted, and one that was synced for
        durable. Raises BucketAway, DiskAway."""
        if why := self.find_absence():
            raise self.disk.away(why)

    def open_root(self) -> tuple[int, Identity]:
        """A descriptor of the directory, and which one it is: what is made beneath it is never made below a mount point
        whose disk is away. Raises OSError, BucketAway, DiskAway."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            opened = identify(os.fstat(fd))
            if self._identity not in (None, opened):
                self.require_mounted()  # it may know that it is the same directory nevertheless
                self.require_root(opened)
        except BaseException:
            os.close(fd)
            raise
        return fd, opened

    def require_root(self, made_in: Identity) -> None:
        """The directory is still the one that a file was made in. Raises BucketAway, DiskAway."""
        if self._identity not in (None, made_in):
            raise self.disk.away("was away for a moment")

    @property
    def identity(self) -> str:
        """What tells the directory from another one in its place, also after a restart of the system. Raises
        BucketAway, DiskAway where its disk cannot say so now: half of it would never be the same again."""
        try:
            return f"{identify_root(self.root)} {self._server}".strip()
        except OSError as error:
            raise self.disk.unseen(error) from None

    def is_same(self, identity: str) -> bool:
        return is_same_bucket(identity, self.identity)

    def list(
        self, prefix: str = "", start_after: str = "", depth: int | None = None, check: Check | None = None
    ) -> Iterator[ObjectMeta]:
        """Objects whose keys begin with ``prefix`` and sort after ``start_after``, sorted by the bytes of their keys.

        ``depth`` limits the number of ``/`` in a key. What cannot be listed (an unreadable directory, a link) is an
        entry with a ``problem``, in a bucket also a directory that is removed meanwhile. Raises BucketAway, DiskAway
        where the disk is not mounted any more, at the end of the listing or where it breaks off.
        """
        try:
            part = Part(os.fsencode(prefix), os.fsencode(start_after), depth, self.disk.is_bucket)
            self._name(prefix.rpartition("/")[0] or "root")
        except (UnicodeEncodeError, NotFound):
            return
        try:
            yield from walk(self.root, part, check or _go_on)
        except (PermissionDenied, Unavailable):
            self.require_mounted()
            raise
        self.require_mounted()

    def list_folders(self, prefix: str = "", limit: int = 1000) -> Sequence[str]:
        above = prefix.rstrip("/")
        try:
            found = list_directories(self.root, self._name(above) if above else b"", limit)
        except (NotFound, FileNotFoundError, NotADirectoryError):
            self.require_mounted()
            return []
        except OSError as error:
            self.require_mounted()
            raise self.disk.translate_read_error(error) from None
        return [f"{above}/{os.fsdecode(name)}" if above else os.fsdecode(name) for name in found]

    def head(self, key: str) -> ObjectMeta:
        """Raises NotFound, PermissionDenied, Unavailable."""
        name = self._name(key)
        directory, _, last = name.rpartition(b"/")
        try:
            fd = open_directory(self.root, directory)
            try:
                status = os.stat(last, dir_fd=fd, follow_symlinks=False)
            finally:
                os.close(fd)
        except OSError as error:
            self.require_mounted()
            raise self.disk.translate_read_error(error) from None
        if stat.S_ISDIR(status.st_mode):
            raise NotFound("is a directory", advice="use ** to import what lies below it", kind=Reason.OBJECT_GONE)
        return describe(status, name)

    def open(self, key: str) -> LocalObject:
        """Raises NotFound, PermissionDenied, Unavailable."""
        try:
            opened = LocalObject(open_beneath(self.root, self._name(key), _OPEN), key)
        except OSError as error:
            raise self.disk.translate_read_error(error) from None
        if not opened.is_file:
            opened.close()
            raise NotFound("is not a regular file", kind=Reason.OBJECT_GONE)
        return opened

    def open_found(self, found: ObjectMeta) -> LocalObject:
        return self.open(found.key)

    def put(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write an object; the number of bytes. Raises ResourceExhausted when the disk is full."""
        return self._write(key, lambda fd: write_chunks(fd, chunks))

    def copy_from(self, source: OpenedObject, key: str) -> int:
        """Write an object from an open one; within one machine the kernel moves the bytes."""
        return self._write(key, fill_from(source))

    def delete(self, key: str) -> None:
        """Remove an object, and directories that become empty. Deleting a missing object is no error.
        Raises Unavailable where the bucket's directory itself is missing, or is another one."""
        try:
            name = self._name(key)
        except NotFound:
            return
        for temporary in self._replacements.drop(name):
            self._discard(temporary)
        try:
            self._in_directory(name, os.unlink)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise translate_delete_error(error, key) from None
            self.require_mounted()
        with contextlib.suppress(OSError):  # stops at a directory that is not empty or cannot be removed
            while name := name.rpartition(b"/")[0]:
                self._in_directory(name, os.rmdir)

    def delete_prefix(self, prefix: str, start_after: str = "", check: Check | None = None, before: str = "") -> int:
        """Returns the number of objects.

        Raises the error of one that cannot be removed, after all others are.
        """
        return delete_each(self, prefix, start_after, check, before)

    def sync_removed(self, directories: set[str]) -> None:
        """What was removed from a bucket, and comes back, is no loss."""

    def delete_unfinished(self, prefix: str, depth: int, check: Check | None = None) -> None:
        try:
            base = self._name(prefix.rstrip("/")) if prefix else b""
        except NotFound:
            return
        try:
            remove_unfinished(self.root, base, self._suffix, depth - prefix.count("/"), check or _go_on)
        except OSError as error:
            self.require_mounted()
            raise translate_delete_error(error, prefix) from None
        self.require_mounted()

    def flush(self) -> None:
        """Return when all earlier writes of this object are on disk, by one sync of each file system written to."""
        if self._watch is None:
            return
        try:
            self._sync_devices()
            if self._replacements:
                self._replacements.replace_all(self._watch)
                self._sync_devices()
        except OSError as error:
            raise self.disk.translate_sync_error(error) from None
        finally:
            self._unwatch()
        self.require_mounted()

    def __del__(self) -> None:
        self._unwatch()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_watch": None, "_others": {}, "_replacements": Replacements(), "_undeleted": set()}

    def _unwatch(self) -> None:
        if self._watch is not None:
            for fd in (self._watch, *self._others.values()):
                os.close(fd)
            self._watch, self._others = None, {}
        for temporary in (*self._replacements.drop_all(), *self._undeleted):
            self._discard(temporary)

    def _name(self, key: str) -> bytes:
        """The key as a path below the root. Raises NotFound where it cannot be one."""
        try:
            name = os.fsencode(key)
        except UnicodeEncodeError:
            raise NotFound(
                "the name cannot be a file name, so no such object exists", kind=Reason.OBJECT_GONE
            ) from None
        for segment in name.split(b"/"):
            if segment in (b"", b".", b"..") or len(segment) > 255 or b"\0" in segment:
                raise NotFound(
                    "the name cannot be a path in a directory, so no such object exists", kind=Reason.OBJECT_GONE
                )
        return name

    def name_to_write(self, key: str) -> bytes:
        """The same for writers. Raises InvalidArgument."""
        try:
            return self._name(key)
        except NotFound as error:
            raise InvalidArgument(f"{key}: {error.message}") from None

    def _in_directory(self, name: bytes, act: Callable[..., object]) -> None:
        """Call ``act`` with the last segment of ``name`` and the descriptor of the directory that holds it."""
        directory, _, last = name.rpartition(b"/")
        fd = open_directory(self.root, directory)
        try:
            act(last, dir_fd=fd)
        finally:
            os.close(fd)

    def _write(self, key: str, fill: Filler) -> int:
        name = self.name_to_write(key)
        directory, slash, last = name.rpartition(b"/")
        target = name if self._write_once else directory + slash + self._temporary(last)
        self._replacements.drop(name)  # the same temporary file is written anew
        self._undeleted.discard(target)
        try:
            fd = self._create(target)
            try:
                try:
                    self._watch_device(fd)
                    size = fill(fd)
                finally:
                    os.close(fd)
                if target != name:
                    self._replacements.give_name(self.root if self._watch is None else self._watch, target, name)
                return size
            except BaseException:
                self._discard(target)
                raise
        except OSError as error:
            raise self.disk.translate_write_error(error, key) from None

    def _temporary(self, name: bytes) -> bytes:
        """A name that no object has and no other writer uses. Its length does not depend on ``name``."""
        return TEMPORARY + hashlib.sha256(name).hexdigest()[:32].encode() + self._suffix

    def _create(self, name: bytes) -> int:
        if self._watch is None:
            self._watch, (self._device, _) = self.open_root()
        return create_beneath(self._watch, name, _CREATE)

    def _watch_device(self, fd: int) -> None:
        """Remember the file system of a new file until the next flush."""
        device = os.fstat(fd).st_dev
        if device != self._device and device not in self._others:
            self._others[device] = os.dup(fd)

    def _sync_devices(self) -> None:
        """Raises OSError."""
        if self._watch is not None:
            for fd in (self._watch, *self._others.values()):
                sync_file_system(fd)

    def _discard(self, name: bytes) -> None:
        """Delete a file that no row and no reader knows, now or at the next flush."""
        try:
            self._in_directory(name, os.unlink)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                self._undeleted.add(name)
                return
        self._undeleted.discard(name)


def _go_on() -> None:
    """The check of listings that are never interrupted."""
