"""The one place that changes counts: every row of an instance that comes, changes or goes is counted here.

All of it happens in the transaction that changes the row, so that five numbers always agree with the rows: those of a
series, its share by storage class (``series_tally``), the number of instances of a study, what the store has gained or
lost on the day (``tally``), and what is left of a segment. A sealed segment of which nothing is left becomes garbage as
a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, select, true, update

from gantry.index.blob_keys import find_segments
from gantry.index.dialect import greatest, upsert
from gantry.index.statements import Statement
from gantry.index.tables import garbage, segment, series, series_tally, study, tally
from gantry.storage.extents import align

DAY = 86_400_000_000  # microseconds


class Delta(NamedTuple):
    """Instances and bytes that a series has more, or less, of one storage class.

    With a ``segment_id`` it is one instance, which has come into that segment, at ``segment_offset``, or gone from it.
    """

    study_id: int
    series_id: int
    storage_class: str
    instances: int
    blob_bytes: int
    structured_bytes: int = 0
    segment_id: int | None = None
    segment_offset: int | None = None


def change_counts(connection: Connection, store_id: int, deltas: Iterable[Delta], now: int) -> None:
    """Add what rows below a store have gained and lost."""
    sums: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    in_segments = []
    for study_id, series_id, storage_class, instances, blob_bytes, structured_bytes, segment_id, offset in deltas:
        sum_ = sums[study_id, series_id, storage_class]
        sum_[0] += instances
        sum_[1] += blob_bytes
        sum_[2] += structured_bytes
        if segment_id is not None:
            in_segments.append((segment_id, instances, blob_bytes, offset))
    by_study: dict[int, list[int]] = defaultdict(lambda: [0])
    by_series: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    of_store: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (study_id, series_id, storage_class), (instances, blob_bytes, structured_bytes) in sums.items():
        _add(by_study[study_id], instances)
        _add(by_series[series_id], instances, blob_bytes, structured_bytes)
        _add(of_store[storage_class], instances, blob_bytes)
    _STUDY.run(connection, [(*counts, row) for row, counts in by_study.items() if any(counts)])
    _SERIES.run(connection, [(*counts, row) for row, counts in by_series.items() if any(counts)])
    by_class = [(row, name, *counts[:2]) for (_, row, name), counts in sums.items() if any(counts[:2])]
    _SERIES_TALLY.run(connection, by_class)
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
    _change_segments(connection, [(number, -1, -size, None) for number, size in freed])


def seal_segments(connection: Connection, keys: Iterable[str]) -> None:
    """Nothing more comes into these segments. Those that no row names become garbage, known or not."""
    keys = set(keys)
    found = list(find_segments(connection, segment.c.key, keys))
    _SEAL.run(connection, [(row.id,) for row in found if not row.sealed])
    _give_up(connection, keys - {row.key for row in found if row.live_instances})


def discard_blobs(connection: Connection, keys: Iterable[str]) -> None:
    """Blobs that no row names any more are removed by the sweeper. One that is in the list already stays in it."""
    _GARBAGE.run(connection, [(key,) for key in keys])


def _change_segments(connection: Connection, changes: Iterable[tuple[int, int, int, int | None]]) -> None:
    """``changes``: number of the segment, 1 or -1 instance, its bytes with that sign, where it is if it has come."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for number, instances, size, offset in changes:
        sum_ = sums[number]
        sum_[0] += instances
        sum_[1] += instances * align(abs(size))
        if offset is not None and offset + size > sum_[2]:
            sum_[2] = offset + size
    _SEGMENT.run(connection, [(more, size, align(end), row) for row, (more, size, end) in sums.items()])
    less = [number for number, (more, _, _) in sums.items() if more < 0]
    found = find_segments(connection, segment.c.id, less)
    _give_up(connection, {row.key for row in found if row.sealed and not row.live_instances})


def _give_up(connection: Connection, keys: Iterable[str]) -> None:
    """Segments of which nothing is left: their keys stand for all that was in them."""
    keys = sorted(keys)
    _FORGET_INSIDE.run(connection, [(f"{key}@", f"{key}A") for key in keys])  # A follows @
    discard_blobs(connection, keys)
    _FORGET_SEGMENT.run(connection, [(key,) for key in keys])


def _add(counts: list[int], *more: int) -> None:
    for place, number in enumerate(more):
        counts[place] += number


def _add_to_tally(connection: Connection, store_id: int, changes: dict[str, list[int]], now: int) -> None:
    day = now // DAY
    rows = [(store_id, name, day, *counts) for name, counts in changes.items() if any(counts)]
    _TALLY.run(connection, rows)


def _sums(table: Table, *names: str) -> dict[Any, ColumnElement[Any]]:
    return {table.c[name]: table.c[name] + bindparam(f"more_{name}") for name in names}


def _adding(table: Table, *names: str) -> Statement:
    """Adds to columns of the row with a number, which comes last."""
    statement = update(table).where(table.c.id == bindparam("row")).ordered_values(*_sums(table, *names).items())
    return Statement(statement, *(f"more_{name}" for name in names), "row")


def _adding_or_making(table: Table, *keys: str) -> Statement:
    """Adds instances and bytes to the row with these keys, or makes it."""
    sums = ("instances", "blob_bytes")
    row = upsert(table).values({name: bindparam(name) for name in keys + sums})
    row = row.on_conflict_do_update(
        index_elements=list(keys), set_={name: table.c[name] + row.excluded[name] for name in sums}
    )
    return Statement(row, *keys, *sums)


_STUDY = _adding(study, "instance_count")
_SERIES = _adding(series, "instance_count", "blob_bytes", "structured_bytes")
_SERIES_TALLY = _adding_or_making(series_tally, "series_id", "storage_class")
_TALLY = _adding_or_making(tally, "store_id", "storage_class", "day")
_GARBAGE = Statement(upsert(garbage).values(blob_key=bindparam("key")).on_conflict_do_nothing(), "key")
_FORGET_INSIDE = Statement(
    delete(garbage).where(garbage.c.blob_key > bindparam("first"), garbage.c.blob_key < bindparam("end")),
    *("first", "end"),
)
_SEGMENT = Statement(
    update(segment)
    .where(segment.c.id == bindparam("row"))
    .ordered_values(
        *_sums(segment, "live_instances", "live_bytes").items(),
        (segment.c.bytes, greatest(segment.c.bytes, bindparam("end"))),
    ),
    *("more_live_instances", "more_live_bytes", "end", "row"),
)
_SEAL = Statement(update(segment).where(segment.c.id == bindparam("row")).values(sealed=true()), "row")
_FORGET_SEGMENT = Statement(delete(segment).where(segment.c.key == bindparam("gone")), "gone")
