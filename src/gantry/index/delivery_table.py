"""The table of who is told of the changes of stores."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table

from gantry.index.columns import Id, metadata
from gantry.index.dialect import TEXT


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


# Who is told of the changes of a store, and how far: a place in the change feed for each topic and each table. ``era``
# is that of the place; without one it is where the feed begins. ``planned``: how many changes after it are being added
# to a table, perhaps, as the rows ``planned_key``; ``end_…`` is the place after them. ``added``: 1 where it has rows of
# this store already.
delivery = Table(
    "delivery",
    metadata,
    Column("store_id", Id, primary_key=True, autoincrement=False),
    Column("receiver", TEXT, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("part", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("check", BigInteger, nullable=False),
    Column("era", TEXT, nullable=False, server_default=""),
    _count("planned"),
    _count("added"),
    Column("planned_key", TEXT, nullable=False, server_default=""),
    *(_count(f"end_{name}") for name in ("number", "part", "offset", "check")),
    sqlite_with_rowid=False,
)
