"""What finds a study besides its row: terms of its names, texts for wildcards, and the modalities of its series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, tuple_, update

from gantry.index.tables import TERMS, TEXT_FIELDS, series, study, study_modality, study_term, study_text
from gantry.matching import name_keys, search_key, split_words
from gantry.resources import StudyAttributes


def make_findable(connection: Connection, store_id: int, studies: dict[int, StudyAttributes]) -> None:
    """Terms and texts of studies that have none."""
    terms = [term for number, said in studies.items() for term in terms_of(store_id, number, said)]
    if terms:
        connection.execute(insert(study_term), terms)
    texts = [
        {"rowid": number} | {field: text_of(field, getattr(said, field)) for field in TEXT_FIELDS}
        for number, said in studies.items()
    ]
    connection.execute(insert(study_text), texts)


def make_unfindable(connection: Connection, row: Row[Any]) -> None:
    """The terms, texts and modalities of a study go."""
    terms = [tuple(term.values()) for term in terms_of(row.store_id, row.id, row)]
    if terms:
        connection.execute(delete(study_term).where(tuple_(*study_term.primary_key.columns).in_(terms)))
    for modality in row.modalities.split("\\"):
        key = (row.store_id, modality, row.study_date, row.id)
        same = [column == value for column, value in zip(study_modality.primary_key.columns, key, strict=True)]
        connection.execute(delete(study_modality).where(*same))
    connection.execute(delete(study_text).where(study_text.c.rowid == row.id))


def terms_of(store_id: int, study_id: int, said: Any) -> Iterable[dict[str, Any]]:
    """Rows of ``study_term`` for a study with the attributes ``said``."""
    for field, (of_groups, of_words) in TERMS.items():
        name = getattr(said, field)
        for kind, terms in ((of_groups, dict.fromkeys(name_keys(name))), (of_words, split_words(name))):
            for term in terms:
                yield {"store_id": store_id, "kind": kind, "term": term, "study_id": study_id}


def text_of(field: str, value: str) -> str:
    """A field as ``study_text`` has it; component groups of names stand between ``=``."""
    if field in TERMS:
        return f"={'='.join(name_keys(value))}=" if value else ""
    return search_key(value)


def tell_modalities(connection: Connection, studies: set[int]) -> None:
    """Bring the modalities of studies up to date, and how many series they have."""
    for study_id in studies:
        query = select(series.c.modality).where(series.c.study_id == study_id)
        every = list(connection.execute(query).scalars())
        present = sorted({word for modality in every for word in modality.split("\\") if word})
        is_study = study.c.id == study_id
        row = connection.execute(select(study.c.store_id, study.c.study_date, study.c.modalities).where(is_study)).one()
        changed = {"series_count": len(every), "modalities": "\\".join(present)}
        connection.execute(update(study).where(is_study).values(changed))
        before = {word for word in row.modalities.split("\\") if word}
        key = {"store_id": row.store_id, "study_date": row.study_date, "study_id": study_id}
        for modality in before - set(present):
            gone = [study_modality.c[name] == value for name, value in (key | {"modality": modality}).items()]
            connection.execute(study_modality.delete().where(*gone))
        if new := [key | {"modality": modality} for modality in present if modality not in before]:
            connection.execute(insert(study_modality), new)
