"""Headers of instances, and the rows of what a study, a series or an instance is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select

from gantry.errors import NotFound
from gantry.index.database import Database
from gantry.index.resources import dicom_store_id
from gantry.index.searching import _INSTANCE_ROW
from gantry.index.tables import header_pack, instance, series, study
from gantry.names import DicomStoreName, ResourcePath
from gantry.queries import FoundInstance

_PAGE = 1000


class HeaderPacks(Database):
    def found_below(self, store: DicomStoreName, path: ResourcePath) -> Iterator[FoundInstance]:
        """The instances a path names, by Series, then SOP Instance UID. Raises NotFound when there is none.

        Pages are read as they are asked for: what is stored or deleted meanwhile may be among them or not.
        """
        depth = sum(map(bool, path))
        values: dict[str, Any] = {"study": path.study, "series": path.series, "instance": path.instance}
        with self._read() as connection:
            values["store"] = dicom_store_id(connection, store)
            rows = connection.execute(_FIRST[depth], values).all()
        if not rows:
            raise NotFound(f"{path} does not exist in this DICOM store")
        return self._rest(values, depth, rows)

    def _rest(self, values: dict[str, Any], depth: int, rows: Sequence[Any]) -> Iterator[FoundInstance]:
        while True:
            yield from map(FoundInstance._make, rows)
            if len(rows) < _PAGE:
                return
            values |= {"after_series": rows[-1].series_instance_uid, "after": rows[-1].sop_instance_uid}
            with self._read() as connection:
                rows = connection.execute(_NEXT[depth], values).all()

    def transfer_syntaxes_below(self, store: DicomStoreName, path: ResourcePath) -> list[str]:
        """Those of the instances a path names, each once."""
        values: dict[str, Any] = {"study": path.study, "series": path.series, "instance": path.instance}
        with self._read() as connection:
            values["store"] = dicom_store_id(connection, store)
            return list(connection.execute(_SYNTAXES[sum(map(bool, path))], values).scalars())

    def header_packs(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Packs by their numbers; those that are gone are missing."""
        query = select(header_pack.c.id, header_pack.c.data).where(header_pack.c.id.in_(numbers))
        with self._read() as connection:
            return {row.id: row.data for row in connection.execute(query)}


def _below(depth: int) -> Select[Any]:
    query = _named(select(*_INSTANCE_ROW), depth)
    return query.order_by(series.c.series_instance_uid, instance.c.sop_instance_uid).limit(_PAGE)


def _named(query: Select[Any], depth: int) -> Select[Any]:
    """Rows of what a path of so many UIDs names."""
    query = query.join_from(study, series, series.c.study_id == study.c.id)
    query = query.join(instance, instance.c.series_id == series.c.id)
    query = query.where(study.c.store_id == bindparam("store"), study.c.study_instance_uid == bindparam("study"))
    if depth > 1:
        query = query.where(series.c.series_instance_uid == bindparam("series"))
    if depth > 2:
        query = query.where(instance.c.sop_instance_uid == bindparam("instance"))
    return query


def _after(depth: int) -> Select[Any]:
    """The rest of a series and the series behind it."""
    same = series.c.series_instance_uid == bindparam("after_series")
    later = series.c.series_instance_uid > bindparam("after_series")
    rest = same & (instance.c.sop_instance_uid > bindparam("after"))
    return _below(depth).where(series.c.series_instance_uid >= bindparam("after_series"), rest | later)


_FIRST = {depth: _below(depth) for depth in (1, 2, 3)}
_NEXT = {depth: _after(depth) for depth in (1, 2, 3)}
_SYNTAXES = {depth: _named(select(instance.c.transfer_syntax_uid).distinct(), depth) for depth in (1, 2, 3)}
