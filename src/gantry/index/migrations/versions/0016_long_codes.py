"""Codes, dates and times have 64 characters at most, as those that come now: a search would not find longer ones any
more, and they have no room in a key of PostgreSQL."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op

from gantry.index.terms import join_modalities

revision = "0016"
down_revision = "0015"

_CHARACTERS = 64
_CODES = {"study": ("study_date", "study_time"), "series": ("modality", "start_date", "start_time")}
_STUDIES = """
SELECT study_id FROM series WHERE length(modality) > {most}
UNION SELECT id FROM study WHERE length(study_date) > {most}
"""
_BYTES = {"sqlite": "CAST({0} AS BLOB)", "postgresql": "convert_to({0}, 'UTF8')"}
"""A text that is damaged may be no UTF-8."""
_REMOVE = """
DELETE FROM study_modality
WHERE store_id = :store_id AND modality = :modality AND study_date = :study_date AND study_id = :study_id
"""
_ADD = "INSERT INTO study_modality VALUES (:store_id, :modality, :study_date, :study_id) ON CONFLICT DO NOTHING"


def upgrade() -> None:
    connection = op.get_bind()
    for number in connection.execute(sa.text(_STUDIES.format(most=_CHARACTERS))).scalars().all():
        _tell_modalities(connection, number)
    for table, columns in _CODES.items():
        cut = ", ".join(f"{each} = substr({each}, 1, {_CHARACTERS})" for each in columns)
        is_long = " OR ".join(f"length({each}) > {_CHARACTERS}" for each in columns)
        op.execute(f"UPDATE {table} SET {cut} WHERE {is_long}")  # noqa: S608 - of names above


def _tell_modalities(connection: sa.Connection, number: int) -> None:
    """Those of a study, and what finds it by them; nothing finds one that was deleted."""
    store_id, date, before = _read(connection, "store_id", "study", "id", number, ("study_date", "modalities"))[0]
    every = [row[1] for row in _read(connection, "id", "series", "study_id", number, ("modality",))]
    joined = join_modalities(each[:_CHARACTERS] for each in every)
    connection.execute(
        sa.text("UPDATE study SET modalities = :joined WHERE id = :number"), {"joined": joined, "number": number}
    )
    if _run(connection, _REMOVE, before, store_id, date, number):
        _run(connection, _ADD, joined, store_id, date[:_CHARACTERS], number)


def _read(
    connection: sa.Connection, first: str, table: str, key: str, number: int, texts: Iterable[str]
) -> list[tuple[Any, ...]]:
    shown = ", ".join([first, *map(_BYTES[connection.dialect.name].format, texts)])
    rows = connection.execute(sa.text(f"SELECT {shown} FROM {table} WHERE {key} = :number"), {"number": number})  # noqa: S608
    return [(row[0], *(bytes(each).decode("utf-8", "replace") for each in row[1:])) for row in rows]


def _run(connection: sa.Connection, statement: str, joined: str, store_id: int, date: str, number: int) -> int:
    """Once for each modality; how many rows have changed."""
    changed = 0
    for modality in filter(None, joined.split("\\")):
        values = {"store_id": store_id, "modality": modality, "study_date": date, "study_id": number}
        changed += connection.execute(sa.text(statement), values).rowcount
    return changed
