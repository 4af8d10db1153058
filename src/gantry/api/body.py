"""Request bodies as real clients send them: gzip, character sets, byte order marks, single quotes, trailing commas."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

import pyjson5
from starlette.datastructures import Headers

from gantry.api.gunzip import Gunzip
from gantry.errors import InvalidArgument, UnsupportedMediaType
from gantry.json_text import (
    NoNumber,
    TooManyValues,
    charset_of,
    decode_text,
    locate_fault,
    parse_json,
    refuse_number,
    require_few_values,
)

MAX_BODY_BYTES = 10 << 20
"""Of a body that is held whole, compressed and as text: a policy of 1,500 members has some 100 kB."""

MAX_FORM_BYTES = 64 << 10
"""Of a form: a token of 16 KiB, or the 64 labels of a DICOM store, percent-encoded, are smaller."""

MAX_DEPTH = 100
"""Of nesting: messages of the API have fewer than 10 levels."""

MAX_VALUES = 100_000
"""Of a request's JSON: a policy of 1,500 members has some 5,000."""

_MAX_LENIENT = 1 << 20  # people write single quotes; programs, which make larger bodies, do not
_FIRST_FIELD = re.compile(r"\{\s{0,99}[\"']?([^\"':\\]{1,100})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")  # RFC 8259 §6
_STRING = r'"(?:[^"\\]|\\.)*+"' + r"|'(?:[^'\\]|\\.)*+'"
_COMMENT = r"//[^\n\r\u2028\u2029]*+|/\*.*?\*/"
_TOKEN = re.compile(
    rf"{_STRING}|{_COMMENT}|(?P<colon>:)|(?P<end>[,}}\]])|(?P<word>[^\s\ufeff\"'/,:\[\]{{}}]++)", re.DOTALL
)
_JSON5_POSITION = re.compile(r"\A(?:.*?(?P<number>NumericLiteral))?.*?near (?P<at>\d{1,9})", re.DOTALL)


class Body:
    """The body of one request, without its gzip. It can be read once: piece by piece, whole, or as JSON.

    ``read`` returns its next bytes, b"" at the end. Every reader raises InvalidArgument for a Content-Encoding that is
    neither gzip nor none, and for gzip that is damaged.
    """

    def __init__(self, read: Callable[[], bytes] = lambda: b"", headers: Headers | None = None) -> None:
        self._headers = Headers() if headers is None else headers
        self._source = read
        self._read: Callable[[], bytes] | None = None
        self._object: dict[str, Any] | None = None

    @classmethod
    def of(cls, value: dict[str, Any]) -> Body:
        """A body that this server makes itself: a JSON object."""
        body = cls()
        body._object = value
        return body

    @classmethod
    def of_bytes(cls, data: bytes, headers: Headers) -> Body:
        """A body that has been received whole."""
        rest = iter((data,))
        return cls(lambda: next(rest, b""), headers)

    def reader(self) -> Callable[[], bytes]:
        """A ``read()`` that returns the next decoded bytes, b"" at the end."""
        if self._read is None:
            self._read = decode(self._source, self._headers)
        return self._read

    def chunks(self) -> Iterator[bytes]:
        read = self.reader()
        while piece := read():
            yield piece

    def whole(self, most: int = MAX_BODY_BYTES) -> bytes:
        """All of it. Raises InvalidArgument for more than ``most`` bytes."""
        pieces, size = [], 0
        for piece in self.chunks():
            size += len(piece)
            if size > most:
                raise too_large(most)
            pieces.append(piece)
        return b"".join(pieces)

    def text(self, most: int = MAX_BODY_BYTES) -> str:
        """All of it as text. Raises InvalidArgument."""
        return decode_text(self.whole(most), charset_of(self._headers.get("content-type", "")))

    def json_value(self, most: int, values: int) -> Any:
        """Strict JSON, with whole numbers of any length (see ``parse_json``). Raises InvalidArgument."""
        text = self.text(most)
        try:
            require_few_values(text, values)
            return parse_json(text)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"the request body cannot be read as JSON{locate_fault(error)}") from None

    def json_object(self) -> dict[str, Any]:
        """The JSON object in the body, ``{}`` for an empty one; read once. Raises InvalidArgument."""
        if self._object is None:
            self._object = parse_object(self.text())
        return self._object


def too_large(most: int) -> InvalidArgument:
    return InvalidArgument(f"the request body is larger than {most} bytes, the most that is accepted here")


# --- encodings


def decode(read: Callable[[], bytes], headers: Headers) -> Callable[[], bytes]:
    """``read`` without the Content-Encoding (RFC 9110 §8.4). Raises UnsupportedMediaType for another one."""
    text = ",".join(headers.getlist("content-encoding"))
    codings = [name for part in text.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not codings:
        return read
    if codings not in (["gzip"], ["x-gzip"]):
        raise UnsupportedMediaType(f"Content-Encoding {text[:100]!r} is not supported; use gzip, once, or none")
    return Gunzip(read).read


# --- JSON


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object, ``{}`` for no text. Raises InvalidArgument."""
    text = text.strip()
    value = _parse(text) if text else {}
    if not isinstance(value, dict):
        raise InvalidArgument("the request body must be a JSON object")
    _require_shallow(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidArgument("the request body holds half of a surrogate pair, which is no character") from None
    except ValueError:
        raise InvalidArgument("the request body holds a number of too many digits") from None
    return value


def _parse(text: str) -> Any:
    try:
        require_few_values(text, MAX_VALUES)
        return json.loads(text, parse_float=_finite, parse_constant=refuse_number)
    except NoNumber as error:
        raise InvalidArgument(f"the request body is not valid JSON{locate_fault(error)}") from None
    except TooManyValues as error:
        first = _FIRST_FIELD.match(text)
        begin = f", beginning with the field {first[1][:100]!r}" if first else ""
        raise InvalidArgument(f"the request body cannot be read as JSON{locate_fault(error)}{begin}") from None
    except (json.JSONDecodeError, RecursionError) as error:
        strict = error
    except ValueError:
        raise InvalidArgument("the request body holds a number of too many digits") from None
    if len(text) > _MAX_LENIENT:
        raise InvalidArgument(f"the request body is not valid JSON{locate_fault(strict)}")
    try:
        value = pyjson5.decode(text, MAX_DEPTH)
        _require_numbers(text)
    except pyjson5.Json5Exception as error:
        raise InvalidArgument(f"the request body is not valid JSON: {_describe(error, text)}") from None
    except NoNumber as error:
        raise InvalidArgument(f"the request body is not valid JSON{locate_fault(error)}") from None
    return value


def _finite(text: str) -> float:
    """A number too large for 64 bits would become Infinity, and no JSON could hold what was read. Raises NoNumber."""
    number = float(text)
    return number if isfinite(number) else refuse_number(text)


def _require_numbers(text: str) -> None:
    """Leniency is for quotes, commas, comments and names without quotes; numbers are those of RFC 8259 (§6).

    ``text`` has been read as JSON5, so its strings and comments are closed. Raises NoNumber.
    """
    word = ""
    for found in _TOKEN.finditer(text):
        if found.lastgroup == "word":
            word = found["word"]
        elif found.lastgroup == "colon":
            word = ""  # it was a name
        elif found.lastgroup == "end" and word:
            _require_number(word)
            word = ""


def _require_number(word: str) -> None:
    if word in ("true", "false", "null"):
        return
    if not _NUMBER.fullmatch(word):
        raise NoNumber(word)
    _finite(word)


def _describe(error: pyjson5.Json5Exception, text: str) -> str:
    """What is wrong, in our words. The library names the place in its message, in characters from 1."""
    if isinstance(error, pyjson5.Json5NestingTooDeep):
        return f"it is nested more than {MAX_DEPTH} deep"
    place = _JSON5_POSITION.search(str(error.args[0]) if error.args else "")
    at = max(0, int(place["at"]) - 1) if place else 0
    where = f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
    if place and place["number"]:
        return f"the number at {where} is none of JSON (RFC 8259 §6)"
    if isinstance(error, pyjson5.Json5EOF):
        return f"what begins at {where} is not closed"
    if isinstance(error, pyjson5.Json5ExtraData):
        return f"at {where}, more follows after its end"
    return f"at {where}, a character cannot stand there"


def _require_shallow(value: Any) -> None:
    """What is stored must be readable again, however deep the stack is then."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [child for each in inner for child in each if isinstance(child, (dict, list))]
        if not level:
            return
    raise InvalidArgument(f"the request body is nested more than {MAX_DEPTH} deep")
