"""An index that an older Gantry has written: opened, brought up to date, and its instances found by searches."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dicomweb.instances import instance
from tests.faults.older import GARBLED, contents, garble, index_of_schema, outdated, put_back
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web, uid_path, value

pytestmark = pytest.mark.slow

STUDY, SERIES = "1.2.1", "1.2.1.1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Three instances of one series, one of them unreadable by now, in a directory of data of schema 0002."""
    data = tmp_path / "data"
    blobs = data / "blobs" / "main" / "1" / "7"
    blobs.mkdir(parents=True)
    index = index_of_schema(data / "index.sqlite", "0002")  # which kept UIDs alone
    index.execute("INSERT INTO dataset (id, project, location, dataset) VALUES (1, 'p', 'us-central1', 'd')")
    index.execute("INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (1, 1, 's', '{}')")
    index.execute("INSERT INTO study (id, store_id, study_instance_uid) VALUES (1, 1, ?)", (STUDY,))
    said = {"PatientName": "Doe^John", "StudyDate": "20240105", "StudyDescription": "Old study", "Modality": "MR"}
    sops = [f"{SERIES}.{number}" for number in range(3)]
    files = [instance((STUDY, SERIES, sop), InstanceNumber=number, **said) for number, sop in enumerate(sops)]
    files[0] = make_instance()[:-5]
    index.execute(
        "INSERT INTO series (id, study_id, series_instance_uid, instance_count, blob_bytes, structured_bytes) "
        "VALUES (1, 1, ?, 3, ?, 129)",
        (SERIES, sum(map(len, files))),
    )
    for number, (sop, content) in enumerate(zip(sops, files, strict=True)):
        (blobs / f"{number}.dcm").write_bytes(content)
        index.execute(
            "INSERT INTO instance VALUES (1, ?, '1.2', '1.2.840.10008.1.2.1', ?, ?, 'STANDARD', 0, 0)",
            (sop, f"main/1/7/{number}.dcm", len(content)),
        )
    index.commit()
    index.close()
    return data


def test_instances_of_an_older_gantry_are_found(old: Path, tmp_path: Path) -> None:
    server = GantryServer(old, tmp_path / "buckets")
    try:
        web = Web.__new__(Web)
        web.gantry = Gantry(server)
        web.root = "v1/projects/p/locations/us-central1/datasets/d/dicomStores/s/dicomWeb"
        web.url = f"{server.url}/{web.root}"
        assert len(web.search("instances")) == 3, "at once, by what was known"
        for _ in range(100):
            found = web.search("studies", PatientName="*john*", ModalitiesInStudy="MR", includefield="StudyDescription")
            if found:
                break
            time.sleep(0.1)
        assert value(found[0], "00081030") == "Old study"
        assert value(found[0], "00201208") == 3
        assert value(web.search("series")[0], "00080060") == "MR"
        assert value(web.metadata(uid_path(STUDY, SERIES, f"{SERIES}.1"))[0], "00200013") == 1
        assert [value(item, "00200013") for item in web.search("instances", InstanceNumber="2")] == [2]
        metrics = web.gantry.call("GET", f"{web.root.removesuffix('/dicomWeb')}:getDICOMStoreMetrics")
        headers = int(metrics["structuredStorageSizeBytes"])
        assert headers > 500
        with sqlite3.connect(old / "index.sqlite") as index:
            assert index.execute("SELECT count(*) FROM instance WHERE pack_number IS NULL").fetchone() == (0,)
            assert index.execute("SELECT sum(structured_size) FROM instance").fetchone() == (headers,)
    finally:
        server.stop()


def test_a_restart_in_between_loses_nothing(old: Path, tmp_path: Path) -> None:
    server = GantryServer(old, tmp_path / "buckets")
    for _ in range(3):
        server.process.kill()
        server.process.wait()
        server.start()
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with sqlite3.connect(old / "index.sqlite") as index:
                if index.execute("SELECT count(*) FROM instance WHERE pack_number IS NULL").fetchone() == (0,):
                    break
            time.sleep(0.1)
        with sqlite3.connect(old / "index.sqlite") as index:
            assert index.execute("SELECT count(*), max(pack_number) FROM instance").fetchone() == (3, 1)
            assert index.execute("SELECT count(*) FROM header_pack").fetchone() == (1,)
            assert index.execute("SELECT modalities FROM study").fetchone() == ("MR",)
    finally:
        server.stop()


STUDIES = 60


def made(study: int, series: int, number: int) -> bytes:
    uids = f"1.3.{study}", f"1.3.{study}.{series}", f"1.3.{study}.{series}.{number}"
    name = {"PatientName": f"山田^太郎{study}", "charset": "ISO 2022 IR 6\\ISO 2022 IR 87"}
    when = {"StudyDate": f"202401{1 + study % 28:02d}", "StudyDescription": f"Knee {study}", "InstanceNumber": number}
    return instance(uids, Modality=("CT", "MR")[series], PatientID=f"P{study}", **name, **when)


class Aged(NamedTuple):
    """A server that is not running, over an index of schema 0008 that says nonsense; and what it should say."""

    server: GantryServer
    gantry: Gantry
    right: dict[str, list[tuple[object, ...]]]


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Aged]:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_LAYOUT": "files"})  # as it wrote them
    gantry = Gantry(server)
    web = Web(gantry)
    spread = [(study, series) for study in range(STUDIES) for series in range(1 + study % 2)]
    web.stored(*(made(*place, number) for place in spread for number in range(2)))
    server.stop()
    right = contents(server.data)
    garble(server.data)
    put_back(server.data)
    server.env = {}
    yield Aged(server, gantry, right)
    if server.process.poll() is None:
        server.stop()


def wait_until_done(server: GantryServer) -> None:
    server.wait_until(lambda: outdated(server.data) == 0)


def test_what_an_older_reader_garbled_is_described_anew(aged: Aged) -> None:
    """Searches, terms, texts, modalities and members as if it had never been; counters and tallies never change."""
    server, gantry, right = aged
    with sqlite3.connect(server.data / "index.sqlite") as index:
        assert index.execute("SELECT DISTINCT patient_name FROM study").fetchall() == [(GARBLED.patient_name,)]
    server.start()
    wait_until_done(server)
    web = Web(gantry)
    assert len(web.search("studies", limit=1000)) == STUDIES
    for wanted in (
        {"PatientName": "山田^太郎7"},
        {"PatientName": "?田^太郎7"},
        {"PatientName": "太郎7", "fuzzymatching": "true"},
        {"PatientID": "P7"},
        {"StudyDescription": "*ee 7"},
        {"StudyDate": "20240108", "PatientID": "P7", "ModalitiesInStudy": "MR"},
    ):
        (found,) = web.search("studies", **wanted)
        assert (value(found, "0020000D"), value(found, "00100020")) == ("1.3.7", "P7"), wanted
    for gone in (
        {"PatientName": "yam"},
        {"PatientName": "*ada*"},
        {"StudyDate": "19000101"},
        {"StudyDescription": "*gar*"},
    ):
        assert web.search("studies", **gone) == []
    assert {value(found, "00080060") for found in web.search("studies/1.3.7/series")} == {"CT", "MR"}
    assert contents(server.data) == right
    log = server.log_text()
    assert f"{STUDIES} studies were read by an older version" in log
    assert f"{STUDIES} of {STUDIES} studies, {STUDIES} changed, 0 not readable now; finished" in log


def test_killed_again_and_again_it_goes_on_where_it_was(aged: Aged) -> None:
    server, _, right = aged
    chance, left, inside = random.Random(5), STUDIES, 0
    for _ in range(4):
        server.start()
        server.wait_until(lambda before=left: outdated(server.data) < before)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.15))
        server.kill9()
        now = outdated(server.data)
        assert now < left, "what is done stays done"
        left = now
        inside += left > 0
        if not left:
            break
    server.start()
    wait_until_done(server)
    assert inside, "no kill fell while it was at work"
    assert contents(server.data) == right


def test_a_start_over_an_index_that_is_up_to_date_looks_at_nothing(aged: Aged) -> None:
    server, _, _ = aged
    server.start()
    wait_until_done(server)
    server.stop()
    server.log.write_text("")
    server.restart()
    time.sleep(1)
    assert "reading attributes again" not in server.log_text()


def test_what_is_stored_changed_and_deleted_meanwhile_is_not_undone(aged: Aged) -> None:
    server, gantry, _ = aged
    server.start()
    web = Web(gantry, "v1beta1")
    root = web.root
    change = [{"op": "replace", "path": "/00100020/Value/0", "value": "NEW"}]
    for study in range(STUDIES - 1, 0, -6):
        response = web.gantry.request("PATCH", f"{root}/studies/1.3.{study}/metadata", json=change)
        web.gantry.wait(response.json()["name"], version="v1beta1")
        web.gantry.call("DELETE", f"{root}/studies/1.3.{study - 1}")
        web.stored(made(study - 2, 1, 9))
    wait_until_done(server)
    changed = {f"1.3.{study}" for study in range(STUDIES - 1, 0, -6)}
    assert {value(found, "0020000D") for found in web.search("studies", PatientID="NEW")} == changed
    found = web.search("studies", limit=1000)
    assert len(found) == STUDIES - 10
    assert all(value(each, "00080020") != "19000101" for each in found)
    for study in range(STUDIES - 3, 0, -6):
        assert "MR" in web.search("studies", PatientID=f"P{study}")[0]["00080061"]["Value"]


def test_files_that_cannot_be_read_are_told_and_no_other_is_held_up(aged: Aged) -> None:
    """Neither the pack nor the file of one study has a header."""
    server, gantry, _ = aged
    with sqlite3.connect(server.data / "index.sqlite") as index:
        lost = (
            "SELECT series.id FROM series JOIN study ON study.id = series.study_id WHERE study_instance_uid = '1.3.4'"
        )
        packs = f"SELECT pack_id FROM instance WHERE series_id IN ({lost})"  # others may have headers in them, too
        index.execute(f"UPDATE header_pack SET data = x'00' WHERE id IN ({packs})")
        damaged = index.execute(f"SELECT sop_instance_uid FROM instance WHERE series_id IN ({lost})").fetchall()
    for blob in find_blobs(server.data / "blobs").values():
        if any(uid.encode() + b"\0" in blob.read() for (uid,) in damaged):
            blob.write(b"nothing".ljust(blob.length, b"\0"))
    server.start()
    wait_until_done(server)
    web = Web(gantry)
    found = {value(each, "0020000D") for each in web.search("studies", StudyDate="20240101-20240131", limit=1000)}
    assert found == {f"1.3.{study}" for study in range(STUDIES) if study != 4}
    assert "study 1.3.4: no header can be read" in server.log_text()
