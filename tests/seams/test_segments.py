"""Segments in a directory: offsets, blocks, locks, and what a full disk or a stranger may do."""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Aborted, DataLoss, FailedPrecondition, NotFound, ResourceExhausted, StatusError, Unavailable
from gantry.storage import contents, gathering, holes, local_extents, local_writer, new_names, segments
from gantry.storage.extents import ALIGNMENT, Extent, align, parse_extent
from gantry.storage.local_blobs import LocalBlobs
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, Elsewhere, instance, objects_of, uids, write
from tests.seams.segment_support import blocks, extent_of, extents, refuse
from tests.support.descriptors import list_open, list_opened_since


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


@pytest.fixture
def root(blobs: LocalBlobs) -> Path:
    return Path(os.fsdecode(blobs.root))


# Where bytes lie ------------------------------------------------------------------------------------------------------


def test_instances_begin_at_blocks_and_are_bytes_as_they_came(blobs: LocalBlobs, root: Path) -> None:
    sizes = [1, 4095, 4096, 4097, 10_000, 39_000]
    found = extents(write(blobs, [instance(size, size) for size in sizes]))
    assert len({each.segment for each in found}) == 1
    assert [each.offset for each in found] == [0, 4096, 8192, 12_288, 20_480, 32_768]
    data = (root / found[0].segment).read_bytes()
    for each, size in zip(found, sizes, strict=True):
        assert data[each.offset : each.offset + each.length] == instance(size, size)
    assert data[found[-1].end :].startswith(contents.MAGIC)


def test_names_say_prefix_number_and_chance(blobs: LocalBlobs, root: Path) -> None:
    found = write(blobs, [b"1", instance(9_000_000), b"2"], "main/1/stow/5/")
    assert found[0].startswith("main/1/stow/5/0000-") and found[1].startswith("main/1/stow/5/0001-")
    assert len(found[1]) == len("main/1/stow/5/0001-0123456789abcdef.dcm")
    assert extent_of(found[2]).segment == extent_of(found[0]).segment
    assert {path.name for path in (root / "main/1/stow").iterdir()} == {"5"}


def test_a_name_that_is_there_is_never_written_over(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_names.secrets, "token_hex", lambda _: "ab" * 8)
    for data in (b"first", instance(9_000_000, 1)):
        (key,) = write(blobs, [data])
        with pytest.raises(FailedPrecondition, match="stands in the way"):
            write(blobs, [data[::-1]])
        assert read(blobs, key) == data


@pytest.mark.parametrize("size", [1_000_000, 700_000])
def test_a_full_segment_is_followed_by_another(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 4 << 20)
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(size, seed)], uids(seed))[0] for seed in range(20)]
    writer.flush()
    found += [writer.put([instance(size, seed)], uids(seed))[0] for seed in range(20, 25)]
    writer.flush()
    named = writer.close()
    assert all(each.end <= 4 << 20 for each in extents(found))
    assert sorted({each.segment for each in extents(found)}) == list(named)
    assert len(named) >= 25 * size // (4 << 20)
    assert [read(blobs, key) for key in found] == [instance(size, seed) for seed in range(25)]
    assert sum(len(list(blobs.entries(key))) for key in named) == 25


@pytest.mark.slow
def test_files_of_full_segments_do_not_stay_open(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 16_384)
    before = list_open()
    writer = blobs.writer(PREFIX)
    for number in range(100):
        writer.put([instance(9000, number)], uids(number))
        writer.put([instance(9000, number)])
        writer.flush()
    assert len(list_opened_since(before)) <= 2
    for number in range(200):
        writer.put([instance(9000, number)])
    assert len(list_opened_since(before)) <= 70
    writer.flush()
    writer.close()
    assert not list_opened_since(before)


@pytest.mark.parametrize(("less", "own"), [(1, False), (0, True), (-1, True)])
def test_from_a_size_on_an_instance_has_a_file_of_its_own(blobs: LocalBlobs, less: int, own: bool) -> None:
    """A smaller one where the size is not known before: so much is held in memory."""
    writer = blobs.writer(PREFIX)
    data = instance(gathering.HELD_BYTES - less)
    found = [writer.put([data], uids(1))[0], writer.put([data[:5], data[5:]], uids(2))[0]]
    found.append(writer.copy_from(Elsewhere(instance(local_writer.OWN_BYTES - less)), uids(3)))
    assert [parse_extent(key) is None for key in found] == [own] * 3
    writer.close()


@pytest.mark.parametrize("lengths", [(128,), (1, 127), (0, 100, 28), (511, 1)])
def test_zeros_before_a_file_do_not_give_it_a_file_of_its_own(blobs: LocalBlobs, lengths: tuple[int, ...]) -> None:
    writer = blobs.writer(PREFIX)
    key, _ = writer.put([*map(bytes, lengths), b"DICM"], uids(1))
    assert (parse_extent(key) is None) is (sum(lengths) == 512)
    assert read(blobs, key) == bytes(sum(lengths)) + b"DICM"
    writer.close()


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        (39_000, ["pread", "pwrite", "fstat"]),
        (600_000, ["preadv", "pwrite", "preadv", "pwrite", "pread", "pwrite", "fstat"]),
        (512 << 10, ["preadv", "pwrite", "preadv", "pwrite", "fstat"]),
        (local_writer.OWN_BYTES, ["statvfs", "fstat", "copy_file_range", "fstat"]),
    ],
)
def test_a_file_is_copied_with_few_calls(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, size: int, wanted: list[str]
) -> None:
    """The last fstat asks whether the source has changed."""
    blobs.put("main/source", [instance(size)])
    calls: list[str] = []
    for name in ("pread", "preadv", "copy_file_range", "pwrite", "write", "fstat", "statvfs"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, _name=name, _real=real: calls.append(_name) or _real(*given))
    writer = blobs.writer(PREFIX)
    writer.put([instance(100)], uids(0))  # the segment is there, and room was looked for
    with blobs.open("main/source") as source:
        calls.clear()
        copied = writer.copy_from(source, uids(1))
        done = list(calls)
    assert (done, read(blobs, copied)) == (wanted, instance(size))
    writer.close()


@pytest.mark.parametrize("size", [5000, 600_000, 9_000_000])
@pytest.mark.parametrize("change", ["grows", "shrinks", "is written over"])
def test_a_source_that_is_written_to_while_it_is_read_is_aborted(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch, size: int, change: str
) -> None:
    blobs.put("main/source", [b"s" * size])
    sizes = {"grows": size + 1, "shrinks": size // 2, "is written over": size}
    writer = blobs.writer(PREFIX)

    def changing(call: Callable[..., Any]) -> Callable[..., Any]:
        def meanwhile(*given: Any) -> Any:
            found = call(*given)
            os.truncate(root / "main/source", sizes[change])
            os.utime(root / "main/source", ns=(1, 1))
            return found

        return meanwhile

    with blobs.open("main/source") as source, monkeypatch.context() as busy:
        for name in ("pread", "preadv", "copy_file_range"):
            busy.setattr(os, name, changing(getattr(os, name)))
        with pytest.raises(Aborted):
            writer.copy_from(source, uids(1))
    writer.flush()
    writer.close()
    assert keys(blobs) == ["main/source"]


# Freeing --------------------------------------------------------------------------------------------------------------


def test_freeing_gives_back_the_blocks_of_that_instance_alone(blobs: LocalBlobs, root: Path) -> None:
    contents_ = [instance(size, size) for size in (39_000, 530_000, 4096, 1, 100_000)]
    found = write(blobs, contents_)
    segment = extent_of(found[0]).segment
    size, before = (root / segment).stat().st_size, blocks(root, segment)
    for number in (1, 3, 2):
        blobs.delete(found[number])
        assert before - blocks(root, segment) == align(len(contents_[number]))
        before = blocks(root, segment)
        start = extent_of(found[number]).offset
        assert not any((root / segment).read_bytes()[start : start + len(contents_[number])])
        blobs.delete(found[number])
        assert blocks(root, segment) == before
    assert (root / segment).stat().st_size == size
    assert (read(blobs, found[0]), read(blobs, found[4])) == (contents_[0], contents_[4])


def test_without_holes_zeros_are_written_and_the_file_does_not_grow(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holes, "fallocate", lambda *_: errno.EOPNOTSUPP)
    found = write(blobs, [instance(5000, seed) for seed in range(3)])
    segment = extent_of(found[0]).segment
    before = (root / segment).read_bytes()
    blobs.delete(found[1])
    after = (root / segment).read_bytes()
    assert after == before[:8192] + bytes(8192) + before[16_384:]
    blobs.delete(str(Extent(segment, align(len(before)) - 4096, 100_000)))
    assert (root / segment).stat().st_size == len(before)


@pytest.mark.parametrize("number", [errno.EIO, errno.EPERM])
def test_a_range_that_cannot_be_freed_is_reported(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (key,) = write(blobs, [b"stays"])
    monkeypatch.setattr(holes, "fallocate", lambda *_: number)
    with pytest.raises(StatusError) as caught:
        blobs.delete(key)
    assert key in caught.value.message and os.strerror(number) not in caught.value.message
    assert read(blobs, key) == b"stays"


def test_a_reader_keeps_its_bytes_and_the_range_is_freed_when_it_is_done(blobs: LocalBlobs, root: Path) -> None:
    first, second = write(blobs, [instance(500_000, 1), instance(500_000, 2)])
    with blobs.open(first) as reader, blobs.open(first) as other:
        start = reader.read_at(0, 100)
        with pytest.raises(Unavailable, match="is being read"):
            blobs.delete(first)
        blobs.delete(second)
        other.close()
        with pytest.raises(Unavailable, match="is being read"):
            blobs.delete(first)
        assert start + reader.read_at(100, 500_000) == b"".join(reader.chunks()) == instance(500_000, 1)
        other.fd = os.open(root, os.O_RDONLY)
    blobs.delete(first)
    with pytest.raises(NotFound):
        blobs.open(first)


def test_a_reader_in_another_process_is_waited_for_too(blobs: LocalBlobs) -> None:
    (key,) = write(blobs, [instance(5000)])
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - in the child
        try:
            with blobs.open(key):
                os.write(ready[1], b"1")
                os.read(done[0], 1)
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(Unavailable, match="is being read"):
        blobs.delete(key)
    os.write(done[1], b"1")
    os.waitpid(pid, 0)
    blobs.delete(key)
    for fd in (*ready, *done):
        os.close(fd)


def test_a_range_that_is_just_being_freed_is_not_opened(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    (key,) = write(blobs, [instance(5000)])
    real, seen = local_extents.free_range, []

    def meanwhile(*given: int) -> None:
        with pytest.raises(NotFound):
            blobs.open(key)
        seen.append(given)
        real(*given)

    monkeypatch.setattr(local_extents, "free_range", meanwhile)
    blobs.delete(key)
    assert len(seen) == 1


def test_readers_and_deletions_at_the_same_time(blobs: LocalBlobs) -> None:
    found = write(blobs, [instance(30_000, seed) for seed in range(60)])
    wrong: list[str] = []

    def read_all(_: int) -> int:
        count = 0
        for seed, key in enumerate(found * 3):
            with suppress(NotFound), blobs.open(key) as opened:
                count += 1
                if b"".join(opened.chunks()) != instance(30_000, seed % 60):
                    wrong.append(key)
        return count

    def delete_all() -> None:
        left = list(found)
        while left:
            for key in list(left):
                with suppress(Unavailable):
                    blobs.delete(key)
                    left.remove(key)

    with ThreadPoolExecutor(4) as pool:
        reading = [pool.submit(read_all, number) for number in range(3)]
        pool.submit(delete_all).result(60)
        assert sum(each.result(60) for each in reading) >= 0
    assert wrong == []
    assert read_all(0) == 0


def test_without_locks_a_reader_is_told_that_its_bytes_went(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.storage.range_locks._SET", None)
    (key,) = write(blobs, [instance(500_000)])
    with blobs.open(key) as opened:
        blobs.delete(key)
        with pytest.raises(Aborted, match="deleted while"):
            list(opened.chunks())


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_knows_no_locks(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (key,) = write(blobs, [b"bytes"])
    monkeypatch.setattr("gantry.storage.range_locks.fcntl.fcntl", refuse(number))
    assert read(blobs, key) == b"bytes"
    blobs.delete(key)
    with pytest.raises(NotFound):
        blobs.open(key)


def test_a_segment_that_was_cut_is_not_found_where_bytes_are_missing(blobs: LocalBlobs, root: Path) -> None:
    first, second = write(blobs, [instance(5000, 1), instance(5000, 2)])
    os.truncate(root / extent_of(first).segment, 10_000)
    assert read(blobs, first) == instance(5000, 1)
    with pytest.raises(NotFound):
        blobs.open(second)
    blobs.delete(second)
    assert read(blobs, first) == instance(5000, 1)


@pytest.mark.slow
def test_no_call_keeps_a_descriptor(blobs: LocalBlobs) -> None:
    found = write(blobs, [instance(5000, 1), instance(9_000_000, 2)])
    segment = extent_of(found[0]).segment
    before = list_open()
    for _ in range(5):
        for key in (*found, str(Extent(segment, 1 << 30, 5)), "main/none.seg@0+5"):
            with suppress(StatusError), blobs.open(key), suppress(StatusError):
                blobs.delete(key)
        list(blobs.entries(segment))
        next(iter(blobs.entries(segment)), None)
        blobs.free_rest(segment, [found[0]])
        blobs.delete(found[0])
    assert not list_opened_since(before)


def test_a_link_in_the_place_of_a_segment_is_not_followed(blobs: LocalBlobs, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret" * 1000)
    (root / "main").mkdir()
    (root / "main/link.seg").symlink_to(tmp_path / "outside")
    os.mkfifo(root / "main/pipe.seg")
    for name in ("link", "pipe"):
        with pytest.raises(StatusError):
            blobs.open(f"main/{name}.seg@0+6000")
        with pytest.raises(StatusError):
            blobs.delete(f"main/{name}.seg@0+6000")
    assert (tmp_path / "outside").read_bytes() == b"secret" * 1000


def test_blobs_on_a_disk_that_is_not_mounted_are_away(blobs: LocalBlobs, root: Path) -> None:
    (key,) = write(blobs, [b"bytes"])
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    with pytest.raises(Unavailable, match="mounted"):
        blobs.delete(key)


# Failing writes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [True, False])
def test_a_write_that_breaks_off_leaves_its_neighbours_whole_and_nothing_on_the_disk(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    writer = blobs.writer(PREFIX)
    before, _ = writer.put([instance(5000, 1)], uids(1))
    segment = extent_of(before).segment
    real, between = os.pwrite, []

    def torn(fd: int, data: bytes, offset: int) -> int:
        monkeypatch.setattr(os, "pwrite", real)
        if not last:
            between.append(writer.put([instance(6000, 2)], uids(2))[0])
        real(fd, bytes(data)[:100_000], offset)
        raise OSError(errno.EIO, "torn")

    monkeypatch.setattr(os, "pwrite", torn)
    with pytest.raises(Unavailable):
        writer.put([instance(200_000, 3)], uids(3))
    after, _ = writer.put([instance(7000, 4)], uids(4))
    writer.flush()
    writer.close()
    assert read(blobs, before) == instance(5000, 1)
    assert read(blobs, after) == instance(7000, 4)
    assert [read(blobs, key) for key in between] == [instance(6000, 2)] * (not last)
    whole = [before, *between, after]
    assert blocks(root, segment) == sum(align(each.length) for each in extents(whole)) + ALIGNMENT
    assert (extent_of(after).offset == 8192) is last
    assert {each.key for each in blobs.entries(segment)} == set(whole)


def test_a_disk_that_takes_a_few_bytes_at_a_time(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:1000], offset))
    found = write(blobs, [instance(5000, 1), instance(4096, 2)])
    assert [read(blobs, key) for key in found] == [instance(5000, 1), instance(4096, 2)]
    assert len(list(blobs.entries(extent_of(found[0]).segment))) == 2


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, ResourceExhausted), (errno.EDQUOT, ResourceExhausted)])
def test_a_full_disk_is_resource_exhausted_and_freed_space_is_used_again(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StatusError]
) -> None:
    writer = blobs.writer(PREFIX)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse(number))
        full.setattr(os, "write", refuse(number))
        for data in (b"small", instance(9_000_000)):
            with pytest.raises(kind, match=r"disk is full|quota is used up") as caught:
                writer.put([data], uids(1))
            assert os.strerror(number) not in caught.value.message
    key, _ = writer.put([b"small"], uids(1))
    writer.flush()
    writer.close()
    assert read(blobs, key) == b"small"
    assert set(keys(blobs)) == objects_of([key])


def test_a_table_that_finds_the_disk_full_fails_the_flush(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = blobs.writer(PREFIX)
    lost, _ = writer.put([b"first"], uids(1))
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", refuse(errno.ENOSPC))
        with pytest.raises(ResourceExhausted, match="disk is full"):
            writer.flush()
    kept, _ = writer.put([b"second"], uids(2))
    writer.flush()
    assert writer.close() == (extent_of(kept).segment,)
    assert set(keys(blobs)) == objects_of([kept])
    with pytest.raises(NotFound):
        blobs.open(lost)


@pytest.fixture
def small_files() -> Iterator[int]:
    """A limit on the size of files of this process."""
    limit, before = 1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_on_the_size_of_files_makes_segments_small(blobs: LocalBlobs, root: Path, small_files: int) -> None:
    contents_ = [instance(39_000, seed) for seed in range(100)] + [instance(1_000_000, 7)]
    found = write(blobs, contents_)
    assert [read(blobs, key) for key in found] == contents_
    assert all((root / key).stat().st_size <= small_files for key in keys(blobs))
    assert sum(len(list(blobs.entries(key))) for key in keys(blobs) if key.endswith(".seg")) == 100


def test_an_instance_beyond_the_limit_is_refused_and_the_limit_named(blobs: LocalBlobs, small_files: int) -> None:
    writer = blobs.writer(PREFIX)
    for size in (small_files + 1, 9_000_000):
        with pytest.raises(FailedPrecondition, match=rf"more than {small_files} bytes.*ulimit -f"):
            writer.put([instance(size)], uids(1))
        with pytest.raises(FailedPrecondition, match=rf"more than {small_files} bytes.*ulimit -f"):
            writer.copy_from(Elsewhere(instance(size)), uids(1))
    key, _ = writer.put([b"small"], uids(2))
    writer.flush()
    writer.close()
    assert set(keys(blobs)) == objects_of([key])


def test_a_file_system_with_small_files_says_so(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", refuse(errno.EFBIG))
    with pytest.raises(StatusError, match="too large for the file system"):
        blobs.writer(PREFIX).put([instance(9_000_000)], uids(1))


def test_directories_may_go_while_others_are_made(blobs: LocalBlobs) -> None:
    """Whoever deletes the last blob of a directory removes it too."""
    stopping = threading.Event()

    def clear() -> None:
        while not stopping.is_set():
            write_one(1)

    def write_one(number: int) -> None:
        (key,) = write(blobs, [instance(100, number)], "main/deep/er/x-")
        assert read(blobs, key) == instance(100, number)
        for each in objects_of([key]):
            blobs.delete(each)

    with ThreadPoolExecutor(1) as pool:
        clearing = pool.submit(clear)
        try:
            for number in range(100):
                write_one(number)
        finally:
            stopping.set()
        clearing.result(60)
    assert keys(blobs) == []


@pytest.mark.parametrize("size", [300_000, 100_000])
@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
@pytest.mark.parametrize("shared", [True, False])
def test_bytes_of_an_instance_that_cannot_be_read_are_lost_whatever_copies_them(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch, size: int, number: int, shared: bool
) -> None:
    """Long ones are read by another call than short ones."""
    source = LocalBlobs(os.fsdecode(blobs.root), shared=shared)
    (key,) = write(source, [instance(size)])

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with source.open(key) as opened, monkeypatch.context() as broken:
        for name in ("pread", "preadv"):
            broken.setattr(os, name, refuse)
        writer = blobs.writer(PREFIX)
        with pytest.raises(DataLoss):
            writer.copy_from(opened, uids(1))
    writer.close()
