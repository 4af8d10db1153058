"""What the DICOM stores are called whose blobs lie in a place: ``ROOT/PLACE.stores``, beside the blobs' directory.

One line of JSON for each: ``{"store": 1, "name": "projects/…"}``, or ``{"store": 1, "deleted": true}`` later. A store
has its line before its first blob, so that an index that is lost can be made again with the right names.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from gantry.durable_files import sync_directory
from gantry.errors import FailedPrecondition, StatusError
from gantry.names import DicomStoreName, parse_dicom_store_name
from gantry.storage.disks import Disk
from gantry.storage.generation_marks import mark_path
from gantry.system_errors import describe_os_error

Names = Callable[[Collection[int]], Mapping[int, DicomStoreName]]
"""The names of stores by their numbers, as the index has them; without those that are deleted."""


def records_name(place: str) -> str:
    return f"{place}.stores"


def records_path(root: str, place: str) -> Path:
    return Path(root) / records_name(place)


def read_records(root: str, place: str) -> dict[int, DicomStoreName | None]:
    """By number; None for a store that was deleted. A line that was cut is left out. Raises FailedPrecondition."""
    return parse_records(read_text(root, place))


def read_text(root: str, place: str) -> str:
    """The records as they stand in the file; "" where there is none. Raises FailedPrecondition."""
    path = records_path(root, place)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be read: {describe_os_error(error)}") from None


def parse_records(text: str) -> dict[int, DicomStoreName | None]:
    found: dict[int, DicomStoreName | None] = {}
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError, StatusError):
            record = json.loads(line)
            found[int(record["store"])] = None if "deleted" in record else parse_dicom_store_name(record["name"])
    return found


def merge_records(root: str, place: str, text: str) -> None:
    """Add what ``text`` knows and the file does not: a newer one says more, and a store that was deleted stays so.
    Raises FailedPrecondition."""
    known, others = read_records(root, place), parse_records(text)
    new = {number: name for number, name in others.items() if number not in known or (name is None and known[number])}
    try:
        _append(root, place, [_record(number, name) for number, name in new.items()] if new else [])
    except StatusError as error:
        raise FailedPrecondition(f"{records_path(root, place)} cannot be written: {error.what}") from None


def add_records(text: str, new: Mapping[int, DicomStoreName | None]) -> str:
    """``text`` with lines for what it does not say of ``new``; the others stay, which may be another server's."""
    known = parse_records(text)
    return text + _format(
        [_record(number, name) for number, name in new.items() if number not in known or known[number] != name]
    )


def _record(store_id: int, name: DicomStoreName | None) -> dict[str, object]:
    return {"store": store_id, "deleted": True} if name is None else {"store": store_id, "name": str(name)}


class LocalStoreRecords:
    """The records of all places. Safe to use from many threads. ``places``: place → root."""

    def __init__(self, places: Mapping[str, str], names: Names) -> None:
        """Raises FailedPrecondition."""
        self._places, self._names = places, names
        self._locks = {place: threading.Lock() for place in places}  # a disk that hangs holds up its own blobs alone
        self._known = {place: read_records(root, place) for place, root in places.items()}
        self._kept: dict[str, set[int]] = {place: set() for place in places}
        self._synced: set[str] = set()

    def keep(self, store_ids: Collection[int], place: str) -> None:
        """Return when the names of these stores are durable in the place. Raises ResourceExhausted, DiskAway."""
        kept, known = self._kept[place], self._known[place]
        if kept.issuperset(store_ids):
            return
        with self._locks[place]:
            names = self._names([each for each in store_ids if each not in kept])
            new = {number: name for number, name in names.items() if known.get(number) != name}
            self._append(place, [_record(number, name) for number, name in new.items()])
            known.update(new)
            kept.update(names)

    def forget(self, store_id: int) -> None:
        """The store was deleted: nothing of it is to come back. Raises the first error, after all other places."""
        failed: StatusError | None = None
        for place in self._places:
            try:
                self._forget_in(place, store_id)
            except StatusError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _forget_in(self, place: str, store_id: int) -> None:
        with self._locks[place]:
            self._kept[place].discard(store_id)
            known = self._known[place]
            if store_id in known:
                self._append(place, [] if known[store_id] is None else [_record(store_id, None)])
                known[store_id] = None

    def _append(self, place: str, records: list[dict[str, object]]) -> None:
        """Return when these are durable, and those that were there at the start: who wrote them may have been killed
        before that."""
        if records or place not in self._synced:
            _append(self._places[place], place, records)
            self._synced.add(place)


def _format(records: list[dict[str, object]]) -> str:
    """A line that was cut by a crash must not swallow the next one, so each begins with the end of a line."""
    return "".join(f"\n{json.dumps(record)}" for record in records) + "\n" * bool(records)


def _append(root: str, place: str, records: list[dict[str, object]]) -> None:
    path = records_path(root, place)
    data = _format(records)
    disk = Disk(f"the directory of {place} blobs", os.fsencode(root))
    try:
        if not mark_path(root, place).exists():
            raise disk.away("is not there any more; it may not be mounted")
        with path.open("ab") as file:
            file.write(data.encode())
            file.flush()
            os.fsync(file.fileno())
        sync_directory(path.parent)
    except OSError as error:
        raise disk.translate_write_error(error, path.name) from None
