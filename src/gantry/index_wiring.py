"""Where the index of a data directory is: in a file of it, or in a database of PostgreSQL, as the settings say."""

from __future__ import annotations

from pathlib import Path

from gantry.durable_files import remove_file, replace_file
from gantry.errors import FailedPrecondition, NotFound
from gantry.index.checks import ReadOnlyIndex
from gantry.index.generations import Generation, read_generation
from gantry.index.keys import Keys
from gantry.index.opening import open_beside_servers, open_read_only, read_schema, read_server_generation
from gantry.index.server_address import name_server
from gantry.index.sql import SqlIndex
from gantry.settings.groups import SQLITE
from gantry.system_errors import describe_os_error

INDEX, ELSEWHERE = "index.sqlite", "index.postgresql"
"""The file of an index; a note that there is none, because the index is in PostgreSQL."""

COPYING, MOVED = f"{INDEX}.copying", f"{INDEX}.moved"
"""A copy to a file that has not ended; a file whose rows are in PostgreSQL now. See ``index_copies``."""

_NOTE = b"The index of this directory is in PostgreSQL: the setting `database` says where.\n"


class IndexPlace:
    """``database`` is the setting of that name."""

    def __init__(self, data: Path, database: str = SQLITE) -> None:
        self.file, self._note, self._database = data / INDEX, data / ELSEWHERE, database

    @property
    def is_server(self) -> bool:
        return self._database != SQLITE

    @property
    def name(self) -> str:
        """What messages call it; without a password."""
        return name_server(self._database) if self.is_server else str(self.file)

    @property
    def is_there(self) -> bool:
        return self.is_server or self.file.exists()

    def require(self) -> None:
        """Raises FailedPrecondition where the directory has its index in the other kind of database."""
        if self.is_server and self.file.exists():
            self.read_generation()  # a copy that has not ended says so
            raise FailedPrecondition(
                f"database: {self.file} is an index already, of SQLite",
                advice="`gantry index copy` moves it to PostgreSQL; else leave the setting out",
            )
        if not self.is_server and self._note.exists():
            if self.file.with_name(COPYING).exists():
                raise FailedPrecondition(
                    f"database: the index of {self._note.parent} is in PostgreSQL, and a copy to a file has not ended",
                    advice="run `gantry index copy` again with the same FROM and TO",
                )
            raise FailedPrecondition(
                f"database: the index of {self._note.parent} is in PostgreSQL, and the settings do not say where",
                advice="name the settings file of the server with --config, or set GANTRY_DATABASE",
            )

    def require_kept(self) -> None:
        """Raises NotFound where the directory has had no index yet; FailedPrecondition as ``require`` does."""
        self.require()
        if not (self._note if self.is_server else self.file).is_file():
            raise NotFound(f"{self.file.parent} holds no index", advice="name the directory of a server with --data")

    def keep(self) -> None:
        """From now on the directory belongs to this kind of database. Raises FailedPrecondition."""
        if not self.is_server or self._note.exists():
            return
        try:
            replace_file(self._note, self._note.with_name(f"{ELSEWHERE}.new"), _NOTE)
        except OSError as error:
            raise FailedPrecondition(f"{self._note} cannot be written: {describe_os_error(error)}") from None

    def leave(self) -> None:
        """The index of the directory is a file of it from now on. Raises FailedPrecondition."""
        try:
            remove_file(self._note)
        except OSError as error:
            raise FailedPrecondition(f"{self._note} cannot be removed: {describe_os_error(error)}") from None

    def read_schema(self) -> str:
        """The version of its schema; empty where there is no index yet. Changes nothing. Raises FailedPrecondition."""
        if not self.is_server and not self.file.exists():
            return ""
        return read_schema(self._database if self.is_server else self.file)

    def read_generation(self, shares: bool = False) -> Generation | None:
        """None where there is no index yet. ``shares``: other servers may use it. Raises FailedPrecondition."""
        return read_server_generation(self._database, shares) if self.is_server else read_generation(self.file)

    def open_read_only(self, is_used: bool) -> ReadOnlyIndex:
        """``is_used``: a server may write to it meanwhile. Raises FailedPrecondition."""
        return ReadOnlyIndex(open_read_only(self._database if self.is_server else self.file, is_used))

    def open(self, shares: bool = False) -> SqlIndex:
        """``shares``: beside other servers, in PostgreSQL. Raises FailedPrecondition."""
        return SqlIndex(self._database if self.is_server else self.file, shares=shares)

    def open_keys(self) -> Keys:
        """Of an index in PostgreSQL, whatever else uses it. Raises FailedPrecondition."""
        return Keys(open_beside_servers(self._database))
