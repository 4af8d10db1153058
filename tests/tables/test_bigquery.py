"""``:export`` into BigQuery, by its own client, beside an emulator of it.

The emulator proves less than the service: it knows no rights, takes the id of a job twice (so the server asks for a job
first), reads nothing that is compressed, and forgets to make the columns that are added to a table.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.storage.bigquery.places import BigQueryPlace
from gantry.storage.bigquery.warehouse import BigQueryWarehouse
from gantry.table_address import TableAddress
from gantry.table_schema import Column, TableRow
from gantry.table_seams import ExportTable
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, Json, counts
from tests.tables.warehouse import destination, export

bigquery = pytest.importorskip("google.cloud.bigquery")
from tests.support.bigquery import BigQueryEmulator, emulating  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.sqlite("rows wait in the directory of one server"),
]
UIDS = [("1.1", "1.1.1", "1.1.1.1"), ("1.1", "1.1.1", "1.1.1.2"), ("1.2", "1.1.1", "1.1.1.1")]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryEmulator]:
    with emulating(tmp_path_factory.mktemp("bigquery")) as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, emulator: BigQueryEmulator) -> Iterator[GantryServer]:
    home: Path = tmp_path_factory.mktemp("server")
    setting = json.dumps([{"project": "p", "endpoint": emulator.url}])
    running = GantryServer(home / "data", home / "buckets", env={"GANTRY_BIGQUERY_PROJECTS": setting})
    yield running
    running.stop()


@pytest.fixture
def gantry(server: GantryServer) -> Gantry:
    return Gantry(server)


@pytest.fixture
def uri(gantry: Gantry, emulator: BigQueryEmulator) -> str:
    """A table in a dataset of its own."""
    name = gantry.dataset_id.replace("-", "_")
    emulator.client.create_dataset(name)
    return f"bq://p.{name}.t"


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    for number, uids in enumerate(UIDS):
        gantry.put(gantry.bucket, f"{number}.dcm", make_instance(*uids))
    assert counts(gantry.import_("**")) == (3, 0)
    return gantry


def export_all(gantry: Gantry, uri: str, **more: Any) -> None:
    operation = export(gantry, uri, **more)
    assert "error" not in operation, operation["error"]
    assert counts(operation) == (3, 0)


def list_rows(emulator: BigQueryEmulator, uri: str) -> list[Json]:
    return [dict(row) for row in emulator.client.query(f"SELECT * FROM `{uri[5:]}`").result()]


def list_uids(emulator: BigQueryEmulator, uri: str) -> list[tuple[str, str, str]]:
    rows = list_rows(emulator, uri)
    return sorted((row["StudyInstanceUID"], row["SeriesInstanceUID"], row["SOPInstanceUID"]) for row in rows)


def list_tables(emulator: BigQueryEmulator, uri: str) -> list[str]:
    return sorted(each.table_id for each in emulator.client.list_tables(uri[5:].rpartition(".")[0]))


def left(server: GantryServer) -> list[str]:
    return [name for name in os.listdir(server.data / "bigquery") if name.startswith("op-")]


def test_one_row_for_each_instance_and_nothing_is_left(
    filled: Gantry, emulator: BigQueryEmulator, uri: str, server: GantryServer
) -> None:
    export_all(filled, uri)
    assert list_uids(emulator, uri) == sorted(UIDS)
    row = list_rows(emulator, uri)[0]
    assert (row["Modality"], row["PatientID"], row["StorageClass"], row["Type"]) == ("OT", "P1", "STANDARD", "INSERT")
    assert row["LastUpdated"].tzinfo is not None
    assert list_tables(emulator, uri) == ["t"]
    assert left(server) == []


def test_dispositions(filled: Gantry, emulator: BigQueryEmulator, uri: str) -> None:
    export_all(filled, uri)
    for more in ({}, {"writeDisposition": "WRITE_EMPTY"}, {"force": False}):
        assert export(filled, uri, **more)["error"]["code"] == 6
    assert len(list_uids(emulator, uri)) == 3
    export_all(filled, uri, writeDisposition="WRITE_APPEND")
    assert list_uids(emulator, uri) == sorted(UIDS * 2)
    export_all(filled, uri, force=True)
    assert list_uids(emulator, uri) == sorted(UIDS)


def test_kill_9_at_any_moment_makes_each_row_once(
    gantry: Gantry, emulator: BigQueryEmulator, uri: str, server: GantryServer
) -> None:
    for number in range(2000):
        gantry.put(gantry.bucket, f"{number}.dcm", make_instance("1.1", f"1.1.{number // 500}", f"1.1.2.{number}"))
    assert counts(gantry.import_("**")) == (2000, 0)
    for disposition, rows in (("WRITE_EMPTY", 2000), ("WRITE_APPEND", 4000)):
        name = gantry.call("POST", f"v1/{gantry.store}:export", json=destination(uri, writeDisposition=disposition))[
            "name"
        ]
        for pause in (0.2, 0.7, 1.5):
            time.sleep(pause)
            server.kill9()
            server.start()
        operation = server.wait(name)
        assert "error" not in operation, operation["error"]
        assert counts(operation) == (2000, 0)
        assert len(list_uids(emulator, uri)) == rows
        assert len(set(list_uids(emulator, uri))) == 2000
    assert list_tables(emulator, uri) == ["t"]
    assert left(server) == []


def open_table(emulator: BigQueryEmulator, uri: str, directory: Path, attempt: int) -> ExportTable:
    """For an export of the name of the dataset."""
    warehouse = BigQueryWarehouse([BigQueryPlace("p", endpoint=emulator.url)], directory)
    return warehouse.open(TableAddress.parse(uri), uri.split(".")[1], "operation", attempt)


def test_an_export_that_dies_once_its_rows_are_shown_shows_them_no_second_time(
    gantry: Gantry, emulator: BigQueryEmulator, uri: str, tmp_path: Path
) -> None:
    columns = (Column(0, "SOPInstanceUID", "STRING", False, ()),)
    first = open_table(emulator, uri, tmp_path, 1)
    assert first.look() is None
    first.begin("")
    first.keep(first.stage("a-1.0-1", [TableRow('{"SOPInstanceUID": "1.2"}')]), columns)
    plan = first.plan(columns, appends=True)
    for file in plan.files:
        first.write_file(plan, file)
    assert first.publish(plan)
    found = open_table(emulator, uri, tmp_path, 2).look()
    assert found is not None
    assert (found.rows, found.exports) == (1, (first.key,))


def test_the_json_schema(filled: Gantry, emulator: BigQueryEmulator, uri: str) -> None:
    export_all(filled, uri, schemaJson={})
    names = [field.name for field in emulator.client.get_table(uri[5:]).schema]
    assert "Metadata" in names and "Modality" not in names
    metadata = list_rows(emulator, uri)[0]["Metadata"]
    assert (json.loads(metadata) if isinstance(metadata, str) else metadata)["00080060"]["Value"] == ["OT"]
    assert export(filled, uri, writeDisposition="WRITE_APPEND")["error"]["code"] == 9


def test_a_dataset_that_is_not_there_is_said_at_once(gantry: Gantry) -> None:
    answer = gantry.request("POST", f"v1/{gantry.store}:export", json=destination("bq://p.nowhere.t"))
    error = refused(answer, "NOT_FOUND")
    assert "bq://p.nowhere.t" in error["message"] and "Create the dataset" in error["message"]
    assert gantry.operations() == []


def test_a_project_without_an_entry_is_refused(gantry: Gantry) -> None:
    answer = gantry.request("POST", f"v1/{gantry.store}:export", json=destination("bq://other.d.t"))
    assert "bq://other.d.t" in refused(answer, "FAILED_PRECONDITION")["message"]


def test_an_empty_store_makes_an_empty_table(gantry: Gantry, emulator: BigQueryEmulator, uri: str) -> None:
    export(gantry, uri)
    assert list_rows(emulator, uri) == []
    assert "StudyInstanceUID" in [field.name for field in emulator.client.get_table(uri[5:]).schema]
