"""When the procedure step of a series began, and the requests that it answers, for searches in a whole store.

Both are read from the attributes that rows have already, so that series are found by them from the first search on.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_PAGE = 1000
_SHORT_TIME = re.compile("\x01[^\x07]*\x07([^\x02-\x1e]+)")  # in short ``members``: behind its code
_FIND = """
SELECT id, store_id, members FROM series
WHERE id > :last AND (members LIKE '%00400275%' OR members LIKE '%00400245%' OR instr(members, char(7)))
ORDER BY id LIMIT :page
"""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def upgrade() -> None:
    op.add_column("series", sa.Column("start_time", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "series_request",
        sa.Column("series_id", _ID, primary_key=True),
        sa.Column("scheduled_step_id", sa.Text, primary_key=True),
        sa.Column("requested_procedure_id", sa.Text, primary_key=True),
        sa.Column("store_id", _ID, nullable=False),
        sqlite_with_rowid=False,
    )
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
        times = [{"number": row.id, "time": time} for row in rows if (time := _find_time(row.members))]
        if times:
            connection.execute(sa.text("UPDATE series SET start_time = :time WHERE id = :number"), times)
        requests = [
            {"number": row.id, "store": row.store_id, "step": step, "procedure": procedure}
            for row in rows
            for step, procedure in dict.fromkeys(_list_requests(row.members))
        ]
        if requests:
            connection.execute(
                sa.text("INSERT INTO series_request VALUES (:number, :step, :procedure, :store)"), requests
            )


def _find_time(members: str) -> str:
    short = _SHORT_TIME.match(members)
    return short[1] if short else _join(_find_element(members, "00400245"))


def _list_requests(members: str) -> Iterator[tuple[str, str]]:
    """The two ids of each item."""
    for item in _find_element(members, "00400275").get("Value", ()):
        if isinstance(item, dict):
            pair = _join(item.get("00400009", {})), _join(item.get("00401001", {}))
            if any(pair):
                yield pair


def _find_element(members: str, tag: str) -> dict[str, Any]:
    """An element of DICOM JSON that is there in full, whatever stands around it; none where it cannot be read."""
    start = members.find(f'"{tag}":{{')
    if start < 0:
        return {}
    try:
        return dict(json.JSONDecoder().raw_decode(members, start + len(tag) + 3)[0])
    except (ValueError, RecursionError):
        return {}


def _join(element: dict[str, Any]) -> str:
    text = "\\".join("" if value is None else str(value) for value in element.get("Value", ()))
    return _CONTROL.sub("", text[:1024])
