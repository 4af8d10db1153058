"""What an index says of a copy: that it is not whole yet, or that its rows are elsewhere now.

A table that other indexes do not have says it, so that it is there before the first of the others. No server begins
with an index that has it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, insert, inspect, select, update

from gantry.errors import FailedPrecondition
from gantry.index.dialect import TEXT

NAME = "index_copy"

index_copy = Table(
    NAME,
    MetaData(),  # of its own: no migration makes it
    Column("state", TEXT, nullable=False),
    Column("mark", TEXT, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("version", TEXT, nullable=False),
    Column("place", TEXT, nullable=False),
)


class CopyState(StrEnum):
    """The first three are those of a target, the last one that of a source."""

    BEGUN = "begun"
    """Its tables may be missing, or have rows of their own."""
    COPYING = "copying"
    VERIFIED = "verified"
    MOVED = "moved"


class CopyMark(NamedTuple):
    """``mark``, ``commits`` and ``version`` (of the schema) are those of the source when the copy began; ``place`` is
    what messages call the other end."""

    state: CopyState
    mark: str
    commits: int
    version: str
    place: str


def read_copy_mark(connection: Connection) -> CopyMark | None:
    """None in an index that no copy has touched, or whose copy is complete."""
    if not inspect(connection).has_table(NAME):
        return None
    row = connection.execute(select(index_copy)).first()
    return None if row is None else CopyMark(CopyState(row.state), *row[1:])


def make_copy_mark(connection: Connection, mark: CopyMark) -> None:
    """In the transaction of the caller."""
    index_copy.create(connection)
    connection.execute(insert(index_copy), mark._asdict())


def change_copy_mark(connection: Connection, mark: CopyMark) -> None:
    connection.execute(update(index_copy), mark._asdict())


def remove_copy_mark(connection: Connection) -> None:
    """The index is like any other from now on."""
    index_copy.drop(connection)


def refuse_copy(connection: Connection, name: str) -> None:
    """Raises FailedPrecondition where no server may use the index."""
    if (mark := read_copy_mark(connection)) is not None:
        raise refusal(name, mark.state, mark.place)


def refusal(name: str, state: str, place: str) -> FailedPrecondition:
    """Why no server may use an index with such a mark."""
    if state == CopyState.MOVED:
        return FailedPrecondition(
            f"{name} is not used any more: its rows were copied to {place}",
            advice="let the setting `database` say where the index is now; where the copy was interrupted, run "
            "`gantry index copy` again with the same FROM and TO",
        )
    return FailedPrecondition(
        f"{name} is not complete: a copy to it, from {place}, has not ended",
        advice="run `gantry index copy` again with the same FROM and TO",
    )
