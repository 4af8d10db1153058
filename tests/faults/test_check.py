"""``gantry check``: each kind of damage that is done on purpose is found, and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.checking import directory
from gantry.config import open_checked
from gantry.errors import DiskAway
from gantry.findings import Finding, Kind
from gantry.header_packs import pack, unpack
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Method
from gantry.storage.contents import MAGIC
from gantry.storage.places import PlacedBlobStore
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.dicomweb.instances import instance
from tests.faults.house import STORE, House
from tests.support import prepared
from tests.support.blobs import BlobOnDisk, find_blobs
from tests.support.checked import check_clean, findings

OWN = ("1.5.1", "1.5.1.1", "1.5.1.1.1")  # the instance that has a file of its own
SMALL = ("1.5.1", "1.5.1.2", "1.5.1.2.1")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with imported and stored instances, on two disks, whose server has ended."""
    home = tmp_path_factory.mktemp("whole")
    house = House(home, {"ARCHIVE": str(home / "cheap")}, "ARCHIVE")
    house.carry_to_the_end()
    uploads = Uploads(house.seams)
    request = Dataset()
    request.ScheduledProcedureStepID = "S1"
    for uids, size in ((OWN, 2 << 20), (SMALL, 4)):
        said = {"RequestAttributesSequence": [request], "PerformedProcedureStepStartTime": ["1011", "12"]}
        data = instance(uids, PixelData=os.urandom(size), StudyDescription="Knee", **said)
        store(house.seams, uploads, STORE, [Incoming("part", iter([data]))])
    uploads.close()
    sweep_garbage(house.seams)
    house.close()
    return home


@pytest.fixture
def home(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    copy = tmp_path / "home"
    shutil.copytree(whole, copy)
    record = copy / "data" / "places.json"
    record.write_text(record.read_text().replace(str(whole), str(copy)))
    return copy


@pytest.fixture
def data(home: Path) -> Path:
    return home / "data"


def change(data: Path, *statements: str) -> None:
    connection = sqlite3.connect(data / "index.sqlite", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def read(data: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(data / "index.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def blob_of(data: Path, uids: tuple[str, str, str]) -> BlobOnDisk:
    text = "SELECT coalesce(key, blob_key), coalesce(segment_offset, 0), size FROM instance LEFT JOIN segment "
    ((key, offset, size),) = read(data, f"{text} ON id = segment_id WHERE sop_instance_uid = '{uids[2]}'")
    return BlobOnDisk(data / "blobs" / str(key), int(str(offset)), int(str(size)))


def test_what_is_whole_is_clean(data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    check_clean(data)
    after = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert after == before, "nothing is changed, and nothing is left behind"


# Bytes ----------------------------------------------------------------------------------------------------------------


def cut(blob: BlobOnDisk) -> None:
    os.truncate(blob.path, blob.length // 2)


def flip(blob: BlobOnDisk) -> None:
    last = blob.read()[-1]
    blob.write(bytes([last ^ 1]), at=blob.length - 1)


def garble(blob: BlobOnDisk) -> None:
    blob.write(b"????", at=128)


def link(blob: BlobOnDisk) -> None:
    blob.path.unlink()
    blob.path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("uids", "damage", "kind"),
    [
        (OWN, BlobOnDisk.remove, Kind.BYTES_MISSING),
        (SMALL, BlobOnDisk.remove, Kind.BYTES_MISSING),
        (OWN, cut, Kind.SIZE_WRONG),
        (OWN, garble, Kind.CONTENT_WRONG),
        (SMALL, garble, Kind.CONTENT_WRONG),
        (SMALL, flip, Kind.CONTENT_WRONG),
    ],
)
def test_bytes(data: Path, uids: tuple[str, str, str], damage: Callable[[BlobOnDisk], None], kind: Kind) -> None:
    damage(blob_of(data, uids))
    (found,) = findings(data)
    assert found.kind is kind
    assert found.resource == str(ResourcePath(*uids)) and uids[2] in found.resource
    assert bool(findings(data, reads=False)) == (kind is not Kind.CONTENT_WRONG)


@pytest.mark.parametrize("call", ["list", "find_lost", "open", "hold"])
def test_a_place_that_is_away_is_told_once(data: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    asked: list[str] = []

    def fail(store: PlacedBlobStore, what: Any, whole: bool = False) -> object:
        asked.append(what if isinstance(what, str) else what[0][0].key)
        raise DiskAway("its disk is away")

    monkeypatch.setattr(PlacedBlobStore, call, fail)
    found = findings(data)
    places = {key.partition("/")[0] for key in asked}
    assert sorted(found) == [Finding(Kind.NOT_CHECKED, place, "its disk is away") for place in sorted(places)]
    assert len(asked) == len(places) > 0, "nobody asks a disk that is away again and again"


def test_a_link_in_the_place_of_a_file(data: Path) -> None:
    link(blob_of(data, OWN))
    assert {found.kind for found in findings(data)} == {Kind.BYTES_UNREADABLE}


def test_a_segment_that_is_gone(data: Path) -> None:
    blob_of(data, SMALL).path.unlink()
    assert [found.kind for found in findings(data)] == [Kind.BYTES_MISSING]


def test_files_that_nobody_knows(home: Path, data: Path) -> None:
    near = blob_of(data, OWN).path
    strangers = [near.with_name("stranger.dcm"), near.with_name("stranger.seg"), home / "cheap/ARCHIVE/9/8/a1-a0/1.dcm"]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stranger")
    found = findings(data)
    assert {each.kind for each in found} == {Kind.BYTES_UNKNOWN}
    assert {each.resource.rpartition("/")[2] for each in found} == {path.name for path in strangers}


@pytest.mark.parametrize("suffix", [b".dcm", b".seg"], ids=["file", "segment"])
def test_a_file_whose_name_is_no_utf_8(data: Path, suffix: bytes) -> None:
    """No row can name it, and no message has halves of characters."""
    near = os.fsencode(blob_of(data, OWN).path.parent)
    with open(near + b"/stranger\xff" + suffix, "wb") as stranger:
        stranger.write(b"stranger")
    (found,) = findings(data)
    assert found.kind is Kind.BYTES_UNKNOWN and "stranger" in found.resource


def test_what_will_be_swept_is_no_finding(data: Path) -> None:
    """Garbage, what an upload or an operation under way writes, and what is below a deleted store."""
    for number, name in enumerate(
        ("main/1/stow/77/1.seg", "main/1/88/a1-a0/1.dcm", "main/99/5/a1/1.dcm", "main/1/5/g")
    ):
        path = data / "blobs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * number)
    assert len(findings(data)) == 4
    change(
        data,
        "INSERT INTO upload (id, store_id) VALUES (77, 1)",
        "INSERT INTO operation (id, dataset_id, version, method, request, create_time, checkpoint) "
        "VALUES (88, 1, 'v1', 'm', '{}', 1, x'')",
        "INSERT INTO dicom_store (id, dataset_id, store, settings, deleted) VALUES (99, 1, 'gone', '{}', 1)",
        "INSERT INTO garbage VALUES ('main/1/5/g')",
    )
    check_clean(data)


def test_bytes_in_a_segment_that_no_row_names(data: Path) -> None:
    """A deletion that was forgotten before the bytes were freed."""
    index = SqlIndex(f"sqlite:///{data / 'index.sqlite'}")
    index.deletion.delete_instance(STORE, ResourcePath(*next(index.instances.walk_store(1)).uids))
    index.close()
    check_clean(data)
    change(data, "DELETE FROM garbage")
    assert [found.kind for found in findings(data)] == [Kind.BYTES_UNKNOWN]


# The index ------------------------------------------------------------------------------------------------------------

STUDY = "(SELECT id FROM study WHERE study_instance_uid = '1.5.1')"
SERIES = "(SELECT id FROM series WHERE series_instance_uid = '1.5.1.2')"
INDEX = {
    "a store": ("UPDATE tally SET instances = instances - 2000 WHERE storage_class = 'ARCHIVE'", Kind.COUNT_WRONG),
    "bytes of a store": ("UPDATE tally SET blob_bytes = blob_bytes + 1 WHERE instances > 0", Kind.COUNT_WRONG),
    "a study": (f"UPDATE study SET instance_count = 7 WHERE id = {STUDY}", Kind.COUNT_WRONG),
    "series of a study": (f"UPDATE study SET series_count = 7 WHERE id = {STUDY}", Kind.COUNT_WRONG),
    "a series": (f"UPDATE series SET blob_bytes = 1 WHERE id = {SERIES}", Kind.COUNT_WRONG),
    "a series by class": (f"UPDATE series_tally SET instances = 2 WHERE series_id = {SERIES}", Kind.COUNT_WRONG),
    "a tally without a series": ("INSERT INTO series_tally VALUES (9999, 'STANDARD', 1, 1)", Kind.COUNT_WRONG),
    "a segment": ("UPDATE segment SET live_instances = live_instances + 1 WHERE id = 1", Kind.COUNT_WRONG),
    "changes of no store": ("INSERT INTO change_pack VALUES (99, 1, 0, 0, NULL, x'00')", Kind.ROW_WRONG),
    "changes that are lost": ("UPDATE change_pack SET number = number + 1000 WHERE number > 1", Kind.ROW_WRONG),
    "changes that are damaged": ("UPDATE change_pack SET data = x'00' WHERE number = 2", Kind.ROW_WRONG),
    "a deletion that nobody tells": ("UPDATE change_pack SET pending = 99 WHERE number = 2", Kind.ROW_WRONG),
    "a saved search": ("INSERT INTO saved_search VALUES (99, 'a', 'b', '{}')", Kind.ROW_WRONG),
    "a term too much": (f"INSERT INTO study_term VALUES (1, 1, 'STRANGER', {STUDY})", Kind.TERM_WRONG),
    "a term too few": (
        f"DELETE FROM study_term WHERE study_id = {STUDY} AND kind = 2 AND term = "
        f"(SELECT min(term) FROM study_term WHERE study_id = {STUDY} AND kind = 2)",
        Kind.TERM_WRONG,
    ),
    "a modality": (f"UPDATE study_modality SET modality = 'XX' WHERE study_id = {STUDY}", Kind.TERM_WRONG),
    "a text": (f"UPDATE study_text SET study_description = 'arm' WHERE rowid = {STUDY}", Kind.TERM_WRONG),
    "a text without a study": ("INSERT INTO study_text (rowid, patient_id) VALUES (9999, 'x')", Kind.TERM_WRONG),
    "a request too much": (f"INSERT INTO series_request VALUES ({SERIES}, 'S9', 'R9', 1)", Kind.TERM_WRONG),
    "a request too few": (f"DELETE FROM series_request WHERE series_id = {SERIES}", Kind.TERM_WRONG),
    "a request without a series": ("INSERT INTO series_request VALUES (9999, 'S1', 'R1', 1)", Kind.TERM_WRONG),
    "a start time": ("UPDATE series SET start_time = '11' WHERE start_time <> ''", Kind.TERM_WRONG),
    "a start time that is missing": ("UPDATE series SET start_time = '' WHERE start_time <> ''", Kind.TERM_WRONG),
    "a start time that its attributes lack": (
        "UPDATE series SET start_time = '11', members = replace(members, '00400245', '00400246')",
        Kind.TERM_WRONG,
    ),
    "a pack too much": ("INSERT INTO header_pack (series_id, data) VALUES (0, x'00')", Kind.HEADER_WRONG),
    "the end of a segment": (
        "UPDATE segment SET bytes = 1 WHERE id = (SELECT max(id) FROM segment)",
        Kind.SEGMENT_WRONG,
    ),
    "garbage": ("INSERT INTO garbage SELECT key FROM segment WHERE id = 1", Kind.SEGMENT_WRONG),
}


@pytest.mark.parametrize("damage", INDEX)
def test_the_index(data: Path, damage: str) -> None:
    statement, kind = INDEX[damage]
    change(data, statement)
    found = findings(data)
    assert {each.kind for each in found} == {kind}, found
    assert all(each.resource and each.message for each in found)


def test_two_instances_at_one_place(data: Path) -> None:
    """In a segment and outside."""
    change(
        data,
        "UPDATE instance SET segment_offset = segment_offset - 4096 WHERE segment_id = 1 AND segment_offset = "
        "(SELECT max(segment_offset) FROM instance WHERE segment_id = 1)",
    )
    assert Kind.SEGMENT_WRONG in {found.kind for found in findings(data, reads=False)}


PACKS = {
    "missing": lambda old: None,
    "damaged": lambda old: b"\0",
    "of another": lambda old: pack([unpack(old)[-1] for _ in unpack(old)]),
    "too short": lambda old: pack(unpack(old)[:-1]),
}


@pytest.mark.parametrize("damage", PACKS)
def test_headers(data: Path, damage: str) -> None:
    connection = sqlite3.connect(data / "index.sqlite", isolation_level=None)
    ((number, old),) = connection.execute("SELECT id, data FROM header_pack ORDER BY id LIMIT 1").fetchall()
    new = PACKS[damage](old)
    if new is None:
        connection.execute("DELETE FROM header_pack WHERE id = ?", (number,))
    else:
        connection.execute("UPDATE header_pack SET data = ? WHERE id = ?", (new, number))
    connection.close()
    found = findings(data)
    assert {each.kind for each in found} == {Kind.HEADER_WRONG}
    entries = len(unpack(old))
    assert len(found) == {"missing": entries, "damaged": entries, "of another": entries - 1, "too short": 1}[damage]


def test_a_damaged_index_is_found_and_the_rest_is_checked(data: Path) -> None:
    ((page,),) = read(data, "SELECT rootpage FROM sqlite_master WHERE name = 'study_term'")
    with (data / "index.sqlite").open("r+b") as file:
        file.seek((int(str(page)) - 1) * 4096)
        file.write(b"\xff" * 4096)
    kinds = {found.kind for found in findings(data)}
    assert kinds & {Kind.INDEX_DAMAGED, Kind.NOT_CHECKED}
    assert Kind.BYTES_MISSING not in kinds


def test_marks_of_places(home: Path, data: Path) -> None:
    (mark,) = (home / "cheap").glob("*.gantry")
    mark.write_text("another")
    assert [found.kind for found in findings(data)] == [Kind.MARK_WRONG]
    mark.unlink()
    assert [found.kind for found in findings(data)] == [Kind.MARK_WRONG]


def generation(home: Path, place: str) -> Path:
    return (home / "data" / "blobs" if place == "main" else home / "cheap") / f"{place}.generation"


@pytest.mark.parametrize("place", ["main", "ARCHIVE"])
@pytest.mark.parametrize("damage", ["gone", "of another index", "of a newer index", "cut"])
def test_blobs_that_are_not_those_of_the_index(home: Path, data: Path, place: str, damage: str) -> None:
    mark = generation(home, place)
    text = mark.read_text()
    if damage == "gone":
        mark.unlink()
    elif damage == "cut":
        mark.write_text(text[:20])
    elif damage == "of another index":
        mark.write_text("0" * 32 + text[32:])
    else:
        mark.write_text(f"{text[:33]}{999_999:020d}\n")
    (found,) = findings(data)
    assert (found.kind, found.resource) == (Kind.MARK_WRONG, str(mark))
    if damage == "of a newer index":
        assert "999,999 transactions" in found.message


@pytest.mark.parametrize("damage", ["of a newer index", "cut"])
def test_the_mark_beside_the_index_says_that_it_is_an_older_one(data: Path, damage: str) -> None:
    mark = data / "index.generation"
    text = mark.read_text()
    mark.write_text(text[:20] if damage == "cut" else f"{text[:33]}{999_999:020d}\n")
    (found,) = findings(data)
    assert (found.kind, found.resource) == (Kind.MARK_WRONG, str(mark))


@pytest.mark.parametrize("text", ["", f"{'0' * 32}\n{999_999:020d}\n"])
def test_a_mark_beside_the_index_that_is_missing_or_of_another_index_says_nothing(data: Path, text: str) -> None:
    """As an older version has left it, or after a rebuild: the next start writes a new one."""
    mark = data / "index.generation"
    mark.unlink()
    if text:
        mark.write_text(text)
    check_clean(data)


def test_a_rebuild_that_has_not_ended_is_found(data: Path) -> None:
    change(data, "UPDATE generation SET rebuilding = 1")
    (found,) = findings(data)
    assert found.kind is Kind.MARK_WRONG and "rebuild" in found.message


@pytest.mark.parametrize("place", ["main", "ARCHIVE"])
@pytest.mark.parametrize("line", ["", '{"store": 1, "deleted": true}', '{"store": 1, "name": "projects/p"}'])
def test_a_store_whose_name_is_not_kept_beside_its_blobs(home: Path, data: Path, place: str, line: str) -> None:
    generation(home, place).with_suffix(".stores").write_text(line)
    (found,) = findings(data)
    assert found.kind is Kind.MARK_WRONG and "store 1" in found.message


def test_a_store_without_blobs_needs_no_name(home: Path, data: Path) -> None:
    change(data, "INSERT INTO dicom_store (dataset_id, store, settings) VALUES (1, 'new', '{}')")
    check_clean(data)


def test_an_entry_that_a_lookup_of_the_index_has_lost(data: Path) -> None:
    name, ((sql,),) = "study_patient", read(data, "SELECT sql FROM sqlite_master WHERE name = 'study_patient'")
    rename = "UPDATE sqlite_master SET sql = '{}' WHERE name = '{}'"
    change(data, "PRAGMA writable_schema = ON", rename.format(f"{sql} WHERE id < 0", name))
    change(data, f"REINDEX {name}", "PRAGMA writable_schema = ON", rename.format(sql, name))
    found = findings(data)
    assert {each.kind for each in found} == {Kind.INDEX_DAMAGED} and name in found[0].message


def test_a_text_that_is_damaged_is_found_and_the_rest_is_checked(data: Path) -> None:
    change(data, "UPDATE dicom_store SET settings = CAST(x'7b7dff' AS TEXT)")
    assert [(each.kind, each.resource) for each in findings(data)] == [(Kind.INDEX_DAMAGED, "dicom_store 1")]


# Beside a server ------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(home: Path) -> Iterator[House]:
    made = House(home / "busy")
    made.carry_to_the_end()
    yield made
    made.close()


def test_what_goes_while_it_is_looked_at_is_no_finding(busy: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """All instances are deleted, and their bytes, between the first look at a row and the second."""
    gone: list[str] = []

    def delete(checked: directory.Checked) -> None:
        for study in {each.study_instance_uid for each in busy.seams.index.instances.walk_store(1)}:
            busy.seams.index.deletion.delete_below(STORE, ResourcePath(study), "v1", Method.DELETE_STUDY)
            gone.append(study)
        sweep_garbage(busy.seams)

    blob = next(iter(find_blobs(busy.data / "blobs").values()))
    blob.remove()
    monkeypatch.setattr(directory.Checked, "wait", delete)
    assert findings(busy.data, reads=False) == []
    assert gone


@pytest.mark.slow
def test_a_server_and_a_check_at_the_same_time(busy: House) -> None:
    assert findings(busy.data) == []
    blob = next(iter(find_blobs(busy.data / "blobs").values()))
    blob.remove()
    assert [found.kind for found in findings(busy.data)] == [Kind.BYTES_MISSING]


# The command ----------------------------------------------------------------------------------------------------------


def run(data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantry", "check", "--data", str(data), *more]
    return prepared.run(command, capture_output=True, text=True, timeout=120)


def test_the_command(data: Path) -> None:
    clean = run(data)
    assert clean.returncode == 0 and clean.stdout.startswith("nothing is wrong: ")
    assert "headers" in clean.stderr, "progress"
    blob_of(data, OWN).remove()
    found = run(data)
    assert found.returncode == 1 and "bytes-missing" in found.stdout and "1 finding:" in found.stdout
    *lines, summary = [json.loads(line) for line in run(data, "--json").stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["bytes-missing"]
    assert summary["summary"]["findings"] == 1 and summary["summary"]["instances"] > 600


def test_what_cannot_be_checked(data: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "nothing").returncode == 2
    change(data, "UPDATE alembic_version SET version_num = '0001'")
    old = run(data)
    assert old.returncode == 2 and "another version" in old.stderr and "Traceback" not in old.stderr
    (data / "index.sqlite").write_bytes(b"no database" * 1000)
    assert run(data).returncode == 2


def test_no_server_starts_on_a_directory_while_it_is_checked(data: Path) -> None:
    from gantry.config import open_checked

    with open_checked(data):
        lock = os.open(data / "lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)


def test_a_table_of_contents_that_is_damaged(data: Path) -> None:
    """Its instances are whole, but nothing says so any more."""
    path = blob_of(data, SMALL).path
    content = path.read_bytes()
    at = content.index(MAGIC)
    with path.open("r+b") as file:
        file.seek(at + 24)
        file.write(b"\xff" * 8)
    assert {found.kind for found in findings(data)} == {Kind.SEGMENT_WRONG}


@pytest.mark.parametrize("walk", ["walk_packs", "walk_segments"])
def test_the_log_of_the_index_can_begin_anew_while_a_check_reads(busy: House, walk: str) -> None:
    with open_checked(busy.data) as checked:
        found = getattr(checked.index.checks, walk)()
        next(found)
        with sqlite3.connect(busy.data / "index.sqlite") as connection:
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.close()
        assert not is_busy
        found.close()


def test_what_was_deleted_since_a_check_began_is_no_finding(busy: House) -> None:
    with open_checked(busy.data) as checked:
        packs = checked.index.checks.walk_packs()
        next(packs)
        for study in {each.study_instance_uid for each in busy.seams.index.instances.walk_store(1)}:
            busy.seams.index.deletion.delete_below(STORE, ResourcePath(study), "v1", Method.DELETE_STUDY)
        sweep_garbage(busy.seams)
        assert not any(pack.users for pack in packs)
