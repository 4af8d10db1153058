"""Somebody who reads the change feeds of all stores, and knows from nothing else what is stored."""

from __future__ import annotations

from collections import Counter

from gantry.errors import OutOfRange
from gantry.events import Action, Event, Kind, Position
from gantry.index.sql import SqlIndex
from gantry.resources import Uids

Known = dict[Uids, Event]
NEW_BYTES = (Kind.STORED, Kind.REPLACED, Kind.UPDATED)


class Following:
    """``kinds`` counts the events. ``known`` is what each store holds: the last event of every instance."""

    def __init__(self, index: SqlIndex) -> None:
        self.index = index
        self.kinds: Counter[Kind] = Counter()
        self.known: dict[int, Known] = {}
        self.positions: dict[int, Position] = {}
        self.versions: set[tuple[int, str]] = set()

    def catch_up(self, limit: int = 3) -> None:
        """Read on, page by page, and compare with what is stored unless a deletion is still to be told."""
        for store_id in self.index.segments.list_stores():
            self.read_on(store_id, limit)
            number, pending = self.index.feed.find_news([store_id])[store_id]
            if not pending and self.positions[store_id].number == number:
                self.compare(store_id)

    def read_on(self, store_id: int, limit: int) -> None:
        while True:
            try:
                page = self.index.feed.read(store_id, self.positions.get(store_id, Position()), limit)
            except OutOfRange:
                self.begin_anew(store_id)
                return
            for _, event in page.events:
                self.take(store_id, event)
            self.positions[store_id] = page.position
            if not page.events:
                return

    def begin_anew(self, store_id: int) -> None:
        """As the documentation says: a position, then what is stored, then on from the position."""
        self.positions[store_id] = self.index.feed.find_end(store_id)
        rows = self.index.instances.walk_store(store_id)
        self.known[store_id] = {
            row.uids: Event(Kind.STORED, Action.STORE, *row.uids[:2], "", row.storage_class, "", row.uids[2], "")
            for row in rows
        }

    def take(self, store_id: int, event: Event) -> None:
        known, uids = self.known.setdefault(store_id, {}), event.uids
        before = known.get(uids)
        self.kinds[event.kind] += 1
        assert (before is None) == (event.kind == Kind.STORED), f"{event} after {before}"
        if event.kind in NEW_BYTES:
            assert (store_id, event.version) not in self.versions
            self.versions.add((store_id, event.version))
        elif before is not None and "." in before.version and "/" not in before.version:
            assert event.version == before.version
        if event.kind == Kind.MOVED and before is not None:
            assert event.previous_class == before.storage_class != event.storage_class
        elif before is not None:
            assert event.storage_class == before.storage_class
        if event.kind == Kind.DELETED:
            del known[uids]
        else:
            known[uids] = event

    def compare(self, store_id: int) -> None:
        stored = {row.uids: row.storage_class for row in self.index.instances.walk_store(store_id)}
        assert {uids: event.storage_class for uids, event in self.known.get(store_id, {}).items()} == stored
