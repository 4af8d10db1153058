"""A rebuild over tables of contents that are damaged: what they have listed is reported, and is never deleted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gantry.findings import Kind
from gantry.names import ResourcePath
from gantry.operations.compaction import compact_segments
from gantry.operations.sweeper import sweep_garbage
from gantry.seams import Seams
from gantry.storage.contents import MAGIC
from gantry.storage.local_blobs import LocalBlobs
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, list_rows, made
from tests.faults.lost import lose_index
from tests.support.checked import findings


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
