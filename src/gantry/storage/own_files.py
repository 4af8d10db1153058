"""Stored instances that have a file of their own, and what an error of reading means for stored bytes.

A source or a target of an operation may be readable later, and the client can do something about it. Bytes of our own
that the disk cannot give back are lost, and nothing that a client may do makes them readable.
"""

from __future__ import annotations

import errno
import os

from gantry.errors import DataLoss, NotFound, PermissionDenied, StatusError, Unavailable, Unreadable
from gantry.storage.beneath import open_beneath
from gantry.storage.disks import READABLE, translate_read_error
from gantry.storage.local_objects import LocalObject
from gantry.system_errors import describe_os_error

_READ = os.O_RDONLY | os.O_NONBLOCK
_UNREADABLE = (errno.EIO, errno.EBADMSG, getattr(errno, "EUCLEAN", errno.EIO))
"""The disk or the file system cannot give them back: they may be lost, or a cable may be loose."""

_LINKS = (errno.ELOOP, errno.EMLINK)
"""A link stands in their place."""


class OwnFile(LocalObject):
    """A whole file with the bytes of one stored instance."""

    def translate(self, error: OSError) -> StatusError:
        return translate_stored_error(error)


def open_own_file(root: bytes, name: bytes, key: str) -> OwnFile:
    """``name`` is the path of the file below ``root``. Raises OSError, NotFound."""
    opened = OwnFile(open_beneath(root, name, _READ), key)
    if not opened.is_file:
        opened.close()
        raise NotFound("is not a regular file")
    return opened


def translate_stored_error(error: OSError) -> StatusError:
    """NotFound where nothing is there, Unreadable where the disk cannot give it back now, DataLoss where a link stands
    in its place, else Unavailable."""
    if error.errno in _UNREADABLE:
        return Unreadable(f"its bytes cannot be read ({describe_os_error(error)})")
    if error.errno in _LINKS:
        return DataLoss(f"its bytes cannot be read ({describe_os_error(error)})")
    translated = translate_read_error(error)
    if isinstance(translated, PermissionDenied):
        return Unavailable("the server may not read its own file of this instance", advice=READABLE)
    return translated
