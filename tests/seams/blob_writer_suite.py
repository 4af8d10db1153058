"""What every storage of instances promises: writers, the ranges they make, tables of contents, freeing.

A test class inherits the suite and brings its ``blobs`` fixture. Nothing here knows how bytes lie: whether instances
share an object, and what an object is.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import google_crc32c
import pytest

from gantry.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, StatusError, Unavailable
from gantry.resources import Uids
from gantry.seams import Blobs, BlobWriter, OpenedObject
from gantry.storage.extents import Extent, object_of, parse_extent
from tests.seams.blob_store_suite import failing, keys, read

PREFIX = "main/7/op/a1-a0/000.0000-"
SIZES = (1, 127, 511, 512, 513, 4095, 4096, 4097, 40_000, 1_100_000, 3_000_000, 9_000_000)


def uids(number: int) -> Uids:
    return "1.2.3", f"1.2.3.{number % 3}", f"1.2.3.4.{number}"


def instance(size: int, seed: int = 0) -> bytes:
    """Bytes that are different for each seed, and none of them zero."""
    some = bytes(random.Random(seed).choices(range(1, 256), k=min(size, 1009)))
    return (some * (size // len(some) + 1))[:size]


def in_chunks(data: bytes, length: int) -> Iterator[bytes]:
    return (data[at : at + length] for at in range(0, len(data), length))


class Elsewhere(OpenedObject):
    """An object of a storage that nobody knows."""

    def __init__(self, data: bytes, problem: Exception | None = None) -> None:
        self.key, self.size, self.data, self.problem = "elsewhere", len(data), data, problem

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def chunks(self) -> Iterator[bytes]:
        yield self.data[: self.size // 2]
        if self.problem is not None:
            raise self.problem
        yield self.data[self.size // 2 :]

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def write(blobs: Blobs, contents: Sequence[bytes], prefix: str = PREFIX) -> list[str]:
    """Their keys, after a flush and the end of the writer."""
    writer = blobs.writer(prefix)
    found = [writer.put([data], uids(number))[0] for number, data in enumerate(contents)]
    writer.flush()
    writer.close()
    return found


def objects_of(found: Sequence[str]) -> set[str]:
    """The objects that hold the bytes of blobs."""
    extents = [(key, parse_extent(key)) for key in found]
    return {extent.segment if extent else key for key, extent in extents}


class BlobWriterSuite:
    """``blobs`` is empty; its keys begin with ``main/``."""

    # Writing and reading ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", SIZES)
    def test_what_is_written_is_read(self, blobs: Blobs, size: int) -> None:
        data, writer = instance(size), blobs.writer(PREFIX)
        whole, count = writer.put([data], uids(1))
        pieces, of_pieces = writer.put(in_chunks(data, 10_007), uids(2))
        copied = writer.copy_from(Elsewhere(data), uids(3))
        unknown, of_unknown = writer.put([data])
        writer.flush()
        assert (count, of_pieces, of_unknown) == (size, size, size)
        for key in (whole, pieces, copied, unknown):
            assert key.startswith(PREFIX)
            assert read(blobs, key) == data
            with blobs.open(key) as opened:
                assert (opened.key, opened.size) == (key, size)
        writer.close()
        assert read(blobs, copied) == data

    @pytest.mark.parametrize("data", [b"", bytes(1), bytes(512), bytes(513), bytes(5000), bytes(4096) + b"end"])
    def test_bytes_that_say_nothing_are_kept_too(self, blobs: Blobs, data: bytes) -> None:
        writer = blobs.writer(PREFIX)
        found = [writer.put([b"before"], uids(1))[0], writer.put([data], uids(2))[0]]
        found += [writer.put(in_chunks(data, length), uids(3))[0] for length in (1, 300, 600, 4096)]
        found += [writer.put([b"", data, b""], uids(4))[0], writer.copy_from(Elsewhere(data), uids(5))]
        found.append(writer.put([b"after"], uids(6))[0])
        writer.flush()
        writer.close()
        assert [read(blobs, key) for key in found] == [b"before", *[data] * 7, b"after"]

    def test_neighbours_are_never_read(self, blobs: Blobs) -> None:
        for size in (100, 4096, 5000):
            _, key, _ = write(blobs, [b"a" * size, b"b" * size, b"c" * size])
            with blobs.open(key) as opened:
                assert opened.read_at(0, 10 * size) == b"b" * size
                assert opened.read_at(size - 3, 100) == b"bbb"
                assert opened.read_at(size, 1) == opened.read_at(size + 5000, 10) == b""
                assert b"".join(opened.chunks()) == b"b" * size

    def test_a_blob_is_copied_by_another_writer_and_into_a_bucket(self, blobs: Blobs) -> None:
        contents = [instance(size, size) for size in SIZES]
        first = write(blobs, contents)
        writer = blobs.writer("main/8/other-")
        for key, data in zip(first, contents, strict=True):
            with blobs.open(key) as opened:
                second = writer.copy_from(opened, uids(1))
                assert blobs.copy_from(opened, "main/bucket") == len(data)
            assert read(blobs, second) == read(blobs, "main/bucket") == data
        writer.flush()
        writer.close()

    def test_keys_never_repeat(self, blobs: Blobs) -> None:
        many = [write(blobs, [b"1", b"2", instance(5_000_000)]) for _ in range(5)]
        travelled: Blobs = pickle.loads(pickle.dumps(blobs))  # noqa: S301
        many += [write(travelled, [b"1", b"2"]), write(copy.deepcopy(blobs), [b"1"])]
        flat = [key for found in many for key in found]
        assert len(set(flat)) == len(flat)
        assert len(set().union(*map(objects_of, many))) == sum(len(objects_of(found)) for found in many)

    def test_objects_lie_below_the_prefix_and_ranges_are_no_objects(self, blobs: Blobs) -> None:
        found = write(blobs, [b"1", instance(5_000_000), b"2"])
        assert set(keys(blobs)) == set(keys(blobs, PREFIX)) == objects_of(found)
        assert all(blobs.head(key).size for key in keys(blobs))

    def test_later_batches_sort_after_earlier_ones(self, blobs: Blobs) -> None:
        """As it is asked for by those who look for what was never committed."""
        before, after = "main/7/op/a1-a0/000", "main/7/op/a1-a0/001"
        first = write(blobs, [b"1", instance(5_000_000)], f"{before}.0000-")
        second = write(blobs, [b"1", instance(5_000_000)], f"{before}.0500-")
        third = write(blobs, [b"1", instance(5_000_000)], f"{after}.0000-")
        for earlier, later in pairwise([first, second, third]):
            assert max(objects_of(earlier)) < min(objects_of(later))
        assert max(objects_of(second)) < f"{before}/~" < min(objects_of(third))

    def test_a_writer_that_has_nothing_to_do(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        writer.flush()
        assert writer.close() == ()
        assert keys(blobs) == []

    # Failing ----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("error", [Unavailable("gone"), ValueError("gone")])
    def test_a_write_that_fails_leaves_nothing_and_its_neighbours_whole(self, blobs: Blobs, error: Exception) -> None:
        writer = blobs.writer(PREFIX)
        first, _ = writer.put([b"first" * 1000], uids(1))
        for wanted in (uids(2), None):
            with pytest.raises(type(error)):
                writer.put(failing(error), wanted)
            with pytest.raises(type(error)):
                writer.copy_from(Elsewhere(instance(3_000_000), error), uids(2))
        second, _ = writer.put([b"second" * 1000], uids(3))
        writer.flush()
        writer.close()
        assert (read(blobs, first), read(blobs, second)) == (b"first" * 1000, b"second" * 1000)
        assert set(keys(blobs)) == objects_of([first, second])

    def test_a_source_that_changes_is_not_stored(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        with pytest.raises(Aborted):
            writer.copy_from(Elsewhere(b"changing", Aborted("was changed")), uids(1))
        writer.flush()
        assert writer.close() == ()
        assert keys(blobs) == []

    @pytest.mark.parametrize("size", [5000, 9_000_000])
    @pytest.mark.parametrize("difference", [-1, 1])
    def test_a_source_that_has_another_size_than_it_says_is_not_stored(
        self, blobs: Blobs, size: int, difference: int
    ) -> None:
        writer = blobs.writer(PREFIX)
        source = Elsewhere(instance(size))
        source.size += difference
        with pytest.raises(Aborted):
            writer.copy_from(source, uids(1))
        writer.flush()
        writer.close()
        assert keys(blobs) == []

    def test_a_prefix_that_can_be_no_key_is_refused(self, blobs: Blobs) -> None:
        for prefix in ("main/../x", "main//x", "main/a\0"):
            with pytest.raises(InvalidArgument):
                blobs.writer(prefix).put([b"1"], uids(1))
        assert keys(blobs) == []

    # Ending a writer --------------------------------------------------------------------------------------------------

    def test_the_end_of_a_writer_names_what_its_instances_share(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        found = [writer.put([instance(700_000, seed)], uids(seed))[0] for seed in range(10)]
        found.append(writer.put([instance(9_000_000)], uids(11))[0])
        writer.flush()
        shared = {extent.segment for key in found if (extent := parse_extent(key))}
        assert set(writer.close()) == shared

    def test_a_writer_that_was_ended_writes_no_more(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        writer.close()
        for data in (b"1", instance(5_000_000)):
            with pytest.raises(FailedPrecondition):
                writer.put([data], uids(1))
            with pytest.raises(FailedPrecondition):
                writer.copy_from(Elsewhere(data), uids(1))
        assert keys(blobs) == []

    def test_what_was_not_flushed_is_removed(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        kept = [writer.put([instance(size, size)], uids(size))[0] for size in SIZES]
        writer.flush()
        lost = [writer.put([instance(size, size)], uids(size))[0] for size in SIZES]
        shared = writer.close()
        for key, size in zip(kept, SIZES, strict=True):
            assert read(blobs, key) == instance(size, size)
        for key in lost:
            with pytest.raises(NotFound):
                blobs.open(key)
        assert set(shared) == {extent.segment for key in kept if (extent := parse_extent(key))}
        assert set(keys(blobs)) == objects_of(kept)

    def test_where_nothing_was_flushed_nothing_stays(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        for size in SIZES:
            writer.put([instance(size)], uids(1))
        assert writer.close() == ()
        assert keys(blobs) == []

    # Freeing ----------------------------------------------------------------------------------------------------------

    def test_a_deleted_blob_is_gone_and_the_others_stay(self, blobs: Blobs) -> None:
        contents = [instance(size, size) for size in SIZES]
        found = write(blobs, contents)
        for number, key in enumerate(found):
            if number % 2:
                blobs.delete(key)
                blobs.delete(key)
        for number, (key, data) in enumerate(zip(found, contents, strict=True)):
            if number % 2:
                with pytest.raises(NotFound):
                    blobs.open(key)
            else:
                assert read(blobs, key) == data

    def test_what_is_lost_is_told_object_by_object(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(5000), instance(6000), instance(9_000_000)])

        def lost(whole: bool) -> dict[str, type[StatusError]]:
            held = [(each, [key for key in found if object_of(key) == each.key]) for each in blobs.list()]
            told = blobs.find_lost(held, whole)
            assert len(told) == len(held)
            return {key: type(error) for each in told for key, error in each.items()}

        assert lost(False) == lost(True) == {}
        for deleted in (found[0], found[1]):
            blobs.delete(deleted)
            gone = {key: NotFound for key in found[: found.index(deleted) + 1] if parse_extent(key)}
            assert lost(False) == lost(True) == gone

    def test_a_segment_that_is_held_is_read_as_it_lies(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(5000), instance(6000), instance(7000), instance(9_000_000)])
        blobs.delete(found[1])
        for segment in {extent.segment for key in found if (extent := parse_extent(key))}:
            inside = [key for key in found if object_of(key) == segment]
            live = [key for key in inside if key != found[1]]
            if not live:
                continue
            held = blobs.hold(segment)
            assert [read(held, key) for key in live] == [read(blobs, key) for key in live]
            assert [entry.key for entry in held.entries(segment)] == live
            assert (held.count_freed(segment), held.count_unlisted(segment, ())) == (len(inside) - len(live), 0)
            for key in set(inside) - set(live):
                with pytest.raises(NotFound):
                    held.open(key)
            assert read(held, found[3]) == instance(9_000_000), "others are opened as ever"

    def test_deleting_what_is_not_there_is_no_error(self, blobs: Blobs) -> None:
        (kept,) = write(blobs, [b"kept"])
        blobs.delete(str(Extent("main/none.seg", 0, 10)))
        blobs.delete(str(Extent("main/none/at/all.seg", 4096, 10)))
        for segment in objects_of([kept]):
            blobs.delete(str(Extent(segment, 40960, 10))) if parse_extent(kept) else None
        assert read(blobs, kept) == b"kept"

    def test_what_was_never_written_is_not_found(self, blobs: Blobs) -> None:
        (key,) = write(blobs, [b"kept"])
        wrong = [Extent("main/none.seg", 0, 10), Extent("main/../x.seg", 0, 10)]
        if extent := parse_extent(key):
            wrong += [Extent(extent.segment, at, length) for at, length in ((1 << 30, 10), (0, 1 << 30), (0, 0))]
        for each in wrong:
            with pytest.raises(NotFound):
                blobs.open(str(each))

    def test_what_its_writer_gives_up_is_in_no_table_and_takes_no_object(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        first, _ = writer.put([instance(5000)], uids(1))
        second, _ = writer.put([instance(6000)], uids(2))
        writer.discard(first)
        writer.flush()
        assert first not in {entry.key for key in writer.close() for entry in blobs.entries(key)}
        assert read(blobs, second) == instance(6000)
        with pytest.raises(NotFound):
            blobs.open(first)
        other = blobs.writer(PREFIX)
        other.discard(other.put([instance(7000)], uids(3))[0])
        other.flush()
        assert other.close() == ()
        assert set(keys(blobs)) == objects_of([second])

    def test_what_was_deleted_before_it_was_flushed_stays_deleted(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        found = [writer.put([instance(size)], uids(1))[0] for size in (5000, 5001, 5_000_000)]
        blobs.delete(found[0])
        blobs.delete(found[2])
        writer.flush()
        writer.close()
        assert read(blobs, found[1]) == instance(5001)
        for key in (found[0], found[2]):
            with pytest.raises(NotFound):
                blobs.open(key)

    def test_many_are_deleted_at_once_and_their_neighbours_stay(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(4096 * (number % 3) + 700, number) for number in range(40)])
        gone = [key for number, key in enumerate(found) if number % 5]
        assert blobs.delete_all([*gone, "main/7/op/a1-a0/never-written.dcm"]) == {}
        for number, key in enumerate(found):
            if number % 5:
                with pytest.raises(NotFound):
                    blobs.open(key)
            else:
                assert read(blobs, key) == instance(4096 * (number % 3) + 700, number)
        assert blobs.delete_all(found) == {}

    def test_what_is_being_read_is_named_and_the_others_go(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(5000, number) for number in range(6)])
        with blobs.open(found[2]) as opened:
            failed = blobs.delete_all(found)
            with suppress(Aborted):  # where readers cannot keep what they read
                assert b"".join(opened.chunks()) == instance(5000, 2)
        assert set(failed) <= {found[2]}
        assert all(isinstance(error, Unavailable) for error in failed.values())
        assert blobs.delete_all(found) == {}
        for key in found:
            with pytest.raises(NotFound):
                blobs.open(key)

    def test_an_object_is_deleted_with_all_that_it_holds(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(size) for size in SIZES])
        for key in objects_of(found):
            blobs.delete(key)
            blobs.delete(key)
        for key in found:
            with pytest.raises(NotFound):
                blobs.open(key)
            blobs.delete(key)
        assert keys(blobs) == []

    @pytest.mark.parametrize("size", [5000, 1_900_000, 9_000_000])
    def test_whoever_reads_gets_its_bytes_or_an_error(self, blobs: Blobs, size: int) -> None:
        """Never zeros, never those of another."""
        (key,) = write(blobs, [instance(size)])
        with blobs.open(key) as opened:
            start = opened.read_at(0, 1000)
            assert start == instance(size)[:1000]
            with suppress(Unavailable):
                blobs.delete(key)
            with suppress(StatusError):
                assert b"".join(opened.chunks()) == instance(size)
        blobs.delete(key)
        with pytest.raises(NotFound):
            blobs.open(key)

    # Tables of contents -----------------------------------------------------------------------------------------------

    def test_the_checksums_of_what_a_segment_holds_are_known(self, blobs: Blobs) -> None:
        """Of those that are asked for; one that has an object of its own has none."""
        contents = [instance(size, size) for size in SIZES]
        wanted = dict(zip(write(blobs, contents), map(google_crc32c.value, contents), strict=True))
        for key in objects_of(list(wanted)):
            inside = [each for each in wanted if objects_of([each]) == {key}]
            is_segment = parse_extent(inside[0]) is not None
            asked = inside[::2]
            assert blobs.read_crc32cs(asked) == {each: wanted[each] if is_segment else None for each in asked}

    def test_a_segment_says_what_it_holds(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)
        wanted = {}
        for number, size in enumerate(SIZES):
            data = instance(size, size)
            key = writer.put([data], uids(number))[0] if number % 2 else writer.copy_from(Elsewhere(data), uids(number))
            wanted[key] = (uids(number), google_crc32c.value(data))
            if number % 3 == 2:
                writer.flush()
        writer.flush()
        lost, _ = writer.put([b"not flushed"], uids(99))
        said = {each.key: (each.uids, each.crc32c) for key in writer.close() for each in blobs.entries(key)}
        assert lost not in said
        assert said == {key: value for key, value in wanted.items() if parse_extent(key)}
        for key in list(said)[::2]:
            blobs.delete(key)
        assert [each.key for key in sorted(objects_of(list(said))) for each in blobs.entries(key)] == list(said)[1::2]

    def test_an_object_that_is_not_there_says_nothing(self, blobs: Blobs) -> None:
        with pytest.raises(NotFound):
            list(blobs.entries("main/none.seg"))

    def test_the_rest_of_a_segment_is_freed(self, blobs: Blobs) -> None:
        """With what a writer wrote that was killed: it stands in no table."""
        writer = blobs.writer(PREFIX)
        contents = {writer.put([instance(5000, seed)], uids(seed))[0]: instance(5000, seed) for seed in range(9)}
        writer.flush()
        contents |= {writer.put([instance(6000, seed)], uids(seed))[0]: instance(6000, seed) for seed in range(20, 29)}
        live = set(list(contents)[1::4])
        for key in objects_of(list(contents)):
            blobs.free_rest(key, [each for each in live if each == key or each.startswith(f"{key}@")])
        for key, data in contents.items():
            if key in live:
                assert read(blobs, key) == data
            else:
                with pytest.raises(NotFound):
                    blobs.open(key)
        told = [each.key for key in keys(blobs) if key.endswith(".seg") for each in blobs.entries(key)]
        assert told == [key for key in list(contents)[:9] if key in live and parse_extent(key)]

    def test_where_nothing_is_live_the_whole_object_goes(self, blobs: Blobs) -> None:
        found = write(blobs, [instance(size) for size in SIZES])
        for key in objects_of(found):
            blobs.free_rest(key, [])
            blobs.free_rest(key, [])
        assert keys(blobs) == []

    def test_nothing_is_freed_for_a_key_that_lies_elsewhere(self, blobs: Blobs) -> None:
        found = write(blobs, [b"1", b"2"])
        (other,) = write(blobs, [b"3"])
        with pytest.raises(InvalidArgument):
            blobs.free_rest(min(objects_of(found)), [other])
        assert [read(blobs, key) for key in (*found, other)] == [b"1", b"2", b"3"]

    # Many at a time ---------------------------------------------------------------------------------------------------

    def test_many_threads_share_a_writer(self, blobs: Blobs) -> None:
        writer = blobs.writer(PREFIX)

        def request(number: int) -> dict[str, bytes]:
            made = {}
            for step, size in enumerate((200 + number, 40_000 + number, 300_000, 2_500_000)):
                data = instance(size, number * 10 + step)
                made[writer.put([data], uids(number * 10 + step))[0]] = data
            writer.flush()
            return made

        with ThreadPoolExecutor(8) as pool:
            made = [pair for each in pool.map(request, range(24)) for pair in each.items()]
        segments = writer.close()
        assert len(dict(made)) == len(made) == 24 * 4
        assert all(read(blobs, key) == data for key, data in made)
        told = {each.key: each.uids for segment in segments for each in blobs.entries(segment)}
        assert set(told) == {key for key, _ in made if parse_extent(key)}

    def test_writers_do_not_meet(self, blobs: Blobs) -> None:
        writers: list[BlobWriter] = [blobs.writer(PREFIX) for _ in range(3)]
        made = {writer.put([instance(100, seed)], uids(seed))[0]: seed for seed, writer in enumerate(writers * 5)}
        writers[0].flush()
        writers[1].flush()
        assert writers[2].close() == ()
        for key, seed in made.items():
            if seed % 3 == 2:
                with pytest.raises(NotFound):
                    blobs.open(key)
            else:
                assert read(blobs, key) == instance(100, seed)
