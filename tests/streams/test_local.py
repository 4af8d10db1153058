"""A table in a directory follows its DICOM store: each change is one row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

TABLE = "bq://p.d.t"
Start = Callable[..., GantryServer]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tables"


@pytest.fixture
def start(tmp_path: Path, root: Path) -> Iterator[Start]:
    made: list[GantryServer] = []

    def begin(**env: str) -> GantryServer:
        given = {"GANTRY_BIGQUERY": f"p.d={root}"} | env
        made.append(GantryServer(tmp_path / "data", tmp_path / "buckets", env=given))
        return made[-1]

    yield begin
    for server in made:
        server.process.kill()
        server.process.wait()


def follow(server: GantryServer, store: str, *tables: str, **more: Any) -> None:
    streams = [{"bigqueryDestination": {"tableUri": each, **more}} for each in tables]
    server.call("PATCH", f"v1/{store}", params={"updateMask": "streamConfigs"}, json={"streamConfigs": streams})


def stow(server: GantryServer, store: str, *instances: bytes) -> None:
    for data in instances:
        headers = {"content-type": "application/dicom"}
        answer = server.request("POST", f"v1/{store}/dicomWeb/studies", content=data, headers=headers)
        assert answer.status_code == 200, answer.text


def fill(server: GantryServer, store: str, count: int, study: str = "1.2.826.1") -> None:
    for number in range(count):
        path = server.buckets / "in" / study / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_instance(study, f"{study}.1", f"{study}.1.{number}"))
    assert counts(server.wait(server.import_(store, f"gs://in/{study}/**"))) == (count, 0)


def read(root: Path, columns: str = "SOPInstanceUID, Type", table: str = "t") -> list[Any]:
    """In the order of time."""
    if not (root / table).exists():
        return []
    query = f"SELECT {columns} FROM read_parquet('{root}/{table}/*.parquet') ORDER BY LastUpdated, SOPInstanceUID"
    return duckdb.connect().execute(query).fetchall()


def set_class(server: GantryServer, store: str, study: str, storage_class: str) -> None:
    body = {"blobStorageSettings": {"blobStorageClass": storage_class}}
    path = f"v1/{store}/dicomWeb/studies/{study}:setBlobStorageSettings"
    server.wait(server.call("POST", path, json=body)["name"])


def measure(server: GantryServer, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([\d.e+]+)$", server.request("GET", "metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_each_change_is_a_row_in_order(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    stow(server, store, make_instance("1.2.3", "1.2.3.1", "1.2.3.1.1"))
    follow(server, store, TABLE, includeSourceStore=True)
    stow(server, store, make_instance("1.2.3", "1.2.3.1", "1.2.3.1.2"))
    fill(server, store, 3)
    set_class(server, store, "1.2.3", "NEARLINE")
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2")
    server.wait_until(lambda: len(read(root)) == 1 + 3 + 2 + 1)
    one = [row[1:] for row in read(root, "SOPInstanceUID, Type, StorageClass, Modality") if row[0] == "1.2.3.1.2"]
    assert one == [("INSERT", "STANDARD", "OT"), ("UPDATE", "NEARLINE", "OT"), ("DELETE", None, None)]
    assert {kind for uid, kind in read(root) if uid.startswith("1.2.826")} == {"INSERT"}
    assert set(read(root, "SourceDicomStore")) == {(store,)}
    sizes = [row for row in read(root, "Type, BlobStorageSize, StructuredStorageSize") if row[0] == "INSERT"]
    assert all(blob and structured for _, blob, structured in sizes[1:])
    server.wait_until(lambda: measure(server, "gantry_stream_lag_seconds") == 0)
    assert measure(server, "gantry_stream_lag_changes") == 0
    written = [
        measure(server, f'gantry_stream_rows_total{{outcome="{name}"}}') for name in ("written", "without_header")
    ]
    assert sum(written) == 7


def test_a_row_of_what_is_gone_before_it_is_written_says_what_the_feed_knows(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    stow(server, store, make_instance("1.2.1", "1.2.1.1", "1.2.1.1.1"))
    server.wait_until(lambda: len(read(root)) == 1)  # now rows are written together for some seconds
    stow(server, store, make_instance("1.2.3", "1.2.3.1", "1.2.3.1.1"))
    server.call("DELETE", f"v1/{store}/dicomWeb/studies/1.2.3")
    server.wait_until(lambda: len(read(root)) == 3)
    found = read(root, "SOPInstanceUID, Type, Modality, StorageClass, PatientID")
    assert found[1:] == [("1.2.3.1.1", "INSERT", "OT", "STANDARD", None), ("1.2.3.1.1", "DELETE", None, None, None)]
    assert measure(server, 'gantry_stream_rows_total{outcome="without_header"}') == 1


def test_the_json_schema(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE, schemaJson={})
    fill(server, store, 2)
    server.wait_until(lambda: len(read(root)) == 2)
    assert all('"00080060"' in row[0] for row in read(root, "Metadata"))


def test_what_cannot_work_is_refused_with_the_reason(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")

    def is_refused(status: str, said: str, *streams: dict[str, Any]) -> None:
        for verb, path in (("PATCH", f"v1/{store}"), ("POST", f"v1/{store.rpartition('/')[0]}?dicomStoreId=new")):
            refused(server.request(verb, path, json={"streamConfigs": streams}), status, said)
        assert "streamConfigs" not in server.call("GET", f"v1/{store}")

    def to(table: str, **more: Any) -> dict[str, Any]:
        return {"bigqueryDestination": {"tableUri": table, **more}}

    is_refused("INVALID_ARGUMENT", "name no place for the table", to("bq://other.d.t"))
    is_refused("INVALID_ARGUMENT", "at most 5", *(to(f"{TABLE}{number}") for number in range(6)))
    is_refused("INVALID_ARGUMENT", "of its own", to(TABLE), to(TABLE, schemaJson={}))
    is_refused("INVALID_ARGUMENT", "schemaJson is set too", to(TABLE, schemaJson={}, schemaFlattened={}))
    is_refused("INVALID_ARGUMENT", "partition", to(f"{TABLE}$20260101"))
    is_refused("INVALID_ARGUMENT", "needs schemaJson", to(TABLE, changeDataCaptureConfig={}))
    is_refused("UNIMPLEMENTED", "does not capture", to(TABLE, changeDataCaptureConfig={}, schemaJson={}))
    is_refused("INVALID_ARGUMENT", "de-identifies nothing", {"deidentifiedStoreDestination": {"store": store}})
    (root / "taken").mkdir()
    is_refused("FAILED_PRECONDITION", "taken by a file or directory", to("bq://p.d.taken"))
    server.call("POST", f"v1/{store}:export", json=to("bq://p.d.flat"))
    server.wait_until(lambda: (root / "flat").exists())
    is_refused("FAILED_PRECONDITION", "has the columns of schemaFlattened", to("bq://p.d.flat", schemaJson={}))


def test_without_the_change_feed_it_is_refused(start: Start) -> None:
    server = start(GANTRY_CHANGES_DAYS="0")
    store = server.create_store("d", "s")
    body = {"streamConfigs": [{"bigqueryDestination": {"tableUri": TABLE}}]}
    refused(server.request("PATCH", f"v1/{store}", json=body), "FAILED_PRECONDITION", "change feed, which is off")


def test_a_store_that_is_made_again_begins_anew(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
    server.wait_until(lambda: len(read(root)) == 1)
    server.call("DELETE", f"v1/{store}")
    body = {"streamConfigs": [{"bigqueryDestination": {"tableUri": TABLE}}]}
    server.call("POST", f"v1/{store.rpartition('/')[0]}?dicomStoreId=s", json=body)
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.2"))
    server.wait_until(lambda: len(read(root)) == 2)
    assert [uid for uid, _ in read(root)] == ["1.1.1.1", "1.1.1.2"]


def test_a_table_that_is_taken_away_gets_nothing_more_and_one_that_comes_back_begins_anew(
    start: Start, root: Path
) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE, f"{TABLE}2")
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
    server.wait_until(lambda: len(read(root)) == len(read(root, table="t2")) == 1)
    follow(server, store, f"{TABLE}2")
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.2"))
    server.wait_until(lambda: len(read(root, table="t2")) == 2)
    follow(server, store, f"{TABLE}2", TABLE)
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.3"))
    server.wait_until(lambda: len(read(root, table="t2")) == 3 and len(read(root)) == 2)
    assert [uid for uid, _ in read(root)] == ["1.1.1.1", "1.1.1.3"]


def test_a_row_of_more_than_a_megabyte_is_not_written_and_said(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    text = "a" * 600_000
    stow(server, store, instance(("1.1", "1.1.1", "1.1.1.1"), TextValue=text, LongCodeValue=text))
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.2"))
    server.wait_until(lambda: len(read(root)) == 1)
    assert read(root) == [("1.1.1.2", "INSERT")]
    assert "studies/1.1/series/1.1.1/instances/1.1.1.1: its row is longer than 1 MB" in server.log_text()
    assert measure(server, 'gantry_stream_rows_total{outcome="too_long"}') == 1


def test_what_is_replaced_and_patched_is_an_update(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    headers = {"content-type": "application/dicom"}
    path = f"v1beta1/{store}/dicomWeb/studies"
    stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
    server.wait_until(lambda: len(read(root)) == 1)
    other = make_instance("1.1", "1.1.1", "1.1.1.1", patient_id="P2")
    assert server.request("PUT", path, content=other, headers=headers).status_code == 200
    server.wait_until(lambda: len(read(root)) == 2)
    assert read(root, "Type, PatientID, StorageClass") == [("INSERT", "P1", "STANDARD"), ("UPDATE", "P2", "STANDARD")]


def test_a_server_stops_at_once_and_goes_on_with_all_that_waits(start: Start, root: Path) -> None:
    server = start()
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    for number in range(3):
        fill(server, store, 50, f"1.2.{number}")
        server.stop()
        server.start()
    server.wait_until(lambda: len(read(root)) == 150)
    assert len(set(read(root))) == 150
    assert "Traceback" not in server.log_text()


def test_the_page_of_a_store_says_what_has_no_effect(start: Start) -> None:
    server = start(GANTRY_ACCEPT_WITHOUT_EFFECT="streamConfigs")
    store = server.create_store("d", "s")
    follow(server, store, TABLE)
    assert "no metadata would be streamed" not in server.request("GET", f"console/{store}").text
    follow(server, store, TABLE, "bq://other.d.t")
    assert "no metadata would be streamed" in server.request("GET", f"console/{store}").text
