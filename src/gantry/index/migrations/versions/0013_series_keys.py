"""When the procedure step of a series began, and the requests that it answers, for searches in a whole store.

Both are read from the attributes that rows have already, so that series are found by them from the first search on.
"""

import logging
from typing import Any

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT
from gantry.index.requests import list_requests, read_start_time
from gantry.resources import SeriesAttributes
from gantry.short_members import lengthen_series

revision = "0013"
down_revision = "0012"

logger = logging.getLogger("gantry.index.migrations")

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_PAGE = 1000
# Short ``members`` have the time behind character 7. Bytes, because a text that is damaged may be no UTF-8.
_FIND = """
SELECT id, store_id, CAST(members AS BLOB) AS members FROM series
WHERE id > :last AND (members LIKE '%00400275%' OR members LIKE '%00400245%' OR members LIKE '%' || char(7) || '%')
ORDER BY id LIMIT :page
"""


def upgrade() -> None:
    op.add_column("series", sa.Column("start_time", TEXT, nullable=False, server_default=""))
    op.create_table(
        "series_request",
        sa.Column("series_id", _ID, primary_key=True),
        sa.Column("scheduled_step_id", TEXT, primary_key=True),
        sa.Column("requested_procedure_id", TEXT, primary_key=True),
        sa.Column("store_id", _ID, nullable=False),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":  # no other index has rows of this age
        _fill()
    where = sa.text("start_date || start_time <> ''")
    columns = ["store_id", "start_date", "start_time"]
    op.create_index("series_start", "series", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("request_scheduled_step", "series_request", ["store_id", "scheduled_step_id"])
    op.create_index("request_procedure", "series_request", ["store_id", "requested_procedure_id"])


def _fill() -> None:
    connection, last = op.get_bind(), 0
    while rows := connection.execute(sa.text(_FIND), {"last": last, "page": _PAGE}).all():
        last = rows[-1].id
        keys = [(row, *_read_keys(row)) for row in rows]
        times = [{"number": row.id, "time": time} for row, time, _ in keys if time]
        if times:
            connection.execute(sa.text("UPDATE series SET start_time = :time WHERE id = :number"), times)
        requests = [
            {"number": row.id, "store": row.store_id, "step": step, "procedure": procedure}
            for row, _, pairs in keys
            for step, procedure in pairs
        ]
        if requests:
            connection.execute(
                sa.text("INSERT INTO series_request VALUES (:number, :step, :procedure, :store)"), requests
            )


def _read_keys(row: Any) -> tuple[str, list[tuple[str, str]]]:
    """As they are read of a series that comes now: another reading would find another value for the same text.

    A row that cannot be read has no keys, and no other row suffers.
    """
    try:
        said = SeriesAttributes(members=row.members.decode("utf-8", "replace"))
        members, _ = lengthen_series(said)
        return read_start_time(members), list_requests(members)
    except Exception:
        logger.warning("series %s is found neither by its start time nor by its requests", row.id, exc_info=True)
        return "", []
