"""multipart/related (RFC 2387, PS3.18 §8.6.1.2) as a stream in both directions, in memory that does not grow with it.

A delimiter (RFC 2046 §5.1.1) is CRLF, ``--boundary`` and then either ``--`` or padding and a line end. Anything else
after the boundary makes it data, as a multipart body inside a part may have a boundary that begins like ours. The RFC
also lets a reader compare no further than the boundary; that would cut such a part in two.

Accepted, because clients do this:

* The first delimiter needs no CRLF before it where the body begins with it; a preamble and an epilogue are ignored.
* A line of headers, the empty line after them and the line of a delimiter may end in a bare LF. The line end *before* a
  delimiter may not: bodies are binary, and the LF would be taken from them.
* A delimiter may follow the empty line at once, as the body of an empty part.
* What follows ``--boundary--`` on its line is ignored.
* A boundary may have more than the 70 characters of the RFC.
* Content-Length of a part is a header like any other: it is often wrong.

Not accepted: a body that ends without ``--boundary--``, because a truncated upload looks the same.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping

from gantry.errors import InvalidArgument

MULTIPART = "multipart/related"
MAX_HEADER_BYTES = 16 << 10
MAX_HEADER_LINES = 64
"""Of one part: DICOMweb clients send some 3 lines."""
MAX_PADDING = 64
"""Blanks that may follow a boundary on its line; RFC 2046 forbids writing any."""

MAX_BOUNDARY = 256
"""Characters: RFC 2046 §5.1.1 has 70, and clients write more. Orthanc's boundary is two UUIDs."""

_BOUNDARY = re.compile(rf"[0-9A-Za-z'()+_,\-./:=? ]{{0,{MAX_BOUNDARY - 1}}}[0-9A-Za-z'()+_,\-./:=?]")
_LINE_REST = re.compile(rb"(--)|[ \t]{0,%d}\r?\n" % MAX_PADDING)
_LINE_REST_BEGUN = re.compile(rb"-?|[ \t]{0,%d}\r?" % MAX_PADDING)

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 (a token of RFC 9110 §5.6.2)
_FIELD_NAME = re.compile(_TOKEN)
_FORBIDDEN_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MEDIA_TYPE = re.compile(rf"\s*({_TOKEN}/{_TOKEN})\s*")
_PARAMETER = re.compile(rf';\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*)))?\s*')
_ESCAPE = re.compile(r"\\(.)")


class Part:
    """One part; valid until the next one is requested. ``headers`` have lower-case names, the first of each."""

    def __init__(self, headers: dict[str, str], scanner: _Scanner) -> None:
        self.headers = headers
        self._scanner = scanner

    @property
    def content_type(self) -> str:
        """The media type alone, lower-case; "" if none is declared. Raises nothing."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """The rest of the body, in pieces as they arrive, none of them empty.

        A piece is at most what one ``read()`` returned and the start of a delimiter. Raises InvalidArgument after the
        last piece if the stream ends there: the part is then incomplete.
        """
        while piece := self._scanner.piece(self):
            yield piece


def parts(read: Callable[[], bytes], boundary: str) -> Iterator[Part]:
    """The parts of a multipart body. ``read`` returns its next bytes, b"" at its end; the body is read to its end.

    What is unread of a part is skipped when the next one is requested. Raises InvalidArgument at once for a boundary
    with characters that RFC 2046 §5.1.1 forbids, or more than MAX_BOUNDARY; later for wrong headers, for headers over
    the limits, and for a truncated body, unless ``chunks()`` has raised it already.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidArgument(
            f"Content-Type: the boundary {boundary[:100]!r} is not 1 to {MAX_BOUNDARY} of the characters of RFC 2046 "
            "§5.1.1"
        )
    return _walk(_Scanner(read, boundary))


def _walk(scanner: _Scanner) -> Iterator[Part]:
    scanner.skip()
    while not scanner.closed:
        part = Part(scanner.headers(), scanner)
        scanner.begin(part)
        yield part
        scanner.skip()
    scanner.drain()


class _Scanner:
    """A cursor in the stream. ``begin``, then ``piece`` until b"": the cursor is behind a delimiter, or at the end."""

    def __init__(self, read: Callable[[], bytes], boundary: str) -> None:
        self._read = read
        self._dashes = b"--" + boundary.encode("ascii")
        self._delimiter = b"\r\n" + self._dashes
        self._data, self._pos = b"", 0
        self._ended = False
        self._number = 0  # of the part; 0 is the preamble
        self._part: Part | None = None
        self._inside, self._at_start = True, True
        self.closed = False

    def begin(self, part: Part) -> None:
        self._part, self._inside, self._at_start = part, True, True

    def skip(self) -> None:
        while self.piece(self._part):
            pass

    def drain(self) -> None:
        """Read the rest: only an empty connection can be used again."""
        while self._more():
            self._pos = len(self._data)

    def piece(self, part: Part | None) -> bytes:
        """The next bytes of a part, b"" once its delimiter is passed. Raises InvalidArgument if the stream ends."""
        while self._inside and part is self._part:
            start = self._pos
            end, line_end = self._next_delimiter()
            if end > start:
                self._pos, self._at_start = end, False
                return self._data[start:end]
            if line_end:
                self.closed = self._data.endswith(b"--", start, line_end)
                self._pos, self._inside = line_end, False
            elif not self._more():
                rest, self._pos = self._data, len(self._data)
                if not rest:
                    self._inside, self.closed = False, True
                    raise self._truncated()
                return rest
        return b""

    def _next_delimiter(self) -> tuple[int, int]:
        """The end of the body bytes that are known so far; the end of the delimiter line behind them, or 0."""
        data, at = self._data, self._pos
        if self._at_start and data.startswith(self._dashes[: len(data) - at], at):
            tail = at + len(self._dashes)
        else:
            at = data.find(self._delimiter, at)
            tail = at + len(self._delimiter)
        while at >= 0:
            if found := _LINE_REST.match(data, tail):
                return at, found.end()
            if _LINE_REST_BEGUN.fullmatch(data, tail):
                return at, 0
            at = data.find(self._delimiter, tail)
            tail = at + len(self._delimiter)
        return self._end_of_body(), 0

    def _end_of_body(self) -> int:
        """The end of the held bytes, or of those before a CR that may begin a delimiter: no boundary contains a CR."""
        data = self._data
        begin = data.rfind(b"\r", max(self._pos, len(data) - len(self._delimiter)))
        return begin if begin >= 0 and self._delimiter.startswith(data[begin:]) else len(data)

    def _more(self) -> bool:
        """Read more bytes; False at the end."""
        piece = b"" if self._ended else self._read()
        self._ended = not piece
        self._data, self._pos = self._data[self._pos :] + piece, 0
        return bool(piece)

    def headers(self) -> dict[str, str]:
        """The header block and the empty line after it (RFC 5322 §2.2). Raises InvalidArgument."""
        self._number += 1
        headers: dict[str, str] = {}
        name, left = "", MAX_HEADER_BYTES
        for _ in range(MAX_HEADER_LINES + 1):
            line = self._line(left)
            left -= len(line)
            text = line.rstrip(b"\r\n").decode("latin-1")
            if not text:
                return headers
            if text[0] in " \t" and name:
                headers[name] = f"{headers[name]} {text.strip()}".strip()
                continue
            name, colon, value = text.partition(":")
            name = name.rstrip(" \t").lower()
            if line.startswith(self._dashes) or not colon or not _FIELD_NAME.fullmatch(name):
                raise InvalidArgument(f"part {self._number} of the multipart body has {text[:100]!r} for a header")
            headers.setdefault(name, value.strip())
        raise InvalidArgument(
            f"part {self._number} of the multipart body has more than {MAX_HEADER_LINES} lines of headers"
        )

    def _line(self, limit: int) -> bytes:
        while True:
            end = self._data.find(b"\n", self._pos, self._pos + limit) + 1
            if end:
                line, self._pos = self._data[self._pos : end], end
                return line
            if len(self._data) - self._pos >= limit:
                raise InvalidArgument(
                    f"part {self._number} of the multipart body has more than {MAX_HEADER_BYTES} bytes of headers"
                )
            if not self._more():
                self.closed = True
                raise self._truncated()

    def _truncated(self) -> InvalidArgument:
        boundary = self._dashes.decode("ascii")
        if not self._number:
            return InvalidArgument(f"the multipart body has no line {boundary!r}, which its boundary requires")
        return InvalidArgument(
            f"the multipart body ends within part {self._number}, without {boundary + '--'!r}: the upload was cut off"
        )


# --- media types


def parse_content_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type, lower-case, and its parameters (RFC 9110 §8.3.1) with lower-case names, the first of each.

    Values are returned without quotes and escapes. Unquoted ones may hold characters that need quotes in RFC 9110, as
    in ``type=application/dicom``. Raises InvalidArgument.
    """
    head = _MEDIA_TYPE.match(text)
    pos = head.end() if head else 0
    parameters: dict[str, str] = {}
    while found := _PARAMETER.match(text, pos):
        name, quoted, plain = found.groups()
        if name:
            value = plain.strip() if quoted is None else _ESCAPE.sub(r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        pos = found.end()
    if not head or pos < len(text):
        raise InvalidArgument(f"{text[:200]!r} is no media type with parameters like type/subtype; name=value")
    return head[1].lower(), parameters


# --- writing


def new_boundary() -> str:
    """A boundary of 128 random bits: nobody can know it beforehand, and no body contains it by accident."""
    return f"gantry-{secrets.token_hex(16)}"


class Delimiters:
    """Writes what stands between the parts of one body. Nothing comes before the first delimiter (PS3.18 §8.6.1.2.1):
    some readers take the CRLF of an empty preamble for a part."""

    def __init__(self, boundary: str = "") -> None:
        self.boundary = boundary or new_boundary()
        self._line_end = ""

    def head(self, headers: Mapping[str, str]) -> bytes:
        """A delimiter and the header block of a part; the part's bytes follow.

        Raises ValueError for a name that is no token and for control characters in a value.
        """
        lines = [self._begin_line()]
        for name, value in headers.items():
            if not _FIELD_NAME.fullmatch(name) or _FORBIDDEN_IN_VALUES.search(value):
                raise ValueError(f"{name[:100]!r}: {value[:100]!r} cannot be a header")
            lines.append(f"{name.title()}: {value}")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def end(self) -> bytes:
        """The close-delimiter (RFC 2046 §5.1.1) that ends the body, behind the last part."""
        return f"{self._begin_line()}--\r\n".encode("latin-1")

    def _begin_line(self) -> str:
        line_end, self._line_end = self._line_end, "\r\n"
        return f"{line_end}--{self.boundary}"
