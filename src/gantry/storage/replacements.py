"""Objects of a bucket that take the place of older ones, once their bytes are durable.

A rename may reach the disk before the bytes of the file that it renames: after a power cut the older object would be
gone and the new one empty. A new object has no older one to lose, and gets its name at once.
"""

from __future__ import annotations

import os

from gantry.storage.beneath import Root, open_directory, rename_new


class Replacements:
    """Of one writer: temporary files that wait for their names."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, bytes] = {}  # path of the object → path of its temporary file

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def give_name(self, root: Root, temporary: bytes, name: bytes) -> None:
        """Rename a file to the name of its object, unless an older one has it. Raises OSError."""
        directory, _, last = name.rpartition(b"/")
        fd = open_directory(root, directory)
        try:
            if not rename_new(os.path.basename(temporary), last, fd):
                self._waiting[name] = temporary
        finally:
            os.close(fd)

    def replace_all(self, root: Root) -> None:
        """After a sync: give their names to all that wait. Raises OSError."""
        for name in list(self._waiting):
            directory, _, last = name.rpartition(b"/")
            fd = open_directory(root, directory)
            try:
                temporary = os.path.basename(self._waiting[name])
                os.rename(temporary, last, src_dir_fd=fd, dst_dir_fd=fd)
            finally:
                os.close(fd)
            del self._waiting[name]

    def drop(self, name: bytes) -> list[bytes]:
        """Forget the object of this name; the paths of its temporary files."""
        return [self._waiting.pop(name)] if name in self._waiting else []

    def drop_all(self) -> list[bytes]:
        found, self._waiting = list(self._waiting.values()), {}
        return found
