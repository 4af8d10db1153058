"""How a store has grown, by day and storage class: changed in the transaction that changes its instances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gantry.index.tables import instance, tally
from gantry.resources import BlobStorageClass

DAY = 86_400_000_000  # microseconds


def add_to_tally(connection: Connection, store_id: int, now: int, changes: Iterable[tuple[str, int, int]]) -> None:
    """``changes``: storage class, instances and bytes more, or less."""
    merged: dict[str, list[int]] = {}
    for storage_class, count, size in changes:
        held = merged.setdefault(storage_class, [0, 0])
        held[0] += count
        held[1] += size
    rows = [
        {"store_id": store_id, "storage_class": name, "day": now // DAY, "count": count, "size": size}
        for name, (count, size) in merged.items()
        if count or size
    ]
    if rows:
        connection.execute(_ADD, rows)


def tally_of(connection: Connection, victims: Any) -> list[tuple[str, int, int]]:
    """What instances would leave behind if they went."""
    # One pass without sorting, which GROUP BY would not be.
    classes = list(BlobStorageClass)
    sums = [
        func.coalesce(func.sum(case((instance.c.storage_class == name, value), else_=0)), 0)
        for name in classes
        for value in (1, instance.c.size)
    ]
    found = connection.execute(select(*sums).where(victims)).one()
    return [(name, -found[2 * at], -found[2 * at + 1]) for at, name in enumerate(classes)]


_ROW = upsert(tally).values(
    store_id=bindparam("store_id"),
    storage_class=bindparam("storage_class"),
    day=bindparam("day"),
    instances=bindparam("count"),
    blob_bytes=bindparam("size"),
)
_ADD = _ROW.on_conflict_do_update(
    index_elements=["store_id", "storage_class", "day"],
    set_={
        "instances": tally.c.instances + _ROW.excluded.instances,
        "blob_bytes": tally.c.blob_bytes + _ROW.excluded.blob_bytes,
    },
)
