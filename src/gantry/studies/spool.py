"""A file in the temporary directory that holds the body of a request, or a part of it, until all of it has come."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gantry.errors import ResourceExhausted, StatusError, Unavailable

_PIECE = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Spool:
    """Raises ResourceExhausted where the temporary directory is full, Unavailable where it cannot be used."""

    def __init__(self) -> None:
        self.size = 0
        with _translate_errors():
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - ``close`` is for whoever has it

    def fill(self, chunks: Iterable[bytes]) -> int:
        """Write the chunks. Returns the number of bytes. Errors of ``chunks`` are passed on."""
        for chunk in chunks:
            with _translate_errors():
                self._write(memoryview(chunk))
            self.size += len(chunk)
        return self.size

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]

    def chunks(self) -> Iterator[bytes]:
        with _translate_errors():
            self._file.seek(0)
        while True:
            with _translate_errors():
                chunk = self._file.read(_PIECE)
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        self._file.close()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _translate(error) from None


def _translate(error: OSError) -> StatusError:
    if error.errno in _FULL:
        return ResourceExhausted(
            "the temporary directory of the server is full; large bodies are kept there until all of them has come; "
            "free space there, or set TMPDIR to a directory on a larger disk"
        )
    return Unavailable(
        "the temporary directory of the server cannot be used, and large bodies are kept there until all of them has "
        "come; the directory that TMPDIR names must exist, and the server must have permission to write to it"
    )
