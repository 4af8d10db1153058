"""Which tables there are in directories, and of which files they are made now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gantry.errors import DiskAway, FailedPrecondition, NotFound
from gantry.query_seams import Field, TableInfo
from gantry.storage.warehouse.places import HIDDEN, TablePlace
from gantry.system_errors import describe_os_error
from gantry.table_address import TableAddress
from gantry.table_schema import Columns

_TRIES = 3
"""Looks at a table whose version is replaced between two looks at it."""


class FoundTable(NamedTuple):
    """A table with its files, all in ``directory``."""

    info: TableInfo
    columns: Columns
    directory: Path
    files: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """``roots``: ``PROJECT`` or ``PROJECT.DATASET`` → directory, as in the setting ``bigquery``."""

    roots: Mapping[str, str]

    def list_projects(self) -> list[str]:
        return sorted({_project_of(name) for name in self.roots})

    def list_datasets(self, project: str) -> list[str]:
        """Raises DiskAway."""
        own = {name[len(project) + 1 :] for name in self.roots if name.startswith(f"{project}.")}
        root = self.roots.get(project)
        if root is not None:
            with _told(project):
                own |= {entry.name for entry in os.scandir(root) if _is_dataset(entry)}
        return sorted(own)

    def list_tables(self, project: str, dataset: str) -> list[str]:
        """Raises NotFound, DiskAway."""
        base = self._find_base(project, dataset)
        if base is None or dataset not in self.list_datasets(project):
            raise NotFound(f"Not found: Dataset {project}:{dataset}")
        with _told(f"{project}.{dataset}"):
            links = [entry.name for entry in os.scandir(base) if entry.is_symlink()]
            return sorted(name for name in links if self._is_table(base, dataset, name))

    def find(self, address: TableAddress, version: str = "") -> FoundTable:
        """As it is now, or was as this ``version``. Raises NotFound, DiskAway, DataLoss."""
        base = self._find_base(address.project, address.dataset)
        for left in reversed(range(_TRIES if base is not None else 0)):
            try:
                place = TablePlace(Path(os.path.realpath(str(base))), address.dataset, address.table)
                if found := _read(place, address, version):
                    return found
                break
            except FileNotFoundError:
                if not left and not version:
                    raise place.damaged("its files are gone") from None
                continue  # it was replaced meanwhile, and a while ago, too
            except FailedPrecondition:
                break
            except OSError as error:
                raise _away(f"{address.project}.{address.dataset}", error) from None
        raise NotFound(f"Not found: Table {address.project}:{address.dataset}.{address.table}")

    def look(self, address: TableAddress, version: str = "") -> TableInfo:
        """Raises NotFound, DiskAway."""
        return self.find(address, version).info

    def _find_base(self, project: str, dataset: str) -> str | None:
        own = self.roots.get(f"{project}.{dataset}")
        above = self.roots.get(project)
        return own if own is not None or above is None else os.path.join(above, dataset)

    def _is_table(self, base: str, dataset: str, name: str) -> bool:
        """Raises OSError."""
        try:
            return bool(TablePlace(Path(base), dataset, name).read_link())
        except FailedPrecondition:
            return False


def _project_of(name: str) -> str:
    """Old projects have a domain, with dots, before a colon."""
    domain, colon, rest = name.rpartition(":")
    return domain + colon + rest.partition(".")[0]


def _is_dataset(entry: os.DirEntry[str]) -> bool:
    """Raises OSError."""
    if entry.name.startswith(".") or not entry.is_dir():
        return False
    try:
        return stat.S_ISDIR(os.stat(os.path.join(entry.path, HIDDEN)).st_mode)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # it is not ours
        return False


def _read(place: TablePlace, address: TableAddress, wanted: str) -> FoundTable | None:
    """Raises OSError, FailedPrecondition for a name that is taken by something else."""
    version = place.look()
    if version is not None and wanted:
        version = place.look_at(wanted)
    if version is None:
        return None
    directory = place.hidden / version.name
    entries = sorted((entry for entry in os.scandir(directory)), key=lambda entry: entry.name)
    size = sum(entry.stat().st_size for entry in entries)
    moment = datetime.fromtimestamp(os.lstat(place.link).st_mtime, UTC)
    info = TableInfo(address, make_fields(version.columns), version.rows, size, moment, version.name)
    return FoundTable(info, version.columns, directory, tuple(entry.path for entry in entries))


def make_fields(columns: Columns) -> tuple[Field, ...]:
    return tuple(Field(each.name, each.type, each.mode, make_fields(each.fields)) for each in columns)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"Not found: the tables of {name}") from None
    except OSError as error:
        raise _away(name, error) from None


def _away(name: str, error: OSError) -> DiskAway:
    return DiskAway(f"the tables of {name} cannot be read now: {describe_os_error(error)}")


def without(roots: Mapping[str, str], projects: Sequence[str]) -> dict[str, str]:
    """The directories that are not of these projects."""
    return {name: root for name, root in roots.items() if _project_of(name) not in projects}
