"""A store that a table in a directory follows, without a server: something can happen before and after each step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from gantry.errors import StatusError
from gantry.events import Kind
from gantry.followed import Followed
from gantry.index.sql import SqlIndex
from gantry.index_protocols.deliveries import Delivery
from gantry.operations.following import Following
from gantry.operations.streaming import Streaming
from gantry.resources import DicomStore
from gantry.seams import Seams
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.studies.store import Incoming, store
from gantry.studies.uploads import Uploads
from gantry.table_seams import StreamTable
from tests.index.values import STORE
from tests.streams.test_local import read
from tests.support.dicom import make_instance

TABLE_STEPS = ("is_added", "begin", "keep", "plan", "write_file", "publish")
INDEX_STEPS = ("plan", "move")
STEPS = [f"{when} {what}" for what in (*TABLE_STEPS, "index plan", "index move") for when in ("before", "after")]
Event = Callable[["Stepping"], None]


class Killed(BaseException):
    """The server is gone at this step."""


class Threads(ThreadPoolExecutor):
    """Workers that are threads of the test."""

    size = 2


class Stepping:
    """``happen`` sets what happens at a step, once."""

    def __init__(self, index: SqlIndex, tmp_path: Path) -> None:
        self.root, self.index = tmp_path / "tables", index
        for directory in (tmp_path / "blobs", self.root):
            directory.mkdir(exist_ok=True)
        self.workers: Any = Threads(2)
        self.seams = self._make_seams(index)
        self.uploads = Uploads(self.seams)
        self.count = 0
        self._step: str = ""
        self._event: Event = lambda _: None
        self.happened = 0

    def _make_seams(self, index: Any) -> Seams:
        blobs = LocalBlobs(str(self.root.parent / "blobs"))
        none: Any = None
        return Seams(
            *(index, blobs, none, self.workers, none, 2),
            warehouse=LocalWarehouse({"p.d": str(self.root)}, "mark"),
            streamed=Followed("written", "without_header", "too_long", "given_up"),
        )

    # --- the store

    def follow(self, *tables: str, **more: Any) -> None:
        configs = [{"bigquery_destination": {"table_uri": each, **more}} for each in tables]
        self.index.resources.change_dicom_store(STORE, lambda old: replace(old, stream_configs=configs))

    def stow(self, count: int = 1) -> None:
        for _ in range(count):
            self.count += 1
            data = make_instance("1.2", "1.2.1", f"1.2.1.{self.count}")
            found = store(self.seams, self.uploads, STORE, [Incoming("one", iter([data]))], replace=False)
            assert len(found.instances) == 1

    def told(self) -> Counter[Any]:
        """The rows that the table is to have."""
        page = self.index.feed.read(self.store.id, None, 1000)
        types = {Kind.STORED: "INSERT", Kind.DELETED: "DELETE"}
        return Counter((event.uids[2], types.get(event.kind, "UPDATE")) for _, event in page.events)

    def rows(self) -> Counter[Any]:
        return Counter(read(self.root))

    @property
    def store(self) -> DicomStore:
        return self.index.resources.get_dicom_store(STORE)

    # --- what follows it

    def happen(self, step: str, event: Event) -> None:
        self._step, self._event, self.happened = step, event, 0

    def reach(self, step: str) -> None:
        if step == self._step:
            self._step, self.happened = "", 1
            self._event(self)

    def begin_server(self) -> Following:
        """One whose steps are those where something may happen."""
        seams = replace(
            self.seams,
            index=_Steps(self.index, self),
            warehouse=_Steps(self.seams.warehouse, self),
            streamed=Followed("written", "without_header", "too_long", "given_up"),
        )
        return Following(seams, Streaming(seams, threading.Event()), threading.Event())

    def tell(self, server: Following) -> bool:
        """One turn: True where nothing is left."""
        found = self.index.deliveries.list_deliveries()
        told = [server._tell((each.store_id, each.receiver)) for each in found]
        return all(told)

    def settle(self) -> None:
        """A server that begins now tells all there is. Two failures in a row are no accident."""
        server, failed = self.begin_server(), 0
        for _ in range(20):
            try:
                if self.tell(server):
                    return
                failed = 0
            except StatusError:
                failed += 1
                if failed > 1:
                    raise
        raise AssertionError("it comes to no end")


class _Steps:
    """An adapter, and what it opens, whose calls are steps."""

    def __init__(self, real: Any, stepping: Stepping, name: str = "") -> None:
        self._real, self._stepping, self._name = real, stepping, name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name == "deliveries":
            return _Steps(found, self._stepping, "index ")
        if name == "open_stream":
            return lambda *args: _make_stepping(found(*args), self._stepping)
        if not self._name or name not in INDEX_STEPS:
            return found
        return _wrap(found, f"index {name}", self._stepping)


def _wrap(call: Callable[..., Any], step: str, stepping: Stepping) -> Callable[..., Any]:
    def stepped(*args: Any) -> Any:
        stepping.reach(f"before {step}")
        found = call(*args)
        stepping.reach(f"after {step}")
        return found

    return stepped


def _make_stepping(table: StreamTable, stepping: Stepping) -> StreamTable:
    for name in TABLE_STEPS:
        setattr(table, name, _wrap(getattr(table, name), name, stepping))
    return table


def find_delivery(stepping: Stepping) -> Delivery:
    (found,) = stepping.index.deliveries.list_deliveries()
    return found
