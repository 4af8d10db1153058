"""The objects of the server, and their listings."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stored:
    data: bytes
    tag: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """One line of a listing: an object, or a folder (without ``stored``)."""

    key: bytes
    stored: Stored | None = None


class Bucket:
    def __init__(self) -> None:
        self.objects: dict[bytes, Stored] = {}
        self.keys: list[bytes] = []
        self.uploads: dict[str, tuple[bytes, dict[int, bytes], dict[str, str]]] = {}

    def put(self, key: bytes, data: bytes, headers: dict[str, str], tag: str = "") -> Stored:
        if key not in self.objects:
            insort(self.keys, key)
        made = Stored(data, tag or make_tag(data), headers)
        self.objects[key] = made
        return made

    def delete(self, key: bytes) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def list(self, prefix: bytes, after: bytes, delimiter: bytes, limit: int) -> tuple[list[Entry], bytes]:
        """Entries behind the key ``after``, and where the next page begins; b"" after the last."""
        found: list[Entry] = []
        last = b""
        at = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            if len(found) == limit:
                return found, last
            key = self.keys[at]
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                found.append(Entry(key, self.objects[key]))
                last, at = key, at + 1
            else:
                found.append(Entry(key[: end + 1]))
                last = key[: end + 1] + b"\xff"
                at = bisect_right(self.keys, last)
        return found, b""


def make_tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
