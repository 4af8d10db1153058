"""An export whose worker or server was killed leaves no file in the bucket that is not whole."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gantry.backoff import Backoff
from gantry.names import ResourcePath
from gantry.operations import batches
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals, commit
from gantry.operations.export_dicom_data import export_dicom_data
from gantry.operations.sweeper import sweep_garbage
from gantry.operations.sweeps import make_chores
from gantry.operations.unfinished_exports import is_unfinished, sweep_unfinished
from gantry.resources import Batch, Method, Operation, StoredInstance
from gantry.seams import BucketUse, Seams
from gantry.storage import local
from gantry.storage.local import LocalBlobStore
from gantry.worker_calls import WorkerDied
from tests.faults.bare import DATASET, STORE, Bare, begin, made, upload

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


# What cannot be removed when the export ends --------------------------------------------------------------------------


def sweep(seams: Seams) -> None:
    """As after a while, however often it has failed before."""
    sweep_unfinished(replace(seams, undeletable=Backoff()), threading.Event())


def run(seams: Seams, operation: Operation, runner: str) -> Operation:
    run_operation(seams, operation, runner, threading.Event(), Totals())
    return seams.index.operations.get_operation(operation.name)


def listed(seams: Seams) -> int:
    return sum(map(is_unfinished, seams.index.garbage.list_blobs()))


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_export_that_was_never_interrupted_leaves_nothing_to_look_for(bare: Bare) -> None:
    with bare.opened() as seams:
        operation = claim_export(seams)
        assert run(seams, operation, "first").counter.success == 3
        assert listed(seams) == 0


@pytest.mark.parametrize("is_new_process", [False, True])
def test_what_a_bucket_that_was_away_has_kept_is_removed_once_it_is_back(bare: Bare, is_new_process: bool) -> None:
    out, away = bare.base / "buckets" / "out", bare.base / "away"
    with bare.opened() as seams:
        operation = claim_export(seams)
        list_export(seams, operation)
        begin_to_write(LocalBlobStore(str(out), str(operation.name.id)), KEYS[0])
        begin_to_write(LocalBlobStore(str(out), "7"), KEYS[0])
        seams.index.operations.request_cancel(operation.name)
        out.rename(away)
        out.mkdir()
        assert run(seams, claim(seams, "second"), "second").done
        sweep(seams)
        assert listed(seams) == 1, "another directory is in the place of the bucket"
        out.rmdir()
        sweep(seams)
        assert listed(seams) == 1, "nothing is there"
        if not is_new_process:
            away.rename(out)
            sweep(seams)
    if is_new_process:
        away.rename(out)
        with bare.opened() as seams:
            sweep(seams)
    with bare.opened() as seams:
        assert listed(seams) == 0
    (left,) = files(bare)
    assert left.endswith(".7"), "those of others stay"


def list_export(seams: Seams, operation: Operation) -> None:
    """As far as the export comes before its first batch."""
    with closing(export_dicom_data(seams, operation)) as batches:
        assert next(batches).success == 3
    for path in seams.bucket(BucketUse("gs://out", "read", "", str(DATASET))).list():
        seams.bucket(BucketUse("gs://out", "write", "", str(DATASET), "1")).delete(path.key)


def test_a_disk_that_removes_nothing_now_is_asked_again(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    workers: Any = Dying()
    with bare.opened() as seams:
        operation = claim_export(seams)
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            assert run(replace(seams, executor=workers), operation, "first").done
            sweep(seams)
        assert (len(files(bare)), listed(seams)) == (3, 1)
        sweep(seams)
        assert (files(bare), listed(seams)) == (set(), 0)


def test_what_a_worker_could_not_remove_is_removed_at_last(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes no bytes, and gives up none: the error log has the first, the list of garbage the second."""
    here: Any = Here()
    with bare.opened() as seams:
        operation = claim_export(seams)
        with monkeypatch.context() as patch:
            patch.setattr(local, "fill_from", lambda _: refuse)
            patch.setattr(os, "unlink", refuse)
            done = run(replace(seams, executor=here), operation, "first")
        assert (done.done, done.counter.failure, len(files(bare))) == (True, 3, 3)
        sweep(seams)
        assert (files(bare), listed(seams)) == (set(), 0)


class Here:
    """Runs calls at once, in this process."""

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


def test_instances_that_were_deleted_meanwhile_leave_nothing(bare: Bare) -> None:
    """The next attempt does not meet them again, and so not what was written of them."""
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        first = claim_export(seams)
        begin_to_write(LocalBlobStore(out, str(first.name.id)), KEYS[2])
        seams.index.deletion.delete_instance(STORE, ResourcePath("1.2.2", "1.2.2.1", "1.2.2.1.1"))
        assert run(seams, claim(seams, "second"), "second").counter.success == 2
        sweep(seams)
        assert (files(bare), listed(seams)) == (set(KEYS[:2]), 0)


@pytest.mark.parametrize("is_running", [False, True])
def test_what_still_runs_is_left_alone(bare: Bare, is_running: bool) -> None:
    """The operation itself, and the thread of one that has ended without it."""
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        operation = claim_export(seams)
        list_export(seams, operation)
        begin_to_write(LocalBlobStore(out, str(operation.name.id)), KEYS[0])
        running: set[int] = set()
        if is_running:
            seams.index.operations.finish_operation(operation, "first", None)
            running.add(operation.name.id)
        sweep_unfinished(seams, threading.Event(), lambda: running)
        assert (len(files(bare)), listed(seams)) == (1, 1)


def test_an_operation_whose_row_is_damaged_holds_up_no_other(bare: Bare) -> None:
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        for number, key in enumerate(KEYS[:2]):
            operation = claim_export(seams)
            list_export(seams, operation)
            begin_to_write(LocalBlobStore(out, str(operation.name.id)), key)
            seams.index.operations.finish_operation(operation, "first", None)
            if not number:
                with seams.index.database.write() as connection:
                    connection.exec_driver_sql("UPDATE operation SET method = 'no method'")
        sweep_unfinished(seams, threading.Event())
        assert (files(bare), listed(seams)) == (set(), 0)


def test_the_sweep_of_blobs_passes_them_by(bare: Bare) -> None:
    with bare.opened() as seams:
        list_export(seams, claim_export(seams))
        sweep_garbage(seams)
        assert listed(seams) == 1


def test_every_server_sweeps_them(bare: Bare) -> None:
    out = str(bare.base / "buckets" / "out")
    with bare.opened() as seams:
        operation = claim_export(seams)
        list_export(seams, operation)
        begin_to_write(LocalBlobStore(out, str(operation.name.id)), KEYS[0])
        seams.index.operations.finish_operation(operation, "first", None)
        for chore in make_chores(seams, threading.Event(), set):
            if chore.name == "unfinished exports":
                chore.function()
        assert (files(bare), listed(seams)) == (set(), 0)
