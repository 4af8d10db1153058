"""The one place that changes counts: every row of an instance that comes, changes or goes is counted here.

All of it happens in the transaction that changes the row, so that four numbers always agree with the rows: those of a
series, its share by storage class (``series_tally``), the number of instances of a study, and what the store has
gained or lost on the day (``tally``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.index.tables import garbage, series, series_tally, study, tally

DAY = 86_400_000_000  # microseconds


class Delta(NamedTuple):
    """Instances and bytes that a series has more, or less, of one storage class."""

    study_id: int
    series_id: int
    storage_class: str
    instances: int
    blob_bytes: int
    structured_bytes: int = 0


def change_counts(connection: Connection, store_id: int, deltas: Iterable[Delta], now: int) -> None:
    """Add what rows below a store have gained and lost."""
    by_study: dict[int, int] = defaultdict(int)
    by_series: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_class: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for study_id, series_id, storage_class, instances, blob_bytes, structured_bytes in deltas:
        by_study[study_id] += instances
        _add(by_series[series_id], instances, blob_bytes, structured_bytes)
        _add(by_class[series_id, storage_class], instances, blob_bytes)
    _execute(connection, _STUDY, [{"row": row, "more": more} for row, more in by_study.items() if more])
    _execute(
        connection,
        _SERIES,
        [{"row": row, "more": n, "blob": b, "structured": s} for row, (n, b, s) in by_series.items() if n or b or s],
    )
    _execute(
        connection,
        _SERIES_TALLY,
        [{"row": row, "class": name, "more": n, "blob": b} for (row, name), (n, b) in by_class.items() if n or b],
    )
    of_store: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (_, storage_class), counts in by_class.items():
        _add(of_store[storage_class], *counts)
    _add_to_tally(connection, store_id, of_store, now)


def count_out(connection: Connection, store_id: int, which: ColumnElement[bool], now: int) -> int:
    """Series leave a store with all that they hold: ``which`` is a condition on ``series``. How many instances."""
    mine = series_tally.c.series_id.in_(select(series.c.id).where(which))
    changes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in connection.execute(select(series_tally).where(mine)):
        _add(changes[row.storage_class], -row.instances, -row.blob_bytes)
    _add_to_tally(connection, store_id, changes, now)
    return -sum(count for count, _ in changes.values())


def discard_blobs(connection: Connection, keys: Iterable[str]) -> None:
    """Blobs that no row names any more are removed by the sweeper. One that is in the list already stays in it."""
    _execute(connection, _GARBAGE, [{"blob_key": key} for key in keys])


def _add(counts: list[int], *more: int) -> None:
    for place, number in enumerate(more):
        counts[place] += number


def _add_to_tally(connection: Connection, store_id: int, changes: dict[str, list[int]], now: int) -> None:
    rows = [
        {"row": store_id, "class": name, "day": now // DAY, "more": count, "blob": size}
        for name, (count, size) in changes.items()
        if count or size
    ]
    _execute(connection, _TALLY, rows)


def _execute(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


_STUDY = (
    update(study)
    .where(study.c.id == bindparam("row"))
    .values({study.c.instance_count: study.c.instance_count + bindparam("more")})
)
_SERIES = (
    update(series)
    .where(series.c.id == bindparam("row"))
    .values(
        {
            series.c.instance_count: series.c.instance_count + bindparam("more"),
            series.c.blob_bytes: series.c.blob_bytes + bindparam("blob"),
            series.c.structured_bytes: series.c.structured_bytes + bindparam("structured"),
        }
    )
)


def _adding(table: Any, **keys: str) -> Any:
    """A statement that adds ``more`` instances and ``blob`` bytes to a row, or makes it."""
    row = upsert(table).values(
        {name: bindparam(value) for name, value in keys.items()}
        | {"instances": bindparam("more"), "blob_bytes": bindparam("blob")}
    )
    sums = {name: table.c[name] + row.excluded[name] for name in ("instances", "blob_bytes")}
    return row.on_conflict_do_update(index_elements=list(keys), set_=sums)


_SERIES_TALLY = _adding(series_tally, series_id="row", storage_class="class")
_TALLY = _adding(tally, store_id="row", storage_class="class", day="day")
_GARBAGE = upsert(garbage).on_conflict_do_nothing()
