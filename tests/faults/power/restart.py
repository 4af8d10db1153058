"""The start after a cut, in this process: what a server does, until nothing is left to do, and whether all that was
promised is there."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import gantry.config
from gantry.config import DataDirectory, open_seams
from gantry.errors import NotFound, StatusError
from gantry.names import parse_dicom_store_name, parse_operation_name
from gantry.operations.attempt import run_operation
from gantry.operations.commits import Totals
from gantry.operations.sweeps import make_chores
from gantry.resources import Operation, StoredInstance
from gantry.seams import Seams
from gantry.settings.loading import Settings
from gantry.storage.extents import object_of
from gantry.worker_calls import Workers
from tests.faults.power.promises import Promises, State, Work, is_in
from tests.faults.scene import files
from tests.support.checked import findings

MARK = re.compile(rb"MARK-[0-9a-f]{16}")
"""Each instance has one of its own, so that bytes of deleted ones are found wherever they lie."""

MOST_SECONDS = 60.0  # where something is tried again and again
ROUNDS = 4  # of sweeps at most: what one of them gives up the next one removes


class Here(Workers):
    """Calls are made at once, in this process."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kw))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...

    def end(self, seconds: float = 0) -> None: ...


def write_tree(tree: dict[str, bytes | None], home: Path, recorded: Path) -> None:
    """``recorded``: where the tree was; paths that the server has written down follow it."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for name, content in tree.items():
        path = home / name
        if content is None:
            path.mkdir()
            continue
        if path.name == "places.json":
            content = content.replace(str(recorded).encode(), str(home).encode())
        with path.open("wb") as file:
            if content.count(0) < len(content):
                file.write(content)
            else:
                file.truncate(len(content))


class Restart:
    """``settings``: those of the server, with paths below ``home``."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home, self.settings = home, settings
        self.data = home / "data"
        self.blobs = [self.data / "blobs", *map(Path, settings.storage_classes.values())]

    def find_wrong(self, promises: Promises) -> list[str]:
        """What is wrong with the disk below ``home``; its operations are run to their ends."""
        try:
            with self._open() as seams:
                wrong = [f"at the start: {each}" for each in self._compare(seams, promises)]
                self._work_all(seams)
                promises.end_operations()
                wrong += [f"in the end: {each}" for each in (*self._compare(seams, promises), *self._find_left(seams))]
        except StatusError as error:
            return [f"the start, or what it has to do, is refused: {error.message}"]
        return wrong + [f"check: {found.kind} {found.resource}: {found.message}" for found in findings(self.data)]

    @contextmanager
    def _open(self) -> Iterator[Seams]:
        directory = DataDirectory(self.settings)
        try:
            with mock.patch.object(gantry.config, "WorkerPool", Here):
                seams = open_seams(self.settings, directory)
            try:
                yield seams
            finally:
                seams.index.close()
        finally:
            directory.close()

    def _work_all(self, seams: Seams) -> None:
        """Operations, then sweeps, as ``Runner`` does."""
        stopping = threading.Event()
        limit = threading.Timer(MOST_SECONDS, stopping.set)
        limit.start()
        chores = make_chores(seams, stopping, set)
        for _ in range(ROUNDS):
            while (operation := seams.index.operations.claim_operation("heir")) is not None:
                run_operation(seams, operation, "heir", stopping, Totals())
            for chore in chores:
                chore.function()
            if not (seams.index.garbage.list_blobs() or seams.index.garbage.list_deleted_stores()):
                break
        limit.cancel()

    def _compare(self, seams: Seams, promises: Promises) -> Iterator[str]:
        for name, store in promises.stores.items():
            yield from (f"{name}: {wrong}" for wrong in store.find_wrong(self._read(seams, name)))
        for name, states in promises.objects.items():
            path = self.home / "buckets" / name
            data = path.read_bytes() if path.is_file() else None
            if not any(is_in(state, data) for state in states):
                yield f"{name} has {None if data is None else len(data)} bytes and is not one of {states}"
        for name, work in promises.operations.items():
            try:
                found = seams.index.operations.get_operation(parse_operation_name(name))
            except NotFound:
                yield f"{name} is not there"
                continue
            yield from (f"{name} ({work.method}): {wrong}" for wrong in self._judge(seams, found, work))

    def _read(self, seams: Seams, name: str) -> dict[str, bytes] | None:
        """All instances of a store; None where there is none."""
        rows = self._list(seams, name)
        return None if rows is None else {"/".join(row.uids): _read_blob(seams, row) for row in rows}

    def _list(self, seams: Seams, name: str) -> list[StoredInstance] | None:
        try:
            number = seams.index.resources.get_dicom_store(parse_dicom_store_name(name)).id
        except NotFound:
            return None
        return list(seams.index.instances.walk_store(number))

    def _judge(self, seams: Seams, found: Operation, work: Work) -> Iterator[str]:
        counts = (found.counter.success, found.counter.failure)
        if counts < work.seen or (work.done and counts != work.counts):
            yield f"its counts are {counts}, and {work.seen} were answered"
        if work.done and not found.done:
            yield "it is not done, and that was answered"
        if not work.done and (reached := self._count_reached(seams, work)) < counts[0]:
            yield f"it has counted {counts[0]} successes, of which {reached} are there"

    def _count_reached(self, seams: Seams, work: Work) -> int:
        """How many of the objects or instances of an operation have the state that it gives to them."""
        if work.objects:
            there = {name: self.home / "buckets" / name for name in work.objects}
            return sum(
                path.is_file() and is_in(work.objects[name][0], path.read_bytes()) for name, path in there.items()
            )
        rows = {"/".join(row.uids): row for row in self._list(seams, work.store) or ()}
        if work.storage_class:
            return sum(row.storage_class == work.storage_class for row in rows.values())
        return sum(path in rows and _is_reached(seams, rows[path], states) for path, states in work.then.items())

    def _find_left(self, seams: Seams) -> Iterator[str]:
        """Files that no row names, and bytes of what was deleted."""
        stores = seams.index.segments.list_stores()
        rows = [row for store in stores for row in seams.index.instances.walk_store(store)]
        named = {object_of(row.blob_key) for row in rows}
        found = set[str]().union(*map(files, self.blobs))
        if left := found - named:
            yield f"files that no row names: {sorted(left)}"
        if garbage := seams.index.garbage.list_blobs():
            yield f"garbage: {garbage}"
        alive = {mark for row in rows for mark in MARK.findall(_read_blob(seams, row))}
        for root in self.blobs:
            for name in files(root):
                if dead := set(MARK.findall((root / name).read_bytes())) - alive:
                    yield f"{name} has bytes of instances that are deleted: {dead}"


def _is_reached(seams: Seams, row: StoredInstance, states: list[State]) -> bool:
    return any(is_in(state, _read_blob(seams, row)) for state in states)


def _read_blob(seams: Seams, row: StoredInstance) -> bytes:
    """The bytes, or the error where they cannot be read."""
    try:
        with seams.blobs.open(row.blob_key) as blob:
            return blob.read_at(0, blob.size)
    except StatusError as error:
        return error.message.encode()
