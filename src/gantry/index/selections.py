"""A walk along what the filter file of an operation has selected; ``filter_paths`` wrote it down.

It reads the rows of the selection and the series they name, so a short filter is a short walk in the largest store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, select

from gantry.index.database import Part
from gantry.index.tables import instance, operation, selection, series, study
from gantry.index.walking import in_series, parse_position, walk_series
from gantry.resources import StoredInstance

_PAGE = 1000  # series per query


class Selections(Part):
    """Promises: ``index_protocols.SelectionIndex``."""

    def count_selected(self, operation_id: int) -> int:
        is_there = series.c.id == selection.c.series_id, series.c.store_id == _get_store_id(operation_id)
        mine = selection.c.operation_id == operation_id, *is_there
        whole = select(func.coalesce(func.sum(series.c.instance_count), 0))
        single = select(func.count()).where(*mine, selection.c.sop_instance_uid != "", ~_covered())
        with self.database.read() as connection:
            in_series = connection.execute(whole.where(*mine, selection.c.sop_instance_uid == "")).scalar_one()
            return int(in_series + connection.execute(single).scalar_one())

    def walk_selected(self, operation_id: int, after: str = "") -> Iterator[StoredInstance]:
        first, _ = parse_position(after)
        for number, is_whole in self._selected_series(operation_id, first):
            query = _WHOLE if is_whole else _SINGLES
            yield from walk_series(self.database, query, number, after, operation=operation_id)

    def _selected_series(self, operation_id: int, first: int) -> Iterator[tuple[int, bool]]:
        """Ids of series from ``first`` on, and whether all of it is selected."""
        number = selection.c.series_id
        query = select(number, func.min(selection.c.sop_instance_uid)).group_by(number).order_by(number).limit(_PAGE)
        while True:
            page = query.where(selection.c.operation_id == operation_id, number >= first)
            with self.database.read() as connection:
                rows = connection.execute(page).all()
            for series_id, least in rows:
                yield series_id, not least
            if len(rows) < _PAGE:
                return
            first = rows[-1][0] + 1


def _get_store_id(operation_id: Any) -> Any:
    return select(operation.c.store_id).where(operation.c.id == operation_id).scalar_subquery()


def _is_selected() -> Any:
    """Whether an instance is selected by a path of its own."""
    mine = and_(
        selection.c.operation_id == bindparam("operation"),
        selection.c.series_id == bindparam("after_number"),
        selection.c.sop_instance_uid == instance.c.sop_instance_uid,
    )
    return exists().where(mine).correlate(instance)


def _covered() -> Any:
    """True for a row of an instance whose whole series is selected as well."""
    other = selection.alias()
    return exists().where(
        other.c.operation_id == selection.c.operation_id,
        other.c.series_id == selection.c.series_id,
        other.c.sop_instance_uid == "",
    )


_IN_STORE = study.c.store_id == _get_store_id(bindparam("operation"))  # false for what was deleted since
_WHOLE = in_series(_IN_STORE)
_SINGLES = in_series(_IN_STORE, _is_selected())
