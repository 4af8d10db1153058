"""Listings of a bucket: sorted, without repetitions, and from any key on, whatever the server makes of that."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.errors import FailedPrecondition
from gantry.resources import ObjectMeta
from gantry.seams import Check
from gantry.storage.remote.client import Client

_LAST = "\U0010ffff"  # behind every other character in UTF-8


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
        if level < depth:
            yield from list_level(client, inside, start_after, depth, check)
        start_after = inside + _LAST
    for entry in _list_entries(client, prefix, start_after, True, check):
        if isinstance(entry, ObjectMeta):
            yield entry
        elif level < depth and entry != inside:
            yield from list_level(client, entry, "", depth, check)


def list_folders(client: Client, prefix: str, limit: int, check: Check) -> list[str]:
    found: list[str] = []
    for entry in _list_entries(client, prefix, "", True, check):
        if isinstance(entry, str):
            found.append(entry)
            if len(found) == limit:
                break
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
    last, least, token = b"", start_after.encode(), ""
    seen: set[bytes] = set()  # keys of the page before: some servers send a page twice
    while True:
        check()
        page = client.list_page(prefix, start_after, token, folders)
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
            if not (isinstance(entry, ObjectMeta) and not entry.size and entry.key.endswith("/")):
                yield entry
        token, seen = page.token, set(map(_bytes_of, entries))
        if not token:
            return


def _bytes_of(entry: ObjectMeta | str) -> bytes:
    return (entry.key if isinstance(entry, ObjectMeta) else entry).encode()
