"""What a caller starts: operations, and what becomes of them when they are cancelled or lose their store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.faults.mixed.caller import DATASETS, STUDIES, Caller, Store
from tests.faults.mixed.contents import Content, Uids, make_bytes
from tests.faults.mixed.journal import require
from tests.faults.mixed.started import Started, changing, exporting, importing, patching
from tests.faults.mixed.states import Effect, State
from tests.faults.mixed.verbs import make_new
from tests.support.web import uid_path

CLASSES = ("STANDARD", "COLDLINE", "ARCHIVE")
"""COLDLINE has a directory of its own."""

MOST_RUNNING = 3  # of one caller at a time
MOST_ALIKE = 2  # objects of an import with the same UIDs: each multiplies what may happen


def _start(caller: Caller, started: Started, method: str, path: str, body: Any) -> None:
    answer = caller.send(method, path, json=body)
    if answer.status in (404, 429):
        if answer.status == 404:
            for state in started.states.values():
                state.see("an operation finds nothing to do", lambda held: held is None)
        return
    require(answer.status == 200 or answer.is_unknown, f"{method} {path}: {answer.status} {answer.text}")
    if answer.status == 200:
        started.name = answer.json()["name"]
    caller.started.append(started)
    _begin(started, lambda: _effects(started, body))


def _begin(started: Started, effects: Callable[[], Iterable[tuple[str, State, Effect]]]) -> None:
    for key, state, effect in effects():
        state.begin(started.token(key), effect)


def _effects(started: Started, body: Any) -> Iterable[tuple[str, State, Effect]]:
    if started.kind == "import":
        storage_class = body.get("blobStorageSettings", {}).get("blobStorageClass", "STANDARD")
        for key, item in started.objects.items():
            if item is not None:
                uids, content = item
                yield key, started.states[uids], importing(content._replace(storage_class=storage_class))
        return
    for state in started.states.values():
        if started.kind == "export":
            yield "", state, exporting
        elif started.kind == "class":
            yield "", state, changing(body["blobStorageSettings"]["blobStorageClass"])
        else:
            yield "", state, patching(body[0]["value"])


def _new(caller: Caller, kind: str, place: Store, states: dict[Uids, State]) -> Started | None:
    if len(caller.started) >= MOST_RUNNING:
        return None
    return Started(kind, place.dataset, place.name, states)


def start_large_import(caller: Caller) -> None:
    """Into a study of its own, in several batches."""
    start_import(caller, 250)


def start_import(caller: Caller, most: int = 0) -> None:
    """Of a new directory of its bucket: new objects, known ones again, others with known UIDs, and no DICOM."""
    place = caller.common if most else caller.choose_store()
    started = _new(caller, "import", place, {})
    if started is None:
        return
    directory = f"{caller.next_version():05d}"
    for number in range(most or caller.chance.choice((3, 12, 40))):
        key = f"{directory}/{number // 16:02d}/{number:04d}.dcm"
        chosen = _choose_object(caller, place)
        if chosen is not None and _count(started, chosen[0]) >= MOST_ALIKE:
            continue
        if most and chosen is not None:
            version = caller.next_version()
            chosen = caller.make_uids(STUDIES + 1, 1, number + 1), Content(version, 64 + 32 * version)
        started.objects[key] = chosen
    _write(caller.server.buckets / caller.source, started.objects)
    started.states = {item[0]: place.state(item[0]) for item in started.objects.values() if item is not None}
    started.uri = f"gs://{caller.source}/{directory}/**"
    body: dict[str, Any] = {"gcsSource": {"uri": started.uri}}
    if caller.chance.random() < 0.5:
        body["blobStorageSettings"] = {"blobStorageClass": caller.chance.choice(CLASSES)}
    _start(caller, started, "POST", f"v1/{place.name}:import", body)


def _choose_object(caller: Caller, place: Store) -> tuple[Uids, Content] | None:
    number = caller.chance.random()
    if number < 0.08:
        return None
    known = caller.choose_known(place) if number < 0.3 else None
    if known is not None and number < 0.2:
        contents = sorted(held for held in place.state(known).contents() if held and held.patient == "P1")
        if contents:
            return known, contents[0]
    return known or caller.choose_uids(), make_new(caller)


def _count(started: Started, uids: Uids) -> int:
    return sum(item is not None and item[0] == uids for item in started.objects.values())


def _write(bucket: Path, objects: dict[str, tuple[Uids, Content] | None]) -> None:
    for key, item in objects.items():
        path = bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not DICOM" if item is None else make_bytes(*item))


def start_export(caller: Caller) -> None:
    """Of all instances of its own store, or of its studies by a filter file."""
    place = caller.choose_store()
    studies = sorted({uids[0] for uids, state in place.states.items() if state.may_be_present})
    if place.is_private and caller.chance.random() < 0.5:
        body, states = {}, dict(place.states)
    elif studies:
        study = caller.chance.choice(studies)
        name = f"filter-{caller.next_version()}"
        (caller.server.buckets / caller.source / name).write_text(f"/studies/{study}\n")
        body = {"filterConfig": {"resourcePathsGcsUri": f"gs://{caller.source}/{name}"}}
        states = place.below(study)
    else:
        return
    started = _new(caller, "export", place, states)
    if started is None:
        return
    started.prefix = f"{caller.next_version():05d}/"
    started.uri = f"gs://{caller.out}/{started.prefix}"
    _start(caller, started, "POST", f"v1/{place.name}:export", {"gcsDestination": {"uriPrefix": started.uri}} | body)


def start_change_of_class(caller: Caller) -> None:
    place = caller.choose_store()
    known = caller.choose_known(place)
    if known is None:
        return
    path = known[: caller.chance.choice((1, 1, 2, 3))]
    if started := _new(caller, "class", place, place.below(*path)):
        body = {"blobStorageSettings": {"blobStorageClass": caller.chance.choice(CLASSES)}}
        _start(caller, started, "POST", f"{place.web}/{uid_path(*path)}:setBlobStorageSettings", body)


def start_patch(caller: Caller) -> None:
    """PATCH of the metadata of a study or a series."""
    place = caller.choose_store()
    known = caller.choose_known(place)
    if known is None:
        return
    path = known[: caller.chance.choice((1, 2))]
    if started := _new(caller, "patch", place, place.below(*path)):
        body = [{"op": "replace", "path": "/00100020/Value/0", "value": f"Q{caller.chance.randint(0, 9)}"}]
        address = f"{place.web}/{uid_path(*path)}/metadata".replace("v1/", "v1beta1/", 1)
        _start(caller, started, "PATCH", address, body)


def cancel(caller: Caller) -> None:
    running = [item for item in caller.started if item.name and not item.is_cancelled]
    if running:
        chosen = caller.chance.choice(running)
        chosen.is_cancelled = True  # whatever the answer
        answer = caller.send("POST", f"v1/{chosen.name}:cancel", json={})
        allowed = answer.status in (200, 429) or answer.is_unknown or (answer.status == 404 and chosen.lost_store)
        require(allowed, f"cancel: {answer.status} {answer.text}")


# The private store and dataset ---------------------------------------------------------------------------------------


def delete_store(caller: Caller) -> None:
    """DELETE of its own store or dataset, which is made again at once."""
    place = caller.private
    of_dataset = caller.chance.random() < 0.4
    path = f"{DATASETS}/{place.dataset}" if of_dataset else f"v1/{place.name}"
    caller.until_known("DELETE", path)
    for item in caller.started:
        if item.store_name == place.name:
            item.drop()
    caller.fill(place)
    make_store(caller, place)


def make_store(caller: Caller, place: Store) -> None:
    made = caller.until_known("POST", f"{DATASETS}?datasetId={place.dataset}", json={})
    require(made.status in (200, 409), f"a dataset: {made.status} {made.text}")
    made = caller.until_known("POST", f"{DATASETS}/{place.dataset}/dicomStores?dicomStoreId={place.id}", json={})
    require(made.status in (200, 409), f"a store: {made.status} {made.text}")
