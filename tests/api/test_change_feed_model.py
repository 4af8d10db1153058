"""Random actions over HTTP, and somebody who knows of them from the change feed alone."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import pytest

from tests.support.dicom import make_instance
from tests.support.feed import Follower, Uids, list_stored
from tests.support.filled import web
from tests.support.gantry import Gantry
from tests.support.server import counts
from tests.support.web import Web

pytestmark = pytest.mark.slow

CLASSES = ("STANDARD", "NEARLINE", "ARCHIVE")
STEPS = 60


class Actions:
    """``model`` is what the store holds, with the storage class of each; ``expected`` counts the changes."""

    def __init__(self, gantry: Gantry, seed: int) -> None:
        self.gantry, self.chance = gantry, random.Random(seed)
        self.beta = Web(gantry, "v1beta1")
        self.model: dict[Uids, str] = {}
        self.expected: Counter[str] = Counter()
        self.batches = 0

    def uids(self) -> Uids:
        study, series, sop = (self.chance.choice("123") for _ in range(3))
        return f"1.{study}", f"1.{study}.{series}", f"1.{study}.{series}.{sop}"

    def data(self, uids: Uids) -> bytes:
        return make_instance(*uids, pixel_bytes=self.chance.randbytes(8))

    def some(self) -> list[Uids]:
        return sorted({self.uids() for _ in range(self.chance.randrange(1, 5))})

    def path(self) -> list[str]:
        """Of something that is stored, at a random level."""
        return list(self.chance.choice(sorted(self.model))[: self.chance.randrange(1, 4)])

    def below(self, path: list[str]) -> list[Uids]:
        return [uids for uids in self.model if list(uids[: len(path)]) == path]

    def come(self, every: list[Uids], storage_class: str = "STANDARD") -> None:
        new = [uids for uids in every if uids not in self.model]
        self.model |= dict.fromkeys(new, storage_class)
        self.expected["STORED"] += len(new)

    # --- what is done

    def store(self) -> None:
        some = self.some()
        assert self.beta.store(*map(self.data, some)).status_code in (200, 409)
        self.come(some)

    def put(self) -> None:
        some = [uids for uids in self.some() if self.model.get(uids, "STANDARD") == "STANDARD"]
        if some:
            assert self.beta.store(*map(self.data, some), method="PUT").status_code == 200
            self.expected["REPLACED"] += sum(uids in self.model for uids in some)
            self.come(some)

    def import_some(self) -> None:
        self.batches += 1
        some, storage_class = self.some(), self.chance.choice(CLASSES)
        for number, uids in enumerate(some):
            self.gantry.put(self.gantry.bucket, f"{self.batches}/{number}.dcm", self.data(uids))
        body = {"blobStorageSettings": {"blobStorageClass": storage_class}}
        done = self.gantry.import_(f"{self.batches}/**", **body)
        assert counts(done)[0] == sum(uids not in self.model for uids in some)
        self.come(some, storage_class)

    def patch(self) -> None:
        path = self.path()
        patch = [{"op": "replace", "path": "/00100020/Value/0", "value": str(self.chance.random())[:9]}]
        address = f"{web(self.gantry, *path, version='v1beta1')}/metadata"
        answer = self.gantry.call("PATCH", address, json=patch)
        if answer:
            self.gantry.wait(answer["name"])
        self.expected["UPDATED"] += len(self.below(path))

    def move(self) -> None:
        path, storage_class = self.path(), self.chance.choice(CLASSES)
        body = {"blobStorageSettings": {"blobStorageClass": storage_class}}
        self.gantry.wait(
            self.gantry.call("POST", f"{web(self.gantry, *path)}:setBlobStorageSettings", json=body)["name"]
        )
        below = self.below(path)
        self.expected["MOVED"] += sum(self.model[uids] != storage_class for uids in below)
        self.model |= dict.fromkeys(below, storage_class)

    def delete(self) -> None:
        path = self.path()
        self.gantry.call("DELETE", web(self.gantry, *path))
        for uids in self.below(path):
            del self.model[uids]
            self.expected["DELETED"] += 1


def has_read_all(follower: Follower, actions: Actions, size: int) -> bool:
    """Deletions of studies are told some moments later."""
    return not follower.read(size) and follower.known.keys() == actions.model.keys()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_the_feed_replayed_is_the_store(gantry: Gantry, seed: int) -> None:
    actions, follower = Actions(gantry, seed), Follower(gantry)
    for _ in range(STEPS):
        names = ["store", "put", "import_some"] + ["patch", "move", "delete"] * bool(actions.model)
        getattr(actions, actions.chance.choice(names))()
        if actions.chance.random() < 0.5:
            continue
        size = actions.chance.randrange(1, 6)
        gantry.server.wait_until(partial(has_read_all, follower, actions, size))
        assert {uids: change["storageClass"] for uids, change in follower.known.items()} == actions.model
        assert Counter(change["change"] for change in follower.changes) == actions.expected
    follower.catch_up()
    assert list_stored(gantry) == set(actions.model)
    assert len(actions.expected) == 5
    again = Follower(gantry)
    again.catch_up()
    assert again.changes == follower.changes, "whoever reads it again reads the same"
