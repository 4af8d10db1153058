"""Directories that stand for projects or datasets of BigQuery (the setting ``bigquery``)."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gantry.errors import InvalidArgument, StatusError
from gantry.storage.disks import Disk
from gantry.storage.warehouse.local_stream import LocalStream
from gantry.storage.warehouse.local_table import LocalTable
from gantry.storage.warehouse.places import HIDDEN, OWNER, TablePlace, read_replaced
from gantry.system_errors import describe_os_error
from gantry.table_address import TableAddress
from gantry.table_seams import NO_WAREHOUSE, ExportTable, StreamTable

logger = logging.getLogger(__name__)

GRACE_SECONDS = 900
"""From the moment a version was replaced until it is removed: queries that read it come to their end."""

_MAX_FILE_NAME = 200  # bytes: the names of file systems have 255
_UNOWNED_SECONDS = 3600  # of what a crash has left before it had an owner


@dataclass(frozen=True)
class LocalWarehouse:
    """``roots``: ``PROJECT`` or ``PROJECT.DATASET`` → directory. ``index`` tells the operations of this server's index
    from those of others that write to the same directories. See ``table_seams.Warehouse``."""

    roots: Mapping[str, str]
    index: str

    def require(self, address: TableAddress) -> None:
        if self._find_root(address) is None:
            NO_WAREHOUSE.require(address)
        if len(address.table.encode()) > _MAX_FILE_NAME or len(address.dataset) > _MAX_FILE_NAME:
            raise InvalidArgument(f"{str(address)[:100]}…: in a directory, names have at most {_MAX_FILE_NAME} bytes")

    def open(self, address: TableAddress, key: str, owner: str, attempt: int) -> ExportTable:
        place, disk = self._find_place(address)
        return LocalTable(place, key, f"{self.index} {owner}", attempt, disk)

    def _find_place(self, address: TableAddress) -> tuple[TablePlace, Disk]:
        self.require(address)
        root, base = self._find_root(address) or ("", "")
        disk = Disk(f"the directory of the tables of {address.project}.{address.dataset}", os.fsencode(root))
        try:
            os.stat(root)
        except OSError as error:
            raise disk.away(f"cannot be used: {describe_os_error(error)}") from None
        return TablePlace(Path(os.path.realpath(base)), address.dataset, address.table), disk

    def covers(self, address: TableAddress) -> bool:
        return self._find_root(address) is not None

    def find_directory(self, address: TableAddress) -> str:
        return (self._find_root(address) or ("", ""))[0]

    def open_stream(self, address: TableAddress, key: str, owner: str) -> StreamTable:
        place, disk = self._find_place(address)
        # Who has been given up, and goes on all the same, has another attempt, and writes nothing.
        return LocalStream(place, key, f"{self.index} {owner}", time.time_ns() // 1_000_000, disk)

    def _find_root(self, address: TableAddress) -> tuple[str, str] | None:
        """The directory of the settings, and that of the dataset."""
        own = self.roots.get(f"{address.project}.{address.dataset}")
        if own is not None:
            return own, own
        above = self.roots.get(address.project)
        return None if above is None else (above, os.path.join(above, address.dataset))

    def sweep(self, is_over: Callable[[str], bool]) -> None:
        for hidden in self._list_hidden():
            try:
                _sweep_table(hidden, self._is_over(is_over))
            except OSError as error:
                logger.warning("what exports have left in %s stays for now: %s", hidden, describe_os_error(error))
            except StatusError as error:
                logger.warning("what exports have left in %s stays for now: %s", hidden, error.message)

    def _is_over(self, is_over: Callable[[str], bool]) -> Callable[[str], bool]:
        """Nobody here knows of an operation of another index."""

        def check(text: str) -> bool:
            index, _, owner = text.partition(" ")
            return index == self.index and is_over(owner)

        return check

    def _list_hidden(self) -> Iterator[Path]:
        for name, root in self.roots.items():
            bases = [Path(root)] if "." in name.rpartition(":")[2] else sorted(Path(root).glob("*"))
            for base in bases:
                yield from (path for path in sorted(base.glob(f"{HIDDEN}/*")) if path.is_dir())


def _sweep_table(hidden: Path, is_over: Callable[[str], bool]) -> None:
    """Raises OSError, and FailedPrecondition where the table's name is taken by something else."""
    link = hidden.parent.parent / hidden.name
    current = TablePlace(link.parent, "", link.name).read_link()
    shown = os.lstat(link).st_mtime if current else 0.0
    replaced = _find_replaced(hidden)
    for path in sorted(hidden.iterdir()):
        if path.name.startswith(("op-", ".op-")):
            if _is_left(path, is_over):
                shutil.rmtree(path)
        elif path.name.startswith("v-") and path.name.removesuffix(".json") != current:
            _remove_old(path, replaced.get(path.name.removesuffix(".json"), shown))


def _find_replaced(hidden: Path) -> dict[str, float]:
    """When versions were replaced: a table that follows a store has another one every few seconds."""
    found: dict[str, float] = {}
    for path in hidden.glob("v-*.json"):
        with suppress(FileNotFoundError):
            name = read_replaced(path)
            found[name] = max(path.stat().st_mtime, found.get(name, 0.0))
    return found


def _remove_old(path: Path, replaced: float) -> None:
    """A version, or what is known of it. Where nobody says when it was replaced it was when the link was set."""
    if time.time() - max(replaced, path.stat().st_mtime) > GRACE_SECONDS:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_left(path: Path, is_over: Callable[[str], bool]) -> bool:
    with suppress(FileNotFoundError):
        return is_over((path / OWNER).read_text(encoding="utf-8"))
    return time.time() - path.stat().st_mtime > _UNOWNED_SECONDS
