"""Where the files of a table lie.

    BASE/TABLE                      a link to the version that readers see
    BASE/DATASET.duckdb             views of all tables beside it
    BASE/.gantry/TABLE/v-KEY-N/     a version: nothing but Parquet files, NUMBER-KEY.ROWS.parquet
    BASE/.gantry/TABLE/v-KEY-N.json what is known of it
    BASE/.gantry/TABLE/op-KEY-N/    what the Nth attempt of an export has staged

Names with a dot in front are passed over by readers of directories.
"""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from gantry.errors import DataLoss, FailedPrecondition
from gantry.table_schema import dump_columns, load_columns
from gantry.table_seams import TableVersion

HIDDEN = ".gantry"
OWNER = "owner"
"""The file in the directory of an export that names its operation."""

_REPLACED, _HEAD = re.compile(rb'{"replaced":"([^"]*)"'), 512
_ROWS = re.compile(r".*\.([0-9]+)\.parquet")
_NAME = re.compile(r"v-[0-9a-z-]+")
_VERSION = re.compile(rf"{re.escape(HIDDEN)}/([^/]+)/({_NAME.pattern})")


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A table in the directory ``base`` of its dataset. All methods raise OSError."""

    base: Path
    dataset: str
    table: str

    @property
    def link(self) -> Path:
        return self.base / self.table

    @property
    def hidden(self) -> Path:
        return self.base / HIDDEN / self.table

    @property
    def database(self) -> Path:
        return self.base / f"{self.dataset}.duckdb"

    def read_link(self) -> str:
        """The name of the version that readers see, "" without one. Raises FailedPrecondition where something stands in
        the way that is no table of ours."""
        try:
            target = os.readlink(self.link)
        except FileNotFoundError:
            return ""
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no link
                raise
            target = ""
        found = _VERSION.fullmatch(target)
        if found is None or found[1] != self.table:
            raise FailedPrecondition(
                f"the name of table {self.dataset}.{self.table} is taken by a file or directory that is no table",
                advice="choose another name, or ask the administrator to remove it",
            )
        return found[2]

    def look(self) -> TableVersion | None:
        """The version that readers see."""
        name = self.read_link()
        return self.look_at(name) if name else None

    def look_at(self, name: str) -> TableVersion:
        """A version, which readers see or have seen. Raises FileNotFoundError where there is none any more, DataLoss
        where what is known of it is damaged."""
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        text = (self.hidden / f"{name}.json").read_bytes()
        try:
            about = json.loads(text)
            columns = load_columns(json.dumps(about["columns"]))
            return TableVersion(name, int(about["rows"]), columns, tuple(map(str, about["exports"])))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self.damaged("what is known of its columns cannot be read") from None

    def damaged(self, why: str) -> DataLoss:
        """The error of a table that is not whole."""
        return DataLoss(
            f"table {self.dataset}.{self.table} is damaged: {why}",
            advice="put it back from a backup, or ask the administrator to remove it, and export it again",
        )


def name_file(number: int, key: str, rows: int) -> str:
    """Of a Parquet file. No two exports have the same ``key``, so an old list of names never opens new files. ``rows``
    is negative where it is not known."""
    return f"{number:05}-{key}.{rows}.parquet" if rows >= 0 else f"{number:05}-{key}.parquet"


def count_rows(name: str) -> int:
    """Of a Parquet file, by its name; -1 where that does not say it: an older version has written it."""
    found = _ROWS.fullmatch(name)
    return -1 if found is None else int(found[1])


def write_about(version: TableVersion, replaced: str) -> bytes:
    """What ``look`` reads. ``replaced`` is the name of the version before, "" for none."""
    about = {"replaced": replaced, "rows": version.rows, "exports": version.exports}
    columns = {"columns": json.loads(dump_columns(version.columns))}
    return json.dumps(about | columns, separators=(",", ":")).encode()


def read_replaced(path: Path) -> str:
    """The name of the version that one has replaced, of which ``path`` says what is known. "" for none, and where an
    older Gantry has written it. Raises OSError."""
    with open(path, "rb") as file:  # the list of columns is long
        found = _REPLACED.match(file.read(_HEAD))
    return found[1].decode("ascii", "replace") if found is not None else ""
