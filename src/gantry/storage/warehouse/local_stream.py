"""A table in a directory that follows a store: a file is added again and again, and small ones are joined."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gantry.errors import Aborted, DiskAway, PermissionDenied
from gantry.storage.warehouse.local_table import LocalTable, translated
from gantry.storage.warehouse.places import count_rows
from gantry.storage.warehouse.stages import MAX_ROWS
from gantry.table_schema import Columns
from gantry.table_seams import TableFile, TablePlan, TableVersion

_TIER, _JOINED = 3, 16
"""Files of less than 8, 64, 512 … rows: sixteen of a kind are joined. So a row is written at most six times, and a
table has at most some ninety small files."""


@dataclass
class LocalStream(LocalTable):
    """See ``table_seams.StreamTable``. ``key`` is ``sSTREAM-ROWS``: a table remembers the last one of each stream."""

    is_limited, is_service = False, False
    _last: str = field(default="", repr=False)
    """The key of the stream that the table had last when ``is_added`` was asked."""

    @translated
    def require_writable(self, columns: Columns) -> None:
        self.place.look()
        above = next(path for path in (self.place.hidden, *self.place.hidden.parents) if path.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionDenied(
                f"{self.disk.name} cannot be written by this server", advice="give its user the right"
            )

    @translated
    def require_place(self) -> None:
        if not self.place.hidden.parent.is_dir():
            raise DiskAway(
                f"{self.disk.name} has none of the tables that were in it",
                advice="mount it where it was; if they are gone for good, remove the streamConfigs and set them again",
            )

    @translated
    def is_added(self) -> bool:
        self._last = self._find_last(self.place.look())
        return self._last == self.key

    def _find_last(self, version: TableVersion | None) -> str:
        stream = f"{_name_stream(self.key)}-"
        return next((key for key in version.exports if key.startswith(stream)), "") if version is not None else ""

    @translated
    def begin(self, kept: str) -> None:
        """What rows of the same stream have left that were given up is removed."""
        for path in self.place.hidden.glob(f"op-{_name_stream(self.key)}-*"):
            if not path.name.startswith(f"op-{self.key}-"):
                shutil.rmtree(path, ignore_errors=True)
        super().begin(kept)

    @translated
    def plan(self, fixed: Columns, appends: bool) -> TablePlan:
        plan = super().plan(fixed, appends)
        if self._find_last(plan.before) != self._last:  # whoever was frozen may have been given up
            raise Aborted(f"another server has added rows to {self.place.dataset}.{self.place.table} meanwhile")
        if plan.before is None:
            return plan
        files, links = [*plan.files], {*plan.links}
        older = [file.older for file in files if file.older] + [*plan.links]
        for names in list_joined(older):
            rows = sum(map(count_rows, names))
            files = [file for file in files if file.older not in names or not file.older]
            files.append(TableFile(max((file.number for file in files), default=0) + 1, rows, joined=names))
            links -= {*names}
        return plan._replace(files=tuple(files), links=tuple(sorted(links)))

    def _remember(self, older: Sequence[str]) -> tuple[str, ...]:
        stream = f"{_name_stream(self.key)}-"
        return super()._remember([key for key in older if not key.startswith(stream)])


def _name_stream(key: str) -> str:
    return key.partition("-")[0]


def list_joined(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Files that are to be one: of each kind that has too many, as many as there may be rows in one."""
    tiers: dict[int, list[str]] = {}
    for name in sorted(names):
        if 0 <= count_rows(name) < MAX_ROWS // 2:
            tiers.setdefault(count_rows(name).bit_length() // _TIER, []).append(name)
    for those in tiers.values():
        if len(those) >= _JOINED:
            joined = _take(those)
            if len(joined) > 1:
                yield joined


def _take(names: Sequence[str]) -> tuple[str, ...]:
    taken, rows = list[str](), 0
    for name in names:
        rows += count_rows(name)
        if rows > MAX_ROWS:
            break
        taken.append(name)
    return tuple(taken)
