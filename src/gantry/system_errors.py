"""Errors of the operating system as messages for users.

The system's own text differs between systems and may hold a path, so it is only logged.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl

logger = logging.getLogger(__name__)

_WORDS = {
    errno.ENOENT: "there is no such file or directory",
    errno.ENOTDIR: "a part of its path is no directory",
    errno.EISDIR: "it is a directory",
    errno.EEXIST: "it is there already",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "a symbolic link stands in its path",
    errno.ENXIO: "it is no regular file",
    errno.ENODEV: "it is no regular file",
    errno.EACCES: "the server's user has no permission",
    errno.EPERM: "the server's user has no permission",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large for the file system",
    errno.EIO: "the disk reports a read or write error",
    errno.ESTALE: "the network file system has lost the file",
    errno.EBUSY: "it is in use",
    errno.EMFILE: "the server has too many files open; raise its limit (ulimit -n)",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "there is not enough memory",
    errno.EAGAIN: "the system has no room for another process or thread",
    errno.ETIMEDOUT: "there was no answer in time",
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EAFNOSUPPORT: "this machine has no addresses of that kind",
    errno.ECONNREFUSED: "the connection was refused",
    errno.ECONNRESET: "the connection was broken off",
    errno.EPIPE: "the connection was broken off",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.EHOSTUNREACH: "the host cannot be reached",
}
"""Those that a server meets (POSIX.1-2017, <errno.h>)."""


def describe_os_error(error: BaseException) -> str:
    """A message without capital and full stop. An error that has none here is logged."""
    if isinstance(error, socket.gaierror):
        return "no address is known for that name"
    if isinstance(error, ssl.SSLError):
        return "TLS cannot be agreed on"
    if isinstance(error, TimeoutError):
        return _WORDS[errno.ETIMEDOUT]
    words = _WORDS.get(error.errno or 0) if isinstance(error, OSError) else None
    if words is None:
        logger.warning("a system call failed: %s", error)
        return "the system refuses it; the log has the details"
    return words
