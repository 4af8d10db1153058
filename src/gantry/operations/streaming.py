"""Adds a row to the tables of a DICOM store for each change of an instance; see ``following``.

Rows of many changes are added at once. How many is written into the index first, and a key is made of them; the table
knows whether it has the rows of that key. So after a crash the same rows are added, or are there already.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from datetime import datetime
from functools import partial, reduce
from typing import NamedTuple

from gantry.errors import Aborted, DataLoss, Internal, InvalidArgument, NotFound, OutOfRange
from gantry.events import Event, Kind, Position
from gantry.followed import TABLE, list_tables
from gantry.index_protocols.deliveries import Delivery
from gantry.names import OperationName
from gantry.operations.batches import run_in_order
from gantry.operations.export_tables import require_schema, run_short, write_files
from gantry.operations.interruption import make_stop_check
from gantry.operations.stream_rows import (
    DIED,
    TOO_LONG,
    StreamChange,
    StreamRows,
    read_stream_packs,
    stage_changes,
)
from gantry.operations.table_use import name_stream
from gantry.resources import DicomStore, path_of
from gantry.seams import Seams
from gantry.table_address import TableAddress
from gantry.table_schema import Columns, merge_columns
from gantry.table_seams import StreamTable
from gantry.tables.columns import list_fixed_columns
from gantry.tables.rows import RowForm
from gantry.worker_calls import WorkerDied

logger = logging.getLogger(__name__)

_PAGE = 500  # changes that are read, and made rows of, at once
_MOST = 200_000
"""Changes that are added at once: BigQuery is given so many in a minute, more than any import has stored."""
_LEAST_REST, _MOST_REST = 1.0, 30.0
"""Seconds between two times that rows are added to a table, else as long as that has taken: half of the time is left to
others. Each version of a table in a directory is a directory of links, which is kept for a while."""
_EXPORT_SECONDS = 2.0  # until it is asked again whether an export has ended
_SERVICE_SECONDS = 60.0  # of BigQuery, which allows 1,500 load jobs for a table in a day ("Quotas and limits")


class Lot(NamedTuple):
    """The changes that are added next: ``end`` is behind them, ``first`` is the time of the oldest. ``key`` is made of
    all of them. ``is_all``: there are no more for now."""

    size: int
    end: Position
    first: datetime | None
    key: str
    is_all: bool


class Streaming:
    """See ``following.Work``."""

    name, what = "streams", "rows"

    def __init__(self, seams: Seams, stopping: threading.Event) -> None:
        self._seams, self.followed = seams, seams.streamed
        self._check = make_stop_check(stopping)
        self._due: dict[str, float] = {}
        self._exports: dict[str, OperationName] = {}

    def covers(self, receiver: str) -> bool:
        try:
            return receiver.startswith(TABLE) and self._seams.warehouse.covers(TableAddress.parse(receiver))
        except InvalidArgument:  # an older version has accepted it without effect
            return False

    def is_due(self, receiver: str) -> bool:
        return self._due.get(receiver, 0.0) <= time.monotonic()

    def find_disk(self, receiver: str) -> str:
        return self._seams.warehouse.find_directory(TableAddress.parse(receiver))

    def tell(self, delivery: Delivery, is_crowded: Callable[[], bool]) -> bool:
        try:
            store = self._seams.index.resources.get_dicom_store(delivery.store)
        except NotFound:
            return True
        config = list_tables(store).get(delivery.receiver)
        try:
            lot = self._measure(delivery)
        except (OutOfRange, DataLoss) as error:
            return self._pass_planned(delivery, error)
        if config is None or lot.size == 0:
            return lot.end == delivery.position or self._move(delivery, lot.end)
        self.followed.wait((delivery.store_id, delivery.receiver), lot.first)
        table = self._open(delivery, lot.key)
        begun = time.monotonic()
        if delivery.added:
            table.require_place()
        if not table.is_added():
            if self._is_exported(delivery.receiver):  # asked after the changes were read: the export has them, too
                return False
            if not self._seams.index.deliveries.plan(delivery, lot.size, lot.key, lot.end):
                return False  # asked after the table was: see is_added
            delivery = delivery._replace(planned=lot.size, key=lot.key, end=lot.end)
            self._add(delivery, read_stream_form(store, config), table)
            self._rest(delivery.receiver, table, time.monotonic() - begun)
        return self._move(delivery, lot.end, True) and lot.is_all

    def _open(self, delivery: Delivery, key: str) -> StreamTable:
        owner = name_stream(delivery.store_id, delivery.receiver)
        return self._seams.warehouse.open_stream(TableAddress.parse(delivery.receiver), key, owner)

    def _pass_planned(self, delivery: Delivery, error: OutOfRange | DataLoss) -> bool:
        """The feed does not have all changes after the position any more. Those that were planned are rows already,
        perhaps: then the others of them are not to be added again. Raises the error where none was planned, or
        OutOfRange where they are not there."""
        table = self._open(delivery, delivery.key) if delivery.key else None
        if table is not None and delivery.added:
            table.require_place()
        if table is None:
            raise error
        if table.is_added():
            self._move(delivery, delivery.end, True)
        elif isinstance(error, DataLoss):
            self._move(delivery, delivery.position)  # fewer are added next, which are whole
        else:
            raise error
        return False

    def _rest(self, receiver: str, table: StreamTable, seconds: float) -> None:
        rest = _SERVICE_SECONDS if table.is_limited else min(_MOST_REST, max(_LEAST_REST, seconds))
        self._due[receiver] = time.monotonic() + rest

    def _move(self, delivery: Delivery, position: Position, added: bool = False) -> bool:
        if not self._seams.index.deliveries.move(delivery, position, delivery.era, added):
            return False
        self.followed.reach((delivery.store_id, delivery.receiver), position.number)
        return True

    def _is_exported(self, receiver: str) -> bool:
        """What an export replaces at its end must not be newer than what it has read."""
        found = self._seams.index.operations.find_export(receiver)
        if found is None:
            self._exports.pop(receiver, None)
            return False
        if self._exports.get(receiver) != found:
            logger.info("rows for %s wait until operation %s has written this table", receiver, found)
        self._exports[receiver] = found
        self._due[receiver] = time.monotonic() + _EXPORT_SECONDS
        return True

    # --- the changes

    def _measure(self, delivery: Delivery) -> Lot:
        """Raises OutOfRange, DataLoss."""
        digest = hashlib.sha256(repr(delivery.position).encode())
        count, end, first, wanted = 0, delivery.position, None, delivery.planned or _MOST
        is_cut = False
        try:
            for events, position in self._read(delivery, wanted):
                for moment, event in events:
                    digest.update(f"{moment.isoformat()} {event}\n".encode())
                first = first or (events[0][0] if events else None)
                count, end = count + len(events), position
        except DataLoss:
            if not count or delivery.planned:
                raise
            is_cut = True  # what is whole is added first
        stream = hashlib.sha256(f"{delivery.era} {delivery.store_id} {delivery.receiver}".encode()).hexdigest()[:12]
        return Lot(count, end, first, f"s{stream}-{digest.hexdigest()[:16]}", count < wanted and not is_cut)

    def _read(self, delivery: Delivery, most: int) -> Iterator[tuple[list[tuple[datetime, Event]], Position]]:
        """So many changes after a position, page by page."""
        position, count = delivery.position, 0
        while count < most:
            self._check()
            page = self._seams.index.feed.read(delivery.store_id, position, min(_PAGE, most - count))
            if page.position == position and not page.events:
                return
            position, count = page.position, count + len(page.events)
            yield page.events, position

    # --- their rows

    def _add(self, delivery: Delivery, form: RowForm, table: StreamTable) -> None:
        table.begin("")
        counts = Counter[str]()
        for number, (events, _) in enumerate(self._read(delivery, delivery.planned)):
            self._stage(delivery, form, table, number, events, counts)
        rows = delivery.planned - counts[TOO_LONG]
        if counts.total() != delivery.planned:
            raise Aborted(f"{delivery.receiver}: {counts.total()} of {delivery.planned} changes were read")
        self._show(form, table, rows)
        for outcome, count in counts.items():
            self.followed.count(outcome, count)

    def _stage(
        self,
        delivery: Delivery,
        form: RowForm,
        table: StreamTable,
        number: int,
        events: Sequence[tuple[datetime, Event]],
        counts: Counter[str],
    ) -> None:
        changes = self._find(delivery.store_id, events)
        made = self._run(changes, f"{number:06}", form, table)
        died = [change._replace(is_bare=True) for change, rows in zip(changes, made, strict=True) if _is_dead(rows)]
        made += self._run(died, f"{number:06}-again", form, table) if died else []
        found = {rows.stages: rows.columns for rows in made if not _is_dead(rows)}
        table.keep([stage for stages in found for stage in stages], reduce(merge_columns, found.values(), Columns()))
        counts.update(rows.outcome for rows in made if not _is_dead(rows))
        for change, rows in zip(changes, made, strict=False):
            if rows.outcome == TOO_LONG:
                logger.error("%s: its row is longer than 1 MB and not written", path_of(change.event.uids))

    def _find(self, store_id: int, events: Sequence[tuple[datetime, Event]]) -> list[StreamChange]:
        uids = [event.uids for _, event in events if event.kind is not Kind.DELETED]
        stored = self._seams.index.instances.find_stored(store_id, uids)
        return [
            StreamChange(event, round(moment.timestamp() * 1_000_000), stored.get(event.uids))
            for moment, event in events
        ]

    def _run(self, changes: Sequence[StreamChange], name: str, form: RowForm, table: StreamTable) -> list[StreamRows]:
        """In a worker. A change whose row ends it has the outcome DIED."""

        def submit(_: int, some: Sequence[StreamChange], offset: int) -> Future[list[StreamRows]]:
            stage = f"{name}.{offset}-{len(some)}"
            call = partial(stage_changes, name=stage, blobs=self._seams.blobs, form=form, table=table)
            return self._seams.executor.submit(call, list(some), read_stream_packs(self._seams, some))

        def on_death(_change: StreamChange, _error: WorkerDied) -> StreamRows:
            return StreamRows(DIED)

        with closing(run_in_order(submit, [changes], 1, on_death, self._check)) as results:
            return [rows for _, _, outcomes in results for rows in outcomes]

    def _show(self, form: RowForm, table: StreamTable, rows: int) -> None:
        fixed = list_fixed_columns(form.as_json, bool(form.source))
        while True:
            self._check()
            plan = table.plan(fixed, True)
            if sum(file.rows for file in plan.files if not (file.older or file.joined)) != rows:
                raise Internal("rows that were made are gone from where they wait")
            if table.is_service:
                for file in plan.files:
                    table.write_file(plan, file)
                table.publish(plan)
                return
            write_files(self._seams, table, plan, self._check)
            if run_short(self._seams, partial(table.publish, plan)):
                return


def _is_dead(rows: StreamRows) -> bool:
    return rows.outcome == DIED


def read_stream_form(store: DicomStore, config: dict[str, object]) -> RowForm:
    """What the rows of a ``bigqueryDestination`` are to be."""
    source = str(store.name) if config.get("include_source_store") else ""
    return RowForm(config.get("schema_as_json") is not None, source)


def require_stream(seams: Seams, store: DicomStore, config: dict[str, object]) -> None:
    """Raises FailedPrecondition, NotFound, PermissionDenied, Unavailable where rows could not be added now, with the
    reason. A table of BigQuery is made if there is none: nothing else shows that it can be."""
    address = TableAddress.parse(str(config["table_uri"]))
    seams.warehouse.require(address)
    form, table = read_stream_form(store, config), seams.warehouse.open_stream(address, "", "")
    found = table.look()
    if found is not None:
        require_schema(address, form, found)
    table.require_writable(list_fixed_columns(form.as_json, bool(form.source)))
