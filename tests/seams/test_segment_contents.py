"""Tables of contents of segments, and what a crash leaves in one."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import pytest

from gantry.errors import NotFound, Unavailable
from gantry.seams import OpenedObject
from gantry.storage import contents
from gantry.storage.extents import ALIGNMENT, Extent
from gantry.storage.local_blobs import LocalBlobs
from tests.seams.blob_store_suite import keys, read
from tests.seams.blob_writer_suite import PREFIX, instance, uids, write
from tests.seams.segment_support import blocks, extent_of


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "blobs").mkdir()
    return LocalBlobs(str(tmp_path / "blobs"))


@pytest.fixture
def root(blobs: LocalBlobs) -> Path:
    return Path(os.fsdecode(blobs.root))


# Tables of contents ---------------------------------------------------------------------------------------------------


def table_of(segment: str, offset: int, *extents_: Extent) -> bytes:
    rows = [contents.Row(each.offset, each.length, uids(666), 1) for each in extents_]
    return contents.encode_table(segment, rows, offset)


def said(blobs: LocalBlobs, segment: str) -> list[str]:
    return [each.key for each in blobs.entries(segment)]


def test_an_instance_that_holds_a_table_is_not_believed(blobs: LocalBlobs) -> None:
    """Of another segment, of this one from another place, and even one that is right in all that it says of itself."""
    (victim,) = write(blobs, [instance(5000)])
    with blobs.open(extent_of(victim).segment) as opened:
        stolen = opened.read_at(8192, 4096)
    writer = blobs.writer(PREFIX)
    first, _ = writer.put([instance(5000)], uids(1))
    segment = extent_of(first).segment
    writer.flush()
    start = 12_288
    hostile = instance(4096) + stolen.ljust(4096, b"\1")
    hostile += table_of(segment, 0, Extent(segment, 0, 100)).ljust(4096, b"\1")
    hostile += table_of(segment, start + len(hostile), Extent(segment, 4096, 100)).ljust(4096, b"\1")
    second, _ = writer.put([hostile], uids(2))
    assert extent_of(second).offset == start
    writer.flush()
    writer.close()
    assert said(blobs, segment) == [first, second]
    assert {each.uids for each in blobs.entries(segment)} == {uids(1), uids(2)}
    blobs.free_rest(segment, [first])
    with pytest.raises(NotFound):
        blobs.open(second)
    assert said(blobs, segment) == [first]


def test_a_table_in_what_was_never_flushed_is_not_believed(blobs: LocalBlobs) -> None:
    """No table lists the instance it lies in, as after a crash. Copied from another place, it says so itself."""
    writer = blobs.writer(PREFIX)
    first, _ = writer.put([instance(5000)], uids(1))
    segment = extent_of(first).segment
    writer.flush()
    hostile = b"".join(
        table_of(segment, offset, Extent(segment, 0, 100)).ljust(ALIGNMENT, b"\1") for offset in (0, 4096, 8192)
    )
    second, _ = writer.put([hostile], uids(2))
    assert extent_of(second).offset == 12_288
    assert said(blobs, segment) == [first]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table[:-1],
        lambda table: table[:20],
        lambda table: table[:-1] + bytes([table[-1] ^ 1]),
        lambda table: table[:16] + b"\xff\xff\xff\xff" + table[20:],
        lambda table: bytes(len(table)),
        lambda table: b"",
    ],
)
def test_a_table_that_was_half_written_is_none(blobs: LocalBlobs, root: Path, change: Callable[[bytes], bytes]) -> None:
    writer = blobs.writer(PREFIX)
    first, _ = writer.put([instance(5000)], uids(1))
    writer.flush()
    second, _ = writer.put([instance(5000)], uids(2))
    writer.flush()
    (segment,) = writer.close()
    with (root / segment).open("r+b") as file:
        with blobs.open(segment) as opened:
            *_, last = contents.read_tables(opened)
        file.seek(last.offset)
        changed = change(file.read())
        file.seek(last.offset)
        file.truncate()
        file.write(changed)
    assert said(blobs, segment) == [first]
    assert read(blobs, second) == instance(5000)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b"not JSON",
        b"[" * 100_000,
        b'{"version":1,"segment":"SEGMENT","offset":0}',
        b'{"version":2,"segment":"SEGMENT","offset":0,"entries":[]}',
        b'{"version":1,"segment":"other.seg","offset":0,"entries":[]}',
        b'{"version":1,"segment":"SEGMENT","offset":0,"entries":[[4096,1,"1","2","3",null]]}',
        b'{"version":1,"segment":"SEGMENT","offset":0,"entries":[[-4096,1,"1","2","3",null]]}',
        b'{"version":1,"segment":"SEGMENT","offset":0,"entries":[1]}',
        b'{"version":1,"segment":"SEGMENT","offset":0,"entries":[["0",1,"1","2","3",null]]}',
    ],
)
def test_a_table_that_no_writer_makes_is_none(blobs: LocalBlobs, content: bytes) -> None:
    payload = contents.zstandard.ZstdCompressor().compress(content.replace(b"SEGMENT", b"main/a.seg"))
    crc = google_crc32c.value(payload)
    blobs.put("main/a.seg", [contents._HEAD.pack(contents.MAGIC, len(payload), crc) + payload])
    with blobs.open("main/a.seg") as opened:
        assert list(contents.read_tables(opened)) == []


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (b'0,100,"1","2","3",7', 1),
        (b'0,100,1,"2","3",7', 0),
        (b'0,100,"1",2,"3",7', 0),
        (b'0,100,"1","2",null,7', 0),
        (b'1,100,"1","2","3",7', 0),
        (b'0,4096,"1","2","3",7', 1),
        (b'0,4097,"1","2","3",7', 0),
        (b'0,0,"1","2","3",7', 0),
        (b'0,100,"1","2","3"', 0),
    ],
)
def test_each_row_of_a_table_is_a_range_before_it_with_three_uids(blobs: LocalBlobs, row: bytes, found: int) -> None:
    content = b'{"version":1,"segment":"main/a.seg","offset":4096,"entries":[[%b]]}' % row
    payload = contents.zstandard.ZstdCompressor().compress(content)
    head = contents._HEAD.pack(contents.MAGIC, len(payload), google_crc32c.value(payload))
    blobs.put("main/a.seg", [b"\1" * 4096 + head + payload])
    with blobs.open("main/a.seg") as opened:
        assert sum(len(table.entries) for table in contents.read_tables(opened)) == found


def test_tables_inside_of_instances_are_not_even_read(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them may say that it is as long as the rest of the segment."""
    block = contents._HEAD.pack(contents.MAGIC, 1 << 20, 0).ljust(ALIGNMENT, b"\1")
    found = write(blobs, [block * 500, b"other"])
    segment = extent_of(found[0]).segment
    reads: list[int] = []
    with blobs.open(segment) as opened:
        real = opened.read_at
        monkeypatch.setattr(opened, "read_at", lambda *given: reads.append(given[1]) or real(*given))
        (table,) = contents.read_tables(opened)
    assert [each.key for each in table.entries] == found
    assert sum(reads) < 3 * opened.size + contents._WINDOW


def test_tables_are_found_wherever_they_stand(blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_WINDOW", 8192)
    writer = blobs.writer(PREFIX)
    found = []
    for number in range(40):
        found.append(writer.put([instance(1 + 1700 * number, number)], uids(number))[0])
        writer.flush()
    (segment,) = writer.close()
    assert said(blobs, segment) == found


def test_a_table_of_as_many_instances_as_fit(blobs: LocalBlobs, root: Path) -> None:
    writer = blobs.writer(PREFIX)
    long = "1." + "9" * 62
    found = [writer.put([b"x"], (long, long, f"{long[:-5]}{number:05d}"))[0] for number in range(16_384)]
    writer.flush()
    (segment,) = writer.close()
    assert said(blobs, segment) == found
    assert (root / segment).stat().st_size < (64 << 20) + (2 << 20)


# What a crash left ----------------------------------------------------------------------------------------------------


def test_the_rest_of_a_segment_gives_its_blocks_back(blobs: LocalBlobs, root: Path) -> None:
    writer = blobs.writer(PREFIX)
    found = [writer.put([instance(5000, seed)], uids(seed))[0] for seed in range(6)]
    writer.flush()
    torn, _ = writer.put([instance(500_000)], uids(7))
    segment = extent_of(torn).segment
    os.truncate(root / segment, extent_of(torn).offset + 123_456)
    blobs.free_rest(segment, [found[2], found[5]])
    assert blocks(root, segment) == 2 * 8192 + ALIGNMENT
    assert said(blobs, segment) == [found[2], found[5]]
    blobs.free_rest(segment, [found[2], found[5]])
    assert blocks(root, segment) == 2 * 8192 + ALIGNMENT
    assert [read(blobs, found[number]) for number in (2, 5)] == [instance(5000, 2), instance(5000, 5)]


def test_what_is_read_stays_and_the_others_go(blobs: LocalBlobs) -> None:
    found = write(blobs, [instance(5000, seed) for seed in range(5)])
    segment = extent_of(found[0]).segment
    with blobs.open(found[0]) as opened:
        with pytest.raises(Unavailable, match="is being read"):
            blobs.free_rest(segment, [found[2]])
        assert b"".join(opened.chunks()) == instance(5000, 0)
        with pytest.raises(NotFound):
            blobs.open(found[4])
    blobs.free_rest(segment, [found[2]])
    assert said(blobs, segment) == [found[2]]


def test_the_rest_of_a_segment_that_is_gone_is_not_found(blobs: LocalBlobs) -> None:
    with pytest.raises(NotFound):
        blobs.free_rest("main/none.seg", ["main/none.seg@0+5"])
    blobs.free_rest("main/none.seg", [])


def test_a_killed_writer_leaves_what_was_flushed(blobs: LocalBlobs, root: Path) -> None:
    """And what it wrote after that is freed by whoever knows what is live."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - in the child
        try:
            writer = copy.deepcopy(blobs).writer(PREFIX)
            flushed = [writer.put([instance(5000, seed)], uids(seed))[0] for seed in range(3)]
            writer.flush()
            writer.put([instance(300_000)], uids(9))
            writer.put([instance(9_000_000)], uids(10))
            os.write(writing, "\n".join(flushed).encode())
        finally:
            os._exit(9)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        flushed = answer.read().split("\n")
    (segment,) = {extent_of(key).segment for key in flushed}
    assert said(blobs, segment) == flushed
    for key in keys(blobs, "main/7/"):
        blobs.free_rest(key, flushed if key == segment else [])
    assert keys(blobs) == [segment]
    assert blocks(root, segment) == 3 * 8192 + ALIGNMENT
    assert [read(blobs, key) for key in flushed] == [instance(5000, seed) for seed in range(3)]


# Checksums of instances -----------------------------------------------------------------------------------------------


class Counting(OpenedObject):
    """Says how many bytes were read, and refuses some ranges."""

    def __init__(self, opened: OpenedObject, refused: range = range(0)) -> None:
        self.opened, self.key, self.size, self.refused, self.count = opened, opened.key, opened.size, refused, 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = self.opened.read_at(offset, length)
        if range(max(offset, self.refused.start), min(offset + len(data), self.refused.stop)):
            raise Unavailable("the disk reports a read error")
        self.count += len(data)
        return data

    def chunks(self) -> Iterator[bytes]:
        return self.opened.chunks()

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def long_segment(blobs: LocalBlobs, flushes: int, per_flush: int) -> list[tuple[str, int]]:
    """Instances of 1 MB, so many before each table: key and CRC32C."""
    writer = blobs.writer(PREFIX)
    found = []
    for _ in range(flushes):
        for _ in range(per_flush):
            data = instance(1_000_000, len(found))
            found.append((writer.put([data], uids(len(found)))[0], google_crc32c.value(data)))
        writer.flush()
    assert len(writer.close()) == 1
    return found


@pytest.mark.parametrize("flushes, per_flush", [(1, 40), (40, 1), (8, 5)])
def test_checksums_are_found_without_a_look_at_the_instances_themselves(
    blobs: LocalBlobs, flushes: int, per_flush: int
) -> None:
    made = long_segment(blobs, flushes, per_flush)
    segment = extent_of(made[0][0]).segment
    with blobs.open(segment) as opened:
        for wanted in (made, made[3:20], made[::7], made[-1:], made[:1]):
            counting = Counting(opened)
            extents = [extent_of(key) for key, _ in reversed(wanted)]
            assert contents.find_crc32cs(counting, extents) == dict(wanted)
            assert counting.count <= 9_000_000 * (1 if per_flush == 40 else len(wanted)), "not the whole segment"


def test_what_no_table_lists_is_looked_for_once(blobs: LocalBlobs, root: Path) -> None:
    made = long_segment(blobs, 1, 40)
    segment = extent_of(made[0][0]).segment
    with blobs.open(segment) as opened:
        *_, table = contents.read_tables(opened)
    with (root / segment).open("r+b") as file:
        file.seek(table.offset + 30)
        file.write(b"\0\0\0")
    with blobs.open(segment) as opened:
        counting = Counting(opened)
        some = [key for key, _ in made[::2]]
        assert contents.find_crc32cs(counting, [extent_of(key) for key in some]) == dict.fromkeys(some)
        assert counting.count < 2 * opened.size


def test_an_unreadable_part_hides_no_checksum_that_stands_elsewhere(blobs: LocalBlobs) -> None:
    made = long_segment(blobs, 1, 40)
    segment = extent_of(made[0][0]).segment
    with blobs.open(segment) as opened:
        middle = extent_of(made[1][0]).offset
        counting = Counting(opened, range(middle, middle + 4096))
        assert contents.find_crc32cs(counting, [extent_of(made[0][0])]) == dict(made[:1])
        *_, table = contents.read_tables(opened)
        counting = Counting(opened, range(table.offset, table.offset + 16))
        with pytest.raises(Unavailable):
            contents.find_crc32cs(counting, [extent_of(made[0][0])])


# Bytes that no table lists --------------------------------------------------------------------------------------------


def test_bytes_that_no_table_lists_are_counted(blobs: LocalBlobs, root: Path) -> None:
    writer = blobs.writer(PREFIX)
    first = [writer.put([instance(5000, seed)], uids(seed))[0] for seed in range(3)]
    writer.flush()
    second, _ = writer.put([instance(3000)], uids(4))
    segment = extent_of(second).segment
    assert blobs.count_unlisted(segment, ()) == 4096, "it was not flushed"
    assert blobs.count_unlisted(segment, [second]) == 0
    writer.flush()
    writer.close()
    blobs.delete(first[1])
    assert blobs.count_unlisted(segment, ()) == 0
    with blobs.open(segment) as opened:
        offset = next(iter(contents.read_tables(opened))).offset
    with (root / segment).open("r+b") as file:
        file.seek(offset + 40)
        file.write(b"\0\0\0\0")
    assert blobs.count_unlisted(segment, ()) == 2 * 8192 + 4096, "a freed one is none"
    assert blobs.count_unlisted(segment, first) == 4096, "the table itself"
