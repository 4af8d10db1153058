"""The port of tables: what an export of metadata needs of the place where its rows go to. Adapters implement it.

A directory of Parquet files is one such place (``storage.warehouse``). Of BigQuery a stage is a file of lines of JSON,
a file a load job into a table of the export's own, and ``publish`` the copy of that table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from gantry.errors import FailedPrecondition
from gantry.table_address import TableAddress
from gantry.table_schema import Columns, TableRow


class TableVersion(NamedTuple):
    """A table as it is: ``name`` changes with all that is in it. ``exports`` are the keys of those that wrote it."""

    name: str
    rows: int
    columns: Columns
    exports: tuple[str, ...]


class TableFile(NamedTuple):
    """A piece of a table that is made in one call: of rows in ``stages``, or of what ``older`` has already, or of what
    all of the files ``joined`` have."""

    number: int
    rows: int
    stages: tuple[str, ...] = ()
    longest: int = 0
    older: str = ""
    joined: tuple[str, ...] = ()


class TablePlan(NamedTuple):
    """What a table is to become: ``files`` are to be written, ``links`` taken over from the version ``before``."""

    before: TableVersion | None
    columns: Columns
    files: tuple[TableFile, ...]
    links: tuple[str, ...]
    rows: int


class ExportTable(Protocol):
    """A table for one export into it. Rows are staged first, because all of them have to have the same columns; then
    files are made of them; ``publish`` shows them all at once. Can be pickled and sent to a worker.

    All that it keeps is durable on return. Raises NoRoom, DiskAway, and FailedPrecondition for what stands in the way.
    """

    key: str
    """What names the export, whatever server runs it."""

    @property
    def identity(self) -> str:
        """What tells this place from another one that stands there later."""
        ...

    def is_same(self, identity: str) -> bool:
        """Whether it is the place that had this ``identity`` before."""
        ...

    def look(self) -> TableVersion | None:
        """The table as it is now, None where there is none."""
        ...

    def begin(self, kept: str) -> None:
        """Begin an attempt. Of what earlier ones have staged only what sorts up to ``kept`` stays; none of their calls
        may run any more, and if one does, it writes nothing."""
        ...

    def stage(self, name: str, rows: Iterable[TableRow]) -> Sequence[str]:
        """Write rows to stages whose names begin with ``name``, which no other call has. They do
        not count before ``keep`` gets the names that this returns."""
        ...

    def keep(self, names: Collection[str], columns: Columns) -> None:
        """The rows in these stages are part of the export, which has these columns so far."""
        ...

    def plan(self, fixed: Columns, appends: bool) -> TablePlan:
        """Files of all rows that were kept, with the columns of all, and of the table before where it ``appends``."""
        ...

    def write_file(self, plan: TablePlan, file: TableFile) -> int:
        """Make one file; the number of its rows. To be called in a worker."""
        ...

    def publish(self, plan: TablePlan) -> bool:
        """Show what was planned, all at once, and remove what is left of the export. False, without any change, where
        the table is another one than ``plan.before`` by now."""
        ...

    def finish(self) -> None:
        """What is to be done after ``publish``, once more: a crash may have come between."""
        ...

    def discard(self) -> None:
        """Remove what the export has staged: it is over, and the table stays as it was."""
        ...


class StreamTable(ExportTable, Protocol):
    """A table that rows are added to, again and again: ``key`` names those that are added at once. Of these calls it
    is the first that shows them: ``write_file`` where ``is_service``, else ``publish``."""

    @property
    def is_limited(self) -> bool:
        """Rows may be added about once a minute, not more often."""
        ...

    is_service: bool
    """It is not on a disk of the server: ``write_file`` may wait for it, so no worker is to make the call."""

    def require_writable(self, columns: Columns) -> None:
        """Raises StatusError where rows could not be added now. May make the table with these columns."""
        ...

    def require_place(self) -> None:
        """To be called where rows were added before: raises DiskAway where another directory is in the place of that
        one, such as the mount point of a disk that is away."""
        ...

    def is_added(self) -> bool:
        """Whether the rows of this key are in the table, or were. Asked before ``begin``: where another server has
        added rows of this stream since, ``plan`` raises Aborted, and nothing is added."""
        ...


class Warehouse(Protocol):
    """The tables that the settings give a place."""

    def covers(self, address: TableAddress) -> bool:
        """Whether the settings give a table a place. Asks nobody."""
        ...

    def find_directory(self, address: TableAddress) -> str:
        """The directory of the settings that a table lies in, "" where it lies in none. Its disk may give no answer for
        any time. Asks nobody."""
        ...

    def open_stream(self, address: TableAddress, key: str, owner: str) -> StreamTable:
        """The table for rows of the stream ``owner`` that are added as ``key``. Raises FailedPrecondition, DiskAway."""
        ...

    def require(self, address: TableAddress) -> None:
        """Raises FailedPrecondition where the settings give a table no place."""
        ...

    def open(self, address: TableAddress, key: str, owner: str, attempt: int) -> ExportTable:
        """The table for the export ``key`` of the operation ``owner``. Raises FailedPrecondition, DiskAway."""
        ...

    def sweep(self, is_over: Callable[[str], bool]) -> None:
        """Remove what nobody needs any more: what operations that are over have staged, and versions of tables that
        were replaced a while ago, so that nobody reads them."""
        ...


class NoWarehouse:
    """Where no setting gives tables a place."""

    def covers(self, address: TableAddress) -> bool:
        return False

    def find_directory(self, address: TableAddress) -> str:
        return ""

    def open_stream(self, address: TableAddress, key: str, owner: str) -> StreamTable:
        """Raises FailedPrecondition."""
        self.require(address)
        raise AssertionError("unreachable")

    def require(self, address: TableAddress) -> None:
        """Raises FailedPrecondition."""
        raise FailedPrecondition(
            f"{address}: the settings of this server name no place for this table",
            advice=f"its setting bigquery can name a directory for {address.project}.{address.dataset}",
        )

    def open(self, address: TableAddress, key: str, owner: str, attempt: int) -> ExportTable:
        """Raises FailedPrecondition: the settings have changed since the operation began."""
        self.require(address)
        raise AssertionError("unreachable")

    def sweep(self, is_over: Callable[[str], bool]) -> None: ...


NO_WAREHOUSE = NoWarehouse()
