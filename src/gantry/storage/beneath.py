"""Opens files and directories below a root without following symbolic links.

Linux does it in one system call (openat2); elsewhere every directory of the path is opened in turn.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from contextlib import suppress
from functools import cache
from typing import Any

_OPENAT2 = 437  # number of the system call, the same on all architectures (Linux 5.6)
_AT_FDCWD = -100
_RESOLVE = 0x02 | 0x04  # RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
_RENAME_NOREPLACE = 1
_NO_SUCH_RENAME = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP)  # of the system, or of a file system
_ATTEMPTS = 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW_SIZE = ctypes.sizeof(_OpenHow)


@cache
def _make_how(flags: int, mode: int) -> Any:
    """A pointer to the argument of openat2. Cached, because making one takes longer than opening a file."""
    return ctypes.pointer(_OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE))


Root = bytes | int
"""A directory by its path, which must not contain links, or open: then it is the same one whatever is mounted since."""


def open_beneath(root: Root, name: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor of ``root/name``. Raises OSError, ELOOP for a link in ``name``."""
    if _libc is not None:
        at, path = _split(root, name)
        fd: int = _libc.syscall(_OPENAT2, at, path, _make_how(flags, mode), _HOW_SIZE)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number))
    return _open_step_by_step(root, name, flags, mode)


def _split(root: Root, name: bytes) -> tuple[int, bytes]:
    """The directory to begin in, and the path from there."""
    if isinstance(root, int):
        return root, name or b"."
    return _AT_FDCWD, root + b"/" + name if name else root


def _open_root(root: Root) -> int:
    return os.open(b".", _DIRECTORY, dir_fd=root) if isinstance(root, int) else os.open(root, _DIRECTORY)


def create_beneath(root: Root, name: bytes, flags: int) -> int:
    """A descriptor of a file that is made, and every directory on the way to it. Raises OSError."""
    for _ in range(_ATTEMPTS):
        try:
            return open_beneath(root, name, flags | os.O_CREAT, 0o644)
        except FileNotFoundError:
            # Whoever deletes the last object of a directory removes it too, maybe just now.
            with suppress(FileNotFoundError):
                make_directories(root, name.rpartition(b"/")[0])
    return open_beneath(root, name, flags | os.O_CREAT, 0o644)


def open_directory(root: Root, name: bytes) -> int:
    """A descriptor of the directory ``root/name``, or of ``root`` when ``name`` is empty."""
    return open_beneath(root, name, _DIRECTORY)


def make_directories(root: Root, name: bytes) -> None:
    """Make ``root/name`` with all missing parent directories."""
    fd = _open_root(root)
    try:
        for segment in name.split(b"/"):
            try:
                os.mkdir(segment, 0o755, dir_fd=fd)
            except FileExistsError:
                pass
            below = os.open(segment, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
    finally:
        os.close(fd)


def rename_new(name: bytes, new_name: bytes, directory: int) -> bool:
    """Rename a file inside a directory; False, and nothing is changed, where a file has the new name. Raises OSError.

    Linux does it in one system call (renameat2); elsewhere somebody may make the file between two.
    """
    if _libc is not None and hasattr(_libc, "renameat2"):
        if _libc.renameat2(directory, name, directory, new_name, _RENAME_NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
        if number not in (errno.EEXIST, *_NO_SUCH_RENAME):
            raise OSError(number, os.strerror(number))
    if _is_file(new_name, directory):
        return False
    os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=directory)
    return True


def _is_file(name: bytes, directory: int) -> bool:
    try:
        return not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _open_step_by_step(root: Root, name: bytes, flags: int, mode: int) -> int:
    if not name:
        return os.open(root, flags | os.O_CLOEXEC, mode) if isinstance(root, bytes) else _open_root(root)
    *directories, last = name.split(b"/")
    fd = _open_root(root)
    try:
        for segment in directories:
            below = os.open(segment, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
    finally:
        os.close(fd)


def _load() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
        if hasattr(libc, "renameat2"):  # glibc 2.28
            libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    except (OSError, AttributeError):
        return None
    return libc


_libc = _load()
