"""A client that writes into the journal what it asks for, and what it is answered."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from tests.faults.power.journal import Journal, Json
from tests.faults.power.promises import ANY, GONE, THERE, State, state_of
from tests.support.server import LOCATION, PROJECT, GantryServer, counts
from tests.support.web import ONE_AS_STORED, multipart, uid_path

BETA = "v1beta1"
States = dict[str, list[State]]
DATASET = f"projects/{PROJECT}/locations/{LOCATION}/datasets/d"


class Client:
    """Safe to use from many threads, as long as each has studies of its own."""

    def __init__(
        self,
        server: GantryServer,
        journal: Journal,
        sources: Mapping[str, tuple[str, bytes]],
        held: Mapping[str, Mapping[str, bytes]],
    ) -> None:
        """``sources``: object of a bucket → path and bytes of its instance. ``held``: store → instances, that are there
        already."""
        self.server, self.journal, self._sources = server, journal, sources
        self.held = {store: dict(instances) for store, instances in held.items()}  # store → path → bytes
        self.objects: dict[str, bytes] = {}  # in buckets
        self._begun: dict[str, tuple[str, States, States]] = {}
        self._texts = itertools.count()

    # Stores -----------------------------------------------------------------------------------------------------------

    def create_store(self, name: str) -> str:
        store = f"{DATASET}/dicomStores/{name}"
        self.journal.note({"store": store, "states": [GONE, THERE]})
        assert self.server.create_store("d", name) == store
        self.journal.note({"store": store, "states": [THERE]})
        self.held[store] = {}
        return store

    def delete_store(self, store: str) -> None:
        self.journal.note({"store": store, "states": [GONE, THERE]})
        self._request("DELETE", f"v1/{store}")
        self.journal.note({"store": store, "states": [GONE]})
        self._say(store, {path: [None] for path in self.held.pop(store)})

    # Instances --------------------------------------------------------------------------------------------------------

    def store(self, store: str, instances: Mapping[str, bytes], method: str = "POST") -> None:
        """STOW-RS; PUT replaces."""
        before = self.held[store]
        self._say(store, {path: [_state(before.get(path)), state_of(data)] for path, data in instances.items()})
        assert self._send(store, instances, method) == 200
        self._hold(store, instances)

    def refuse(self, store: str, instances: Mapping[str, bytes]) -> None:
        """STOW-RS of other bytes for instances that are there."""
        assert instances.keys() <= self.held[store].keys()
        assert self._send(store, instances, "POST") == 409

    def _send(self, store: str, instances: Mapping[str, bytes], method: str) -> int:
        content_type, body = multipart(instances.values())
        headers = {"content-type": content_type, "accept": "application/dicom+json"}
        path = f"{BETA if method == 'PUT' else 'v1'}/{store}/dicomWeb/studies"
        return self.server.request(method, path, content=body, headers=headers).status_code

    def patch(self, store: str, path: str) -> None:
        text, change = self._patch()
        self._say(store, {path: [state_of(self.held[store][path]), f"~{text}"]})
        self._request("PATCH", f"{self._address(store, path, BETA)}/metadata", json=[change])
        self._say(store, {path: [f"~{text}"]})
        self._hold(store, {path: self._read(store, path)})

    def delete(self, store: str, path: str) -> None:
        """An instance, a series or a study."""
        below = [each for each in self.held[store] if f"{each}/".startswith(f"{path}/")]
        self._say(store, {each: [state_of(self.held[store][each]), None] for each in below})
        self._request("DELETE", self._address(store, path))
        self._say(store, {each: [None] for each in below})
        for each in below:
            del self.held[store][each]

    # Operations -------------------------------------------------------------------------------------------------------

    def import_(self, store: str, prefix: str, failures: int = 0) -> str:
        """All that lies below ``prefix`` (``bucket/directory``) and was recorded as a source."""
        found = {path: data for name, (path, data) in self._sources.items() if name.startswith(f"{prefix}/")}
        then = {path: state_of(self.held[store].get(path, data)) for path, data in found.items()}
        self._say(store, {path: [_state(self.held[store].get(path)), state] for path, state in then.items()})
        count = sum(name.startswith(f"{prefix}/") for name in self._sources)
        name = self.server.import_(store, f"gs://{prefix}/**")
        return self._begin(name, "import", store, (count - failures, failures), {p: [s] for p, s in then.items()})

    def export(self, store: str, prefix: str) -> str:
        new = {f"{prefix}/{path}.dcm": data for path, data in self.held[store].items()}
        states: States = {name: [state_of(data)] for name, data in new.items()}
        # Until it is counted, a new object may have its name and not its bytes; an older one stays until then.
        before = {name: [state_of(self.objects[name])] if name in self.objects else [ANY] for name in new}
        self.journal.note({"objects": {name: [*before[name], *states[name]] for name in new}})
        self.objects |= new
        name = self.server.export(store, f"gs://{prefix}")
        return self._begin(name, "export", store, (len(new), 0), {}, states)

    def change_class(self, store: str, path: str, storage_class: str) -> str:
        body = {"blobStorageSettings": {"blobStorageClass": storage_class}}
        address = f"{self._address(store, path, BETA)}:setBlobStorageSettings"
        name = self._request("POST", address, json=body).json()["name"]
        below = [each for each in self.held[store] if each.startswith(f"{path}/")]
        return self._begin(name, "change of class", store, (len(below), 0), {}, storage_class=storage_class)

    def update(self, store: str, path: str) -> str:
        """Patch all instances of a study or series."""
        text, change = self._patch()
        below = [each for each in self.held[store] if each.startswith(f"{path}/")]
        self._say(store, {each: [state_of(self.held[store][each]), f"~{text}"] for each in below})
        name = self._request("PATCH", f"{self._address(store, path, BETA)}/metadata", json=[change]).json()["name"]
        return self._begin(name, "update", store, (len(below), 0), {each: [f"~{text}"] for each in below})

    def _begin(
        self,
        name: str,
        method: str,
        store: str,
        counts: tuple[int, int],
        then: States,
        objects: States | None = None,
        storage_class: str = "",
    ) -> str:
        facts = {"method": method, "store": store, "counts": counts, "then": then, "objects": objects or {}}
        self.journal.note({"operation": name, "begun": facts | {"storage_class": storage_class}})
        self._begun[name] = store, then, objects or {}
        return name

    def wait(self, name: str) -> None:
        """Note each count on the way."""
        store, then, objects = self._begun[name]
        last: tuple[int, int] = (-1, -1)
        while not (found := self.server.operation(name)).get("done"):
            if counts(found) != last:
                last = counts(found)
                self.journal.note({"operation": name, "seen": last, "done": False})
            time.sleep(0.002)
        self.journal.note({"operation": name, "seen": counts(found), "done": True})
        self._say(store, then)
        self.journal.note({"objects": objects})
        self._hold(store, {path: self._read(store, path) for path in then})

    # Requests ---------------------------------------------------------------------------------------------------------

    def _patch(self) -> tuple[str, Json]:
        """A text, and what writes it into an instance (Patient Comments)."""
        text = f"patch-{next(self._texts)}-"
        return text, {"op": "add", "path": "/00104000", "value": {"vr": "LT", "Value": [text]}}

    def _read(self, store: str, path: str) -> bytes:
        return self._request("GET", self._address(store, path), headers={"accept": ONE_AS_STORED}).content

    def _address(self, store: str, path: str, version: str = "v1") -> str:
        return f"{version}/{store}/dicomWeb/{uid_path(*path.split('/'))}"

    def _request(self, method: str, path: str, **kw: Any) -> httpx.Response:
        response = self.server.request(method, path, **kw)
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        return response

    def _say(self, store: str, states: Mapping[str, Iterable[State]]) -> None:
        self.journal.note({"store": store, "instances": dict(states)})

    def _hold(self, store: str, instances: Mapping[str, bytes]) -> None:
        """What was answered, or read."""
        self._say(store, {path: [state_of(data)] for path, data in instances.items()})
        self.held[store] |= instances


def _state(data: bytes | None) -> State:
    return None if data is None else state_of(data)


def hold(journal: Journal, held: Mapping[str, Mapping[str, bytes]]) -> None:
    """Note stores and instances that are there before the first start."""
    for store, instances in held.items():
        journal.note({"store": store, "states": [THERE]})
        journal.note({"store": store, "instances": {path: [state_of(data)] for path, data in instances.items()}})
