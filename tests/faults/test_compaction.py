"""What is left of segments moves together, whatever step a crash comes at; nothing else changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Aborted, Unavailable
from gantry.names import ResourcePath
from gantry.operations import compaction
from gantry.operations.compaction import compact_files, compact_segments, join_segments, move
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Method
from gantry.seams import Seams
from gantry.storage.extents import SUFFIX, align, object_of, parse_extent
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.places import PlacedBlobStore
from gantry.studies.store import Incoming, store
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.faults.house import DATASET, STORE, House
from tests.support import prepared
from tests.support.blobs import find_blobs, used_bytes
from tests.support.checked import check_clean
from tests.support.dicom import make_instance

pytestmark = pytest.mark.slow

NEVER = threading.Event()
KEPT = 12  # every so many instances stay


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def read_all(house: House) -> dict[str, bytes]:
    """What is stored, by its path, read by way of the store of blobs."""
    found = {}
    for instance in house.seams.index.instances.walk_store(1):
        with house.seams.blobs.open(instance.blob_key) as opened:
            found[instance.path] = b"".join(opened.chunks())
    return found


def thin_out(house: House) -> dict[str, bytes]:
    """Import, then delete most instances; those that are left."""
    house.carry_to_the_end()
    for number, instance in enumerate(list(house.seams.index.instances.walk_store(1))):
        if number % KEPT:
            house.seams.index.deletion.delete_instance(STORE, ResourcePath(*instance.uids))
    sweep_garbage(house.seams)
    return read_all(house)


def objects(house: House) -> set[Path]:
    return {blob.path for blob in find_blobs(house.data / "blobs").values()}


def check(house: House, left: dict[str, bytes]) -> None:
    """The instances that are left, and no byte of anything else: the disk is counted."""
    assert read_all(house) == left
    check_clean(house.data)
    rows = {instance.blob_key for instance in house.seams.index.instances.walk_store(1)}
    assert set(find_blobs(house.data / "blobs")) == rows
    assert house.seams.index.garbage.list_blobs() == []
    assert house.seams.index.uploads.list_uploads() == []
    segments = {extent.segment for key in rows if (extent := parse_extent(key))}
    tables = sum(bytes_of_tables(house.data / "blobs", segment) for segment in segments)
    assert used_bytes(house.data / "blobs" / "main") == sum(align(len(data)) for data in left.values()) + tables


def bytes_of_tables(root: Path, segment: str) -> int:
    from gantry.storage.contents import read_tables

    with LocalBlobs(str(root)).open(segment) as opened:
        return sum(align(table.end - table.offset) for table in read_tables(opened))


@pytest.mark.slow
def test_what_is_left_of_segments_moves_together(house: House) -> None:
    left = thin_out(house)
    before = objects(house)
    check(house, left)
    compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)
    after = objects(house)
    assert not before & after
    assert len(after) <= len(before)
    compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    assert objects(house) == after  # there is nothing more to do


def test_a_segment_of_which_enough_is_left_stays(house: House) -> None:
    house.carry_to_the_end()
    before, left = objects(house), read_all(house)
    compact_segments(house.seams, NEVER)
    assert objects(house) == before
    check(house, left)


@pytest.mark.slow
def test_an_instance_that_cannot_be_read_stays_and_the_others_move(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    left = thin_out(house)
    instances = list(house.seams.index.instances.walk_store(1))
    damaged = instances[3]
    find_blobs(house.data / "blobs")[damaged.blob_key].remove()
    compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    now = {each.path: each.blob_key for each in house.seams.index.instances.walk_store(1)}
    assert now[damaged.path] == damaged.blob_key
    assert all(now[each.path] != each.blob_key for each in instances if each is not damaged)
    del left[damaged.path]
    for path, data in left.items():
        with house.seams.blobs.open(now[path]) as opened:
            assert opened.read_at(0, opened.size) == data


def upload_alone(house: House, count: int) -> dict[str, bytes]:
    """Each of so many instances in a segment of its own, and what is stored then. No operation is left to do."""
    operations = house.seams.index.operations
    if (claimed := operations.claim_operation("one")) is not None:
        operations.finish_operation(claimed, "one", None)
    for number in range(count):
        uploads = Uploads(house.seams)
        data = make_instance("1.9", "1.9.1", f"1.9.1.{number}")
        assert store(house.seams, uploads, STORE, [Incoming("part 1", iter([data]))]).instances
        uploads.close()
    return read_all(house)


@pytest.mark.slow
def test_small_segments_are_joined(house: House) -> None:
    house.carry_to_the_end()
    left = upload_alone(house, compaction.JOINED)
    join_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)
    rows = [each for each in house.seams.index.instances.walk_store(1) if each.uids[0] == "1.9"]
    assert len({object_of(each.blob_key) for each in rows}) == 1
    before = objects(house)
    join_segments(house.seams, NEVER)
    assert objects(house) == before, "there is nothing more to do"


def test_a_few_small_segments_stay(house: House) -> None:
    upload_alone(house, compaction.JOINED - 1)
    before = objects(house)
    join_segments(house.seams, NEVER)
    assert objects(house) == before and len(before) == compaction.JOINED - 1


@pytest.mark.slow
def test_a_small_segment_that_is_gone_holds_up_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.carry_to_the_end()
    upload_alone(house, compaction.JOINED + 1)
    lost, *others = [each for each in house.seams.index.instances.walk_store(1) if each.uids[0] == "1.9"]
    (house.data / "blobs" / object_of(lost.blob_key)).unlink()
    join_segments(house.seams, NEVER)
    assert object_of(lost.blob_key) in caplog.text
    now = {each.path: each.blob_key for each in house.seams.index.instances.walk_store(1)}
    assert now[lost.path] == lost.blob_key
    assert len({object_of(now[each.path]) for each in others}) == 1


@pytest.mark.slow
def test_many_small_segments_are_joined_in_pieces(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_MOST_JOINED", 16)
    left = upload_alone(house, 40)
    join_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)
    assert len(objects(house)) == 2 + 40 - 32
    assert house.seams.index.segments.list_totals()[0].small_segments == 2 + 40 - 32


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("part", "name"), [("uploads", "begin_upload"), ("segments", "move_instances"), ("uploads", "end_upload")]
)
def test_a_crash_while_small_segments_are_joined(house: House, part: str, name: str, done: bool) -> None:
    left = upload_alone(house, compaction.JOINED)
    crash_and_go_on(join_segments, house, left, broken(house.seams, part, name, done))
    assert len(objects(house)) == 1


def crash_and_go_on(
    move: Callable[[Seams, threading.Event], None], house: House, left: dict[str, bytes], seams: Seams
) -> None:
    """Everything can be read after the crash, after the next start, and once the move was made again."""
    with pytest.raises(_Cut):
        move(seams, NEVER)
    assert read_all(house) == left
    sweep_uploads(house.seams, house.seams.index.uploads.list_uploads(), NEVER)
    sweep_garbage(house.seams)
    check(house, left)
    move(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)


class _Cut(Exception):
    pass


class _Broken:
    """Calls go on to the real part until the one that is named, which does nothing."""

    def __init__(self, part: Any, name: str, done: bool) -> None:
        self._part, self._name, self._done = part, name, done

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name != self._name:
            return found

        def cut(*args: Any, **kw: Any) -> Any:
            if self._done:
                found(*args, **kw)
            raise _Cut

        return cut


def broken(seams: Seams, part: str, name: str, done: bool) -> Seams:
    """``name`` of a part of the index ends everything, before it does anything or after."""

    class Index:
        def __getattr__(self, wanted: str) -> Any:
            found = getattr(seams.index, wanted)
            return _Broken(found, name, done) if wanted == part else found

    return replace(seams, index=Index())  # type: ignore[arg-type]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("part", "name"),
    [
        pytest.param("uploads", "begin_upload", marks=pytest.mark.slow),
        ("segments", "move_instances"),
        pytest.param("uploads", "end_upload", marks=pytest.mark.slow),
    ],
)
def test_a_crash_at_any_step_loses_nothing_and_leaves_nothing(house: House, part: str, name: str, done: bool) -> None:
    left = thin_out(house)
    crash_and_go_on(compact_segments, house, left, broken(house.seams, part, name, done))


@pytest.mark.slow
def test_an_index_that_is_away_leaves_all_as_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    left = thin_out(house)

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the index is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.seams.index.segments), "move_instances", away)
        with pytest.raises(Unavailable):
            compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)


@pytest.mark.slow
def test_a_segment_that_is_gone_holds_up_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    left = thin_out(house)
    instances = list(house.seams.index.instances.walk_store(1))
    segments = sorted({object_of(each.blob_key) for each in instances if parse_extent(each.blob_key)})
    assert len(segments) > 1
    (house.data / "blobs" / segments[0]).unlink()
    compact_segments(house.seams, NEVER)
    assert segments[0] in caplog.text
    for each in house.seams.index.instances.walk_store(1):
        if object_of(each.blob_key) != segments[0]:
            assert object_of(each.blob_key) not in segments
            with house.seams.blobs.open(each.blob_key) as opened:
                assert opened.read_at(0, opened.size) == left[each.path]


@pytest.mark.slow
def test_sparse_segments_are_looked_at_once_however_many_there_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them can be moved, so all stay in the list."""
    thin_out(house)
    monkeypatch.setattr(compaction, "_SEGMENTS", 2)
    looked: list[str] = []
    monkeypatch.setattr(compaction, "_list_movable", lambda _, segment: looked.append(segment.key) or [])
    compact_segments(house.seams, NEVER)
    listed = house.seams.index.segments.list_sparse(1000, compaction.SPARSE, "")
    assert looked == [segment.key for segment in listed] and len(looked) > 4


@pytest.mark.slow
def test_copies_with_files_of_their_own_that_no_row_came_to_name_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting ``layout = "files"`` no segment stands for what was copied."""
    left = thin_out(house)
    places = {"main": LocalBlobs(str(house.data / "blobs"), shared=False)}
    house.seams = replace(house.seams, blobs=PlacedBlobStore(places))

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the index is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.seams.index.segments), "move_instances", away)
        with pytest.raises(Unavailable):
            compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    check(house, left)


@pytest.mark.slow
def test_small_files_of_older_versions_move_into_segments(house: House) -> None:
    places = {"main": LocalBlobs(str(house.data / "blobs"), shared=False)}
    segments, house.seams = house.seams, replace(house.seams, blobs=PlacedBlobStore(places))
    house.carry_to_the_end()
    left = read_all(house)
    assert not any(path.suffix == SUFFIX for path in objects(house))
    house.seams = segments
    told: list[tuple[int, int]] = []
    compact_files(house.seams, 1, NEVER, lambda seen, moved: told.append((seen, moved)))
    sweep_garbage(house.seams)
    assert all(path.suffix == SUFFIX for path in objects(house))
    assert told[-1] == (len(left), len(left))
    assert len(told) > 3 and all(seen == moved for seen, moved in told) and told == sorted(set(told))
    check(house, left)
    compact_files(house.seams, 1, NEVER, lambda seen, moved: told.append((seen, moved)))
    assert told[-1] == (len(left), 0)


@pytest.mark.slow
def test_the_command_moves_files_and_shows_what_lies_where(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.seams = replace(
        house.seams, blobs=PlacedBlobStore({"main": LocalBlobs(str(house.data / "blobs"), shared=False)})
    )
    house.carry_to_the_end()
    left = read_all(house)
    refused = gantry("storage", "compact", "--data", str(house.data), data=tmp_path, wait=20)
    assert refused.returncode != 0
    assert "is in use by another gantry server" in refused.stderr
    house.close()
    done = gantry("storage", "compact", "--data", str(house.data), data=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(left)} instances looked at, {len(left)} moved" in done.stderr
    shown = gantry("storage", "show", "--json", "--data", str(house.data), data=tmp_path)
    (totals,) = json.loads(shown.stdout)
    assert totals["live_instances"] == len(left)
    assert totals["live_bytes"] == sum(align(len(data)) for data in left.values())
    assert totals["store"] == str(STORE)
    text = gantry("storage", "show", "--data", str(house.data), data=tmp_path).stdout
    assert f"{len(left)} instances" in text
    for arguments in (["--data", str(house.data)], ["--data", str(house.data), "show"]):
        assert gantry("storage", *arguments, data=tmp_path).stdout == text
    assert json.loads(gantry("storage", "--json", "--data", str(house.data), data=tmp_path).stdout) == [totals]
    nowhere = gantry("storage", "show", "--data", str(tmp_path / "nowhere"), data=tmp_path)
    assert nowhere.returncode == 2
    assert "holds no index" in nowhere.stderr


def gantry(*arguments: str, data: Path, wait: float = 120) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GANTRY_")}
    command = [sys.executable, "-m", "gantry", *arguments]
    return prepared.run(command, capture_output=True, text=True, cwd=data, env=environ, timeout=wait)


@pytest.mark.slow
def test_while_an_operation_is_not_done_nothing_moves(house: House) -> None:
    """It has read where the bytes are, and would report a move as a change by somebody else."""
    left = thin_out(house)
    before = objects(house)
    request = {"storage_class": "ARCHIVE", "filter_uri": ""}
    index = house.seams.index
    made = index.operations.create_operation(DATASET, "v1", Method.SET_BLOB_STORAGE_SETTINGS, request, str(STORE))
    compact_segments(house.seams, NEVER)
    assert objects(house) == before
    with pytest.raises(Aborted, match="not done"):
        move(house.seams, 1, list(index.instances.walk_store(1)))
    sweep_garbage(house.seams)
    check(house, left)
    claimed = house.claim("one")
    assert claimed.name == made.name
    index.operations.finish_operation(claimed, "one", None)
    compact_segments(house.seams, NEVER)
    sweep_garbage(house.seams)
    assert not objects(house) & before
    check(house, left)
