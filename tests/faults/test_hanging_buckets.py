"""A bucket that gives no answer delays neither a cancel nor a stop of the server: its requests are left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Code
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals
from gantry.operations.interruption import Stopping
from gantry.operations.unfinished_exports import Unfinished, sweep_unfinished
from gantry.resources import Method, Operation
from gantry.seams import BucketUse, Seams
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.notes import UploadNotes
from tests.faults.bare import Bare, begin, made, upload
from tests.support.s3_places import make_bucket
from tests.support.s3_server import S3Server

STALL = 25.0
"""Seconds: less than a client waits, so that a request that is waited for is answered."""

CASES = {
    "exists": ("import", "gs://b/**", ["ListObjectsV2"], 0),
    "listing": ("import", "gs://b/**", ["ListObjectsV2"], 1),
    "head": ("import", "gs://b/000", ["HeadObject"], 0),
    "read": ("import", "gs://b/**", ["GetObject"], 0),
    "filter": ("filter", "gs://b/short", ["GetObject"], 0),
    "long filter": ("filter", "gs://b/long", ["GetObject"], 1),
    "write": ("export", "gs://b", ["PutObject"], 0),
    "write in parts": ("export", "gs://b", ["UploadPart", "AbortMultipartUpload"], 0),
}


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """Of each test, since what hangs in one is answered during the next."""
    with S3Server() as server:
        yield server


@pytest.fixture
def seams(tmp_path: Path, s3: S3Server) -> Iterator[Seams]:
    """``gs://b`` is a bucket of S3 with an instance and two filter files."""
    bucket = make_bucket(s3)
    bucket.put("000", [made(1, 1)])
    bucket.put("short", [b"/studies/1.2\n"])
    bucket.put("long", [b"/studies/1.2\n" * 700_000])

    def reach(use: BucketUse) -> RemoteBucket:
        found = RemoteBucket(bucket.place, UploadNotes(tmp_path / "uploads" / use.writer))
        assert found.exists()
        return found

    with Bare(tmp_path).opened() as opened:
        yield replace(opened, bucket=reach)


def begin_case(seams: Seams, name: str) -> Operation:
    verb, uri, _, _ = CASES[name]
    if verb == "import":
        begin(seams, Method.IMPORT_DICOM_DATA, {"uri": uri, "storage_class": "STANDARD"})
    elif verb == "filter":
        begin(seams, Method.SET_BLOB_STORAGE_SETTINGS, {"storage_class": "ARCHIVE", "filter_uri": uri})
    else:
        upload(seams, made(2, 1, pixel_bytes=(9 << 20) if "parts" in name else 2000))
        begin(seams, Method.EXPORT_DICOM_DATA, {"uri_prefix": uri, "mime_type": ""})
    operation = seams.index.operations.claim_operation("r")
    assert operation is not None
    return operation


def act_meanwhile(s3: S3Server, methods: list[str], after: int, act: Callable[[], object]) -> threading.Thread:
    """Once a request hangs."""

    def work() -> None:
        for _ in range(300):
            if sum(s3.requests.operations[each] for each in methods) > after:
                break
            threading.Event().wait(0.05)
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("is_stop", [False, True], ids=["cancel", "stop"])
@pytest.mark.parametrize("name", CASES)
def test_a_request_that_hangs_is_left_behind(seams: Seams, s3: S3Server, name: str, is_stop: bool) -> None:
    operation, stopping = begin_case(seams, name), threading.Event()
    _, _, methods, after = CASES[name]
    act: Callable[[], Any] = stopping.set if is_stop else lambda: seams.index.operations.request_cancel(operation.name)
    s3.reset_counts()
    with s3.fail("stall", methods=methods, after=after, seconds=STALL) as rule:
        thread = act_meanwhile(s3, methods, after, act)
        run_operation(seams, operation, "r", stopping, Totals())
        thread.join()
        asked, answered = s3.requests.operations.total(), s3.requests.statuses.total()
        assert rule.failed > 0 and asked - answered == rule.failed, "none of those that hang was waited for"
    done = seams.index.operations.get_operation(operation.name)
    assert done.done is not is_stop
    if not is_stop:
        assert done.error is not None and done.error.code is Code.CANCELLED


@pytest.mark.slow
def test_a_sweep_of_what_an_export_has_left_stops(seams: Seams, s3: S3Server) -> None:
    operation, stopping = begin_case(seams, "write"), threading.Event()
    seams.index.operations.request_cancel(operation.name)
    run_operation(seams, operation, "r", threading.Event(), Totals())
    key = str(Unfinished(str(operation.name), "gs://b", "", "none"))
    seams.index.garbage.add_blobs([key])
    s3.reset_counts()
    with s3.fail("stall", methods=["ListObjectsV2"], seconds=STALL):
        thread = act_meanwhile(s3, ["ListObjectsV2"], 0, stopping.set)
        with pytest.raises(Stopping):
            sweep_unfinished(seams, stopping)
        thread.join()
        assert s3.requests.statuses.total() == 0
