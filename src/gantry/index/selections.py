"""A walk along what the filter file of an operation has selected; ``filter_paths`` wrote it down.

It reads the rows of the selection and the series they name, so a short filter is a short walk in the largest store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, select

from gantry.index.contents import Contents
from gantry.index.instances import _position, _walk_query
from gantry.index.tables import instance, selection, series
from gantry.resources import Instance

_PAGE = 1000  # series per query


class Selections(Contents):
    """Both calls are about what the operation of a number has selected."""

    def count_selected(self, operation_id: int) -> int:
        """How many instances."""
        mine = selection.c.operation_id == operation_id
        whole = select(func.coalesce(func.sum(series.c.instance_count), 0)).join_from(
            selection, series, series.c.id == selection.c.series_id
        )
        single = select(func.count()).where(mine, selection.c.sop_instance_uid != "", ~_covered())
        with self._read() as connection:
            in_series = connection.execute(whole.where(mine, selection.c.sop_instance_uid == "")).scalar_one()
            return int(in_series + connection.execute(single).scalar_one())

    def selected_instances(self, operation_id: int, after: str = "") -> Iterator[tuple[str, Instance]]:
        """Like ``instances``: each instance once, however many paths name it."""
        last, uid = _position(after)
        for number, is_whole in self._selected_series(operation_id, last):
            query = _walk_query() if is_whole else _single(operation_id)
            yield from self._one_series(query, number, uid if number == last else "")

    def _selected_series(self, operation_id: int, first: int) -> Iterator[tuple[int, bool]]:
        """Ids of series from ``first`` on, and whether all of it is selected."""
        number = selection.c.series_id
        query = select(number, func.min(selection.c.sop_instance_uid)).group_by(number).order_by(number).limit(_PAGE)
        while True:
            page = query.where(selection.c.operation_id == operation_id, number >= first)
            with self._read() as connection:
                rows = connection.execute(page).all()
            for series_id, least in rows:
                yield series_id, not least
            if len(rows) < _PAGE:
                return
            first = rows[-1][0] + 1


def _single(operation_id: int) -> Select[Any]:
    mine = and_(
        selection.c.operation_id == operation_id,
        selection.c.series_id == bindparam("series"),
        selection.c.sop_instance_uid == instance.c.sop_instance_uid,
    )
    return _walk_query().where(exists().where(mine).correlate(instance))


def _covered() -> Any:
    """True for a row of an instance whose whole series is selected as well."""
    other = selection.alias()
    return exists().where(
        other.c.operation_id == selection.c.operation_id,
        other.c.series_id == selection.c.series_id,
        other.c.sop_instance_uid == "",
    )
