"""Headers in the form that an older Gantry keeps them in: read like those of today, whatever is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gantry.dicom.header_bytes import HeaderBytes
from gantry.header_packs import pack
from gantry.index.sql import SqlIndex
from gantry.index.tables import header_pack
from gantry.names import ResourcePath
from gantry.queries import Level
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.frames import FramePlaces, read_frames
from gantry.studies.metadata import read_metadata
from gantry.studies.retrieve import PIXEL_DATA, read_bulk
from gantry.studies.search import parse_search
from gantry.studies.search_answers import find
from gantry.studies.store import Incoming, store
from gantry.studies.update import update_instance
from gantry.studies.uploads import Uploads
from tests.index.values import DATASET, STORE
from tests.seams.older_headers import OLDER, Older
from tests.support.databases import index_url

PATH = ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.1")
PIXELS = b"\1\2" * 4000


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    (tmp_path / "blobs").mkdir()
    index = SqlIndex(index_url(tmp_path / "data"))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    nobody: Any = None
    yield Seams(index, LocalBlobs(str(tmp_path / "blobs")), nobody, nobody, nobody, 2)
    index.close()


@pytest.fixture(params=OLDER.values(), ids=OLDER.keys())
def older(request: pytest.FixtureRequest, seams: Seams) -> Older:
    """An instance whose header is in the index as an older Gantry has left it there."""
    found: Older = request.param
    stored = store(seams, Uploads(seams), STORE, [Incoming("one", iter([found.file]))])
    assert len(stored.instances) == 1
    with seams.index.database.engine.begin() as connection:
        connection.execute(update(header_pack).values(data=pack([found.header])))
    return found


def attributes(seams: Seams) -> dict[str, Any]:
    (found,) = read_metadata(seams, STORE, PATH, "http://h").objects
    return dict(json.loads(found))


def test_it_is_read_and_written_in_the_form_of_today(older: Older) -> None:
    assert older.header[0] == 1
    found = HeaderBytes.from_bytes(older.header)
    assert [size for _, size in found.cuts] == [len(PIXELS)]
    assert HeaderBytes.from_bytes(found.to_bytes()) == found


def test_metadata(seams: Seams, older: Older) -> None:
    found = attributes(seams)
    assert found["00081030"]["Value"] == ["Größe"] and found["00280011"]["Value"] == [100]
    assert found["00400275"]["Value"][0]["00401001"]["Value"] == ["R1"]
    assert found["7FE00010"]["BulkDataURI"].endswith("/bulkdata/7FE00010")
    with seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instance SET pack_id = NULL, pack_number = -1")
    assert attributes(seams) == found, "the same as out of the file"


def test_frames_and_bulk_data(seams: Seams, older: Older) -> None:
    (row,) = seams.index.instances.list_below(STORE, PATH)
    assert [b"".join(frame) for frame in read_frames(seams, FramePlaces(), STORE, row, [0], "")] == [PIXELS]
    value = read_bulk(seams, STORE, row, PIXEL_DATA)
    assert value.read(0, value.size) == PIXELS
    value.close()


@pytest.mark.parametrize(("searched", "finds"), [("R1", True), ("R2", False)])
def test_searches_look_inside(seams: Seams, older: Older, searched: str, finds: bool) -> None:
    asked = [("00400275.00401001", searched), ("includefield", "TextValue")]
    search = parse_search(Level.INSTANCE, ResourcePath(PATH.study), asked, False)
    found = [json.loads(text) for text in find(seams, STORE, search, "http://h").objects]
    assert [item["0040A160"]["Value"] for item in found] == ([["t" * 9000]] if finds else [])


def test_it_can_be_patched(seams: Seams, older: Older) -> None:
    patch = [{"op": "replace", "path": "/00081030/Value/0", "value": "Länge"}]
    before = attributes(seams)
    update_instance(seams, Uploads(seams), STORE, PATH, patch, "http://h")
    written_by = {tag: element for tag, element in attributes(seams).items() if tag in ("00020012", "00020013")}
    assert attributes(seams) == before | written_by | {"00081030": {"vr": "LO", "Value": ["Länge"]}}
    test_frames_and_bulk_data(seams, older)
