"""The projects of BigQuery that the settings name, and what exports into them have left."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.errors import StatusError
from gantry.storage.bigquery.places import BigQueryPlace, find_place
from gantry.storage.disks import Disk
from gantry.table_address import TableAddress
from gantry.table_seams import NO_WAREHOUSE, ExportTable, StreamTable

logger = logging.getLogger(__name__)

_UNOWNED_SECONDS = 3600  # of what a crash has left before it had an owner
_OWNER = "owner"


@dataclass(frozen=True)
class BigQueryWarehouse:
    """``staging``: the directory of the server where rows wait. See ``table_seams.Warehouse``."""

    places: Sequence[BigQueryPlace]
    staging: Path

    def covers(self, address: TableAddress) -> bool:
        return find_place(self.places, address.project) is not None

    def find_directory(self, address: TableAddress) -> str:
        return ""

    def require(self, address: TableAddress) -> None:
        """Asks BigQuery: what cannot be written is refused at once. Raises NotFound, PermissionDenied, BucketAway."""
        self._open(address, "", "", 0).require()

    def open(self, address: TableAddress, key: str, owner: str, attempt: int) -> ExportTable:
        made: ExportTable = self._open(address, key, owner, attempt)
        return made

    def open_stream(self, address: TableAddress, key: str, owner: str) -> StreamTable:
        from gantry.storage.bigquery.bigquery_stream import BigQueryStream

        place, disk = self._find(address)
        attempt = time.time_ns() // 1_000_000
        made: StreamTable = BigQueryStream(place, address, key, f"{owner}\n{address}", attempt, self.staging, disk)
        return made

    def _open(self, address: TableAddress, key: str, owner: str, attempt: int) -> Any:
        from gantry.storage.bigquery.bigquery_table import BigQueryTable

        place, disk = self._find(address)
        return BigQueryTable(place, address, key, f"{owner}\n{address}", attempt, self.staging, disk)

    def _find(self, address: TableAddress) -> tuple[BigQueryPlace, Disk]:
        place = find_place(self.places, address.project)
        if place is None:
            NO_WAREHOUSE.require(address)
            raise AssertionError("unreachable")
        return place, Disk("the directory for rows that wait for BigQuery", os.fsencode(self.staging))

    def sweep(self, is_over: Callable[[str], bool]) -> None:
        for path in sorted(self.staging.glob("op-*")):
            try:
                self._sweep(path, is_over)
            except StatusError as error:
                logger.warning("what an export has left in BigQuery stays for now: %s", error.message)

    def _sweep(self, path: Path, is_over: Callable[[str], bool]) -> None:
        owner, address = "", ""
        with suppress(OSError):
            owner, _, address = (path / _OWNER).read_text(encoding="utf-8").partition("\n")
        if owner and is_over(owner):
            key, _, attempt = path.name.removeprefix("op-").rpartition("-")
            self.open(TableAddress.parse(address), key, owner, int(attempt)).discard()
        elif not owner and time.time() - path.stat().st_mtime > _UNOWNED_SECONDS:
            with suppress(OSError):
                path.rmdir()
