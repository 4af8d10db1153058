"""What clients were promised before a cut: notes in the journal, and what has to be true of them afterwards.

A note says what may be there from then on. Before a request it is the old state or the new one; once the request is
answered only the new one. A state of an instance is None where it is not there, the SHA-256 of its bytes, ``~TEXT``
for bytes that contain TEXT, or ANY.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from tests.faults.power.journal import Json

State = str | None
ANY = "?"
THERE, GONE = "there", "gone"


def state_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_in(state: State, data: bytes | None) -> bool:
    if state == ANY:
        return True
    if state is None or data is None:
        return state is None and data is None
    return state[1:].encode() in data if state.startswith("~") else state == state_of(data)


def _describe(data: bytes | None) -> str:
    """What stands in the place of bytes that cannot be read is a message."""
    if data is None:
        return "not there"
    return state_of(data) if b"DICM" in data[:132] else repr(data[:100])


@dataclass
class Store:
    """``instances``: ``study/series/instance`` → states, one of which it has. Others are not there."""

    states: set[str]
    instances: dict[str, list[State]] = field(default_factory=dict)

    def find_wrong(self, found: dict[str, bytes] | None) -> list[str]:
        """``found``: bytes by path; None where there is no such store."""
        if (GONE if found is None else THERE) not in self.states:
            return [f"the store is {'gone' if found is None else 'there'}, not {self.states}"]
        if found is None:
            return []
        wrong = [f"{path} is there, and was never stored" for path in found.keys() - self.instances.keys()]
        for path, states in self.instances.items():
            data = found.get(path)
            if not any(is_in(state, data) for state in states):
                wrong.append(f"{path} is {_describe(data)}, not one of {states}")
        return wrong


@dataclass
class Work:
    """An operation that was answered. ``counts`` are its successes and failures in the end, ``seen`` those that were
    answered; ``then`` is what its store holds in the end, ``objects`` what lies in buckets, by path."""

    method: str
    store: str
    counts: tuple[int, int]
    then: dict[str, list[State]]
    objects: dict[str, list[State]]
    storage_class: str
    seen: tuple[int, int] = (0, 0)
    done: bool = False


class Promises:
    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}
        self.operations: dict[str, Work] = {}
        self.objects: dict[str, list[State]] = {}  # of buckets

    def take(self, note: Json) -> None:
        if "states" in note:
            self.stores.setdefault(note["store"], Store(set())).states = set(note["states"])
        elif "instances" in note:
            self.stores[note["store"]].instances |= note["instances"]
        elif "objects" in note:
            self.objects |= note["objects"]
        elif "begun" in note:
            facts = note["begun"]
            self.operations[note["operation"]] = Work(**facts | {"counts": tuple(facts["counts"])})
        else:
            work = self.operations[note["operation"]]
            work.seen, work.done = tuple(note["seen"]), note["done"]

    def end_operations(self) -> None:
        """All operations that were answered have run to their ends."""
        for work in self.operations.values():
            if not work.done and work.store in self.stores:
                self.stores[work.store].instances |= work.then
                self.objects |= work.objects
            work.seen, work.done = work.counts, True
