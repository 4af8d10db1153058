"""SQLite as the index: its files, its schema and its query plans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from gantry.errors import FailedPrecondition, Unavailable
from gantry.index import database, lookups, retention, selections, walking
from gantry.index.all_tables import metadata
from gantry.index.sql import SqlIndex
from gantry.log_entries import Severity
from gantry.names import OperationName, ResourcePath
from gantry.resources import Batch, Change, DicomStore, Instance, Method, Operation
from tests.index.values import DATASET, RUNNER, STORE, begin, failed, item, said, selected
from tests.support.statements import record_statements


@pytest.fixture
def index(sqlite_index: SqlIndex) -> SqlIndex:
    return sqlite_index


def test_readers_keep_few_pages_each(index: SqlIndex) -> None:
    """There may be many of them, and a busy server's memory is what they keep."""
    kept = {}
    for engine in (index.database.engine, index.database.writer):
        with engine.connect() as connection:
            kept[engine] = -connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    assert kept[index.database.writer] == database.WRITER_CACHE
    assert kept[index.database.engine] * database.READERS <= 40 * 1024


# Life -----------------------------------------------------------------------------------------------------------------


def test_what_was_committed_is_there_when_the_index_is_opened_again(
    index: SqlIndex, operation: Operation, sqlite_path: Path
) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1),)))
    index.close()
    again = SqlIndex(f"sqlite:///{sqlite_path}")
    assert again.operations.get_operation(operation.name).checkpoint == "a"
    assert [found.to_instance() for found in again.instances.walk_store(operation.store_id)] == [item(1)]
    again.close()


def test_a_commit_is_on_disk_before_it_returns(index: SqlIndex) -> None:
    with index.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_an_index_in_a_directory_with_percent_signs_can_be_migrated(tmp_path: Path) -> None:
    (tmp_path / "100%d %(x)s").mkdir()
    opened = SqlIndex(f"sqlite:///{tmp_path / '100%d %(x)s' / 'index.sqlite'}")
    assert opened.resources.list_datasets(DATASET.parent, 1) == []
    opened.close()


def test_an_index_of_a_newer_version_is_refused(sqlite_path: Path) -> None:
    engine = create_engine(f"sqlite:///{sqlite_path}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(FailedPrecondition, match="another version"):
        SqlIndex(f"sqlite:///{sqlite_path}")


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database, " * 100)
    with pytest.raises((FailedPrecondition, Unavailable)):
        SqlIndex(f"sqlite:///{tmp_path / 'index.sqlite'}")


def test_a_deleted_dataset_leaves_no_row(
    index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever table; those of its operations go in pieces."""
    batch = Batch("a", (said(item(1)),), failures=tuple(map(failed, range(9))), selection=selected(("1.2", "", "")))
    index.operations.commit_batch(operation, RUNNER, batch)
    index.saved_searches.save_search(STORE, "a", "x", "1")
    index.deletion.delete_below(STORE, ResourcePath("1.2"), "v1", Method.DELETE_STUDY)
    index.uploads.store_instances(operation.store_id, [said(item(2))])
    assert rows(index, "progress") == {"progress": 1}
    index.resources.delete_dataset(DATASET)
    monkeypatch.setattr(retention, "_BATCH", 2)
    pieces = [rows(index, "failure")["failure"] or 0]
    while index.retention.purge_operation():
        pieces.append(rows(index, "failure")["failure"] or 0)
    assert len(pieces) > 5 and all(before - after <= 2 for before, after in pairwise(pieces))
    for _ in range(2):
        for store_id in index.garbage.list_deleted_stores():
            while not index.garbage.purge_store(store_id):
                pass
            index.garbage.forget_store(store_id)
        while not index.garbage.purge_removed():
            pass
    index.garbage.forget_blobs(index.garbage.list_blobs())
    kept = {name: count for name, count in rows(index, *metadata.tables).items() if count}
    assert kept == {"generation": 1, "change_feed": 1}


def test_a_page_of_failed_operations_costs_as_many_statements_as_one(index: SqlIndex, store: DicomStore) -> None:
    """Each has its own samples, the first ten errors."""
    for number in range(12):
        made = begin(index)
        failures = tuple(failed(100 * number + each) for each in range(number))
        index.operations.commit_batch(made, RUNNER, Batch("a", failures=failures))
        index.operations.finish_operation(made, RUNNER, failures[0].status if failures else None)
    counts = []
    for limit in (1, 12):
        with plans(index) as steps:
            page = index.operations.list_operations(DATASET, limit)
        counts.append(len(steps))
    assert counts[0] == counts[1] and bad(steps) == []
    for number, found in enumerate(reversed(page)):
        assert found.samples == tuple(failed(100 * number + each) for each in range(number))[:10]
        assert found == index.operations.get_operation(found.name)


def test_a_purged_store_leaves_no_row(index: SqlIndex, operation: Operation) -> None:
    index.operations.commit_batch(operation, RUNNER, Batch("a", (item(1), item(2, "1.3", "1.3.1"))))
    index.resources.delete_dicom_store(STORE)
    while not index.garbage.purge_store(operation.store_id):
        pass
    index.garbage.forget_store(operation.store_id)
    tables = ("instance", "series", "study", "dicom_store")
    assert rows(index, *tables) == dict.fromkeys(tables, 0)


def test_an_index_of_the_first_schema_keeps_what_its_operations_had_selected(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'index.sqlite'}"
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url)
    command.upgrade(config, "0001")
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in _OLD_ROWS.strip().split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    index = SqlIndex(url)
    assert [found.uids for found in index.selections.walk_selected(7)] == [
        *(("1.2", "5", "9.1"), ("1.2", "6", "9.2"), ("1.3", "5", "9.4"), ("1.4", "5", "9.5"))
    ]
    entry = index.logs.list_failures(OperationName(DATASET, 7), 1)[0]
    assert (entry.failure.resource, entry.severity) == ("gs://b/x", Severity.ERROR)
    index.close()


_OLD_ROWS = """
INSERT INTO dataset (id, project, location, dataset) VALUES (1, 'p', 'us-central1', 'd');
INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (1, 1, 's', '{}'), (2, 1, 't', '{}');
INSERT INTO study (id, store_id, study_instance_uid) VALUES (1, 1, '1.2'), (2, 1, '1.3'), (3, 1, '1.4'), (4, 2, '1.2');
INSERT INTO series (id, study_id, series_instance_uid)
    VALUES (1, 1, '5'), (2, 1, '6'), (3, 2, '5'), (4, 3, '5'), (5, 3, '6'), (6, 4, '5');
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size, storage_class,
    storage_class_update_time, create_time) SELECT column1, column2, '1', '1', column2, 1, 'STANDARD', 0, 0
    FROM (VALUES (1, '9.1'), (2, '9.2'), (3, '9.3'), (3, '9.4'), (4, '9.5'), (5, '9.6'), (6, '9.7'));
INSERT INTO operation (id, dataset_id, store_id, store, version, method, request, create_time, checkpoint)
    VALUES (7, 1, 1, '', 'v1', 'dicom.DicomService.ExportDicomData', '{}', 0, x'');
INSERT INTO selection VALUES (7, '1.2', '', ''), (7, '1.3', '5', '9.4'), (7, '1.4', '5', ''), (7, '1.9', '', '');
INSERT INTO failure (operation_id, seq, time, resource, code, message) VALUES (7, 1, 0, 'gs://b/x', 3, 'bad')
"""


def rows(index: SqlIndex, *tables: str) -> dict[str, int | None]:
    with index.database.engine.connect() as connection:
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in tables}


# Schema ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def declared() -> Iterator[Engine]:
    """A database made from ``tables`` without any migration."""
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def is_declared(name: str | None, *_: object) -> bool:
    """The full-text index and its shadow tables are made by the migration alone."""
    return not str(name).startswith("study_text")


def is_of_both(_: object, name: str | None, *__: object) -> bool:
    """Alembic does not know of indexes that one database alone has; see the test below."""
    return not str(name).startswith(("study_patient", "study_accession"))


COMPARED: dict[str, Any] = {"include_name": is_declared, "include_object": is_of_both}


def test_migrations_give_what_the_tables_declare(index: SqlIndex) -> None:
    with index.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=COMPARED)
        assert compare_metadata(context, metadata) == []


def test_migrations_give_the_same_statements_as_the_tables(index: SqlIndex, declared: Engine) -> None:
    with index.database.engine.connect() as migrated, declared.connect() as made:
        assert statements(migrated) == statements(made)


def test_migrations_give_the_same_constraints_as_the_tables(index: SqlIndex, declared: Engine) -> None:
    for name in metadata.tables:
        for ask in ("get_unique_constraints", "get_pk_constraint", "get_foreign_keys"):
            assert getattr(inspect(index.database.engine), ask)(name) == getattr(inspect(declared), ask)(name), (
                name,
                ask,
            )


def statements(connection: Connection) -> dict[str, str]:
    """Name → statement, parts in order of the alphabet: WITHOUT ROWID, AUTOINCREMENT and WHERE count, places do not."""
    found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    normal = {name: re.sub(r" ?([,)])", r"\1", " ".join(sql.replace('"', "").split())) for name, sql in found}
    return {
        name: ", ".join(sorted(sql.split(", ")))
        for name, sql in normal.items()
        if name not in ("alembic_version", "sqlite_sequence") and is_declared(name)
    }


# Queries --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch) -> Operation:
    """300 instances in 15 series; pages of 20 and 4 series, so that a walk needs many."""
    for start in range(0, 300, 100):
        index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(several()[start : start + 100])))
    index.operations.commit_batch(
        operation, RUNNER, Batch("b", selection=selected(("1.1", "", ""), ("1.2", "2.8", ""), ("1.0", "2.0", "9.15")))
    )
    monkeypatch.setattr(walking, "PAGE", 7)
    monkeypatch.setattr(lookups, "CHUNK", 4)
    monkeypatch.setattr(selections, "_PAGE", 2)
    return operation


def several() -> list[Instance]:
    return [item(number, f"1.{number % 3}", f"2.{number % 15}") for number in range(300)]


def test_small_pages_give_the_same_walk(index: SqlIndex, filled: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    small = list(index.instances.walk_store(filled.store_id))
    selected = list(index.selections.walk_selected(filled.name.id))
    for position in range(0, 300, 17):
        assert list(index.instances.walk_store(filled.store_id, small[position].position)) == small[position + 1 :]
    uids = [found.uids for found in several()]
    looked_up = index.instances.find_stored(filled.store_id, uids)
    monkeypatch.setattr(walking, "PAGE", 1000)
    monkeypatch.setattr(lookups, "CHUNK", 400)
    monkeypatch.setattr(selections, "_PAGE", 1000)
    assert small == list(index.instances.walk_store(filled.store_id))
    assert selected == list(index.selections.walk_selected(filled.name.id))
    assert looked_up == index.instances.find_stored(filled.store_id, uids) == {found.uids: found for found in small}
    assert sorted(found.to_instance() for found in small) == sorted(several())
    assert (len(small), len(selected)) == (300, 121)


def test_a_walk_searches_and_never_scans_or_sorts(index: SqlIndex, filled: Operation) -> None:
    with plans(index) as found:
        list(index.instances.walk_store(filled.store_id))
    assert any("instance" in step for step in found)
    assert bad(found) == []


def test_a_selection_is_written_and_walked_without_a_scan_or_sort(index: SqlIndex, filled: Operation) -> None:
    with plans(index) as found:
        list(index.selections.walk_selected(filled.name.id))
        index.selections.count_selected(filled.name.id)
        index.operations.commit_batch(
            filled, RUNNER, Batch("c", selection=selected(("1.1", "", ""), ("1.2", "2.8", "9.8")))
        )
    assert any("selection" in step for step in found)
    assert bad(found) == []


def test_looking_for_stored_instances_searches_and_never_scans_or_sorts(index: SqlIndex, filled: Operation) -> None:
    with plans(index) as found:
        index.instances.find_stored(filled.store_id, [found.uids for found in several()])
    assert any("instance" in step for step in found)
    assert bad(found) == []


def test_committing_a_batch_searches_and_never_scans_or_sorts(index: SqlIndex, filled: Operation) -> None:
    new = tuple(item(number, f"1.{number % 3}", f"2.{number % 20}") for number in range(1000, 1040))
    with plans(index) as found:
        index.operations.commit_batch(filled, RUNNER, Batch("z", new, failures=(failed(1),)))
    assert found
    assert bad(found) == []


def test_changes_and_metrics_of_a_path_search_and_never_scan_or_sort(index: SqlIndex, filled: Operation) -> None:
    walk = list(index.instances.walk_store(filled.store_id))
    changes = tuple(Change(found, "ARCHIVE", f"new/{found.blob_key}") for found in walk[:50])
    path = ResourcePath(*walk[0].uids)
    with plans(index) as found:
        index.operations.commit_batch(filled, RUNNER, Batch("z", changes=changes))
        index.metrics.get_metrics(STORE, path._replace(instance=""))
        index.metrics.get_metrics(STORE, path._replace(series="", instance=""))
        index.instances.get_storage_info(STORE, path)
        list(index.instances.walk_below(filled.store_id, path._replace(series="", instance="")))
        index.deletion.delete_instance(STORE, path)
        index.deletion.delete_below(STORE, path._replace(series="", instance=""), "v1", Method.DELETE_STUDY)
    assert any("instance" in step for step in found)
    assert bad(found) == []


def test_metrics_of_a_store_read_series_and_no_instance(index: SqlIndex, filled: Operation) -> None:
    with plans(index) as found:
        index.metrics.get_metrics(STORE)
        index.instances.count_in_store(filled.store_id)
    assert any("series" in step for step in found)
    assert [step for step in found if re.search(r"\binstance\b", step)] == []


def test_claiming_searches_only_what_is_open(index: SqlIndex, filled: Operation) -> None:
    with plans(index) as found:
        index.operations.claim_operation(RUNNER)
    assert [step for step in found if "operation" in step and "operation_open" not in step] == []


def bad(steps: list[str]) -> list[str]:
    """Steps that grow with the store: a sort of its own, a table or index read from end to end."""
    scan = re.compile(rf"SCAN ({'|'.join(metadata.tables)})(_\d+)?\b")
    return [step for step in steps if "TEMP B-TREE" in step or scan.match(step)]


@contextmanager
def plans(index: SqlIndex) -> Iterator[list[str]]:
    """The steps of the plans of all statements inside the block."""
    steps: list[str] = []
    with record_statements(index.database) as statements:
        yield steps
    reads_and_changes = [each for each in statements if each[0].startswith(("SELECT", "UPDATE", "DELETE"))]
    with index.database.engine.connect() as connection:
        for statement, parameters in reads_and_changes:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps.extend(row.detail for row in plan)
