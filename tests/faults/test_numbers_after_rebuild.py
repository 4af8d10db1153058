"""After a rebuild no number of a store or an upload is given out again that stands on the disks already."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gantry.index import generations
from gantry.names import DicomStoreName
from gantry.studies.store import Incoming, store
from gantry.studies.upload_sweeps import sweep_uploads
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, create_store, made, upload
from tests.faults.lost import lose_index

SECOND = DicomStoreName("p", "us-central1", "d", "second")
NEW = DicomStoreName("p", "us-central1", "d", "new")


@pytest.fixture(params=["with marks", "of an older version"])
def bare(tmp_path: Path, request: pytest.FixtureRequest) -> Bare:
    """Two stores, and no index; an older version has written neither marks nor names."""
    built = Bare(tmp_path, near=True)
    with built.opened() as seams:
        create_store(seams, SECOND)
        for number in range(3):
            upload(seams, made(1, number))
            upload(seams, made(2, number), name=SECOND)
        writer = seams.blobs.writer("NEARLINE/9/stow/77/")
        writer.put([made(3, 1)], ("1.2.3", "1.2.3.1", "1.2.3.1.1"))
        writer.flush()
        writer.close()
    lose_index(built.data)
    if request.param == "of an older version":
        for root, place in zip(built.roots, ("main", "NEARLINE"), strict=True):
            for ending in ("generation", "stores"):
                (root / f"{place}.{ending}").unlink(missing_ok=True)
    return built


@pytest.mark.parametrize("times", [1, 2])
def test_no_sweep_takes_the_blobs_of_a_store_whose_name_is_not_known(bare: Bare, times: int) -> None:
    before = bare.bytes_on_disk()
    for _ in range(times):
        bare.rebuild({1: STORE})
    with bare.opened() as seams:
        number = create_store(seams, NEW)
        assert number > 9
        uploads = Uploads(seams)
        for name in (STORE, NEW):  # these are never closed, as when the server is killed
            store(seams, uploads, name, [Incoming("", iter([made(7, 1)]))])
        left = seams.index.uploads.list_uploads()
        assert len(left) == 2 and min(lot for lot, _ in left) > 77
    with bare.opened() as seams:
        sweep_uploads(seams, left, threading.Event())
        after = bare.bytes_on_disk()
    assert {key: after.get(key) for key in before} == before


def test_numbers_are_beyond_those_on_the_disks_whatever_the_jump(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations.secrets, "randbits", lambda bits: 0)  # type: ignore[attr-defined]
    bare.rebuild({1: STORE})
    with bare.opened() as seams:
        assert create_store(seams, NEW) > 9
        assert seams.index.uploads.begin_upload(1) > 77


def test_a_directory_with_a_name_of_too_many_digits_is_none_of_a_store(bare: Bare) -> None:
    (bare.roots[0] / "main" / "9999999999999999999" / "stow" / "9223372036854775807").mkdir(parents=True)
    assert [each.store_id for each in bare.rebuild({1: STORE}).stores] == [1, 2, 9]
