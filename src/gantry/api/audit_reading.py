"""Reads the audit log that ``audit`` writes: the latest lines first, a bounded part of the file at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, NamedTuple

from gantry.errors import Unavailable
from gantry.system_errors import describe_os_error

MAX_READ = 4 << 20
"""Bytes that one page reads, some 6,000 lines: a page that finds nothing there says so, and leads on."""
_BLOCK, _AFTER = 64 << 10, 256 << 10  # bytes of one read, and of those in which the end of a call is looked for
_DISORDER = 64 << 10  # bytes of lines that are too old, until all before them are: a clock may have been behind
_TIME = re.compile(rb'"timestamp": "([^"]{10,40})"')
_LAST = re.compile(rb'"operation": \{"id": "([^"]+)", "last": true')
_METHODS = re.compile(r"google\.cloud\.healthcare\.[^.]+\.projects\.locations\.")


class AuditLine(NamedTuple):
    """A call. ``offset`` is where its line begins, in bytes. ``who`` is "" where nobody was known; ``project`` is "-"
    where the call is of none. ``is_open``: it has begun, and no outcome is written: it goes on, or the server died."""

    offset: int
    time: datetime
    who: str
    method: str
    resource: str
    project: str
    address: str
    code: int
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """``words`` stand in every line that is wanted, whatever their case: most others are passed over unread. ``since``
    and ``until`` are times in ISO 8601 and UTC, "" for none; ``until`` is the first that is not wanted."""

    words: Sequence[str] = ()
    since: str = ""
    until: str = ""
    matches: Callable[[AuditLine], bool] = lambda line: True


class AuditPage(NamedTuple):
    """``before`` is where the next page begins; 0 where nothing older is wanted, or there."""

    lines: list[AuditLine]
    before: int


def read_audit(path: str, wanted: Wanted, limit: int, before: int | None = None) -> AuditPage:
    """Up to ``limit`` lines that begin before an offset, the latest first. Raises Unavailable."""
    try:
        with open(path, "rb") as file:
            return _Reader(file, wanted).read(limit, before)
    except FileNotFoundError:  # it was moved away, and the next line makes a new one
        return AuditPage([], 0)
    except OSError as error:
        raise Unavailable(f"the audit log cannot be read: {describe_os_error(error)}") from None


class _Reader:
    def __init__(self, file: IO[bytes], wanted: Wanted) -> None:
        self._file, self._wanted = file, wanted
        self._words = [re.compile(re.escape(_as_json(word)), re.IGNORECASE) for word in wanted.words]
        self._size = file.seek(0, 2)
        self._ended: set[str] = set()

    def read(self, limit: int, before: int | None) -> AuditPage:
        end = self._find_end() if before is None else min(before, self._size)
        self._ended = self._find_ends(end)
        found: list[AuditLine] = []
        reached, old = max(0, end - MAX_READ), 0  # a gap that a power cut has left may have no line
        for reached, raw in self._walk(end):
            old = old + len(raw) if self._is_too_old(raw) else 0
            if old > _DISORDER:
                return AuditPage(found, 0)
            line = self._read_line(reached, raw)
            if line is not None:
                found.append(line)
                if len(found) == limit:
                    break
        return AuditPage(found, reached)

    def _find_end(self) -> int:
        """Where the lines of ``until`` begin, or a little later: lines stand in the order of time, nearly."""
        low, high = 0, self._size
        while self._wanted.until and high - low > _BLOCK:
            middle = (low + high) // 2
            time = self._read_time(middle)
            low, high = (middle, high) if time and time < self._wanted.until else (low, middle)
        return min(self._size, high + _BLOCK) if self._wanted.until else self._size

    def _read_time(self, offset: int) -> str:
        """That of the first line that has one behind an offset."""
        self._file.seek(offset)
        found = _TIME.search(self._file.read(_BLOCK))
        return found[1].decode() if found else ""

    def _find_ends(self, offset: int) -> set[str]:
        """The ids of calls whose last line stands behind an offset: they have ended wherever their first one stands."""
        self._file.seek(offset)
        return {found[1].decode() for found in _LAST.finditer(self._file.read(_AFTER))}

    def _walk(self, end: int) -> Iterator[tuple[int, bytes]]:
        """Lines and their offsets, from the end backwards, of at most ``MAX_READ`` bytes."""
        at, rest, stop = end, b"", max(0, end - MAX_READ)
        while at > stop:
            size = min(_BLOCK, at)
            at -= size
            self._file.seek(at)
            rest, *lines = (self._file.read(size) + rest).split(b"\n")
            place = at + len(rest) + 1 + sum(len(line) + 1 for line in lines)
            for line in reversed(lines):
                place -= len(line) + 1
                if line.strip():
                    yield place, line
        if at == 0:
            yield 0, rest

    def _is_in_time(self, time: str) -> bool:
        return time >= self._wanted.since and not (self._wanted.until and time >= self._wanted.until)

    def _is_too_old(self, raw: bytes) -> bool:
        found = _TIME.search(raw) if self._wanted.since else None
        return found is not None and found[1].decode() < self._wanted.since

    def _read_line(self, offset: int, raw: bytes) -> AuditLine | None:
        """None for what is not wanted, and for a line that a crash or another program has spoilt."""
        if b'"last": true' in raw:
            self._ended.update(found[1].decode() for found in _LAST.finditer(raw))
        text = raw.decode("utf-8", "replace")
        if not all(word.search(text) for word in self._words):
            return None
        try:
            line = _parse(offset, json.loads(text), self._ended)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if line is None or not self._is_in_time(line.time.isoformat()):
            return None
        return line if self._wanted.matches(line) else None


def _as_json(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)[1:-1]


def _parse(offset: int, entry: dict[str, Any], ended: set[str]) -> AuditLine | None:
    """None for the first of two lines of a call that has ended."""
    part = entry.get("operation", {})
    if part.get("first") and part.get("id") in ended:
        return None
    payload = entry["protoPayload"]
    return AuditLine(
        offset,
        datetime.fromisoformat(entry["timestamp"]),
        str(payload["authenticationInfo"].get("principalEmail", "")),
        _METHODS.sub("", str(payload["methodName"])),
        str(payload["resourceName"]),
        str(entry["resource"]["labels"]["project_id"]),
        str(payload["requestMetadata"].get("callerIp", "")),
        int(payload["status"].get("code", 0)),
        bool(part.get("first")),
    )
