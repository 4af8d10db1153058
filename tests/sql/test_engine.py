"""Queries by the engine itself: what they mean, and what they may not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.query_seams import Query
from gantry.storage.sql.engine import LocalQueries
from tests.sql.tables import write_table


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalQueries]:
    root = tmp_path_factory.mktemp("tables")
    write_table(root, "p.d.t")
    write_table(root, "p.other.u")
    made = LocalQueries({"p": str(root)}, tmp_path_factory.mktemp("spills"))
    yield made
    made.close()


def ask(engine: LocalQueries, text: str, **more: Any) -> list[list[Any]]:
    query = Query(text, "p", more.pop("dataset", ("p", "d")), **more)
    with engine.run(query) as answer:
        return [row for batch in answer.batches for row in batch.read()]


def _read_meanings() -> list[tuple[str, list[list[Any]]]]:
    _, *parts = Path(__file__).with_name("meanings.txt").read_text(encoding="utf-8").split("\n\n")
    pairs = [part.rpartition("\n= ") for part in parts]
    return [(text, json.loads(rows)) for text, _, rows in pairs]


MEANINGS = _read_meanings()


@pytest.mark.parametrize(("text", "rows"), MEANINGS, ids=[text[:60] for text, _ in MEANINGS])
def test_a_query_means_what_it_means_in_bigquery(engine: LocalQueries, text: str, rows: list[list[Any]]) -> None:
    assert ask(engine, text) == rows
