"""The paths of a filter file become rows of series and instances, looked up once, as the lines are read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from gantry.errors import Code, Status
from gantry.index.dialect import upsert
from gantry.index.lookups import CHUNK, look_up_ids, look_up_pairs
from gantry.index.tables import instance, selection, series, study
from gantry.names import ResourcePath
from gantry.reasons import Reason
from gantry.resources import Failure, Selected

_Row = tuple[int, str]  # series id; SOP Instance UID, empty for the whole series


def add_selection(
    connection: Connection, operation_id: int, store_id: int, wanted: Sequence[Selected]
) -> list[Failure]:
    """Remember what paths select in a DICOM store; what there is to say of those that select nothing."""
    found = _look_up(connection, store_id, wanted)
    names = [column.name for column in selection.columns]
    rows = [(operation_id, *row) for item in wanted for row in found.get(item.path, ())]
    if rows:
        statement = upsert(selection).on_conflict_do_nothing()
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
    return [_nothing(item) for item in wanted if item.path not in found]


def _look_up(connection: Connection, store_id: int, wanted: Sequence[Selected]) -> dict[ResourcePath, list[_Row]]:
    """The rows of every path that selects something."""
    paths = {item.path for item in wanted}
    studies = look_up_ids(connection, study, store_id, {path.study for path in paths})
    known = [path for path in paths if path.study in studies]
    below = _series_of(connection, [studies[path.study] for path in known if not path.series])
    pairs = {(studies[path.study], path.series) for path in known if path.series}
    all_series = look_up_pairs(connection, pairs, series.c.study_id, series.c.series_instance_uid, series.c.id)
    ids = {path: all_series.get((studies[path.study], path.series)) for path in known if path.series}
    singles = {(number, path.instance) for path, number in ids.items() if number is not None and path.instance}
    columns = instance.c.series_id, instance.c.sop_instance_uid, instance.c.size
    stored = look_up_pairs(connection, singles, *columns)
    found: dict[ResourcePath, list[_Row]] = {}
    for path in known:
        if not path.series:
            found[path] = [(number, "") for number in below.get(studies[path.study], ())]
        elif (number := ids[path]) is not None and (not path.instance or (number, path.instance) in stored):
            found[path] = [(number, path.instance)]
    return found


def _series_of(connection: Connection, studies: Sequence[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for start in range(0, len(studies), CHUNK):
        wanted = series.c.study_id.in_(studies[start : start + CHUNK])
        for study_id, number in connection.execute(select(series.c.study_id, series.c.id).where(wanted)):
            found.setdefault(study_id, []).append(number)
    return found


def _nothing(item: Selected) -> Failure:
    return Failure(
        item.resource,
        Status(Code.NOT_FOUND, f"{item.path} names nothing in this DICOM store", kind=Reason.NAMES_NOTHING),
    )
