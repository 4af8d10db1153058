"""A rebuild over tables of contents that are damaged: what they have listed is reported, and is never deleted."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import FailedPrecondition
from gantry.findings import Kind
from gantry.index.refusals import BadValue
from gantry.index.uploads import Uploads as UploadRows
from gantry.names import ResourcePath
from gantry.operations import rebuild as service
from gantry.operations.compaction import compact_segments
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Instance
from gantry.seams import Seams
from gantry.storage import local_listing
from gantry.storage.contents import MAGIC
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, list_rows, made
from tests.faults.lost import lose_index
from tests.support.checked import findings

pytestmark = pytest.mark.slow


def put_apart(seams: Seams, *groups: list[bytes]) -> None:
    """Instances in one segment, with a table of contents for each group."""
    uploads = Uploads(seams)
    for group in groups:
        store(seams, uploads, STORE, [Incoming(str(at), iter([data])) for at, data in enumerate(group)])
    uploads.close()


def damage_table(bare: Bare, number: int, at: int = 30) -> Path:
    (segment,) = (bare.roots[0] / "main").rglob("*.seg")
    data = segment.read_bytes()
    start = -1
    for _ in range(number + 1):
        start = data.index(MAGIC, start + 1)
    with segment.open("r+b") as file:
        file.seek(start + at)
        file.write(bytes([data[start + at] ^ 0xFF]))
    return segment


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    built = Bare(tmp_path)
    with built.opened() as seams:
        put_apart(seams, [made(1, number) for number in range(5)], [made(1, 9)])
    return built


def delete_all_and_sweep(bare: Bare) -> None:
    with bare.opened() as seams:
        for row in list_rows(seams):
            seams.index.deletion.delete_instance(STORE, ResourcePath(*row.uids))
        sweep_garbage(seams)
        compact_segments(seams, threading.Event())
        sweep_garbage(seams)


@pytest.mark.parametrize("at", [2, 17, 22, 30])
@pytest.mark.parametrize(("number", "left"), [(0, [made(1, n) for n in range(5)]), (1, [made(1, 9)])])
def test_what_a_damaged_table_listed_is_reported_and_stays(bare: Bare, number: int, left: list[bytes], at: int) -> None:
    lose_index(bare.data)
    segment = damage_table(bare, number, at)
    summary = bare.rebuild()
    assert not summary.is_whole
    [(key, reason)] = summary.not_restored
    assert key == str(segment.relative_to(bare.roots[0])) and "table of contents is damaged" in reason
    delete_all_and_sweep(bare)
    assert all(data in segment.read_bytes() for data in left)


def test_a_segment_whose_tables_are_whole_goes_with_its_last_instance(bare: Bare) -> None:
    lose_index(bare.data)
    assert bare.rebuild().is_whole
    delete_all_and_sweep(bare)
    assert list((bare.roots[0] / "main").rglob("*.seg")) == []


def test_a_check_finds_bytes_that_stand_in_no_table_and_no_row(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a rebuild of an older version has left them: it sealed the segment."""
    lose_index(bare.data)
    segment = damage_table(bare, 0)
    with monkeypatch.context() as patch:
        patch.setattr(LocalBlobs, "count_unlisted", lambda *_: 0)
        assert bare.rebuild().is_whole
    (found,) = findings(bare.data)
    assert (found.kind, found.resource) == (Kind.SEGMENT_WRONG, str(segment.relative_to(bare.roots[0])))


@contextmanager
def unreadable(part: bytes) -> Iterator[None]:
    """Directories whose path has this part cannot be listed."""
    real = local_listing._open

    @contextmanager
    def refuse(root: bytes, base: bytes) -> Iterator[int]:
        if part in base:
            raise OSError(errno.EIO, "x")
        with real(root, base) as fd:
            yield fd

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_listing, "_open", refuse)
        yield


@pytest.mark.parametrize("part", [b"/77/", b"/1/77/a1-a0/", b"main/1/", b"NEARLINE/1/"])
@pytest.mark.parametrize("beside", ["its index", "nothing"])
def test_a_directory_that_cannot_be_read_is_reported_and_everything_else_is_taken_up(
    tmp_path: Path, part: bytes, beside: str
) -> None:
    bare = Bare(tmp_path, near=True)
    with bare.opened() as seams:
        put_apart(seams, [made(1, 1)])
        for place, study in (("main", 2), ("NEARLINE", 3)):
            writer = seams.blobs.writer(f"{place}/1/77/a1-a0/000.0000-")
            writer.put([made(study, 1)], (f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.1"))
            writer.flush()
            writer.close()
    before = bare.bytes_on_disk()
    if beside == "nothing":
        lose_index(bare.data)
    with unreadable(part):
        summary = bare.rebuild()
    assert not summary.is_whole
    assert all(part in key.encode() and "error" in reason for key, reason in summary.not_restored)
    assert len(summary.not_restored) == (2 if part.startswith((b"/77", b"/1/77")) else 1)
    with bare.opened() as seams:
        rows = {row.study_instance_uid for row in list_rows(seams)}
        gone = {b"main/1/": {"1.2.1", "1.2.2"}, b"NEARLINE/1/": {"1.2.3"}}.get(part, {"1.2.2", "1.2.3"})
        if beside == "its index":
            gone -= {"1.2.1"}
        assert rows == {"1.2.1", "1.2.2", "1.2.3"} - gone
    assert bare.rebuild().is_whole
    with bare.opened() as seams:
        assert len(list_rows(seams)) == 3
    assert bare.bytes_on_disk() == before


def test_beside_its_own_index_a_rebuild_that_breaks_off_hinders_no_start(bare: Bare) -> None:
    with bare.opened(rebuilding=True):
        pass  # and does not end it
    with bare.opened() as seams:
        assert len(list_rows(seams)) == 6


def test_without_an_index_a_rebuild_that_breaks_off_is_to_be_run_again(bare: Bare) -> None:
    lose_index(bare.data)
    with bare.opened(rebuilding=True) as seams:
        service.rebuild(seams, {1: STORE})
    with pytest.raises(FailedPrecondition, match="has not ended"), bare.opened():
        pass
    with bare.opened(rebuilding=True):
        pass  # it has rows now, and is not complete all the same
    with pytest.raises(FailedPrecondition, match="has not ended"), bare.opened():
        pass


def test_an_instance_that_the_index_cannot_hold_is_reported_and_the_others_are_taken_up(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_index(bare.data)
    real = UploadRows.store_instances

    def refuse(self: UploadRows, store_id: int, instances: Sequence[Instance], *more: Any, **named: Any) -> Any:
        if any(each.sop_instance_uid == "1.2.1.1.3" for each in instances):
            raise BadValue("a value of its row cannot be kept in the index")
        return real(self, store_id, instances, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(UploadRows, "store_instances", refuse)
        summary = bare.rebuild()
    assert [(each.restored, each.unreadable) for each in summary.stores] == [(5, 1)]
    [(key, reason)] = summary.not_restored
    assert "cannot be kept" in reason and "@" in key
    delete_all_and_sweep(bare)
    assert any(data == made(1, 3) for data in bare.bytes_on_disk().values())
