"""One caller of the server: sends requests, and judges every answer by what it may say."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import httpx

from tests.faults.mixed.contents import Uids
from tests.faults.mixed.journal import Journal, require
from tests.faults.mixed.started import Started
from tests.faults.mixed.states import State
from tests.faults.mixed.troubles import Troubles
from tests.support.server import LOCATION, PROJECT, GantryServer, Json

DATASETS = f"v1/projects/{PROJECT}/locations/{LOCATION}/datasets"
_FOREIGN = ("Traceback", 'File "', "/data/", "/cold/", "/buckets/", "main/", ".seg", "index.sqlite", "COLDLINE/")
"""What no message to a caller has: paths of the server, keys of blobs, the text of an exception."""

_START_SECONDS = 60
STUDIES, SERIES, INSTANCES = 3, 2, 12
"""Of one caller in each store."""


class Answer(NamedTuple):
    """``status`` is 0 for a connection that broke: nobody knows what the request has done."""

    status: int
    data: bytes
    begun: float
    type: str = ""

    @property
    def is_unknown(self) -> bool:
        return self.status == 0 or self.status >= 500

    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")[:600]


@dataclass
class Store:
    """A DICOM store and what the caller knows of its own instances in it. ``name`` is the full name."""

    dataset: str
    id: str
    is_private: bool
    states: dict[Uids, State] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{DATASETS[3:]}/{self.dataset}/dicomStores/{self.id}"

    @property
    def web(self) -> str:
        return f"v1/{self.name}/dicomWeb"

    def state(self, uids: Uids) -> State:
        if uids not in self.states:
            self.states[uids] = State("/".join(uids))
        return self.states[uids]

    def below(self, *uids: str) -> dict[Uids, State]:
        """The states of a study, a series or an instance."""
        return {found: state for found, state in self.states.items() if found[: len(uids)] == uids}


class Caller:
    """``number`` tells its studies, buckets and private dataset from those of others."""

    def __init__(self, server: GantryServer, troubles: Troubles, journal: Journal, number: int, seed: str) -> None:
        self.server, self.troubles, self.journal, self.number = server, troubles, journal, number
        self.chance = random.Random(seed)
        self.common = Store("common", "s", False)
        self.private = Store(f"private-{number}", "s", True)
        for store in (self.common, self.private):
            self.fill(store)
        self.source, self.out = f"source-{number}", f"out-{number}"
        self.versions = 0
        self.is_journaled = True
        self.started: list[Started] = []
        self.client = httpx.Client(timeout=60)

    # Requests ---------------------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, **kw: Any) -> Answer:
        """The answer, after all that holds for every answer was checked."""
        begun = time.monotonic()
        answer = self._send(begun, method, path, **kw)
        if self.is_journaled:
            where = path.replace(f"projects/{PROJECT}/locations/{LOCATION}/datasets/", "")
            self.journal.write(f"caller {self.number}", f"{method} {where} -> {answer.status} {_short(answer)}")
        self._check(answer, f"{method} {path}")
        return answer

    def _send(self, begun: float, method: str, path: str, **kw: Any) -> Answer:
        while True:
            try:
                response = self.client.request(method, f"{self.server.url}/{path}", **kw)
                return Answer(response.status_code, response.content, begun, response.headers.get("content-type", ""))
            except httpx.ConnectError:  # the server is not there: the request was not sent
                require(time.monotonic() < begun + _START_SECONDS, f"{method} {path}: nobody answers")
                time.sleep(0.05)
            except httpx.TransportError as error:
                require(
                    self.troubles.during(begun), f"{method} {path}: the connection broke without a reason: {error!r}"
                )
                return Answer(0, repr(error).encode(), begun)

    def _check(self, answer: Answer, what: str) -> None:
        if answer.status < 400:
            return
        self.check_words(answer.text, what)
        if answer.status < 500:
            return
        require(self.troubles.during(answer.begun), f"{what}: {answer.status} without a reason: {answer.text}")
        with suppress(ValueError):
            status = answer.json().get("error", {}).get("status")
            require(status != "INTERNAL", f"{what}: an error that nobody expected: {answer.text}")

    def check_words(self, text: str, what: str) -> None:
        for foreign in (*_FOREIGN, str(self.server.data.parent)):
            require(foreign not in text, f"{what}: a message has {foreign!r}: {text}")

    def until_known(self, method: str, path: str, **kw: Any) -> Answer:
        """Send again until the answer is known; for requests that change nothing, or that may come twice."""
        deadline = time.monotonic() + _START_SECONDS
        while (answer := self.send(method, path, **kw)).is_unknown or answer.status == 429:
            require(time.monotonic() < deadline, f"{method} {path}: never an answer: {answer.text}")
            time.sleep(0.1)
        return answer

    # What it works with -----------------------------------------------------------------------------------------------

    def choose_store(self) -> Store:
        return self.private if self.chance.random() < 0.4 else self.common

    def fill(self, store: Store) -> None:
        """Know all instances that may come: an operation may meet one that is stored after it has begun."""
        store.states = {}
        for study, series, item in product(range(1, STUDIES + 1), range(1, SERIES + 1), range(1, INSTANCES + 1)):
            store.state(self.make_uids(study, series, item))

    def make_uids(self, study: int, series: int, item: int) -> Uids:
        first = f"1.2.{self.number + 1}.{study}"
        return first, f"{first}.{series}", f"{first}.{series}.{item}"

    def choose_uids(self) -> Uids:
        """Of few instances, so that callers come back to the same ones."""
        return self.make_uids(*(self.chance.randint(1, most) for most in (STUDIES, SERIES, INSTANCES)))

    def choose_known(self, store: Store) -> Uids | None:
        """One that may be there."""
        known = sorted(uids for uids, state in store.states.items() if state.may_be_present)
        return self.chance.choice(known) if known else None

    def next_version(self) -> int:
        self.versions += 1
        return self.versions


def _short(answer: Answer) -> str:
    if answer.status in (0, *range(400, 600)):
        return " ".join(answer.text[:240].split())
    return f"{len(answer.data)} bytes"


def collect_uids(items: Iterable[Json]) -> list[str]:
    """The SOP Instance UIDs of a sequence of references (PS3.18 §10.5.3.2)."""
    return [item["00081155"]["Value"][0] for item in items if "00081155" in item]
