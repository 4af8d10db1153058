"""The files of ``upload``: found in directories, and put together for requests."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from secrets import token_hex

from gantry.errors import FailedPrecondition, InvalidArgument
from gantry.languages import _, ngettext
from gantry.sizes import format_number
from gantry.system_errors import describe_os_error

BATCH_FILES, BATCH_BYTES = 100, 32 << 20
"""Of one request: enough for one commit of the server to cost little, and it is held in memory here."""
_CHUNK = 1 << 20
_DICOM = "application/dicom"

Fail = Callable[[str, str], None]
"""Told a file that is not sent, and why."""


@dataclass
class Batch:
    """Files of one request. A file of more than ``BATCH_BYTES`` is alone in one, and read while it is sent."""

    files: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    size: int = 0
    boundary: str = field(default_factory=token_hex)

    @property
    def content_type(self) -> str:
        return f'multipart/related; type="{_DICOM}"; boundary={self.boundary}'

    @property
    def name(self) -> str:
        """For a message about all of them."""
        if len(self.files) < 2:
            return self.files[0]
        others = len(self.files) - 1
        text = ngettext(
            "{file} and {count} other of the same request", "{file} and {count} others of the same request", others
        )
        return text.format(file=self.files[0], count=format_number(others))

    def make_parts(self) -> Iterator[bytes]:
        """The body (RFC 2046 §5.1.1). Raises FailedPrecondition where a file cannot be read any more."""
        for place, file in enumerate(self.files):
            yield f"--{self.boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
            if self.contents:
                yield self.contents[place]
            else:
                yield from _read(file)
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()


def require_paths(paths: list[str]) -> None:
    """Raises InvalidArgument for one that is not there."""
    for path in paths:
        try:
            os.stat(path)
        except OSError as error:
            raise InvalidArgument(f"{path}: {_(describe_os_error(error))}") from None


def find_files(paths: list[str], fail: Fail) -> Iterator[str]:
    """The files, and those below directories, in the order of their names. Links to directories are not followed."""
    for path in paths:
        if os.path.isdir(path):
            yield from _walk(path, fail)
        else:
            yield path


def _walk(top: str, fail: Fail) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        fail(str(error.filename), _(describe_os_error(error)))

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders.sort()
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                reason = _("a link to a directory is not followed; name it on the command line")
                fail(os.path.join(folder, name), reason)
        for name in sorted(names):
            yield os.path.join(folder, name)


def make_batches(files: Iterator[str], fail: Fail) -> Iterator[Batch]:
    """Groups of files for one request each. Those that cannot be read are failures."""
    batch = Batch()
    for file in files:
        try:
            size = _measure(file)
            content = b"" if size > BATCH_BYTES else b"".join(_read(file))
        except FailedPrecondition as error:
            fail(file, error.message)
            continue
        if size > BATCH_BYTES:
            yield Batch([file], size=size)
            continue
        if batch.files and (len(batch.files) == BATCH_FILES or batch.size + len(content) > BATCH_BYTES):
            yield batch
            batch = Batch()
        batch.files.append(file)
        batch.contents.append(content)
        batch.size += len(content)
    if batch.files:
        yield batch


def _measure(file: str) -> int:
    """Raises FailedPrecondition, also for what would never end, as a pipe."""
    try:
        found = os.stat(file)
    except OSError as error:
        raise FailedPrecondition(_(describe_os_error(error))) from None
    if not stat.S_ISREG(found.st_mode):
        raise FailedPrecondition(_("it is no regular file"))
    return found.st_size


def _read(file: str) -> Iterator[bytes]:
    try:
        with open(file, "rb") as opened:
            while chunk := opened.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise FailedPrecondition(_(describe_os_error(error))) from None
