"""How PostgreSQL goes about searches in a large store: each uses an index, as its statistics advise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, text

from gantry.index.sql import SqlIndex
from gantry.index.tables import TEXT_FIELDS, study_text
from gantry.names import ResourcePath
from gantry.queries import Level, Match, Operator, Query
from gantry.resources import Dataset, DicomStore
from tests.index.test_searching import query
from tests.index.test_sqlite_searching import FOUND_FIRST, IN_ORDER
from tests.index.values import DATASET, STORE
from tests.support.postgresql import Databases, to_text
from tests.support.statements import record_statements

pytestmark = pytest.mark.slow

STUDIES = 20_000
LARGE = ("study", "study_term", "study_text", "study_modality", "series", "series_request", "instance")
# One study in a hundred has MR, and a name that is searched for; each patient has twenty
# studies; dates go over ten years.
_FILL = """
INSERT INTO study (id, store_id, study_instance_uid, patient_name, patient_id, accession_number, study_date, study_time,
    study_description, modalities, series_count, instance_count, described_by)
SELECT n, 1, '1.' || n, CASE WHEN n % 100 = 0 THEN 'Doe^Jo' ELSE 'Name^' END || n, 'P' || n / 20, 'A' || n,
    to_char(date '2015-01-01' + n % 3650, 'YYYYMMDD'), lpad((n % 24)::text, 2, '0') || '3015', 'CT head ' || n % 100,
    CASE WHEN n % 100 = 0 THEN 'MR' ELSE 'CT' END, 1, 2, 1000 FROM generate_series(1, {studies}) n;
INSERT INTO study_term SELECT 1, kind, lower(term.term), id FROM study,
    LATERAL (VALUES (1, patient_name), (2, split_part(patient_name, '^', 1)), (2, split_part(patient_name, '^', 2)))
    term(kind, term);
INSERT INTO study_modality SELECT 1, modalities, study_date, id FROM study;
INSERT INTO series (id, study_id, series_instance_uid, instance_count, store_id, modality, start_date, start_time)
SELECT n, n, '1.' || n || '.1', 2, 1, CASE WHEN n % 100 = 0 THEN 'MR' ELSE 'CT' END,
    CASE WHEN n % 50 = 0 THEN to_char(date '2015-01-01' + n % 3650, 'YYYYMMDD') ELSE '' END, ''
FROM generate_series(1, {studies}) n;
INSERT INTO series_request SELECT n, 'S' || n, 'R' || n / 2, 1 FROM generate_series(1, {studies}, 10) n;
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size, storage_class,
    storage_class_update_time, create_time, pack_number)
SELECT n, '1.' || n || '.1.' || m, '1', '1', 'b/' || n || '/' || m, 1, 'STANDARD', 0, 0, -1
FROM generate_series(1, {studies}) n, generate_series(1, 2) m;
"""


@pytest.fixture(scope="module")
def large(databases: Databases, empty_database: Any) -> Iterator[SqlIndex]:
    """A store of many studies, as statistics know them."""
    url = databases.make(empty_database)
    index = SqlIndex(to_text(url))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    with index.database.write() as connection:
        for statement in _FILL.format(studies=STUDIES).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
        texts = [{"rowid": n, **_texts(n)} for n in range(1, STUDIES + 1)]
        values = {name: bindparam(name) for name in ("rowid", *TEXT_FIELDS)}
        connection.execute(insert(study_text).values(values), texts)
    with index.database.engine.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    yield index
    index.close()
    databases.drop(url)


def _texts(number: int) -> dict[str, str]:
    name = f"=doe^jo{number}=" if number % 100 == 0 else f"=name^{number}="
    return dict.fromkeys(TEXT_FIELDS, "") | {"patient_name": name, "study_description": f"ct head {number % 100}"}


@contextmanager
def plans(index: SqlIndex) -> Iterator[list[str]]:
    """The lines of the plans of all statements inside the block."""
    lines: list[str] = []
    with record_statements(index.database) as statements:
        yield lines
    with index.database.engine.connect() as connection:
        for statement, parameters in statements:
            lines += connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()


def reads_all(lines: list[str]) -> list[str]:
    """Large tables that are read from end to end."""
    return [line for line in lines if any(f"Seq Scan on {name} " in f"{line} " for name in LARGE)]


@pytest.mark.slow
@pytest.mark.parametrize("matches", [*IN_ORDER, *FOUND_FIRST], ids=str)
def test_studies_are_found_by_an_index(large: SqlIndex, matches: Any) -> None:
    with plans(large) as lines:
        large.search.search_studies(STORE, query(Level.STUDY, *matches, limit=100))
    assert any("Index" in line for line in lines), "\n".join(lines)
    assert reads_all(lines) == [], "\n".join(lines)


@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
@pytest.mark.parametrize("path", [ResourcePath(""), ResourcePath("1.5"), ResourcePath("1.5", "1.5.1")])
def test_levels_below_are_found_by_an_index(large: SqlIndex, level: Level, path: ResourcePath) -> None:
    with plans(large) as lines:
        search = large.search.search_series if level is Level.SERIES else large.search.search_instances
        search(STORE, query(level, path=path, limit=100))
        if path.study:
            list(large.instances.list_below(STORE, path))
    assert reads_all(lines) == [], "\n".join(lines)


KEYS = [
    (("start_date", Operator.RANGE, ("20180105", "20180107")),),
    (("scheduled_step_id", Operator.EQUALS, ("S1001",)),),
    (("requested_procedure_id", Operator.EQUALS, ("R500",)),),
    (("modality", Operator.EQUALS, ("MR",)),),
]


@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
@pytest.mark.parametrize("matches", KEYS, ids=str)
def test_series_are_found_by_their_keys(large: SqlIndex, level: Level, matches: Any) -> None:
    asked = Query(level, ResourcePath(""), tuple(Match(Level.SERIES, *match) for match in matches), limit=100)
    with plans(large) as lines:
        search = large.search.search_series if level is Level.SERIES else large.search.search_instances
        assert search(STORE, asked) or matches is KEYS[0]
    assert reads_all(lines) == [], "\n".join(lines)


def test_walks_and_counts_read_no_more_than_they_need(large: SqlIndex) -> None:
    store_id = large.resources.get_dicom_store(STORE).id
    with plans(large) as lines:
        walk = large.instances.walk_store(store_id)
        found = [next(walk) for _ in range(1500)]
        large.instances.find_stored(store_id, [each.uids for each in found[:300]])
        large.metrics.get_metrics(STORE, ResourcePath("1.5"))
        large.instances.get_storage_info(STORE, ResourcePath(*found[0].uids))
    assert reads_all(lines) == [], "\n".join(lines)


def test_a_long_answer_goes_on_where_it_ended(large: SqlIndex) -> None:
    """Pages make up the whole, each study once: what is equal in the order has an order of its own."""
    pages = [
        [
            row.study_instance_uid
            for row in large.search.search_studies(STORE, query(Level.STUDY, limit=500, offset=start))
        ]
        for start in range(0, 3000, 500)
    ]
    whole = [row.study_instance_uid for row in large.search.search_studies(STORE, query(Level.STUDY, limit=3000))]
    assert [uid for page in pages for uid in page] == whole and len(set(whole)) == 3000


@pytest.mark.parametrize("values", [("P7",), tuple(f"P{number}" for number in range(9))], ids=["one", "many"])
@pytest.mark.parametrize("field", ["patient_id", "accession_number"])
def test_ids_are_found_by_their_beginning(large: SqlIndex, field: str, values: tuple[str, ...]) -> None:
    """An index has no room for more of them."""
    with plans(large) as lines:
        large.search.search_studies(STORE, query(Level.STUDY, (field, Operator.EQUALS, values), limit=100))
    index = {"patient_id": "study_patient_start", "accession_number": "study_accession_start"}[field]
    assert any(index in line for line in lines), "\n".join(lines)
