"""The one place that changes counts: every row of an instance that comes, changes or goes is counted here.

All of it happens in the transaction that changes the row, so that five numbers always agree with the rows: those of a
series, its share by storage class (``series_tally``), the number of instances of a study, what the store has gained or
lost on the day (``tally``), and what is left of a segment. A sealed segment of which nothing is left becomes garbage as
a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.index.blob_keys import find_segments
from gantry.index.tables import garbage, segment, series, series_tally, study, tally
from gantry.storage.extents import align

DAY = 86_400_000_000  # microseconds


class Delta(NamedTuple):
    """Instances and bytes that a series has more, or less, of one storage class.

    With a ``segment_id`` it is one instance, which has come into that segment, and ends there at ``segment_end``, or
    gone from it.
    """

    study_id: int
    series_id: int
    storage_class: str
    instances: int
    blob_bytes: int
    structured_bytes: int = 0
    segment_id: int | None = None
    segment_end: int = 0


def change_counts(connection: Connection, store_id: int, deltas: Iterable[Delta], now: int) -> None:
    """Add what rows below a store have gained and lost."""
    by_study: dict[int, int] = defaultdict(int)
    by_series: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_class: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    in_segments = []
    for study_id, series_id, storage_class, instances, blob_bytes, structured_bytes, segment_id, end in deltas:
        by_study[study_id] += instances
        _add(by_series[series_id], instances, blob_bytes, structured_bytes)
        _add(by_class[series_id, storage_class], instances, blob_bytes)
        if segment_id is not None:
            in_segments.append((segment_id, instances, blob_bytes, end))
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
    _change_segments(connection, in_segments)


def count_out(connection: Connection, store_id: int, which: ColumnElement[bool], now: int) -> int:
    """Series leave a store with all that they hold: ``which`` is a condition on ``series``. How many instances."""
    mine = series_tally.c.series_id.in_(select(series.c.id).where(which))
    changes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in connection.execute(select(series_tally).where(mine)):
        _add(changes[row.storage_class], -row.instances, -row.blob_bytes)
    _add_to_tally(connection, store_id, changes, now)
    return -sum(count for count, _ in changes.values())


def free_segments(connection: Connection, freed: Iterable[tuple[int, int]]) -> None:
    """Instances go whose series count no more: the number of the segment of each, and its size."""
    _change_segments(connection, [(number, -1, -size, 0) for number, size in freed])


def seal_segments(connection: Connection, keys: Iterable[str]) -> None:
    """Nothing more comes into these segments. Those that no row names become garbage, known or not."""
    keys = set(keys)
    found = list(find_segments(connection, segment.c.key, keys))
    _execute(connection, _SEAL, [{"row": row.id} for row in found if not row.sealed])
    _give_up(connection, keys - {row.key for row in found if row.live_instances})


def discard_blobs(connection: Connection, keys: Iterable[str]) -> None:
    """Blobs that no row names any more are removed by the sweeper. One that is in the list already stays in it."""
    _execute(connection, _GARBAGE, [{"blob_key": key} for key in keys])


def _change_segments(connection: Connection, changes: Iterable[tuple[int, int, int, int]]) -> None:
    """``changes``: number of the segment, 1 or -1 instance, its bytes with that sign, where it ends."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    ends: dict[int, int] = defaultdict(int)
    for number, instances, size, end in changes:
        _add(sums[number], instances, instances * align(abs(size)))
        ends[number] = max(ends[number], end)
    rows = [{"row": row, "more": more, "blob": size, "end": ends[row]} for row, (more, size) in sums.items()]
    _execute(connection, _SEGMENT, rows)
    less = [number for number, (more, _) in sums.items() if more < 0]
    found = find_segments(connection, segment.c.id, less)
    _give_up(connection, {row.key for row in found if row.sealed and not row.live_instances})


def _give_up(connection: Connection, keys: Iterable[str]) -> None:
    """Segments of which nothing is left: their keys stand for all that was in them."""
    keys = sorted(keys)
    _execute(connection, _FORGET_INSIDE, [{"first": f"{key}@", "end": f"{key}A"} for key in keys])  # A follows @
    discard_blobs(connection, keys)
    _execute(connection, _FORGET_SEGMENT, [{"gone": key} for key in keys])


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
_FORGET_INSIDE = delete(garbage).where(garbage.c.blob_key > bindparam("first"), garbage.c.blob_key < bindparam("end"))
_SEGMENT = (
    update(segment)
    .where(segment.c.id == bindparam("row"))
    .values(
        {
            segment.c.live_instances: segment.c.live_instances + bindparam("more"),
            segment.c.live_bytes: segment.c.live_bytes + bindparam("blob"),
            segment.c.bytes: func.max(segment.c.bytes, bindparam("end")),
        }
    )
)
_SEAL = update(segment).where(segment.c.id == bindparam("row")).values(sealed=True)
_FORGET_SEGMENT = delete(segment).where(segment.c.key == bindparam("gone"))
