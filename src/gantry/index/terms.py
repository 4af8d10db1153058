"""What finds a study besides its row: terms of its names, texts for wildcards, and the modalities of its series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, tuple_, update

from gantry.index.dialect import KEY_CHARACTERS
from gantry.index.statements import Statement, inserting
from gantry.index.tables import TERMS, TEXT_FIELDS, series, study, study_modality, study_term, study_text
from gantry.matching import name_keys, search_key, split_words
from gantry.resources import StudyAttributes

_TERMS = inserting(study_term, *study_term.columns.keys())
_TEXTS = inserting(study_text, "rowid", *TEXT_FIELDS)
_MODALITIES = inserting(study_modality, *study_modality.columns.keys())

_STUDY: Any = bindparam("study")
_TOLD = ("modalities", "series_count")
_SERIES_MODALITIES = Statement(select(series.c.modality).where(series.c.study_id == _STUDY), "study")
_STUDY_MODALITIES = Statement(
    select(study.c.store_id, study.c.study_date, study.c.modalities).where(study.c.id == _STUDY), "study"
)
_TELL = Statement(
    update(study).where(study.c.id == _STUDY).ordered_values(*((study.c[name], bindparam(name)) for name in _TOLD)),
    *(*_TOLD, "study"),
)


def make_findable(
    connection: Connection,
    store_id: int,
    studies: dict[int, StudyAttributes],
    modalities: dict[int, str] | None = None,
) -> None:
    """Terms and texts of studies that have none; and ``modalities`` of those that have none, as their rows say them."""
    _TERMS.run(connection, [term for number, said in studies.items() for term in terms_of(store_id, number, said)])
    texts = [
        (number, *(text_of(field, getattr(said, field)) for field in TEXT_FIELDS)) for number, said in studies.items()
    ]
    _TEXTS.run(connection, texts)
    rows = [
        (store_id, modality, studies[number].study_date, number)
        for number, joined in (modalities or {}).items()
        for modality in _split(joined)
    ]
    _MODALITIES.run(connection, rows)


def make_unfindable(connection: Connection, row: Row[Any]) -> None:
    """The terms, texts and modalities of a study go."""
    terms = list(terms_of(row.store_id, row.id, row))
    if terms:
        connection.execute(delete(study_term).where(tuple_(*study_term.primary_key.columns).in_(terms)))
    for modality in row.modalities.split("\\"):
        key = (row.store_id, modality, row.study_date, row.id)
        same = [column == value for column, value in zip(study_modality.primary_key.columns, key, strict=True)]
        connection.execute(delete(study_modality).where(*same))
    connection.execute(delete(study_text).where(study_text.c.rowid == row.id))


def terms_of(store_id: int, study_id: int, said: Any) -> Iterable[tuple[int, int, str, int]]:
    """Rows of ``study_term`` for a study with the attributes ``said``."""
    for field, (of_groups, of_words) in TERMS.items():
        name = getattr(said, field)
        for kind, terms in ((of_groups, name_keys(name)), (of_words, split_words(name))):
            for term in dict.fromkeys(each[:KEY_CHARACTERS] for each in terms):
                yield store_id, kind, term, study_id


def text_of(field: str, value: str) -> str:
    """A field as ``study_text`` has it; component groups of names stand between ``=``."""
    if field in TERMS:
        return f"={'='.join(name_keys(value))}=" if value else ""
    return search_key(value)


def tell_modalities(connection: Connection, studies: set[int]) -> None:
    """Bring the modalities of studies up to date, and how many series they have."""
    for study_id in studies:
        every = list(_SERIES_MODALITIES.execute(connection, study_id).scalars())
        joined = join_modalities(every)
        present = _split(joined)
        row = _STUDY_MODALITIES.execute(connection, study_id).one()
        _TELL.run(connection, [(joined, len(every), study_id)])
        before = _split(row.modalities)
        key = {"store_id": row.store_id, "study_date": row.study_date, "study_id": study_id}
        for modality in set(before) - set(present):
            gone = [study_modality.c[name] == value for name, value in (key | {"modality": modality}).items()]
            connection.execute(study_modality.delete().where(*gone))
        new = [modality for modality in present if modality not in before]
        _MODALITIES.run(connection, [(row.store_id, modality, row.study_date, study_id) for modality in new])


def join_modalities(every: Iterable[str]) -> str:
    """The modalities of a study, as its row says them: those of its series, each once, in order."""
    return "\\".join(sorted({word for modality in every for word in _split(modality)}))


def _split(joined: str) -> list[str]:
    return [word for word in joined.split("\\") if word]
