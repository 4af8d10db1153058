"""A table of BigQuery follows its DICOM store, beside an emulator. ``test_bigquery_table`` has what that does not show:
it adds no columns to a table."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_streams import read_feed_of
from tests.streams.test_local import fill, follow, measure, set_class, stow
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.hanging import Hanging
from tests.support.server import GantryServer, Json

bigquery = pytest.importorskip("google.cloud.bigquery")
from tests.support.bigquery import BigQueryEmulator, emulating  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.sqlite("rows wait in the directory of one server"),
]
TABLE = "bq://p.d.t"
_TYPES = {"STORED": "INSERT", "DELETED": "DELETE"}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[BigQueryEmulator]:
    with emulating(tmp_path) as made:
        yield made


def begin(tmp_path: Path, url: str) -> GantryServer:
    setting = json.dumps([{"project": "p", "endpoint": url}])
    return GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_BIGQUERY_PROJECTS": setting})


@pytest.fixture
def server(tmp_path: Path, emulator: BigQueryEmulator) -> Iterator[GantryServer]:
    emulator.client.create_dataset("d")
    made = begin(tmp_path, emulator.url)
    yield made
    made.process.kill()


def list_rows(emulator: BigQueryEmulator, columns: str = "*") -> list[Json]:
    if not [*emulator.client.list_tables("d")]:
        return []
    query = f"SELECT {columns} FROM `p.d.t` ORDER BY LastUpdated, SOPInstanceUID"
    return [dict(row) for row in emulator.client.query(query).result()]


def agree(server: GantryServer, store: str, emulator: BigQueryEmulator) -> bool:
    told = Counter(
        (each["sopInstanceUID"], _TYPES.get(each["change"], "UPDATE")) for each in read_feed_of(server, store)
    )
    rows = list_rows(emulator, "SOPInstanceUID, Type, LastUpdated")
    return Counter((row["SOPInstanceUID"], row["Type"]) for row in rows) == told


def test_each_change_is_a_row(server: GantryServer, emulator: BigQueryEmulator) -> None:
    store = server.create_store("d", "s")
    follow(server, store, TABLE, includeSourceStore=True)
    fill(server, store, 3)
    server.wait_until(lambda: len(list_rows(emulator)) == 3)
    row = list_rows(emulator)[0]
    assert (row["Type"], row["Modality"], row["PatientID"], row["SourceDicomStore"]) == ("INSERT", "OT", "P1", store)
    set_class(server, store, "1.2.826.1", "NEARLINE")
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.826.1")
    server.wait_until(lambda: agree(server, store, emulator))
    kinds = [row["Type"] for row in list_rows(emulator) if row["SOPInstanceUID"] == "1.2.826.1.1.0"]
    assert kinds == ["INSERT", "UPDATE", "DELETE"]
    server.wait_until(lambda: measure(server, "gantry_stream_lag_changes") == 0)
    assert [each.table_id for each in emulator.client.list_tables("d")] == ["t"]


def test_kill_9_at_any_moment_makes_each_row_once(server: GantryServer, emulator: BigQueryEmulator) -> None:
    store, chance = server.create_store("d", "s"), random.Random(1)
    follow(server, store, TABLE)
    fill(server, store, 200, "1.1")
    for number in range(12):
        server.import_(store, "gs://in/**")
        stow(server, store, make_instance("1.2", "1.2.1", f"1.2.1.{number}"))
        if chance.random() < 0.3:
            server.request("DELETE", f"v1/{store}/dicomWeb/studies/1.1")
        time.sleep(chance.uniform(0, 2))
        server.kill9()
        server.start()
    server.wait_until(lambda: agree(server, store, emulator))


def test_a_table_that_was_deleted_is_made_again(server: GantryServer, emulator: BigQueryEmulator) -> None:
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
    server.wait_until(lambda: len(list_rows(emulator)) == 1)
    emulator.client.delete_table("p.d.t")
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.2"))
    server.wait_until(lambda: [each.table_id for each in emulator.client.list_tables("d")] == ["t"])
    server.wait_until(lambda: [row["SOPInstanceUID"] for row in list_rows(emulator)] == ["1.1.1.2"])


def test_a_dataset_that_is_not_there_is_said_when_it_is_configured(server: GantryServer) -> None:
    store = server.create_store("d", "s")
    body = {"streamConfigs": [{"bigqueryDestination": {"tableUri": "bq://p.nowhere.t"}}]}
    refused(server.request("PATCH", f"v1/{store}", json=body), "NOT_FOUND", "bq://p.nowhere.t", "Create the dataset")
    assert "streamConfigs" not in server.call("GET", f"v1/{store}")


def test_a_service_that_does_not_answer_keeps_nobody_waiting(tmp_path: Path, emulator: BigQueryEmulator) -> None:
    emulator.client.create_dataset("d")
    with Hanging(emulator.url) as way:
        server = begin(tmp_path, way.url)
        try:
            store = server.create_store("d", "s")
            follow(server, store, TABLE)
            way.hangs = True
            fill(server, store, 20, "1.1")
            stow(server, store, make_instance("1.2", "1.2.1", "1.2.1.1"))
            server.wait_until(lambda: measure(server, "gantry_stream_lag_changes") > 0)
            server.stop()
            server.start()
            fill(server, store, 20, "1.3")
            way.hangs = False
            server.wait_until(lambda: agree(server, store, emulator))
        finally:
            server.process.kill()
