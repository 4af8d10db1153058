"""An export whose worker or server was killed leaves no file in the bucket that is not whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gantry.operations import batches
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals, commit
from gantry.resources import Batch, Method, Operation, StoredInstance
from gantry.seams import Seams, WorkerDied
from gantry.storage.local import LocalBlobStore
from tests.faults.bare import Bare, begin, made, upload

KEYS = ("new/1.2.1/1.2.1.1/1.2.1.1.1.dcm", "new/1.2.1/1.2.1.1/1.2.1.1.2.dcm", "new/1.2.2/1.2.2.1/1.2.2.1.1.dcm")
FRAME = "new/1.2.2/1.2.2.1/1.2.2.1.1/1.jpg"


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """Three instances in two studies, and an empty bucket."""
    built = Bare(tmp_path)
    with built.opened() as seams:
        (tmp_path / "buckets" / "out").mkdir()
        upload(seams, made(1, 1), made(1, 2), made(2, 1))
    return built


def claim_export(seams: Seams, mime_type: str = "") -> Operation:
    begin(seams, Method.EXPORT_DICOM_DATA, {"uri_prefix": "gs://out/new/", "mime_type": mime_type})
    return claim(seams, "first")


def claim(seams: Seams, runner: str) -> Operation:
    operation = seams.index.operations.claim_operation(runner)
    assert operation is not None
    return operation


def begin_to_write(bucket: LocalBlobStore, key: str) -> None:
    """What a process leaves that is killed now."""
    directory, _, last = key.rpartition("/")
    os.close(bucket._create(os.fsencode(directory) + b"/" + bucket._temporary(os.fsencode(last))))


def files(bare: Bare) -> set[str]:
    out = bare.base / "buckets" / "out"
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_a_killed_server_has_left_is_removed_by_the_next(bare: Bare, is_cancelled: bool) -> None:
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        first = claim_export(seams)
        for key in KEYS:
            begin_to_write(LocalBlobStore(out, str(first.name.id)), key)
        begin_to_write(LocalBlobStore(out, "7"), KEYS[0])
        (others,) = {each for each in files(bare) if each.endswith(".7")}
        if is_cancelled:
            seams.index.operations.request_cancel(first.name)
    with bare.opened() as seams:
        run_operation(seams, claim(seams, "second"), "second", threading.Event(), Totals())
        assert seams.index.operations.get_operation(first.name).done
    assert files(bare) == {others, *(() if is_cancelled else KEYS)}, "those of others stay"


def test_files_of_frames_too(bare: Bare) -> None:
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        first = claim_export(seams, "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
        begin_to_write(LocalBlobStore(out, str(first.name.id)), FRAME)
        seams.index.operations.request_cancel(first.name)
        run_operation(seams, claim(seams, "second"), "second", threading.Event(), Totals())
    assert files(bare) == set()


def test_batches_of_an_attempt_that_went_on_for_long_too(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches grow: those that were under way may be larger than the first ones of an attempt."""
    out = str(bare.base / "buckets" / "out")
    monkeypatch.setattr(batches.cut, "__defaults__", (*batches.cut.__defaults__[:-1], 1))  # type: ignore[index]
    with bare.opened() as seams:
        first = claim_export(seams)
        one = next(seams.index.instances.walk_store(first.store_id))
        commit(seams, first, "first", Batch(one.position, success=1), Totals())
        for key in KEYS[1:]:  # one batch
            begin_to_write(LocalBlobStore(out, str(first.name.id)), key)
        seams.index.operations.request_cancel(first.name)
    with bare.opened() as seams:
        run_operation(replace(seams, window=1), claim(seams, "second"), "second", threading.Event(), Totals())
    assert files(bare) == set()


def test_a_bucket_that_is_away_holds_up_no_cancel(bare: Bare, caplog: pytest.LogCaptureFixture) -> None:
    with bare.opened() as seams:
        first = claim_export(seams)
        seams.index.operations.request_cancel(first.name)
        (bare.base / "buckets" / "out").rmdir()
        run_operation(seams, claim(seams, "second"), "second", threading.Event(), Totals())
        assert seams.index.operations.get_operation(first.name).done
    assert "what was not finished stays" in caplog.text


class Dying:
    """Workers that are killed while they write the first file of a call."""

    def submit(self, function: partial[Any], instances: Sequence[StoredInstance]) -> Future[Any]:
        begin_to_write(function.keywords["destination"], f"new/{'/'.join(instances[0].uids)}.dcm")
        future: Future[Any] = Future()
        future.set_exception(WorkerDied("it was killed"))
        return future


def test_what_killed_workers_have_left_is_removed_at_the_end(bare: Bare) -> None:
    workers: Any = Dying()
    with bare.opened() as seams:
        operation = claim_export(seams)
        run_operation(replace(seams, executor=workers), operation, "first", threading.Event(), Totals())
        done = seams.index.operations.get_operation(operation.name)
        assert (done.counter.success, done.counter.failure) == (0, 3)
    assert files(bare) == set()
