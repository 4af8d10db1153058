"""A body of a request, or a part of it, in the temporary directory until all of it has come."""

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
        with _translated():
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - ``close`` is for whoever has it

    def fill(self, chunks: Iterable[bytes]) -> int:
        """The number of bytes. What drawing the chunks raises goes through."""
        for chunk in chunks:
            with _translated():
                self._write(memoryview(chunk))
            self.size += len(chunk)
        return self.size

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]

    def chunks(self) -> Iterator[bytes]:
        with _translated():
            self._file.seek(0)
        while True:
            with _translated():
                chunk = self._file.read(_PIECE)
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        self._file.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _error(error) from None


def _error(error: OSError) -> StatusError:
    if error.errno in _FULL:
        return ResourceExhausted(
            "the temporary directory of the server is full; large bodies are kept there until they have come whole; "
            "make room there, or set TMPDIR to a directory on a larger disk"
        )
    return Unavailable(
        "the temporary directory of the server cannot be used, and large bodies are kept there until they have "
        "come whole; the directory that TMPDIR names must be there, and the server must be allowed to write to it"
    )
