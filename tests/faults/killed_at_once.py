"""A process that is killed at once after what it has answered, so that nothing is written in the background any more.

    python -m tests.faults.killed_at_once HOME WORK

HOME is that of a ``Bare`` with a directory for NEARLINE. The index is copied to HOME/copy, then WORK is done and
answered.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gantry.names import DicomStoreName
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Method, ResourcePath
from gantry.seams import Seams
from gantry.storage import generation_marks
from gantry.studies.store import Incoming, store
from gantry.studies.update import update_instance
from gantry.studies.uploads import Uploads
from tests.faults.bare import STORE, Bare, begin, claim_and_run, create_store, made, upload
from tests.faults.lost import copy_index
from tests.support.databases import query

OTHER = DicomStoreName("p", "us-central1", "d", "other")
PATCH = [{"op": "add", "path": "/00100020", "value": {"vr": "LO", "Value": ["P2"]}}]
OPERATIONS = {
    "import": (Method.IMPORT_DICOM_DATA, {"uri": "gs://source/**", "storage_class": "STANDARD"}),
    "change of class": (Method.SET_BLOB_STORAGE_SETTINGS, {"storage_class": "NEARLINE"}),
    "patch of a study": (
        Method.UPDATE_STUDY_METADATA,
        {"patch": PATCH, "web_url": "http://localhost", "path": ["1.2.1", "", ""]},
    ),
}
WORKS = ("upload", "replacement", "patch of an instance", "new store", *OPERATIONS)


def _store(seams: Seams, uploads: Uploads, number: int, *, replace: bool = False, pixel_bytes: int = 2000) -> None:
    parts = [Incoming("", iter([made(5, number, pixel_bytes)]))]
    stored = store(seams, uploads, STORE, parts, replace=replace)
    assert not stored.refused, stored


def _begin_uploads(seams: Seams) -> Uploads:
    """A lot that is open when the index is copied."""
    uploads = Uploads(seams)
    _store(seams, uploads, 1)
    return uploads


def _prepare(seams: Seams, work: str) -> Callable[[], object]:
    """What is under way when the index is copied; the result goes on with it."""
    if work == "new store":
        return lambda: (create_store(seams, OTHER), upload(seams, made(6, 1), name=OTHER))
    if work in OPERATIONS:
        begin(seams, *OPERATIONS[work])
        assert seams.index.operations.claim_operation("gone")
        return lambda: claim_and_run(seams, "first")
    uploads = _begin_uploads(seams)
    if work == "upload":
        return lambda: _store(seams, uploads, 2)
    if work == "replacement":
        return lambda: _store(seams, uploads, 1, replace=True, pixel_bytes=3000)
    path = ResourcePath("1.2.5", "1.2.5.1", "1.2.5.1.1")
    return lambda: update_instance(seams, uploads, STORE, path, PATCH, "http://localhost")


def main(home: Path, work: str) -> None:
    generation_marks._REST_SECONDS = 3600  # the thread writes one number, and no other before the end
    bare = Bare(home, near=True)
    with bare.opened() as seams:
        go_on = _prepare(seams, work)
        copy_index(bare.data, home / "copy")
        go_on()
        failed = query(bare.data, "SELECT count(*) FROM failure")
        assert failed == [(0,)], query(bare.data, "SELECT message FROM failure")
        sweep_garbage(seams)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
