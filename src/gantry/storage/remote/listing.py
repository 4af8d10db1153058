"""Listings of a bucket: sorted, without repetitions, and from any key on, whatever the server makes of that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from gantry.errors import FailedPrecondition
from gantry.resources import ObjectMeta
from gantry.storage.remote.client import Client
from gantry.storage.remote.names import encode_key, find_text, with_problem
from gantry.storage.remote.provider import LAST, Page
from gantry.storage.uris import is_text
from gantry.worker_calls import Check

_MOST_REPEATED = 10  # times that a page may be followed by itself
MOST_IDLE = 10_000
"""Pages in a row without a new key, after which there will be none. A few are no fault: servers look through what was
deleted, and answer before they have found a key."""


def list_all(client: Client, prefix: str, start_after: str, check: Check) -> Iterator[ObjectMeta]:
    """Every object whose key begins with ``prefix``, in the order of the bytes of the keys."""
    for entry in _list_entries(client, prefix, start_after, False, check):
        if isinstance(entry, ObjectMeta):
            yield entry


def list_level(client: Client, prefix: str, start_after: str, depth: int, check: Check) -> Iterator[ObjectMeta]:
    """Those with at most ``depth`` separators: what lies deeper is never asked for."""
    level = prefix.count("/")
    if level > depth:
        return
    inside = _find_folder(prefix, start_after)
    if inside:
        # It has begun in a folder of this level: that one first, then what follows it.
        if level < depth and is_text(inside):
            yield from list_level(client, inside, start_after, depth, check)
        start_after = inside + LAST
    for entry in _list_entries(client, prefix, start_after, True, check):
        if isinstance(entry, ObjectMeta):
            yield entry
        elif level < depth and entry != inside:
            if is_text(entry):
                yield from list_level(client, entry, "", depth, check)
            else:
                yield with_problem(ObjectMeta(entry, 0))  # no request can ask for what is in it


def list_folders(client: Client, prefix: str, limit: int, check: Check) -> list[str]:
    """The first ``limit`` folders directly below ``prefix``."""
    if not client.place.is_sorted:
        return _sort_folders(client, prefix, limit, check)
    entries = _list_entries(client, prefix, "", True, check)
    return list(islice((entry for entry in entries if isinstance(entry, str) and is_text(entry)), limit))


def _sort_folders(client: Client, prefix: str, limit: int, check: Check) -> list[str]:
    """Of a server that does not sort: every page is read, and no more than a page and ``limit`` folders are held."""
    found: list[str] = []
    progress = Progress(client)
    for page in read_pages(client, prefix, "", True, check):
        progress.note(not set(found).issuperset(page.folders))
        found = sorted({*found, *filter(is_text, page.folders)}, key=str.encode)[:limit]
    return found


def _find_folder(prefix: str, start_after: str) -> str:
    """The folder directly below ``prefix`` that a key lies in; "" where it lies in none."""
    if not start_after.startswith(prefix) or "/" not in start_after[len(prefix) :]:
        return ""
    return start_after[: start_after.index("/", len(prefix)) + 1]


def _list_entries(
    client: Client, prefix: str, start_after: str, folders: bool, check: Check
) -> Iterator[ObjectMeta | str]:
    """Objects, and folders as their keys. Markers of folders, which have no bytes, are left out."""
    last, least = b"", encode_key(start_after)
    seen: set[bytes] = set()  # keys of the page before: some servers send a page twice
    progress, furthest = Progress(client), b""
    for page in read_pages(client, prefix, start_after, folders, check):
        entries: list[ObjectMeta | str] = [*page.objects, *page.folders]
        if page.folders:
            entries.sort(key=_bytes_of)
        for entry in entries:
            key = _bytes_of(entry)
            if key <= least or key == last or key in seen:
                continue  # of a server that ignores where to begin, or repeats a key or a page
            if key < last:
                raise FailedPrecondition(
                    f"bucket {client.place.address} does not list its keys in the order of their bytes",
                    advice="set is_sorted = false for it in the settings",
                )
            last = key
            if isinstance(entry, str) or not is_marker(entry):
                yield entry
        seen = set(map(_bytes_of, entries))
        reached = max(seen, default=b"")
        progress.note(reached > furthest)
        furthest = max(reached, furthest)


class Progress:
    """Of a listing whose tokens are new with each page."""

    def __init__(self, client: Client) -> None:
        self._client, self._idle = client, 0

    def note(self, is_new: bool) -> None:
        """Whether a page had a new key. Raises FailedPrecondition where too many in a row had none."""
        self._idle = 0 if is_new else self._idle + 1
        if self._idle >= MOST_IDLE:
            raise make_endless(self._client, f"{self._idle:,} pages in a row have had no new object")


def make_endless(client: Client, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the listing of bucket {client.place.address} has no end: {why}",
        advice="this is a fault of the object storage",
    )


def read_pages(client: Client, prefix: str, start_after: str, folders: bool, check: Check) -> Iterator[Page]:
    """All pages of a listing as the server sends them. Raises FailedPrecondition where they have no end, because the
    server comes back to a page that it has sent before."""
    token, tokens = "", _Tokens()
    while True:
        check()
        page = client.list_page(prefix, find_text(start_after), token, folders, check=check)
        if page.token and tokens.come_again(page.token):
            raise make_endless(client, "the object storage sends the same pages again and again")
        yield page
        if not page.token:
            return
        token = page.token


class _Tokens:
    """Those of one listing, in bounded memory: one of them is kept, and after twice as many pages a later one, so that
    a circle of any length is noticed within a few rounds (R. P. Brent, BIT 20, 1980, §2)."""

    def __init__(self) -> None:
        self._last, self._repeated = "", 0
        self._kept, self._pages, self._most = "", 0, 1

    def come_again(self, token: str) -> bool:
        """Whether the listing goes in a circle. Some servers send a page twice, and then go on."""
        if token == self._last:
            self._repeated += 1
            return self._repeated == _MOST_REPEATED
        self._last, self._repeated = token, 0
        if token == self._kept:
            return True
        self._pages += 1
        if self._pages == self._most:
            self._kept, self._pages, self._most = token, 0, 2 * self._most
        return False


def is_marker(found: ObjectMeta) -> bool:
    """Whether an object stands for a folder: programs that show folders write such ones."""
    return not found.size and found.key.endswith("/")


def _bytes_of(entry: ObjectMeta | str) -> bytes:
    return encode_key(entry.key if isinstance(entry, ObjectMeta) else entry)
