"""What is on the disk when a flush returns: syncs that many share, and syncs that fail."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from gantry.errors import DiskAway, NotFound, Unavailable
from gantry.seams import OpenedObject
from gantry.storage import contents, durable, local_writer, segments, store_records
from gantry.storage.extents import OWN_BYTES
from gantry.storage.local_blobs import LocalBlobs
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, Elsewhere, instance, uids, write
from tests.seams.segment_support import extent_of, refuse
from tests.support.descriptors import list_open, list_opened_since


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


@pytest.fixture
def root(blobs: LocalBlobs) -> Path:
    return Path(os.fsdecode(blobs.root))


class Syncs:
    """In the place of fdatasync: counts, waits where it is told to, and fails where it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self.failing = False
        self.begun, self.may_end = threading.Semaphore(0), threading.Event()
        self.may_end.set()
        self._real = os.fdatasync

    def __call__(self, fd: int) -> None:
        with self._lock:
            self.count += 1
        self.begun.release()
        assert self.may_end.wait(30)
        if self.failing:
            raise OSError(errno.EIO, "Input/output error")
        self._real(fd)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    made = Syncs()
    monkeypatch.setattr(durable, "_fdatasync", made)
    return made


def waiting(writer: local_writer.LocalWriter) -> int:
    """Threads that wait for the sync of others."""
    return len(writer._commit._changed._waiters)  # type: ignore[attr-defined]


def wait_until(condition: Callable[[], bool]) -> None:
    reached = threading.Event()
    for _ in range(3000):
        if condition():
            return
        reached.wait(0.01)
    raise AssertionError("it never came to that")


def test_those_who_wait_at_the_same_time_share_a_sync_and_a_table(blobs: LocalBlobs, syncs: Syncs) -> None:
    writer = blobs.writer(PREFIX)

    def request(number: int) -> str:
        key, _ = writer.put([instance(1000, number)], uids(number))
        writer.flush()
        return key

    syncs.may_end.clear()
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(request, 0)
        assert syncs.begun.acquire(timeout=30)
        others = [pool.submit(request, number) for number in range(1, 21)]
        wait_until(lambda: waiting(writer) == 20)
        assert not any(each.done() for each in (first, *others))
        syncs.may_end.set()
        found = [each.result(30) for each in (first, *others)]
    assert syncs.count == 2
    segment = extent_of(found[0]).segment
    with blobs.open(segment) as opened:
        assert [len(table.entries) for table in contents.read_tables(opened)] == [1, 20]
    assert writer.close() == (segment,)


def test_nobody_is_answered_by_a_sync_that_began_before_its_bytes_were_written(blobs: LocalBlobs, syncs: Syncs) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([b"first"], uids(1))
    syncs.may_end.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(writer.flush)
        assert syncs.begun.acquire(timeout=30)
        key, _ = writer.put([b"second"], uids(2))
        second = pool.submit(writer.flush)
        wait_until(lambda: waiting(writer) == 1)
        syncs.may_end.set()
        first.result(30)
        second.result(30)
    assert syncs.count == 2
    assert key in [each.key for each in blobs.entries(extent_of(key).segment)]


def test_everything_of_a_batch_needs_one_sync_for_each_file(blobs: LocalBlobs, syncs: Syncs) -> None:
    write(blobs, [instance(1000, seed) for seed in range(50)] + [instance(9_000_000)] * 2)
    assert syncs.count == 3
    writer = blobs.writer(PREFIX)
    writer.flush()
    writer.close()
    assert syncs.count == 3


def test_names_are_on_the_disk_after_the_bytes_and_with_them_those_of_new_directories(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch, syncs: Syncs
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root))
        assert syncs.count == 1
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    writer = blobs.writer("main/7/op/000.0000-")
    writer.put([b"1"], uids(1))
    assert synced == []
    writer.flush()
    assert synced == ["main/7/op", "main/7", "main", "."]
    syncs.count = 1
    writer.flush()
    assert len(synced) == 4
    writer.close()


def test_a_sync_that_fails_fails_all_who_wait_for_it_and_ends_the_segment(blobs: LocalBlobs, syncs: Syncs) -> None:
    writer = blobs.writer(PREFIX)
    before, _ = writer.put([b"before"], uids(0))
    writer.flush()

    def request(number: int) -> str:
        key, _ = writer.put([instance(1000, number)], uids(number))
        writer.flush()
        return key

    syncs.may_end.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(request, 1)
        assert syncs.begun.acquire(timeout=30) and syncs.begun.acquire(timeout=30)
        others = [pool.submit(request, number) for number in range(2, 10)]
        wait_until(lambda: waiting(writer) == 8)
        syncs.failing = True
        syncs.may_end.set()
        errors = [each.exception(30) for each in (first, *others)]
    assert all(isinstance(error, Unavailable) and "refused to keep" in error.message for error in errors)
    assert len({id(error) for error in errors}) == 9
    syncs.failing = False
    after, _ = writer.put([b"after"], uids(20))
    writer.flush()
    assert extent_of(after).segment != extent_of(before).segment
    assert set(writer.close()) == {extent_of(before).segment, extent_of(after).segment}
    assert (read(blobs, before), read(blobs, after)) == (b"before", b"after")
    assert [each.key for each in blobs.entries(extent_of(before).segment)] == [before]


def test_whoever_was_not_waiting_hears_of_a_sync_that_failed_for_its_bytes_too(blobs: LocalBlobs, syncs: Syncs) -> None:
    """Another thread had asked for it. The next flush alone would find nothing that is not on the disk."""
    writer = blobs.writer(PREFIX)
    kinds = [instance(1000), instance(9_000_000)]
    for data in kinds:
        writer.put([data], uids(1))
        syncs.failing = True
        with ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(writer.flush).exception(30), Unavailable)
        syncs.failing = False
        with pytest.raises(Unavailable, match="refused to keep"):
            writer.flush()
        key, _ = writer.put([data], uids(2))
        writer.flush()
        assert read(blobs, key) == data
    writer.close()


def test_what_is_being_written_while_a_sync_fails_is_not_kept(
    blobs: LocalBlobs, syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([b"first"], uids(1))
    real = os.pwrite

    def slow(fd: int, data: bytes, offset: int) -> int:
        monkeypatch.setattr(os, "pwrite", real)
        syncs.failing = True
        with ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(writer.flush).exception(30), Unavailable)
        syncs.failing = False
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", slow)
    with pytest.raises(Unavailable, match="refused to keep"):
        writer.put([b"second"], uids(2))
    assert writer.close() == ()
    assert keys(blobs) == []


def test_a_directory_whose_sync_fails_fails_the_flush(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"small", instance(9_000_000)):
        writer = blobs.writer(PREFIX)
        writer.put([data], uids(1))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse(errno.EIO))
            with pytest.raises(Unavailable, match="refused to keep"):
                writer.flush()
        assert writer.close() == ()
        assert keys(blobs) == []


def test_a_name_whose_sync_failed_for_others_is_synced_by_the_next_flush(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was being written while others asked for a sync, so nothing marks it as one of theirs."""
    writer = blobs.writer(PREFIX)

    def slow() -> Iterator[bytes]:
        yield instance(600)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse(errno.EIO))
            with ThreadPoolExecutor(1) as pool:
                assert isinstance(pool.submit(writer.flush).exception(30), Unavailable)

    class Slow(Elsewhere):
        def chunks(self) -> Iterator[bytes]:
            return slow()

    writer.copy_from(Slow(instance(600)), uids(1))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    writer.flush()
    assert len(synced) == 1 + PREFIX.count("/")
    writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1000, OWN_BYTES])
def test_what_is_given_up_before_its_sync_holds_no_descriptor_and_leaves_nothing(blobs: LocalBlobs, size: int) -> None:
    before = list_open()
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(size, number)], uids(number))[0] for number in range(3)]
    writer.close()
    assert not list_opened_since(before)
    assert keys(blobs) == []
    for key in found:
        with pytest.raises(NotFound):
            read(blobs, key)


@pytest.mark.slow
def test_segments_whose_sync_failed_hold_no_descriptor_and_keep_what_was_on_the_disk(
    blobs: LocalBlobs, syncs: Syncs
) -> None:
    """A disk that refuses every sync must not cost the server a descriptor for each request."""
    writer = blobs.writer(PREFIX)
    kept, _ = writer.put([b"kept"], uids(0))
    writer.flush()
    syncs.failing = True
    before = list_open()
    for number in range(1, 20):
        writer.put([instance(1000, number)], uids(number))
        with pytest.raises(Unavailable):
            writer.flush()
    assert not list_opened_since(before)
    syncs.failing = False
    assert writer.close() == (extent_of(kept).segment,)
    assert read(blobs, kept) == b"kept"
    assert keys(blobs) == [extent_of(kept).segment]


def test_a_file_system_that_syncs_no_directories(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    (key,) = write(blobs, [b"bytes"])
    assert read(blobs, key) == b"bytes"


def test_a_sync_that_is_broken_off_answers_nobody_with_success(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, syncs: Syncs
) -> None:
    writer = blobs.writer(PREFIX)
    writer.put([b"first"], uids(1))
    syncs.may_end.clear()

    def broken(_fd: int) -> None:
        syncs.begun.release()
        syncs.may_end.wait(30)
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "_fdatasync", broken)
    errors: list[BaseException] = []

    def flush() -> None:
        try:
            writer.flush()
        except BaseException as error:
            errors.append(error)

    first = threading.Thread(target=flush)
    first.start()
    assert syncs.begun.acquire(timeout=30)
    second = threading.Thread(target=lambda: (writer.put([b"second"], uids(2)), flush()))
    second.start()
    wait_until(lambda: waiting(writer) == 1)
    syncs.may_end.set()
    first.join(30)
    second.join(30)
    assert [type(error) for error in errors] == [KeyboardInterrupt, DiskAway]
    with pytest.raises(KeyboardInterrupt):
        writer.put([b"third"], uids(3))
        writer.flush()
    assert writer.close() == ()
    assert keys(blobs) == []


def test_what_is_freed_of_a_segment_is_free_on_the_disk(blobs: LocalBlobs, syncs: Syncs) -> None:
    """Nothing names the rest afterwards: what came back with a crash of the system would stay for ever."""
    kept, gone = write(blobs, [instance(1000, 1), instance(1000, 2)])
    before = syncs.count
    blobs.free_rest(extent_of(kept).segment, [kept])
    assert syncs.count == before + 1
    assert read(blobs, kept) == instance(1000, 1)
    with pytest.raises(NotFound):
        blobs.open(gone)


def test_a_file_that_cannot_be_closed_after_its_sync_costs_no_other_its_bytes(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems report late errors there; the sync has already said that the bytes are kept."""
    writer = blobs.writer(PREFIX)
    small, _ = writer.put([b"small"], uids(1))
    large, _ = writer.put([instance(9_000_000)], uids(2))
    real = os.close

    def close(fd: int) -> None:
        is_own = os.readlink(f"/proc/self/fd/{fd}").endswith(".dcm")
        real(fd)
        if is_own:
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "close", close)
        writer.flush()
    assert writer.close() == (extent_of(small).segment,)
    assert (read(blobs, small), read(blobs, large)) == (b"small", instance(9_000_000))


@pytest.mark.parametrize("place", [0, 1])
def test_a_table_for_which_memory_is_short_is_written_by_the_next_flush(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """And so are those of the other segments."""
    writer = local_writer.LocalWriter(blobs, PREFIX)
    writer._segments.most_bytes = 4096  # the second instance begins another segment
    written = [writer.put([b"bytes"], uids(number))[0] for number in (1, 2)]
    real, calls = segments.encode_table, iter((0, 1))

    def short(*given: Any) -> bytes:
        if next(calls) == place:
            raise MemoryError
        return real(*given)

    with monkeypatch.context() as broken:
        broken.setattr(segments, "encode_table", short)
        with ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(writer.flush).exception(30), DiskAway)
    writer.flush()
    for key in written:
        assert [each.key for each in blobs.entries(extent_of(key).segment)] == [key]
    assert writer.close() == tuple(extent_of(key).segment for key in written)


def test_a_segment_that_cannot_be_removed_is_named_so_that_somebody_else_does(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = blobs.writer(PREFIX)
    key, _ = writer.put([b"never flushed"], uids(1))
    monkeypatch.setattr(os, "unlink", refuse(errno.EIO))
    assert (writer.close(), writer.left) == ((), (extent_of(key).segment,))
    assert "cannot be deleted" in caplog.text
    with pytest.raises(NotFound):
        blobs.open(key)


def test_a_segment_that_was_given_up_while_others_write_to_it_is_not_synced_again(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One instance comes just before the sync fails, another one is still being written then: its end closes the
    file, and the next sync must not expect it to be open."""
    writer, whole, write_whole = blobs.writer(PREFIX), durable._fdatasync, segments.write_at
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        size = 2000

        def chunks(self) -> Iterator[bytes]:
            yield b"x" * 1000
            begun.set()
            assert go_on.wait(30)
            yield b"x" * 1000

    with ThreadPoolExecutor(1) as slow, ThreadPoolExecutor(1) as late:

        def fail(fd: int) -> None:
            late.submit(writer.put, [b"it comes just before"], uids(3)).result(30)
            raise OSError(errno.EIO, "Input/output error")

        def write_table(fd: int, data: bytes, offset: int) -> None:
            write_whole(fd, data, offset)
            if not data.startswith(b"x"):  # a table: what is written slowly ends between it and its sync
                go_on.set()
                assert isinstance(slow_copy.exception(30), Unavailable)

        writer.put([b"it is lost"], uids(1))
        slow_copy = slow.submit(writer.copy_from, cast("OpenedObject", Slow()), uids(2))
        assert begun.wait(30)
        monkeypatch.setattr(durable, "_fdatasync", fail)
        with pytest.raises(Unavailable):
            writer.flush()
        monkeypatch.setattr(durable, "_fdatasync", whole)
        with monkeypatch.context() as patched:
            patched.setattr(segments, "write_at", write_table)
            flushed = late.submit(writer.flush).exception(30)
        assert isinstance(flushed, Unavailable), "its bytes were given up, too"
        go_on.set()
        assert isinstance(slow_copy.exception(30), Unavailable)
    key, _ = writer.put([b"it goes on in another one"], uids(4))
    writer.flush()
    assert read(blobs, key) == b"it goes on in another one"
    writer.close()


# Disks that are away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("same_directories", [False, True])
def test_what_lies_on_a_disk_that_is_not_mounted_any_more_is_not_durable(
    blobs: LocalBlobs, root: Path, same_directories: bool
) -> None:
    """Its files are open and can be synced, but nobody finds them below the directory any more."""
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    writer.flush()
    writer.put([instance(5000)], uids(2))
    root.rename(root.with_name("elsewhere"))
    (root / PREFIX if same_directories else root / "empty").parent.mkdir(parents=True)
    with pytest.raises(Unavailable, match="mounted"):
        writer.flush()
    with pytest.raises(DiskAway, match="mounted"):
        writer.put([instance(5000)])
    with pytest.raises(DiskAway, match="mounted"):
        blobs.writer(PREFIX)


@pytest.fixture
def marked(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    path = tmp_path / "blobs" / "main.gantry"
    path.write_text("mark")
    return LocalBlobs(str(tmp_path / "blobs"), mark=(str(path), "mark"))


def come_back(root: Path, mark: str = "mark") -> None:
    """The same files in another directory, as on a disk that the system gives another number."""
    elsewhere = root.with_name("elsewhere")
    root.rename(elsewhere)
    shutil.copytree(elsewhere, root)
    (root / "main.gantry").write_text(mark)


def test_a_disk_that_comes_back_under_another_number_is_known_by_its_mark(marked: LocalBlobs) -> None:
    root = Path(os.fsdecode(marked.root))
    (key,) = write(marked, [instance(5000)])
    come_back(root)
    assert marked.find_absence() == ""
    assert read(marked, write(marked, [instance(6000)])[0]) == instance(6000)
    assert read(marked, key) == instance(5000)
    assert marked.delete_all([key]) == {}


def test_a_file_is_made_at_once_on_a_disk_that_has_come_back(marked: LocalBlobs) -> None:
    """No other call has looked at the disk meanwhile."""
    writer = marked.writer(PREFIX)
    come_back(Path(os.fsdecode(marked.root)))
    key = writer.put([instance(5000)], uids(1))[0]
    writer.flush()
    assert read(marked, key) == instance(5000)


@pytest.mark.parametrize("size", [5000, OWN_BYTES])
def test_what_was_written_before_a_disk_came_back_is_not_durable(marked: LocalBlobs, size: int) -> None:
    """Its files are open on what was mounted before; the next ones are made on the disk."""
    writer = marked.writer(PREFIX)
    writer.put([instance(size)], uids(1))
    come_back(Path(os.fsdecode(marked.root)))
    with pytest.raises(DiskAway, match="was away for a moment"):
        writer.flush()
    key = writer.put([instance(size)], uids(2))[0]
    writer.flush()
    assert read(marked, key) == instance(size)


def test_the_disk_of_another_server_is_not_taken(marked: LocalBlobs) -> None:
    come_back(Path(os.fsdecode(marked.root)), "other")
    assert "another server" in marked.find_absence()
    with pytest.raises(DiskAway, match="another server"):
        marked.open_root()
    with pytest.raises(DiskAway, match="another server"):
        write(marked, [instance(5000)])


def test_a_segment_that_another_program_removes_is_trouble_of_the_server(blobs: LocalBlobs, root: Path) -> None:
    """No client learns its key, and whoever writes it tries again with another segment."""
    writer = blobs.writer(PREFIX)
    writer.put([instance(5000)], uids(1))
    for path in root.rglob("*.seg"):
        path.unlink()
    with pytest.raises(DiskAway) as raised:
        writer.flush()
    assert "main/" not in raised.value.message
    key = writer.put([instance(5000)], uids(2))[0]
    writer.flush()
    assert read(blobs, key) == instance(5000)


def test_names_of_stores_are_waited_for_where_their_disk_is_away(tmp_path: Path) -> None:
    with pytest.raises(DiskAway, match="main"):
        store_records._append(str(tmp_path), "main", [{"store": 1, "deleted": True}])
