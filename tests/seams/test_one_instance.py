"""What is wrong with one instance costs that instance and no other, whatever is asked for."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import zstandard
from sqlalchemy import update
from starlette.datastructures import Headers

from gantry.api.call import Call, Context
from gantry.api.retrieving import retrieve_metadata
from gantry.api.web import Answer
from gantry.dicom.forms import EXPLICIT_LE
from gantry.errors import (
    Code,
    CrashingPixels,
    DataLoss,
    DeadlineExceeded,
    DiskAway,
    Internal,
    InvalidArgument,
    NoRoom,
    NotAcceptable,
    NotFound,
    Replaced,
    ResourceExhausted,
    StatusError,
    Unavailable,
    UnsuitableForm,
)
from gantry.header_packs import pack
from gantry.index.sql import SqlIndex
from gantry.index.tables import header_pack
from gantry.names import ResourcePath
from gantry.operations.export_dicom_data import AS_THEY_ARE, Written, export_batch
from gantry.operations.set_blob_storage_settings import copy_batch
from gantry.queries import Level
from gantry.resources import Dataset, DicomStore, Failure, Replacement, StoredInstance
from gantry.seams import Seams
from gantry.storage import local_objects, segments
from gantry.storage.extents import OWN_BYTES
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.local_objects import LocalObject
from gantry.studies import metadata as of_metadata
from gantry.studies import retrieve, search_answers, search_inside, store_json
from gantry.studies.headers import read_headers
from gantry.studies.metadata import MetadataCache, read_metadata, write_xml
from gantry.studies.retrieve import keep_stored, read_instances
from gantry.studies.search import parse_search
from gantry.studies.search_answers import find
from gantry.studies.store import Incoming, store
from gantry.studies.update import update_batch, update_instance
from gantry.studies.uploads import Uploads
from tests.dicomweb.instances import IMPLICIT_LE, instance
from tests.index.values import DATASET, STORE
from tests.support.blobs import find_blobs
from tests.support.databases import index_url

STUDY = ResourcePath("1.2.1")
COUNT = 5
BAD = "1.2.1.1.2"
IDENTITY = {"00080016", "00080018", "00083002", "0020000D", "0020000E"}
NAME = [{"op": "replace", "path": "/00100010/Value/0", "value": {"Alphabetic": "New^Name"}}]


class Inline:
    """Calls at once."""

    def submit(self, function: Callable[..., Any], *args: Any, **kw: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kw))
        except StatusError as error:
            future.set_exception(error)
        return future


class Blobs(LocalBlobs):
    """One whose ``bad`` blob makes an unexpected error."""

    bad = ""

    def open(self, key: str) -> Any:
        if key == Blobs.bad:
            raise ZeroDivisionError(key)
        return super().open(key)


@pytest.fixture
def seams(tmp_path: Path) -> Iterator[Seams]:
    Blobs.bad = ""
    (tmp_path / "blobs").mkdir()
    index = SqlIndex(index_url(tmp_path / "data"))
    index.resources.create_dataset(Dataset(DATASET), "v1")
    index.resources.create_dicom_store(DicomStore(STORE))
    inline: Any = Inline()
    made = Seams(index, Blobs(str(tmp_path / "blobs")), inline, inline, inline, 2)
    fill(made, COUNT)
    yield made
    index.close()


def fill(seams: Seams, count: int, syntax: str = EXPLICIT_LE, start: int = 0, pixel_bytes: int = 0) -> None:
    more: dict[str, Any] = {"PixelData": bytes(pixel_bytes)} if pixel_bytes else {}
    data = (instance(("1.2.1", "1.2.1.1", f"1.2.1.1.{n}"), syntax, **more) for n in range(start, start + count))
    found = store(seams, Uploads(seams), STORE, [Incoming("one", iter([each])) for each in data], replace=True)
    assert len(found.instances) == count


def rows(seams: Seams) -> dict[str, StoredInstance]:
    return {row.sop_instance_uid: row for row in seams.index.instances.list_below(STORE, STUDY)}


def _path(sop_instance_uid: str) -> ResourcePath:
    return ResourcePath(STUDY.study, sop_instance_uid.rpartition(".")[0], sop_instance_uid)


def stored(seams: Seams) -> list[StoredInstance]:
    return list(seams.index.instances.walk_below(1, STUDY))


def objects(seams: Seams, path: ResourcePath = STUDY) -> list[Any]:
    return [json.loads(text) for text in read_metadata(seams, STORE, path, "http://h").objects]


def mistaken(whole: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a mistake about one header."""

    def call(*args: Any, **kw: Any) -> Any:
        if any(BAD.encode() + b"\0" in getattr(each, "body", b"") for each in args):
            raise KeyError("nobody foresaw this")
        return whole(*args, **kw)

    return call


def uids_of(found: list[Any]) -> list[str]:
    return [each["00080018"]["Value"][0] for each in found]


EVERY = [f"1.2.1.1.{number}" for number in range(COUNT)]


def test_metadata_of_a_study(seams: Seams, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The instance is there with the UIDs that the index knows; the log says which one and why."""
    monkeypatch.setattr(of_metadata.JsonWriter, "write", mistaken(of_metadata.JsonWriter.write))
    found = objects(seams)
    assert uids_of(found) == EVERY
    assert [each.keys() == IDENTITY for each in found] == [uid == BAD for uid in EVERY]
    assert found[2]["00083002"]["Value"] == [EXPLICIT_LE]
    assert all("00100010" in each for each in found if each is not found[2])
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1 and BAD in warned[0]
    assert "nobody foresaw this" in caplog.text, "the traceback is in the log"


def test_metadata_of_that_instance_alone(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_metadata.JsonWriter, "write", mistaken(of_metadata.JsonWriter.write))
    with pytest.raises(Internal, match=f"instance {BAD}: an unexpected error") as caught:
        objects(seams, ResourcePath("1.2.1", "1.2.1.1", BAD))
    assert "foresaw" not in caught.value.message


def test_an_answer_that_lacks_something_is_not_remembered(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(of_metadata.JsonWriter, "write", mistaken(of_metadata.JsonWriter.write))
        found = read_metadata(seams, STORE, STUDY, "http://h")
        remembered = MetadataCache()
        pieces = (text.encode() for text in found.objects)
        assert len(list(remembered.keep_pieces(found.etag, pieces, found.unread))) == COUNT
        assert remembered.get(found.etag) is None and not remembered.is_whole(found.etag)
    again = read_metadata(seams, STORE, STUDY, "http://h")
    assert again.etag == found.etag
    list(remembered.keep_pieces(again.etag, (text.encode() for text in again.objects), again.unread))
    assert remembered.get(again.etag) is not None and remembered.is_whole(again.etag)


def test_what_one_process_could_not_read_another_one_does_not_confirm(
    seams: Seams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a header that is in the index is the same for all servers that share it."""
    first = read_metadata(seams, STORE, STUDY, "http://h").etag
    monkeypatch.setattr(of_metadata, "_PROCESS", "another")
    assert read_metadata(seams, STORE, STUDY, "http://h").etag == first
    listed = seams.index.instances.list_below

    def list_without_packs(*about: Any) -> Iterator[StoredInstance]:
        return (row._replace(pack_id=None) for row in listed(*about))

    monkeypatch.setattr(seams.index.instances, "list_below", list_without_packs)
    here = read_metadata(seams, STORE, STUDY, "http://h").etag
    monkeypatch.setattr(of_metadata, "_PROCESS", "a third one")
    assert read_metadata(seams, STORE, STUDY, "http://h").etag != here


@pytest.mark.parametrize("accept", ["application/dicom+json", 'multipart/related; type="application/dicom+xml"'])
def test_an_answer_that_lacks_something_is_not_confirmed(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    """Whoever has it is sent the whole one as soon as that can be read, and is told afterwards that it is the same."""
    context = Context(seams, lambda: None, cast(Any, None), (), "http://h")

    def ask(**headers: str) -> Answer:
        ids = (STORE.project, STORE.location, STORE.dataset, STORE.store, STUDY.study)
        answer = retrieve_metadata.call(Call(context, "v1", ids, headers=Headers({"accept": accept} | headers)))
        return replace(answer, body=answer.body if isinstance(answer.body, bytes) else b"".join(answer.body))

    with monkeypatch.context() as patch:
        patch.setattr(of_metadata.JsonWriter, "write", mistaken(of_metadata.JsonWriter.write))
        etag = ask().headers["etag"]
    again = ask(**{"if-none-match": etag})
    assert (again.status, again.headers["etag"]) == (200, etag)
    assert cast(bytes, again.body).count(b"00100010") == COUNT
    assert ask(**{"if-none-match": etag}).status == 304


def test_metadata_as_xml(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_metadata.native_xml

    def failing(attributes: dict[str, Any], *options: Any) -> bytes:
        if "00100010" in attributes and attributes["00080018"]["Value"] == [BAD]:
            raise RecursionError
        return whole(attributes, *options)

    monkeypatch.setattr(of_metadata, "native_xml", failing)
    texts = [write_xml(text) for text in read_metadata(seams, STORE, STUDY, "http://h").objects]
    assert [b"PersonName" in text for text in texts] == [uid != BAD for uid in EVERY]
    assert BAD.encode() in texts[2]


@pytest.mark.parametrize("field", ["all", "PatientName"])
def test_results_of_a_search(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, field: str
) -> None:
    monkeypatch.setattr(of_metadata.JsonWriter, "write", mistaken(of_metadata.JsonWriter.write))
    monkeypatch.setattr(search_answers, "fragments", mistaken(search_answers.fragments))
    search = parse_search(Level.INSTANCE, STUDY, [("includefield", field)], False)
    found = [json.loads(text) for text in find(seams, STORE, search, "http://h").objects]
    assert uids_of(found) == EVERY
    assert ["00100010" in each for each in found] == [uid != BAD for uid in EVERY]
    assert BAD in caplog.text


def test_a_search_inside_of_headers(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(search_inside, "fragments", mistaken(search_inside.fragments))
    search = parse_search(Level.INSTANCE, STUDY, [("SamplesPerPixel", "1")], False)
    found = [json.loads(text) for text in find(seams, STORE, search, "http://h").objects]
    assert uids_of(found) == [uid for uid in EVERY if uid != BAD]
    assert BAD in caplog.text


def test_a_search_inside_of_many_headers_pages_by_key(seams: Seams, monkeypatch: pytest.MonkeyPatch) -> None:
    """No page is counted off from the beginning, and no more is looked through than is asked for."""
    monkeypatch.setattr(search_answers, "_PAGE", 2)
    asked: list[Any] = []
    whole = seams.index.search.search_instances
    monkeypatch.setattr(
        seams.index.search, "search_instances", lambda name, query: asked.append(query) or whole(name, query)
    )
    search = parse_search(Level.INSTANCE, STUDY, [("SamplesPerPixel", "1")], False)
    found = [json.loads(text) for text in find(seams, STORE, search, "http://h").objects]
    assert uids_of(found) == EVERY
    assert [(query.offset, query.after) for query in asked] == [
        (0, ()),
        (0, ("1.2.1.1", EVERY[1])),
        (0, ("1.2.1.1", EVERY[3])),
    ]


# Headers that change while they are read ------------------------------------------------------------------------------


def test_an_instance_that_is_patched_meanwhile_is_there_as_it_is_now(seams: Seams) -> None:
    fill(seams, 150, start=9000)  # behind those whose headers are read together with the first ones
    texts = read_metadata(seams, STORE, STUDY, "http://h").objects
    found = [json.loads(next(texts))]
    last = max(rows(seams))
    update_instance(seams, Uploads(seams), STORE, ResourcePath("1.2.1", "1.2.1.1", last), NAME, "http://h")
    found += [json.loads(text) for text in texts]
    assert len(found) == COUNT + 150 and uids_of(found) == sorted(uids_of(found))
    assert found[-1]["00100010"]["Value"][0]["Alphabetic"] == "New^Name"


def test_an_instance_that_is_deleted_meanwhile_is_left_out(seams: Seams) -> None:
    found = list(rows(seams).values())
    seams.index.deletion.delete_instance(STORE, ResourcePath(*found[2].uids))
    assert [each.row.sop_instance_uid for each in read_headers(seams, STORE, found)] == [
        uid for uid in EVERY if uid != BAD
    ]


def test_an_instance_whose_file_was_moved_meanwhile_is_found(seams: Seams) -> None:
    """Where the index has no header of it, it is read from the file."""
    stale = [row._replace(pack_id=None, pack_number=-1, blob_key="main/1/before.dcm") for row in rows(seams).values()]
    assert all(each.header is not None for each in read_headers(seams, STORE, stale))


def test_a_file_that_is_gone_is_that_instances_error(seams: Seams) -> None:
    row = rows(seams)[BAD]
    with seams.index.database.engine.connect() as connection:
        connection.exec_driver_sql(f"UPDATE instance SET pack_id = NULL WHERE sop_instance_uid = '{BAD}'")
    seams.blobs.delete(row.blob_key)
    assert [each.keys() == IDENTITY for each in objects(seams)] == [uid == BAD for uid in EVERY]
    with pytest.raises(DataLoss, match=BAD):
        objects(seams, ResourcePath(*row.uids))


DAMAGES = {
    "no zstd": b"\0",
    "no pack": zstandard.ZstdCompressor().compress(b"\xff" * 7),
    "no headers in it": pack([]),
    "no headers": pack([b"?" for _ in range(COUNT)]),
    "another version": pack([b"\x09" * 1000 for _ in range(COUNT)]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_headers_in_the_index_are_read_from_the_files(seams: Seams, damage: bytes) -> None:
    before = objects(seams)
    with seams.index.database.engine.begin() as connection:
        connection.execute(update(header_pack).values(data=damage))
    assert objects(seams) == before


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_instances_whose_headers_are_damaged_in_the_index_can_be_changed_and_deleted(
    seams: Seams, damage: bytes
) -> None:
    """The others that are in the same pack stay, too."""
    with seams.index.database.engine.begin() as connection:
        connection.execute(update(header_pack).values(data=damage))
    update_instance(seams, Uploads(seams), STORE, _path(EVERY[0]), NAME, "http://x")
    seams.index.deletion.delete_instance(STORE, _path(EVERY[1]))
    found = objects(seams)
    assert [item["00080018"]["Value"][0] for item in found] == [EVERY[0], *EVERY[2:]]
    names = [item["00100010"]["Value"][0]["Alphabetic"] for item in found]
    assert names[0] == "New^Name" and "New^Name" not in names[1:]


# Operations -----------------------------------------------------------------------------------------------------------


def outcomes(seams: Seams, tmp_path: Path, verb: str) -> list[Any]:
    items = stored(seams)
    Blobs.bad = next(item.blob_key for item in items if item.sop_instance_uid == BAD)
    if verb == "export":
        (tmp_path / "out").mkdir()
        out = LocalBlobStore(str(tmp_path / "out"))
        return list(export_batch(items, blobs=seams.blobs, destination=out, prefix="", form=AS_THEY_ARE))
    if verb == "copy":
        return list(copy_batch(items, blobs=seams.blobs, place="ARCHIVE", blob_prefix="1/2/3"))
    places = ["main"] * COUNT
    return list(update_batch(items, places, "1/9", patch=NAME, web_url="http://h", blobs=seams.blobs))


class Stuck(LocalBlobs):
    """Nothing can be deleted; what was tried is written down."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.tried: list[str] = []

    def delete(self, key: str) -> None:
        self.tried.append(key)
        raise Unavailable("it cannot be removed either")


def break_copies(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Copies break in the middle."""

    def half(source: LocalObject, fd: int) -> int:
        os.write(fd, source.read_at(0, source.size // 2))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local_objects, "copy_range", half)


@pytest.mark.parametrize("stuck", [False, True])
def test_half_a_copy_to_another_place_is_removed_and_its_own_error_counts(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    """Of an instance that gets a file of its own; even where that cannot be removed, too."""
    fill(seams, 1, start=COUNT, pixel_bytes=OWN_BYTES)
    item = rows(seams)[f"1.2.1.1.{COUNT}"]
    before = find_blobs(tmp_path / "blobs").keys()
    blobs = Stuck(str(tmp_path / "blobs")) if stuck else seams.blobs
    break_copies(monkeypatch, errno.EIO)
    with pytest.raises(DiskAway, match="read or write error"):
        copy_batch([item], 7, blobs=blobs, place="ARCHIVE", blob_prefix="1/2/3")
    break_copies(monkeypatch, errno.ENOSPC)
    with pytest.raises(ResourceExhausted, match="disk is full"):
        copy_batch([item], blobs=blobs, place="ARCHIVE", blob_prefix="1/2/3")
    left = find_blobs(tmp_path / "blobs").keys() - before
    if not isinstance(blobs, Stuck):
        assert left == set()
        return
    assert left == set(blobs.tried), "each was tried"
    assert sorted(key.split("-")[0] for key in left) == ["ARCHIVE/1/2/3.0000", "ARCHIVE/1/2/3.0007"]


@pytest.mark.parametrize("number, error", [(errno.EIO, DiskAway), (errno.ENOSPC, NoRoom)])
def test_half_a_copy_into_a_segment_is_removed_and_the_call_ends(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[StatusError]
) -> None:
    items = stored(seams)[:3]
    before = find_blobs(tmp_path / "blobs").keys()
    whole = segments.write_at
    calls = iter(range(2))

    def write(fd: int, data: bytes, offset: int) -> None:
        if next(calls, 0) == 1:
            whole(fd, data[: len(data) // 2], offset)
            raise OSError(number, os.strerror(number))
        whole(fd, data, offset)

    monkeypatch.setattr(segments, "write_at", write)
    with pytest.raises(error, match="cannot be written"):
        copy_batch(items, blobs=seams.blobs, place="ARCHIVE", blob_prefix="1/2/3")
    assert find_blobs(tmp_path / "blobs").keys() == before
    assert all(each.key.startswith("main/") for each in seams.blobs.list())


@pytest.mark.parametrize("verb, good", [("export", Written), ("copy", str), ("patch", Replacement)])
def test_every_operation(seams: Seams, tmp_path: Path, verb: str, good: type) -> None:
    found = outcomes(seams, tmp_path, verb)
    assert [isinstance(each, good) for each in found] == [uid != BAD for uid in EVERY]
    assert isinstance(found[2], Failure) and found[2].status.code is Code.INTERNAL
    assert BAD in found[2].resource
    assert "the server's log" in found[2].status.message and "main/" not in found[2].status.message


@pytest.mark.parametrize("verb", ["export", "copy", "patch"])
@pytest.mark.parametrize("error", [DiskAway("away"), NoRoom("full")])
def test_what_passes_ends_the_call_and_is_no_failure(
    seams: Seams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, error: StatusError
) -> None:
    """The operation waits for it; a Failure would be final."""
    whole = Blobs.open

    def open_(blobs: Blobs, key: str) -> Any:
        if key == Blobs.bad:
            raise error
        return whole(blobs, key)

    monkeypatch.setattr(Blobs, "open", open_)
    with pytest.raises(type(error)):
        outcomes(seams, tmp_path, verb)


def test_an_instance_whose_bytes_are_not_as_many_as_its_row_says_is_not_exported(seams: Seams, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    out = LocalBlobStore(str(tmp_path / "out"))
    items = stored(seams)
    items[1] = items[1]._replace(size=items[1].size + 8)
    found = export_batch(items, blobs=seams.blobs, destination=out, prefix="p/", form=AS_THEY_ARE)
    lost = [each.status.code for each in found if isinstance(each, Failure)]
    assert lost == [Code.DATA_LOSS] and isinstance(found[1], Failure)
    assert [each.bytes for each in found if isinstance(each, Written)] == [each.size for each in (items[0], *items[2:])]
    assert sorted(each.key for each in out.list()) == sorted(
        f"p/{'/'.join(item.uids)}.dcm" for item in items if item is not items[1]
    )


# Retrieval ------------------------------------------------------------------------------------------------------------


def sent(seams: Seams, *syntaxes: str) -> tuple[list[str], StatusError | None]:
    """The UIDs of instances in an answer, and what ended it. ``syntaxes`` that may be sent, the preferred first."""
    found = []
    try:
        answer = read_instances(seams, STORE, STUDY, keep_stored if "*" in syntaxes else lambda _: syntaxes)
        for piece in answer.pieces:
            found += [piece.begins.sop_instance_uid] if piece.begins else []
    except StatusError as error:
        return found, error
    return found, answer.left_out[0] if answer.left_out else None


@pytest.mark.parametrize("syntax", ["*", EXPLICIT_LE])
def test_files_that_were_moved_or_deleted_meanwhile(seams: Seams, monkeypatch: pytest.MonkeyPatch, syntax: str) -> None:
    fill(seams, COUNT, IMPLICIT_LE)
    whole = seams.index.instances.list_below
    stale = [row._replace(blob_key="main/1/before.dcm") for row in rows(seams).values()]
    seams.index.deletion.delete_instance(STORE, ResourcePath(*stale[0].uids))
    monkeypatch.setattr(
        seams.index.instances, "list_below", lambda name, path: whole(name, path) if path.instance else iter(stale)
    )
    assert sent(seams, syntax) == (EVERY[1:], None)


@pytest.mark.parametrize("syntax", ["*", EXPLICIT_LE])
def test_a_file_that_is_gone_is_told_of_after_the_others(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    monkeypatch.setattr(retrieve, "HELD_BACK", 1)
    fill(seams, COUNT, IMPLICIT_LE)
    seams.blobs.delete(rows(seams)[BAD].blob_key)
    found, error = sent(seams, syntax)
    assert found == [uid for uid in EVERY if uid != BAD]
    assert isinstance(error, DataLoss) and BAD in error.message and "main/" not in error.message


@pytest.mark.parametrize("held_back", [1, 16 << 20])
@pytest.mark.parametrize(
    "error",
    [
        NotFound("gone"),
        DataLoss("its bytes are damaged"),
        DeadlineExceeded("a frame takes longer than 60 seconds"),
        InvalidArgument("a frame does not decode"),
        UnsuitableForm("too many bits"),
        Replaced("another one"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_second_form_of_one_instance_may_fail_in_any_way(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, held_back: int, error: StatusError
) -> None:
    """The others are sent, unless the error is the status of the answer; what is deleted meanwhile is no error."""
    bad, first, second = rows(seams)[BAD], "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"

    def finish(seams: Seams, store: Any, row: StoredInstance, future: Any, *where: Any, **options: Any) -> bytes:
        if row.uids == bad.uids:
            raise UnsuitableForm("it cannot hold these pixels")
        return b"made"

    def run(*where: Any, **options: Any) -> bytes:
        raise error

    monkeypatch.setattr(retrieve, "HELD_BACK", held_back)
    monkeypatch.setattr(retrieve, "finish", finish)
    monkeypatch.setattr(retrieve, "run_pixel_work", run)
    found, ended = sent(seams, first, second)
    is_status = held_back > 1 and not isinstance(error, NotFound | InvalidArgument | UnsuitableForm)
    assert found == ([] if is_status else [uid for uid in EVERY if uid != BAD])
    if isinstance(error, NotFound):
        assert ended is None
    else:
        assert ended is not None and BAD in ended.message
        expected = NotAcceptable if isinstance(error, UnsuitableForm | InvalidArgument) else type(error)
        assert isinstance(ended, expected)


@pytest.mark.parametrize("error", [InvalidArgument("a frame does not decode"), CrashingPixels("the worker died")])
def test_pixels_that_do_not_decode_are_decoded_once(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, error: StatusError
) -> None:
    """They are sent as they are stored where that is acceptable too."""
    tried = []

    def finish(seams: Seams, store: Any, row: StoredInstance, future: Any, *where: Any, **options: Any) -> bytes:
        tried.append(row.sop_instance_uid)
        raise error

    monkeypatch.setattr(retrieve, "finish", finish)
    monkeypatch.setattr(retrieve, "run_pixel_work", lambda *_, **__: pytest.fail("decoded again"))
    targets = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90")
    found, ended = sent(seams, *targets)
    assert found == [] and type(ended) is type(error)
    assert sent(seams, *targets, EXPLICIT_LE) == (EVERY, None)
    assert tried == [*EVERY, *EVERY]


@pytest.mark.parametrize("held_back", [1, 16 << 20])
def test_an_instance_that_cannot_be_transcoded_is_not_acceptable(
    seams: Seams, monkeypatch: pytest.MonkeyPatch, held_back: int
) -> None:
    """It is left out before anything is sent, or else ends the answer after the others."""
    monkeypatch.setattr(retrieve, "HELD_BACK", held_back)
    bits = instance(("1.2.1", "1.2.1.1", BAD), BitsAllocated=1, BitsStored=1, HighBit=0, Rows=8, Columns=8)
    store(seams, Uploads(seams), STORE, [Incoming("one", iter([bits]))], replace=True)
    found, error = sent(seams, "1.2.840.10008.1.2.4.50")
    assert found == [uid for uid in EVERY if uid != BAD]
    assert isinstance(error, NotAcceptable) and error.http == 406
    assert BAD in error.message and "transfer-syntax=*" in error.message


# Storing --------------------------------------------------------------------------------------------------------------


class Part:
    """The first part of a request: attributes of all instances."""

    content_type, headers = "application/dicom+json", {"content-type": "application/dicom+json"}

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self.objects = objects

    def chunks(self) -> Iterator[bytes]:
        yield json.dumps(self.objects).encode()


@pytest.mark.parametrize("step", ["encode_instance", "file_chunks"])
def test_an_instance_of_dicom_json(seams: Seams, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A mistake about the first of them leaves the others stored."""
    whole = getattr(store_json, step)

    def failing(first: Any, *more: Any) -> Any:
        if getattr(first, "sop_instance_uid", "") == "1.2.9.1.0" or (
            step == "encode_instance" and "1.2.9.1.0" in str(first)
        ):
            raise KeyError("nobody foresaw this")
        yield from whole(first, *more)

    def failing_at_once(first: Any) -> Any:
        return whole(first) if "1.2.9.1.0" not in str(first) else next(failing(first))

    monkeypatch.setattr(store_json, step, failing_at_once if step == "encode_instance" else failing)
    made = []
    for number in range(4):
        uids = {"00080016": "1.2.840.10008.5.1.4.1.1.66", "00080018": f"1.2.9.1.{number}", "0020000D": "1.2.9"}
        uids |= {"0020000E": "1.2.9.1", "00020010": EXPLICIT_LE}
        made.append({tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()})
        made[-1]["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    found = store(seams, Uploads(seams), STORE, store_json.read_json_parts(iter([Part(made)])))
    assert [item.sop_instance_uid for item in found.instances] == ["1.2.9.1.1", "1.2.9.1.2", "1.2.9.1.3"]
    (refused,) = found.refused
    assert refused.status.code is Code.INTERNAL and "instance 1" in refused.status.message
