"""An index that an older Gantry has written: opened, brought up to date, and its instances found by searches."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import gantry.index
from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web, uid_path, value

STUDY, SERIES = "1.2.1", "1.2.1.1"


def old_index(path: Path) -> sqlite3.Connection:
    """Schema 0002, which kept UIDs alone."""
    config = Config()
    config.set_main_option("script_location", str(Path(gantry.index.__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    command.upgrade(config, "0002")
    return sqlite3.connect(path)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Three instances of one series, one of them unreadable by now, in a directory of data of schema 0002."""
    data = tmp_path / "data"
    blobs = data / "blobs" / "main" / "1" / "7"
    blobs.mkdir(parents=True)
    index = old_index(data / "index.sqlite")
    index.execute("INSERT INTO dataset (id, project, location, dataset) VALUES (1, 'p', 'us-central1', 'd')")
    index.execute("INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (1, 1, 's', '{}')")
    index.execute("INSERT INTO study (id, store_id, study_instance_uid) VALUES (1, 1, ?)", (STUDY,))
    index.execute(
        "INSERT INTO series (id, study_id, series_instance_uid, instance_count, blob_bytes, structured_bytes) "
        "VALUES (1, 1, ?, 3, 3000, 129)",
        (SERIES,),
    )
    said = {"PatientName": "Doe^John", "StudyDate": "20240105", "StudyDescription": "Old study", "Modality": "MR"}
    for number in range(3):
        sop = f"{SERIES}.{number}"
        content = instance((STUDY, SERIES, sop), InstanceNumber=number, **said) if number else make_instance()[:-5]
        (blobs / f"{number}.dcm").write_bytes(content)
        index.execute(
            "INSERT INTO instance VALUES (1, ?, '1.2', '1.2.840.10008.1.2.1', ?, 1000, 'STANDARD', 0, 0)",
            (sop, f"main/1/7/{number}.dcm"),
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
