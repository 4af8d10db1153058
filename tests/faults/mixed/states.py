"""What may be stored under the UIDs of one instance, after all answers so far.

A *world* is one way in which everything can have happened: the content of the instance now, and what each running
operation has made of it. An answer removes the worlds that contradict it; where none is left, the answer is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from tests.faults.mixed.contents import Content
from tests.faults.mixed.journal import Contradiction

AGAIN = ("gone", "aborted")
"""Outcomes after which an operation may meet an instance again: it was deleted, and one that was stored since under the
same UIDs is another one, which comes later in its walk."""

Held = Content | None
"""None where nothing is stored."""


class Outcome(NamedTuple):
    """What an operation has made of an instance: a word, and the content that it wrote elsewhere."""

    word: str
    content: Held = None


class World(NamedTuple):
    content: Held
    outcomes: frozenset[tuple[Hashable, Outcome]] = frozenset()

    def find(self, token: Hashable) -> Outcome | None:
        """What the operation has made of it; None where its turn has not come."""
        return next((outcome for found, outcome in self.outcomes if found == token), None)


Effect = Callable[[Held], Iterable[tuple[Held, Outcome]]]
"""What an operation may make of a content: the new content, and what it reports."""


class State:
    """All possible worlds of one instance. ``name`` is for messages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.worlds = {World(None)}
        self.touched: set[Hashable] = set()  # operations that were not alone with this instance
        self.is_unsure = False  # a commit has failed: nobody sees it, but after kill -9 it may be there
        self._effects: dict[Hashable, Effect] = {}

    def contents(self) -> set[Held]:
        return {world.content for world in self.worlds}

    @property
    def may_be_absent(self) -> bool:
        return None in self.contents()

    @property
    def may_be_present(self) -> bool:
        return self.contents() != {None}

    def change(self, what: str, of: Callable[[Held], Iterable[Held]], is_unsure: bool = False) -> None:
        """A request whose answer means that content became one of ``of(content)``; none where it cannot be so."""
        self.is_unsure = is_unsure
        self._keep(what, {World(held, world.outcomes) for world in self.worlds for held in of(world.content)})
        self.touched |= self._effects.keys()
        self._close()

    def see(self, what: str, holds: Callable[[Held], bool]) -> None:
        """An answer that says what is stored; it may be otherwise later where it is unsure."""
        seen = {world for world in self.worlds if holds(world.content)}
        self._keep(what, self.worlds if seen and self.is_unsure else seen)
        self._close()

    def begin(self, token: Hashable, effect: Effect) -> None:
        """An operation has begun that meets the instance once, at a moment that nobody knows."""
        if self._effects:
            self.touched |= self._effects.keys() | {token}
        self._effects[token] = effect
        self._close()

    def end(self, what: str, token: Hashable, fits: Callable[[Outcome | None], bool]) -> None:
        """It has ended, and reports an outcome that ``fits``."""
        self._keep(what, {world for world in self.worlds if fits(world.find(token))})
        self.drop(token)

    def drop(self, token: Hashable) -> None:
        """Forget an operation: what it has done stays."""
        self._effects.pop(token, None)
        self.worlds = {
            World(world.content, frozenset(item for item in world.outcomes if item[0] != token))
            for world in self.worlds
        }

    def outcomes(self, token: Hashable) -> set[Outcome | None]:
        return {world.find(token) for world in self.worlds}

    def _keep(self, what: str, worlds: set[World]) -> None:
        if not worlds:
            raise Contradiction(f"{self.name}: {what}, but only this is possible: {sorted(map(str, self.worlds))}")
        self.worlds = worlds

    def _close(self) -> None:
        """Each operation may have met the instance meanwhile."""
        fresh = list(self.worlds)
        while fresh:
            world = fresh.pop()
            for token, effect in self._effects.items():
                met = world.find(token)
                if met is not None and (met.word not in AGAIN or world.content is None):
                    continue
                for content, outcome in effect(world.content):
                    after = World(content, world.outcomes | {(token, met or outcome)})
                    if after not in self.worlds:
                        self.worlds.add(after)
                        fresh.append(after)
