"""multipart/related as a stream (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6), in the memory of what is read at a time."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping

from gantry.api.accept import parse_parameters
from gantry.errors import InvalidArgument

MAX_HEADER_BYTES, MAX_HEADERS = 16 << 10, 64
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_BLANKS = b" \t"
_MAX_PADDING = 1024


class Part:
    """One part. Its body can be read once; what is not read is passed over when the next part is asked for."""

    def __init__(self, headers: dict[str, str], body: Iterator[bytes]) -> None:
        self.headers = headers
        self._body = body

    @property
    def content_type(self) -> str:
        """The media type alone, in small letters; "" where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """Raises InvalidArgument at the end of a body that breaks off."""
        return self._body


def parts(read: Callable[[], bytes], boundary: str) -> Iterator[Part]:
    """The parts in their order. ``read`` gives the next piece of the stream, b"" at its end.

    Raises InvalidArgument for what is no multipart body, after the parts before it have been given.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidArgument("Content-Type: multipart/related needs a boundary of 1 to 70 characters")
    scanner = _Scanner(read, boundary.encode())
    scanner.skip_preamble()
    while not scanner.closed:
        body = scanner.body()
        yield Part(scanner.headers(), body)
        for _ in body:
            pass


class _Scanner:
    """``held`` is what has been read and not given away, beginning at ``at``."""

    def __init__(self, read: Callable[[], bytes], boundary: bytes) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # the first delimiter may stand at the very beginning
        self._at = 0
        self.closed = False

    def skip_preamble(self) -> None:
        try:
            for _ in self.body():
                pass
        except InvalidArgument:
            raise InvalidArgument("the body does not hold the boundary that its Content-Type names") from None

    def body(self) -> Iterator[bytes]:
        """Pieces up to the next delimiter; afterwards ``closed`` tells whether it was the last one."""
        keep = len(self._delimiter) - 1
        search = self._at
        while True:
            found = self._held.find(self._delimiter, search)
            if found >= 0:
                ended = self._delimiter_end(found)
                if ended is None:
                    search = found + 1
                    continue
                if found > self._at:
                    yield self._held[self._at : found]
                self._at = ended
                return
            safe = max(self._at, len(self._held) - keep)
            if safe > self._at:
                yield self._held[self._at : safe]
                self._at = safe
            if not self._more():
                raise InvalidArgument("the body ends before its closing boundary; it may have been cut short")
            search = self._at

    def _delimiter_end(self, found: int) -> int | None:
        """Behind the line of a delimiter; None for bytes that only begin like one."""
        at = found + len(self._delimiter)
        if self._holds(at + 2) and self._held[at : at + 2] == b"--":
            self.closed = True
            return at + 2
        end = at
        while self._holds(end + 1) and self._held[end] in _BLANKS and end - at < _MAX_PADDING:
            end += 1
        return end + 2 if self._holds(end + 2) and self._held[end : end + 2] == b"\r\n" else None

    def _holds(self, end: int) -> bool:
        """Whether there are bytes up to ``end``; what is held stays where it is."""
        while len(self._held) < end:
            piece = self._read()
            if not piece:
                return False
            self._held += piece
        return True

    def _more(self) -> bool:
        """Read on, letting go of what has been given away."""
        piece = self._read()
        self._held = self._held[self._at :] + piece
        self._at = 0
        return bool(piece)

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        size = 0
        for _ in range(MAX_HEADERS + 1):
            line = self._line(MAX_HEADER_BYTES - size)
            size += len(line) + 1
            if not line:
                # An empty body may begin with the delimiter, whose line break then is that of the blank line.
                if self._held.startswith(self._delimiter, self._at - 2):
                    self._at -= 2
                return found
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise InvalidArgument(f"a part has a header line without a colon: {line[:60]!r}")
            found.setdefault(name.strip().lower(), value.strip())
        raise InvalidArgument(f"a part has more than {MAX_HEADERS} headers")

    def _line(self, most: int) -> bytes:
        while True:
            end = self._held.find(b"\n", self._at)
            if (end if end >= 0 else len(self._held)) - self._at > most:
                raise InvalidArgument(f"the headers of a part have more than {MAX_HEADER_BYTES} bytes")
            if end >= 0:
                line = self._held[self._at : end]
                self._at = end + 1
                return line.removesuffix(b"\r")
            if not self._more():
                raise InvalidArgument("the body ends inside the headers of a part")


# --- what is written


def new_boundary() -> str:
    """One that no body holds, but for chance."""
    return f"gantry-{secrets.token_hex(16)}"


def part_head(boundary: str, headers: Mapping[str, str]) -> bytes:
    """Delimiter and headers of a part. Raises ValueError for a header that would end its line."""
    lines = [f"--{boundary}", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of a part holds a line break")
    return ("\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def closing(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode()


def parse_content_type(text: str) -> tuple[str, dict[str, str]]:
    """Media type and parameters. Raises InvalidArgument."""
    media_type, separator, rest = text.partition(";")
    parameters = parse_parameters(separator + rest)
    if parameters is None:
        raise InvalidArgument(f"Content-Type: {text[:100]!r} cannot be read")
    return media_type.strip().lower(), parameters
