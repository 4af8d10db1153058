"""A million changes, and consumers that are killed at random: what they know is what is stored."""

from __future__ import annotations

import random
from itertools import count

import pytest

from gantry.events import Event, Kind, Position
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.resources import Batch, Change, Instance, Method, Operation
from tests.index.values import RUNNER, STORE, item

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]

CHANGES, BATCH, STUDIES = 1_000_000, 500, 40


class Consumer:
    """Keeps its position with what it knows. Killed, it has read a page for nothing."""

    def __init__(self, index: SqlIndex, store_id: int, chance: random.Random) -> None:
        self.index, self.store_id, self.chance = index, store_id, chance
        self.known: dict[tuple[str, str, str], str] = {}
        self.position: Position | None = None
        self.told = 0

    def read(self) -> bool:
        """False where there is nothing more."""
        page = self.index.feed.read(self.store_id, self.position, self.chance.randrange(1, 5000))
        if self.chance.random() < 0.2:  # it is killed here
            return True
        for _, event in page.events:
            self.take(event)
        moved, self.position = page.position != self.position, page.position
        return moved

    def take(self, event: Event) -> None:
        self.told += 1
        assert (event.uids in self.known) == (event.kind != Kind.STORED)
        if event.kind == Kind.DELETED:
            del self.known[event.uids]
        else:
            assert event.kind != Kind.MOVED or self.known[event.uids] == event.previous_class
            self.known[event.uids] = event.storage_class


@pytest.mark.parametrize("index", ["sqlite"], indirect=True)
def test_a_million_changes(index: SqlIndex, operation: Operation) -> None:
    chance, numbers, made = random.Random(1), count(), 0
    consumers = [Consumer(index, operation.store_id, random.Random(seed)) for seed in range(3)]
    held: dict[int, list[Instance]] = {}
    while made < CHANGES:
        study = chance.randrange(STUDIES)
        mine = held.setdefault(study, [])
        action = chance.random()
        if action < 0.75 or not mine:
            new = [item(next(numbers), f"1.{study}", f"1.{study}.1") for _ in range(BATCH)]
            index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(new)))
            mine += new
            made += len(new)
        elif action < 0.9:
            some = index.instances.find_stored(operation.store_id, [each.uids for each in mine[-BATCH:]]).values()
            target = chance.choice(("ARCHIVE", "STANDARD"))
            changes = tuple(Change(each, target, each.blob_key) for each in some)
            index.operations.commit_batch(operation, RUNNER, Batch("b", changes=changes))
            made += sum(each.storage_class != target for each in some)
        else:
            index.deletion.delete_below(STORE, ResourcePath(f"1.{study}"), "v1", Method.DELETE_STUDY)
            made += len(held.pop(study))
        index.garbage.purge_removed()
        chance.choice(consumers).read()
    while not index.garbage.purge_removed():
        pass
    stored = {row.uids: row.storage_class for row in index.instances.walk_store(operation.store_id)}
    for consumer in consumers:
        while consumer.read():
            pass
        assert consumer.told == made
        assert consumer.known == stored
