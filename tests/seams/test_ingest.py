"""One object's way in: what becomes an instance, what a failure, what an error of the whole batch."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gantry import ingest
from gantry.beats import SYNC_SECONDS
from gantry.errors import (
    Aborted,
    Code,
    DataLoss,
    DiskAway,
    FailedPrecondition,
    ResourceExhausted,
    Status,
    StatusError,
    Unavailable,
)
from gantry.ingest import (
    Held,
    Ingested,
    Pair,
    compare_bytes,
    describe_headers,
    describe_stored,
    identify,
    ingest_batch,
    make_printable,
)
from gantry.resources import Failure, Instance, ObjectMeta, StoredInstance
from gantry.seams import OpenedObject
from gantry.storage import own_objects, segments
from gantry.storage.extents import OWN_BYTES
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_blobs import LocalBlobs
from tests.support.blobs import find_blobs
from tests.support.dicom import EXPLICIT_LITTLE_ENDIAN, SECONDARY_CAPTURE, make_instance

Run = Callable[..., list[Instance | Failure]]
Count = Callable[..., list[Ingested]]


@pytest.fixture
def source(tmp_path: Path) -> LocalBlobStore:
    (tmp_path / "source").mkdir()
    return LocalBlobStore(str(tmp_path / "source"))


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


@pytest.fixture
def run(count: Count) -> Run:
    def call(*keys: str | ObjectMeta, offset: int = 0, **changed: Any) -> list[Instance | Failure]:
        return [outcome for outcome, _, _ in count(*keys, offset=offset, **changed)]

    return call


@pytest.fixture
def count(source: LocalBlobStore, blobs: LocalBlobs) -> Count:
    """With the bytes of each."""

    def call(*keys: str | ObjectMeta, offset: int = 0, **changed: Any) -> list[Ingested]:
        found = [key if isinstance(key, ObjectMeta) else ObjectMeta(key, 0) for key in keys]
        how = {
            "source": source,
            "source_uri": "gs://b/",
            "blobs": blobs,
            "blob_prefix": "1/2",
            "storage_class": "ARCHIVE",
        }
        return ingest_batch(found, offset, **how | changed)

    return call


def stored(blobs: LocalBlobs) -> dict[str, bytes]:
    """What lies on the disk, whether anybody knows of it or not, by its key."""
    return {key: found.read() for key, found in find_blobs(Path(os.fsdecode(blobs.root))).items()}


def key_of(outcome: Instance | Failure) -> str:
    assert isinstance(outcome, Instance)
    return outcome.blob_key


def code_of(outcome: Instance | Failure) -> Code:
    assert isinstance(outcome, Failure)
    return outcome.status.code


def test_an_object_becomes_an_instance_and_a_blob(source: LocalBlobStore, blobs: LocalBlobs, run: Run) -> None:
    data = make_instance("1.2", "1.2.3", "1.2.3.4")
    source.put("d/a.dcm", [data])
    (outcome,) = run("d/a.dcm")
    assert isinstance(outcome, Instance) and outcome.description is not None
    assert outcome.structured_size == len(data) - 132 - 8
    assert outcome._replace(description=None) == (
        Instance(
            "1.2",
            "1.2.3",
            "1.2.3.4",
            SECONDARY_CAPTURE,
            EXPLICIT_LITTLE_ENDIAN,
            outcome.blob_key,
            len(data),
            "ARCHIVE",
            "gs://b/d/a.dcm",
        )
    )
    assert outcome.blob_key.startswith("1/2.0000-")
    with blobs.open(outcome.blob_key) as opened:
        assert b"".join(opened.chunks()) == data
    assert stored(blobs) == {outcome.blob_key: data}


def test_there_is_one_outcome_per_object_in_order(source: LocalBlobStore, blobs: LocalBlobs, run: Run) -> None:
    contents = {name: make_instance(sop=f"1.{len(name)}{ord(name)}") for name in ("a", "c")}
    for name, data in contents.items():
        source.put(name, [data])
    source.put("b", [b"not DICOM"])
    outcomes = run("c", "b", "none", "a")
    assert [outcome.resource for outcome in outcomes] == ["gs://b/c", "gs://b/b", "gs://b/none", "gs://b/a"]
    assert [isinstance(outcome, Instance) for outcome in outcomes] == [True, False, False, True]
    assert stored(blobs) == {key_of(outcomes[0]): contents["c"], key_of(outcomes[3]): contents["a"]}


def test_keys_say_where_in_the_batch_a_call_begins_and_never_repeat(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run
) -> None:
    """A batch whose worker died is run again in parts: none of them meets what the others have left."""
    data = make_instance()
    for name in ("a", "b"):
        source.put(name, [data])
    keys = [key_of(outcome) for _ in range(2) for outcome in run("a", "b", offset=41)]
    assert all(key.startswith("1/2.0041-") for key in keys)
    assert len(set(keys)) == 4
    assert stored(blobs) == dict.fromkeys(keys, data)


@pytest.mark.parametrize("size", [ingest.SMALL_BYTES - 1000, ingest.SMALL_BYTES + 1, OWN_BYTES + 1])
def test_bytes_of_every_size_are_stored_as_they_are(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, size: int
) -> None:
    data = make_instance(pixel_bytes=size)
    source.put("a", [data])
    (outcome,) = run("a")
    assert stored(blobs) == {key_of(outcome): data}


@pytest.mark.parametrize("size", [ingest.SMALL_BYTES - 1000, ingest.SMALL_BYTES + 1])
def test_bytes_count_that_were_read_to_their_end(source: LocalBlobStore, count: Count, size: int) -> None:
    """Those of an object that is found wanting, too. Of a long one no more than its beginning was read."""
    data = make_instance(pixel_bytes=size)
    is_small = len(data) <= ingest.SMALL_BYTES
    source.put("a", [data])
    source.put("b", [b"x" * len(data)])
    source.put("c", [b""])
    found = count("a", "none", "b", "c")
    assert [isinstance(outcome, Instance) for outcome, _, _ in found] == [True, False, False, False]
    assert [size for _, size, _ in found] == [len(data), 0, len(data) if is_small else 0, 0]
    assert not any(is_unchecked for _, _, is_unchecked in found), "a disk has no checksums to compare with"


def test_nothing_comes_of_nothing(run: Run) -> None:
    assert run() == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.INVALID_ARGUMENT),
        (b"not DICOM", Code.INVALID_ARGUMENT),
        (b"\0" * 128 + b"DICM", Code.INVALID_ARGUMENT),
        (make_instance()[:200], Code.INVALID_ARGUMENT),
        (make_instance(study=None), Code.INVALID_ARGUMENT),
    ],
    ids=["empty", "text", "preamble", "cut", "no study"],
)
def test_what_is_not_a_dicom_instance_is_a_failure_without_a_blob(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, data: bytes, code: Code
) -> None:
    source.put("a", [data])
    assert code_of(run("a")[0]) == code
    assert stored(blobs) == {}


def test_an_entry_with_a_problem_is_a_failure_that_says_so(run: Run) -> None:
    assert run(ObjectMeta("a", 0, "is a symbolic link"))[0].status.message == "is a symbolic link"
    assert code_of(run(ObjectMeta("a", 0, "is a symbolic link"))[0]) == Code.FAILED_PRECONDITION


def test_an_object_that_has_gone_is_a_failure(run: Run) -> None:
    assert code_of(run("none")[0]) == Code.NOT_FOUND


def test_an_object_may_have_100_gib() -> None:
    """Nothing but its header is read to know."""
    data, most = make_instance(), 100 << 30
    with pytest.raises(FailedPrecondition, match=f"{most + 1} bytes are more than the {most} an object may have"):
        identify(Held(data), "k", most + 1, "STANDARD", "r")
    with pytest.raises(StatusError) as refused:
        identify(Held(data), "k", most, "STANDARD", "r")
    assert "an object may have" not in refused.value.message


def test_an_object_that_is_too_large_is_a_failure(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_instance()
    source.put("a", [data])
    monkeypatch.setattr(ingest, "MAX_OBJECT_BYTES", len(data) - 1)
    assert code_of(run("a")[0]) == Code.FAILED_PRECONDITION
    assert stored(blobs) == {}
    monkeypatch.setattr(ingest, "MAX_OBJECT_BYTES", len(data))
    assert isinstance(run("a")[0], Instance)


class Changing(LocalBlobStore):
    """Breaks with ``error`` when half of an object has been read."""

    def __init__(self, root: str, error: Exception) -> None:
        super().__init__(root)
        self.error = error

    def open(self, key: str) -> Any:
        with super().open(key) as opened:
            return Breaking(key, opened.read_at(0, opened.size), opened.size, self.error)


SIZES = [0, ingest.SMALL_BYTES, OWN_BYTES]
"""Of pixels: read at once, copied into a segment, copied into an object of its own."""


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_that_fails_is_a_failure_and_leaves_no_blob(
    source: LocalBlobStore, blobs: LocalBlobs, count: Count, tmp_path: Path, size: int
) -> None:
    changing = Changing(str(tmp_path / "source"), Aborted("was changed"))
    source.put("a", [make_instance(pixel_bytes=size)])
    ((outcome, read, _),) = count("a", source=changing)
    assert (code_of(outcome), read) == (Code.ABORTED, 0)
    assert stored(blobs) == {}
    assert list(blobs.list()) == []


def test_a_batch_that_leaves_what_cannot_be_removed_is_made_again(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, tmp_path: Path
) -> None:
    """Nobody would remove it later: once its batch is committed it is in no list of garbage."""
    asked: list[str] = []

    class Stuck(LocalBlobs):
        def delete(self, key: str) -> None:
            asked.append(key)
            raise Unavailable(f"{key} stays")

    source.put("a", [make_instance(pixel_bytes=OWN_BYTES)])
    changing = Changing(str(tmp_path / "source"), Aborted("changed while it was read"))
    with pytest.raises(DiskAway, match="does not remove what was not finished") as away:
        run("a", source=changing, blobs=Stuck(str(tmp_path / "blobs")))
    assert set(asked) == set(stored(blobs)) and len(asked) > 1, "it was tried, and once more at the end"
    assert not any(key in away.value.message for key in asked)


def write_half(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The next writes of instances break half way, as on a full disk."""
    whole = segments.write_at

    def write(fd: int, data: bytes, offset: int) -> None:
        whole(fd, data[: len(data) // 2], offset)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(segments, "write_at", write)


def test_a_full_disk_of_ours_is_an_error_of_the_batch(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put("a", [make_instance()])
    write_half(monkeypatch, errno.ENOSPC)
    with pytest.raises(ResourceExhausted):
        run("a")
    assert stored(blobs) == {}
    assert list(blobs.list()) == []


@pytest.mark.parametrize("size", SIZES)
def test_what_cannot_be_made_durable_is_not_reported_as_stored(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def refuse(_fd: int) -> None:
        raise Unavailable("the disk refused")

    source.put("a", [make_instance(pixel_bytes=size)])
    for module in (segments, own_objects):
        monkeypatch.setattr(module, "sync_file", refuse)
    with pytest.raises(Unavailable, match="the disk refused"):
        run("a")
    assert stored(blobs) == {}


@pytest.mark.parametrize("size", SIZES)
def test_a_bug_is_not_hidden_as_a_failure_of_the_object(
    source: LocalBlobStore, run: Run, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    source.put("a", [make_instance(pixel_bytes=size)])
    monkeypatch.setattr(segments, "write_at", fail)
    monkeypatch.setattr(own_objects.OwnObjects, "write", fail)
    with pytest.raises(ZeroDivisionError):
        run("a")


def test_a_mistake_about_one_header_is_that_objects_alone(
    source: LocalBlobStore, blobs: LocalBlobs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        source.put(f"{number}.dcm", [make_instance("1.2", "1.3", f"1.99.{number}")])
    whole = ingest.read_header_bytes

    def mistaken(read_at: Any, size: int, layout: Any, *most: int) -> Any:
        found = whole(read_at, size, layout, *most)
        assert found is not None
        if b"1.99.1" in found.body:
            raise KeyError("nobody foresaw this")
        return found

    monkeypatch.setattr(ingest, "read_header_bytes", mistaken)
    first, failed, last = run("0.dcm", "1.dcm", "2.dcm")
    assert isinstance(first, Instance) and isinstance(last, Instance)
    assert code_of(failed) is Code.INTERNAL
    assert stored(blobs).keys() == {key_of(first), key_of(last)}


def test_names_that_are_not_utf_8_can_be_printed(run: Run) -> None:
    outcome = run("d/\udcff\udcfe.dcm")[0]
    assert outcome.resource == "gs://b/d/??.dcm"
    assert make_printable("gs://b/\udcff") == "gs://b/?"
    assert make_printable("é/日本") == "é/日本"


def test_same_bytes(blobs: LocalBlobs) -> None:
    large = bytes(3_000_000)
    contents = {"a": b"123", "b": b"123", "c": b"124", "d": b"1234", "e": b"", "f": b""}
    contents |= {"g": large, "h": large, "i": large[:-1] + b"1", "j": b"023", "k": b"1" + large[1:]}
    for key, data in contents.items():
        blobs.put(key, [data])
    pairs = [("a", "b"), ("a", "c"), ("a", "d"), ("e", "f"), ("e", "a"), ("g", "h"), ("g", "i"), ("a", "j"), ("g", "k")]
    wanted = [True, False, False, True, False, True, False, False, False]
    assert compare(pairs, blobs) == wanted


def compare(pairs: Sequence[tuple[str, str]], blobs: Any) -> list[bool | Status]:
    """What is compared is no DICOM here, so bytes that differ could be taken for damaged ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "find_damage", lambda *_: "")
        sizes = {key: size_of(blobs, key) for pair in pairs for key in pair}
        return compare_bytes([Pair(new, old, sizes[old], ("1", "2", "3")) for new, old in pairs], blobs=blobs)


def size_of(blobs: Any, key: str) -> int:
    with blobs.open(key) as opened:
        return int(opened.size)


class Remote(OpenedObject):
    """An object whose chunks come in sizes of its own, as streams over a network do."""

    def __init__(self, key: str, data: bytes, size: int) -> None:
        self.key, self.data, self.size = key, data, size

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def chunks(self) -> Iterator[bytes]:
        step = 1 + len(self.key)
        return (self.data[start : start + step] for start in range(0, len(self.data), step))

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Breaking(Remote):
    """Breaks with ``error`` behind the first half of its bytes."""

    def __init__(self, key: str, data: bytes, size: int, error: Exception) -> None:
        super().__init__(key, data, size)
        self.error = error

    def chunks(self) -> Iterator[bytes]:
        yield self.data[: self.size // 2]
        raise self.error


class RemoteStore(LocalBlobStore):
    """``cut``: what is missing at the end of each object by the time it is read."""

    def __init__(self, contents: dict[str, bytes], cut: dict[str, int] | None = None) -> None:
        super().__init__("/nowhere")
        self.contents, self.cut = contents, cut or {}

    def open(self, key: str) -> Any:
        data = self.contents[key]
        return Remote(key, data[: len(data) - self.cut.get(key, 0)], len(data))


class SpoiltOnce(Breaking):
    """Whole when it is read anew."""

    is_anew, begun = False, 0

    def read_anew(self) -> bool:
        self.is_anew = True
        return True

    def chunks(self) -> Iterator[bytes]:
        self.begun += 1
        if self.is_anew:
            yield self.data
        else:
            yield from super().chunks()


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize(("error", "is_tried_again"), [(DataLoss("was spoilt"), True), (Aborted("was changed"), False)])
def test_a_long_object_is_read_again_where_its_bytes_may_have_been_spoilt_on_their_way(
    blobs: LocalBlobs, count: Count, size: int, error: StatusError, is_tried_again: bool
) -> None:
    """Any other error is told at once."""
    data, opened = make_instance(pixel_bytes=size), []

    class Source(RemoteStore):
        def open(self, key: str) -> Any:
            opened.append(SpoiltOnce(key, data, len(data), error))
            return opened[-1]

    ((outcome, read, _),) = count("a", source=Source({}))
    assert [(each.is_anew, each.begun) for each in opened] == [(is_tried_again, 1 + is_tried_again)]
    if is_tried_again:
        assert isinstance(outcome, Instance) and read == len(data)
    else:
        assert (code_of(outcome), read) == (Code.ABORTED, 0)
    assert [found[: len(data)] for found in stored(blobs).values()] == [data] * is_tried_again


@pytest.mark.parametrize("window", [1, 7, 10, 11, 1000])
def test_chunks_of_any_size_are_compared(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(ingest, "COMPARED_BYTES", window)
    store = RemoteStore({"a": b"0123456789", "bb": b"0123456789", "cccc": b"012345678-"})
    assert compare([("a", "bb"), ("a", "cccc"), ("cccc", "bb")], store) == [True, False, False]


@pytest.mark.parametrize("window", [3, 1000])
@pytest.mark.parametrize("cut", [{"a": 4}, {"b": 4}, {"a": 4, "b": 4}, {"b": 10}])
def test_a_file_that_was_cut_after_it_was_opened_costs_its_own_comparison_alone(
    monkeypatch: pytest.MonkeyPatch, window: int, cut: dict[str, int]
) -> None:
    monkeypatch.setattr(ingest, "COMPARED_BYTES", window)
    store = RemoteStore(dict.fromkeys("abcd", b"0123456789"), cut)
    verdict, other = compare([("a", "b"), ("c", "d")], store)
    assert isinstance(verdict, Status) and verdict.code is Code.ABORTED and "of 10 bytes" in verdict.message
    assert other is True


def test_the_sync_of_a_batch_has_the_time_that_a_busy_disk_needs(
    run: Run, source: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is announced before the sync begins."""
    announced: list[float | None] = []
    monkeypatch.setattr(ingest, "beat", announced.append)
    monkeypatch.setattr(segments, "sync_file", lambda fd: announced.append(None) or os.fsync(fd))
    source.put("a", [make_instance()])
    assert isinstance(run("a")[0], Instance)
    assert announced and announced[announced.index(None) - 1] == SYNC_SECONDS >= 600


def test_headers_that_are_read_again_give_signs_of_life(
    run: Run, source: LocalBlobStore, blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that hangs in one of them is noticed, and the next one gets as much time as its size needs."""
    for number in range(2):
        source.put(str(number), [make_instance(sop=f"1.2.{number}")])
    stored_now = [item for item in run("0", "1") if isinstance(item, Instance)]
    rows = [StoredInstance(*item[:8], 1, 0, *[None] * 7) for item in stored_now]
    announced: list[int] = []
    monkeypatch.setattr(ingest, "beat_for", announced.append)
    assert all(isinstance(item, Instance) for item in describe_stored(rows, blobs=blobs))
    assert announced == [row.size for row in rows]
    announced.clear()
    assert None not in describe_headers([row.blob_key for row in rows], blobs=blobs)
    assert announced == [0, rows[0].size, 0, rows[1].size]


def test_what_is_described_anew_waits_for_a_disk_that_is_away(
    run: Run, source: LocalBlobStore, blobs: LocalBlobs
) -> None:
    """Bytes that are no instance have nothing to describe; those that cannot be read now are a failure of their own."""
    source.put("0", [make_instance()])
    (item,) = run("0")
    assert isinstance(item, Instance)
    other = blobs.writer("9/9")
    key, size = other.put((b"no DICOM",), ("1", "2", "3"))
    other.flush()
    lost = key.replace("@", "x@")

    class Away(LocalBlobs):
        def open(self, key: str) -> Any:
            raise DiskAway("the disk is away")

    rows = [StoredInstance(*item[:8], 1, 0, *[None] * 7)]
    rows += [rows[0]._replace(blob_key=each, size=size) for each in (key, lost)]
    whole, none, gone = describe_stored(rows, blobs=blobs)
    assert isinstance(whole, Instance) and whole.description is not None
    assert isinstance(none, Instance) and none.description is None and none.blob_key == key
    assert code_of(gone) == Code.NOT_FOUND
    with pytest.raises(DiskAway):
        describe_stored(rows[:1], blobs=Away(os.fsdecode(blobs.root)))
