"""A long-running operation that a caller has started, and what it may do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.faults.mixed.contents import Content, Uids
from tests.faults.mixed.states import Effect, Held, Outcome, State


@dataclass
class Started:
    """``name`` is "" where the answer to its start was lost: nobody knows whether it runs.

    ``objects`` are those of an import by key: UIDs and content, or None for what is not DICOM. ``prefix`` is where an
    export writes to, as a key of the caller's bucket ``out``.
    """

    kind: str
    dataset: str
    store_name: str
    states: dict[Uids, State]
    name: str = ""
    objects: dict[str, tuple[Uids, Content] | None] = field(default_factory=dict)
    prefix: str = ""
    uri: str = ""
    begun: float = field(default_factory=time.monotonic)
    is_cancelled: bool = False
    lost_store: bool = False  # it was deleted meanwhile, or perhaps

    def token(self, key: str = "") -> tuple[int, str]:
        return id(self), key

    def drop(self) -> None:
        """What it does from now on concerns nobody: its store is deleted."""
        self.lost_store = True
        for state in self.states.values():
            for key in self.objects or ("",):
                state.drop(self.token(key))


def importing(content: Content) -> Effect:
    """Of one object: new, identical, in conflict, or (``trouble``) not read at all."""

    def effect(held: Held) -> Iterable[tuple[Held, Outcome]]:
        yield held, Outcome("trouble")
        if held is None:
            yield content, Outcome("success")
        elif held.is_same(content):
            yield held, Outcome("success")
        else:
            yield held, Outcome("exists")
            if held.version == content.version:  # as long as what was patched: see ``verbs.READ``
                yield content._replace(storage_class=held.storage_class), Outcome("healed")

    return effect


def changing(storage_class: str) -> Effect:
    return _per_instance(lambda held: held._replace(storage_class=storage_class))


def patching(patient: str) -> Effect:
    return _per_instance(lambda held: held._replace(patient=patient))


def exporting(held: Held) -> Iterable[tuple[Held, Outcome]]:
    yield from _missing(held)
    if held is not None:
        yield held, Outcome("wrote", held._replace(storage_class=""))
        yield held, Outcome("trouble")


def _per_instance(after: Callable[[Content], Content]) -> Effect:
    def effect(held: Held) -> Iterable[tuple[Held, Outcome]]:
        yield from _missing(held)
        if held is not None:
            yield after(held), Outcome("success")
            yield held, Outcome("trouble")
            yield held, Outcome("aborted")

    return effect


def _missing(held: Held) -> Iterable[tuple[Held, Outcome]]:
    if held is None:
        yield held, Outcome("unselected")
        yield held, Outcome("gone")
