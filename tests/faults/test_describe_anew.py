"""Describing anew what an older reader has described, without a server: abandoned, disturbed, files out of reach."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zstandard

from gantry.config import DataDirectory, open_seams
from gantry.errors import DataLoss, NotFound, Unavailable
from gantry.header_packs import pack, unpack
from gantry.names import ResourcePath
from gantry.operations import describe_anew as module
from gantry.operations.backfill import describe_old
from gantry.operations.describe_anew import describe_anew
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams
from gantry.storage import local_blobs
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from gantry.worker_calls import WorkerDied
from tests.dicomweb.instances import instance
from tests.faults.house import DATASET, STORE
from tests.faults.older import contents, garble, outdated
from tests.support.blobs import find_blobs
from tests.support.databases import make_settings

pytestmark = pytest.mark.slow

STUDIES = 5


class Crash(BaseException):
    """What no handler catches, as a process that ends."""


class Here(Executor):
    """Calls are made at once, in this thread; ``fatal`` says which headers a worker dies of."""

    def __init__(self, fatal: Callable[[Any], bool] = lambda header: False) -> None:
        self.fatal = fatal

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if any(map(self.fatal, args[0])):
            future.set_exception(WorkerDied())
        else:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
        return future


class Older:
    """Studies of two series of two instances, one stored by one, described by an older reader."""

    def __init__(self, tmp_path: Path) -> None:
        self.data = tmp_path / "data"
        settings = make_settings(self.data, buckets=str(tmp_path / "buckets"), workers=1)
        self.directory = DataDirectory(settings)
        opened = open_seams(settings, self.directory)
        opened.executor.shutdown()
        self.seams = replace(opened, executor=Here())
        self.seams.index.resources.create_dataset(Dataset(DATASET), "v1")
        self.seams.index.resources.create_dicom_store(DicomStore(STORE))
        for study in range(STUDIES):
            for series in range(2):
                for number in range(2):
                    self.store(study, series, number)
        self.right = contents(self.data)
        garble(self.data, spare="1.3.0")

    def store(self, study: int, series: int, number: int, **values: Any) -> None:
        uids = f"1.3.{study}", f"1.3.{study}.{series}", f"1.3.{study}.{series}.{number}"
        said = {"PatientID": f"P{study}", "StudyDate": "20240105", "Modality": ("CT", "MR")[series]} | values
        stored = store(self.seams, Uploads(self.seams), STORE, [Incoming("it", iter([instance(uids, **said)]))])
        assert stored.refused == []

    def describe(self, seams: Seams | None = None) -> None:
        describe_anew(seams or self.seams, threading.Event())

    def keys(self, study: int) -> list[str]:
        below = self.seams.index.instances.list_below(STORE, ResourcePath(f"1.3.{study}"))
        return [row.blob_key for row in below]


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Older]:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0)
    made = Older(tmp_path)
    yield made
    made.seams.pixels.shutdown()
    made.seams.index.close()
    made.directory.close()


STEPS = (
    *("description.redescribe_series", "description.redescribe_study", "description.mark_described"),
    *("description.list_series", "instances.get_header_packs"),
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_abandoned_at_any_step_it_goes_on_there(
    older: Older, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """Again and again, one call further each time, until none comes any more."""
    subject, name = step.split(".")
    part, left, crashes = getattr(older.seams.index, subject), STUDIES, 0
    whole = getattr(part, name)
    while outdated(older.data):
        calls = iter(range(crashes))

        def abandoned(*args: Any, calls: Iterator[int] = calls, **kw: Any) -> Any:
            if next(calls, None) is None:
                if moment == "after":
                    whole(*args, **kw)
                raise Crash
            return whole(*args, **kw)

        monkeypatch.setattr(part, name, abandoned)
        try:
            older.describe()
        except Crash:
            crashes += 1
        assert outdated(older.data) <= left
        left = outdated(older.data)
    assert crashes
    assert contents(older.data) == older.right


def test_a_study_that_changes_meanwhile_is_looked_at_once_more(older: Older, monkeypatch: pytest.MonkeyPatch) -> None:
    index = older.seams.index.description
    whole, stored = index.redescribe_study, []

    def disturbed(before: Any, *args: Any) -> bool:
        if not stored:
            stored.append(before.study_instance_uid)
            older.store(int(before.study_instance_uid.split(".")[2]), 1, 7, StudyDescription="New")
        return whole(before, *args)

    monkeypatch.setattr(index, "redescribe_study", disturbed)
    older.describe()
    assert outdated(older.data) == 0
    found = {row[2]: row for row in contents(older.data)["study"]}
    assert {row[3] for row in found.values()} == {"Doe^John"}
    assert found[stored[0]][-2] == 5, "instances"


def test_a_file_that_is_out_of_reach_is_left_to_the_next_start(older: Older, caplog: pytest.LogCaptureFixture) -> None:
    """A header that is not in the index has to be read from its file."""
    with older.seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instance SET pack_id = NULL, pack_number = -1")
    whole = older.seams.blobs

    class Away:
        def open(self, key: str) -> Any:
            if key in older.keys(2):
                raise Unavailable("cannot be read")
            return whole.open(key)

    with caplog.at_level(logging.WARNING):
        older.describe(replace(older.seams, blobs=Away()))  # type: ignore[arg-type]
    assert outdated(older.data) == 1 and "study 1.3.2: its headers cannot be read now" in caplog.text
    older.describe()
    assert outdated(older.data) == 0
    assert {row[3] for row in contents(older.data)["study"]} == {"Doe^John"}


def test_a_header_that_kills_its_worker_costs_itself_alone(older: Older, caplog: pytest.LogCaptureFixture) -> None:
    executor = Here(lambda header: b"1.3.3.0" in header or b"1.3.3.1" in header)
    with caplog.at_level(logging.WARNING):
        older.describe(replace(older.seams, executor=executor))
    assert outdated(older.data) == 0
    assert sorted(row[2] for row in contents(older.data)["study"] if row[3] != "Doe^John") == ["1.3.3"]
    assert "study 1.3.3: no header can be read" in caplog.text


def test_a_file_that_kills_its_worker_leaves_the_others_of_its_batch_described(older: Older) -> None:
    """Of an index that has no headers at all."""
    with older.seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM header_pack")
        connection.exec_driver_sql("UPDATE instance SET pack_id = NULL, pack_number = NULL, rows = NULL")
    executor = Here(lambda item: item.sop_instance_uid == "1.3.3.0.0")
    describe_old(replace(older.seams, executor=executor), threading.Event())
    with older.seams.index.database.engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT sop_instance_uid, rows, pack_number FROM instance").all()
    assert len(found) == 4 * STUDIES
    assert [tuple(row) for row in found if row.rows is None or row.pack_number < 0] == [("1.3.3.0.0", None, None)]


@pytest.mark.parametrize("trouble", [Unavailable("the disk is away"), DataLoss("cannot be read"), NotFound("gone")])
def test_a_file_that_cannot_be_read_is_tried_again(
    older: Older, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Only what was read and is no instance is marked: it would not be found for ever."""
    with older.seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM header_pack")
        connection.exec_driver_sql("UPDATE instance SET pack_id = NULL, pack_number = NULL, rows = NULL")

    def refuse(*_: object) -> object:
        raise trouble

    with monkeypatch.context() as broken:
        broken.setattr(local_blobs, "open_extent", refuse)
        assert describe_old(older.seams, threading.Event())
    assert undescribed(older) == 4 * STUDIES
    for blob in list(find_blobs(older.data / "blobs").values())[:1]:
        blob.write(b"no DICOM", at=124)
    assert not describe_old(older.seams, threading.Event())
    assert undescribed(older) == 0


def undescribed(older: Older) -> int:
    return len(older.seams.index.description.list_undescribed(100))


def test_where_the_first_header_cannot_be_read_the_next_one_counts(older: Older) -> None:
    executor = Here(lambda header: b"1.3.3.0.0" in header)
    older.describe(replace(older.seams, executor=executor))
    assert contents(older.data) == older.right


DAMAGES = {
    "no zstd": lambda whole: b"damaged",
    "no pack": lambda whole: zstandard.ZstdCompressor().compress(b"\xff" * 7),
    "fewer headers": lambda whole: pack([]),
    "no headers": lambda whole: pack([b"?" for _ in unpack(whole)]),
    "another kind": lambda whole: pack([b"\x09" + entry[1:] for entry in unpack(whole)]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_headers_that_are_damaged_in_the_index_are_read_from_their_files(
    older: Older, damage: Callable[[bytes], bytes]
) -> None:
    with older.seams.index.database.engine.begin() as connection:
        packs = "SELECT p.id, p.data FROM header_pack p JOIN series s ON s.id = p.series_id WHERE s.study_id = 2"
        for number, data in connection.exec_driver_sql(packs).all():
            connection.exec_driver_sql("UPDATE header_pack SET data = ? WHERE id = ?", (damage(data), number))
    older.describe()
    assert outdated(older.data) == 0
    assert contents(older.data) == older.right


def test_a_study_with_which_something_unforeseen_happens_holds_up_no_other(
    older: Older, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = older.seams.index.description
    whole = index.list_series

    def mistaken(study_id: int, *args: Any) -> Any:
        if study_id == 2:
            raise ValueError("a mistake of ours")
        return whole(study_id, *args)

    monkeypatch.setattr(index, "list_series", mistaken)
    older.describe()
    assert outdated(older.data) == 1, "the others are described"
    monkeypatch.undo()
    older.describe()
    assert contents(older.data) == older.right


def test_what_is_right_stays_whichever_instance_said_it(older: Older) -> None:
    """A study goes on to be described as by the instance that it is by, though another one may seem to be the first."""
    older.describe()
    older.store(7, 0, 1, PatientName="Roe^Jane")
    older.store(7, 0, 0, PatientName="Roe^Ann")
    with older.seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instance SET create_time = 5")  # as if all had come in one batch
    before = contents(older.data)
    with older.seams.index.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE study SET described_by = 0")
        connection.exec_driver_sql("UPDATE instance SET create_time = 4 WHERE sop_instance_uid = '1.3.7.0.0'")
    older.describe()
    assert contents(older.data)["study"] == before["study"]


def test_progress_is_told(older: Older, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "_REPORT_SECONDS", 0)
    monkeypatch.setattr(module, "_STUDIES", 2)
    with caplog.at_level(logging.INFO):
        older.describe()
    told: Sequence[str] = [record.message for record in caplog.records if "of 5 studies" in record.message]
    assert [text.split(":")[1].split()[0] for text in told] == ["2", "4", "5", "5"]


def test_it_stops_between_two_studies_when_the_server_does(older: Older, monkeypatch: pytest.MonkeyPatch) -> None:
    index, stopping = older.seams.index.description, threading.Event()
    whole = index.redescribe_study

    def stopped(*args: Any) -> bool:
        stopping.set()
        return whole(*args)

    monkeypatch.setattr(index, "redescribe_study", stopped)
    describe_anew(older.seams, stopping)
    assert outdated(older.data) == STUDIES - 2, "the one that was right and the one that was changed"
    older.describe()
    assert contents(older.data) == older.right


def test_a_study_that_is_out_of_reach_holds_up_no_other_in_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried again, and those behind it are."""
    away, changes, right = (SimpleNamespace(position=(1, n), study_instance_uid=f"1.{n}") for n in (1, 2, 3))
    outdated, tried = [away, changes, right], list[str]()
    description = SimpleNamespace(
        count_outdated=lambda: len(outdated),
        list_outdated_studies=lambda after, _: [each for each in outdated if each.position > after],
        mark_described=lambda done: [outdated.remove(each) for each in done],
    )

    def redescribe(_: object, study: Any) -> bool:
        tried.append(study.study_instance_uid)
        if study is away:
            raise Unavailable("its disk is away")
        if study is changes and tried.count("1.2") == 1:
            raise module._Changed
        return True

    monkeypatch.setattr(module._Work, "_redescribe_study", redescribe)
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0)
    seams: Any = SimpleNamespace(index=SimpleNamespace(description=description))
    describe_anew(seams, threading.Event())
    assert tried == ["1.1", "1.2", "1.3", "1.2"] and outdated == [away]
