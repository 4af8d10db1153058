"""The file ``hold``, with which a backup holds up deletions: whatever cannot be looked at counts as being there."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.names import ResourcePath
from gantry.operations.sweeper import sweep_garbage
from gantry.seams import Seams
from gantry.storage.hold import Hold
from gantry.studies.upload_sweeps import sweep_uploads
from tests.faults.bare import STORE, Bare, list_rows, made, upload


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


@pytest.fixture
def seams(bare: Bare) -> Iterator[Seams]:
    with bare.opened() as opened:
        yield opened


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ELOOP, errno.ENOTDIR, errno.ENOMEM])
def test_nothing_is_deleted_where_it_cannot_be_looked_at(
    bare: Bare, seams: Seams, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upload(seams, made(1, 1))
    (row,) = list_rows(seams)
    seams.index.deletion.delete_instance(STORE, ResourcePath(*row.uids))
    real = os.stat

    def stat(path: Any, *more: Any, **named: Any) -> os.stat_result:
        if str(path) == str(bare.data / "hold"):
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *more, **named)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "stat", stat)
        for _ in range(3):
            sweep_garbage(seams)
    assert made(1, 1) in bare.bytes_on_disk().values()
    assert caplog.text.count("cannot be looked at") == 1
    sweep_garbage(seams)
    assert made(1, 1) not in bare.bytes_on_disk().values(), "it is not there, and that can be seen"


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert not Hold(tmp_path / "hold").is_held()
    (tmp_path / "hold").touch()
    assert Hold(tmp_path / "hold").is_held()


@pytest.mark.parametrize("size", [2000, 9 << 20])
@pytest.mark.parametrize("from_look", [1, 2, 3])
def test_a_hold_that_comes_while_uploads_are_swept_is_seen_before_the_next_deletion(
    bare: Bare, seams: Seams, size: int, from_look: int
) -> None:
    """``from_look``: the hold is there from this look on; each look comes after the rows were read."""
    lot = seams.index.uploads.begin_upload(1)
    for number in range(4):
        writer = seams.blobs.writer(f"main/1/stow/{lot}/")
        writer.put([made(2, number, size)], ("1.2.2", "1.2.2.1", f"1.2.2.1.{number}"))
        writer.flush()
        writer.close()
    looks: list[int] = []

    def is_held() -> bool:
        looks.append(len(bare.bytes_on_disk()))
        return len(looks) >= from_look

    left = [(lot, 1)]
    sweep_uploads(replace(seams, is_held=is_held), left, threading.Event())
    assert left == ([(lot, 1)] if size == 2000 or from_look == 1 else [])
    if size == 2000:
        assert len(bare.bytes_on_disk()) == 4 - (from_look - 1), "one deletion for each look before"
    else:
        assert len(bare.bytes_on_disk()) == (4 if from_look == 1 else 0), "objects are deleted together"
    sweep_uploads(seams, left, threading.Event())
    assert bare.bytes_on_disk() == {}
