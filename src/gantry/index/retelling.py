"""Studies and series whose rows come to say something else, with everything that finds them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, update

from gantry.index.requests import replace_requests
from gantry.index.tables import series, study
from gantry.index.terms import make_findable, make_unfindable, tell_modalities
from gantry.merging import Attributes
from gantry.resources import SeriesAttributes, StudyAttributes
from gantry.short_members import lengthen_series, lengthen_study, shorten

_MEMBERS = ("members", "more_members")


def study_said(row: Row[Any]) -> StudyAttributes:
    """What a row of ``study`` says."""
    said = StudyAttributes(*(row._mapping[name] for name in StudyAttributes._fields))
    return said._replace(**dict(zip(_MEMBERS, lengthen_study(said), strict=True)))


def series_said(row: Row[Any]) -> SeriesAttributes:
    """What a row of ``series`` says."""
    said = SeriesAttributes(*(row._mapping[name] for name in SeriesAttributes._fields))
    return said._replace(**dict(zip(_MEMBERS, lengthen_series(said), strict=True)))


def columns_said(said: Attributes) -> Attributes:
    """What is said as the columns of a row have it."""
    return said._replace(**dict(zip(_MEMBERS, shorten(said), strict=True)))


def retell_study(connection: Connection, row: Row[Any], said: StudyAttributes) -> None:
    """``row`` is that of the study as it is before."""
    make_unfindable(connection, row)
    values = columns_said(said)._asdict() | {"modalities": ""}
    connection.execute(update(study).where(study.c.id == row.id).values(values))
    make_findable(connection, row.store_id, {row.id: said})
    tell_modalities(connection, {row.id})


def retell_series(connection: Connection, row: Row[Any], said: SeriesAttributes) -> None:
    """The modalities of its study are told by the caller, once for all of its series."""
    replace_requests(connection, row.store_id, row.id, series_said(row).members, said.members)
    connection.execute(update(series).where(series.c.id == row.id).values(columns_said(said)._asdict()))
