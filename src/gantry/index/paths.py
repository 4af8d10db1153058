"""From the path of a study, series or instance to the numbers of its rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from gantry.errors import NotFound
from gantry.index.tables import instance, series, study
from gantry.names import ResourcePath


def find_path(connection: Connection, store_id: int, path: ResourcePath) -> tuple[int, int]:
    """Ids of the study and series of a path; the latter 0 for the path of a study. Raises NotFound at every level."""
    is_study = study.c.store_id == store_id, study.c.study_instance_uid == path.study
    study_id = connection.execute(select(study.c.id).where(*is_study)).scalar()
    if study_id is None:
        raise no_such_path(path)
    if not path.series:
        return study_id, 0
    is_series = series.c.study_id == study_id, series.c.series_instance_uid == path.series
    series_id = connection.execute(select(series.c.id).where(*is_series)).scalar()
    if series_id is None:
        raise no_such_path(path)
    if path.instance:
        wanted = instance.c.series_id == series_id, is_instance(path.instance)
        if connection.execute(select(instance.c.series_id).where(*wanted)).scalar() is None:
            raise no_such_path(path)
    return study_id, series_id


def is_below(study_id: int, series_id: int) -> tuple[Any, ...]:
    return (series.c.id == series_id,) if series_id else (series.c.study_id == study_id,)


def is_instance(sop_instance_uid: str) -> Any:
    return instance.c.sop_instance_uid == sop_instance_uid


def no_such_path(path: ResourcePath) -> NotFound:
    return NotFound(f"{path} does not exist in this DICOM store")
