"""Whether two indexes have the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection, TableClause, func, select

from gantry.index.copy_numbers import read_numbers
from gantry.index.copy_rows import read_rows
from gantry.index.tables import dicom_store, instance, series, study

_BITS = 256


class Digest(NamedTuple):
    """``checksum`` is the sum of those of all rows (SHA-256), so that their order does not matter."""

    rows: int
    checksum: str


def digest_table(connection: Connection, table: TableClause, tell: Callable[[int], None]) -> Digest:
    """Of its rows as a copy has them. ``tell`` gets how many of them were read."""
    count = total = 0
    for rows in read_rows(connection, table):
        count += len(rows)
        tell(count)
        for row in rows:
            total += int.from_bytes(hashlib.sha256(repr(row).encode(errors="surrogatepass")).digest())
    return Digest(count, f"{total % (1 << _BITS):064x}")


def count_instances(connection: Connection) -> dict[int, tuple[int, int]]:
    """Store → how many studies and instances it has."""
    below = select(dicom_store.c.id, func.count(study.c.id.distinct()), func.count(instance.c.series_id))
    joined = dicom_store.outerjoin(study, study.c.store_id == dicom_store.c.id)
    joined = joined.outerjoin(series, series.c.study_id == study.c.id)
    joined = joined.outerjoin(instance, instance.c.series_id == series.c.id)
    below = below.select_from(joined).group_by(dicom_store.c.id)
    rows = connection.execute(below).all()
    return {int(store): (int(studies), int(instances)) for store, studies, instances in rows}


def have_same_numbers(source: Connection, target: Connection) -> bool:
    """Whether the target gives out no number that the source has given out."""
    given = read_numbers(target)
    return all(given.get(name, 0) >= last for name, last in read_numbers(source).items())
