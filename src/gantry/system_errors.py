"""Errors of the operating system as messages for users.

The system's own text differs between systems and may hold a path, so it is only logged.
"""

from __future__ import annotations

import errno
import logging
import socket
import ssl

from gantry.languages import N_

logger = logging.getLogger(__name__)

_WORDS = {
    errno.ENOENT: N_("there is no such file or directory"),
    errno.ENOTDIR: N_("a part of its path is no directory"),
    errno.EISDIR: N_("it is a directory"),
    errno.EEXIST: N_("it is there already"),
    errno.ENAMETOOLONG: N_("its name is too long"),
    errno.ELOOP: N_("a symbolic link stands in its path"),
    errno.ENXIO: N_("it is no regular file"),
    errno.ENODEV: N_("it is no regular file"),
    errno.EACCES: N_("the server's user has no permission"),
    errno.EPERM: N_("the server's user has no permission"),
    errno.EROFS: N_("the file system is read-only"),
    errno.ENOSPC: N_("the disk is full"),
    errno.EDQUOT: N_("the disk quota is used up"),
    errno.EFBIG: N_("the file is too large for the file system"),
    errno.EIO: N_("the disk reports a read or write error"),
    errno.ESTALE: N_("the network file system has lost the file"),
    errno.EBUSY: N_("it is in use"),
    errno.EMFILE: N_("the server has too many files open; raise its limit (ulimit -n)"),
    errno.ENFILE: N_("the system has too many files open"),
    errno.ENOMEM: N_("there is not enough memory"),
    errno.EAGAIN: N_("the system has no room for another process or thread"),
    errno.ETIMEDOUT: N_("there was no answer in time"),
    errno.EADDRINUSE: N_("address already in use"),
    errno.EADDRNOTAVAIL: N_("this machine does not have that address"),
    errno.EAFNOSUPPORT: N_("this machine has no addresses of that kind"),
    errno.ECONNREFUSED: N_("the connection was refused"),
    errno.ECONNRESET: N_("the connection was broken off"),
    errno.EPIPE: N_("the connection was broken off"),
    errno.ENETUNREACH: N_("the network cannot be reached"),
    errno.EHOSTUNREACH: N_("the host cannot be reached"),
}
"""Those that a server meets (POSIX.1-2017, <errno.h>)."""
_NO_ADDRESS = N_("no address is known for that name")
_NO_TLS = N_("TLS cannot be agreed on")
_UNKNOWN = N_("the system refuses it; the log has the details")
MESSAGES = frozenset((*_WORDS.values(), _NO_ADDRESS, _NO_TLS, _UNKNOWN))
"""All that ``describe_os_error`` may say."""


def describe_os_error(error: BaseException) -> str:
    """A message in English without capital and full stop, for ``_``. An error that has none here is logged."""
    if isinstance(error, socket.gaierror):
        return _NO_ADDRESS
    if isinstance(error, ssl.SSLError):
        return _NO_TLS
    if isinstance(error, TimeoutError):
        return _WORDS[errno.ETIMEDOUT]
    words = _WORDS.get(error.errno or 0) if isinstance(error, OSError) else None
    if words is None:
        logger.warning("a system call failed: %s", error)
        return _UNKNOWN
    return words
