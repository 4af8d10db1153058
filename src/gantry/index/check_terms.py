"""What finds studies, compared with what their rows say: terms of names, texts for wildcards, modalities."""

# ruff: noqa: S608 - queries are made of the constants of these modules alone
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, select

from gantry.findings import Finding, Kind
from gantry.index.retelling import study_said
from gantry.index.tables import TEXT_FIELDS, dicom_store, series, study
from gantry.index.temporary_tables import INTEGER, TEXT, execute, make_table, stream
from gantry.index.terms import join_modalities, terms_of, text_of

_PAGE = 500
_TERM, _MODALITY = "store_id, kind, term, study_id", "store_id, modality, study_date, study_id"
_ALIVE = "store_id IN (SELECT id FROM dicom_store WHERE NOT deleted)"
_REMOVED = "SELECT id FROM dicom_store WHERE removed_from IS NOT NULL"
_TABLES = (
    ("study_term", _TERM, {"store_id": INTEGER, "kind": INTEGER, "term": TEXT, "study_id": INTEGER}),
    ("study_modality", _MODALITY, {"store_id": INTEGER, "modality": TEXT, "study_date": TEXT, "study_id": INTEGER}),
)


def make_term_tables(connection: Connection) -> None:
    """Before the moment at which terms are compared."""
    for table, _, columns in _TABLES:
        make_table(connection, f"wanted_{table}", columns)


def find_wrong_terms(connection: Connection) -> Iterator[Finding]:
    """What is wanted is collected in tables of this connection alone: see ``make_term_tables``."""
    for rows in _pages(connection):
        yield from _compare_texts(connection, rows)
        yield from _compare_modalities(connection, rows)
        _collect(connection, "study_term", [term for row in rows for term in _terms(row)])
        modalities = [(row.store_id, each, row.study_date, row.id) for row in rows for each in _split(row.modalities)]
        _collect(connection, "study_modality", modalities)
    for table, columns, _ in _TABLES:
        yield from _compare(connection, table, columns)
    gone = f"SELECT rowid FROM study_text EXCEPT SELECT id FROM study WHERE store_id NOT IN ({_REMOVED})"
    for (number,) in stream(connection, gone):
        yield Finding(Kind.TERM_WRONG, f"study {number}", "there are texts for searches, but no such study")


def _pages(connection: Connection) -> Iterator[Sequence[Row[Any]]]:
    alive = select(dicom_store.c.id).where(dicom_store.c.deleted.is_(False))
    last = 0
    while True:
        query = select(study).where(study.c.id > last, study.c.store_id.in_(alive)).order_by(study.c.id).limit(_PAGE)
        rows = connection.execute(query).all()
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _compare_texts(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Finding]:
    marks = ", ".join(str(row.id) for row in rows)
    found = connection.exec_driver_sql(
        f"SELECT rowid, {', '.join(TEXT_FIELDS)} FROM study_text WHERE rowid IN ({marks})"
    )
    texts = {row[0]: tuple(row[1:]) for row in found}
    for row in rows:
        said = study_said(row)
        if texts.get(row.id) != tuple(text_of(field, getattr(said, field)) for field in TEXT_FIELDS):
            yield Finding(Kind.TERM_WRONG, _name(row), "its texts for searches are not those of its row")


def _compare_modalities(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Finding]:
    numbers = [row.id for row in rows]
    every: dict[int, list[str]] = {number: [] for number in numbers}
    query = select(series.c.study_id, series.c.modality).where(series.c.study_id.in_(numbers))
    for number, modality in connection.execute(query):
        every[number].append(modality)
    for row in rows:
        if row.modalities != join_modalities(every[row.id]):
            yield Finding(Kind.TERM_WRONG, _name(row), "its modalities are not those of its series")


def _collect(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        execute(connection, f"INSERT INTO wanted_{table} VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", list(rows))


def _compare(connection: Connection, table: str, columns: str) -> Iterator[Finding]:
    said, wanted = f"SELECT {columns} FROM {table} WHERE {_ALIVE}", f"SELECT {columns} FROM wanted_{table}"
    for what, query in (("is missing", f"{wanted} EXCEPT {said}"), ("is too much", f"{said} EXCEPT {wanted}")):
        for row in stream(connection, query):
            yield Finding(Kind.TERM_WRONG, f"study {row[3]}", f"{tuple(row[1:3])!r} in {table} {what}")
    dead = f"SELECT study_id FROM {table} WHERE NOT EXISTS (SELECT 1 FROM study WHERE study.id = {table}.study_id)"
    for (number,) in islice(stream(connection, dead), 1000):
        yield Finding(Kind.TERM_WRONG, f"study {number}", f"{table} names it, but there is no such study")


def _terms(row: Row[Any]) -> Iterator[tuple[int, int, str, int]]:
    yield from terms_of(row.store_id, row.id, study_said(row))


def _split(joined: str) -> list[str]:
    return [each for each in joined.split("\\") if each]


def _name(row: Row[Any]) -> str:
    return f"studies/{row.study_instance_uid}"
