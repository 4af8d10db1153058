"""``stores`` and ``datasets``: list, create, describe, delete."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress

from gantry.client.api import Json
from gantry.client.session import Session
from gantry.client.terminal import confirm, fields, note, printable, say, say_json, table
from gantry.errors import AlreadyExists, NotFound, Unimplemented


def list_stores(args: Namespace) -> int:
    """The stores of one dataset, or of all."""
    session = Session.of(args)
    if args.dataset:
        datasets = [str(session.dataset(args.dataset))]
    else:
        datasets = [item["name"] for item in session.api.list(f"{session.location}/datasets")]
    found = [store for dataset in datasets for store in session.api.list(f"{dataset}/dicomStores")]
    if args.json:
        say_json(found)
    elif not found:
        note("no DICOM stores; `gantry stores create DATASET/STORE` makes one")
    else:
        table(("STORE", "NAME"), [(_short(item["name"]), item["name"]) for item in found])
    return 0


def create_store(args: Namespace) -> int:
    """Create a store, and its dataset when there is none."""
    session = Session.of(args)
    name = session.store(args.store)

    def create() -> Json:
        return session.api.post(f"{name.parent}/dicomStores", {}, dicomStoreId=name.store)

    try:
        created = create()
    except NotFound:
        with suppress(AlreadyExists):
            session.api.post(f"{name.parent.parent}/datasets", {}, datasetId=name.dataset)
            note(f"created dataset {name.parent}")
        created = create()
    return _tell(args, created, f"created DICOM store {name}")


def describe_store(args: Namespace) -> int:
    """A store, with its sizes where the server knows them."""
    session = Session.of(args)
    name = session.store(args.store)
    store = session.api.get(str(name))
    if args.json:
        say_json(store)
        return 0
    sizes: Json = {}
    with suppress(Unimplemented):
        sizes = session.api.get(f"{name}:getDICOMStoreMetrics")
    labels = ", ".join(f"{key}={value}" for key, value in store.get("labels", {}).items())
    fields(
        (
            ("store", store["name"]),
            ("labels", labels),
            ("studies", sizes.get("studyCount", "")),
            ("series", sizes.get("seriesCount", "")),
            ("instances", sizes.get("instanceCount", "")),
            ("blob bytes", sizes.get("blobStorageSizeBytes", "")),
        )
    )
    return 0


def delete_store(args: Namespace) -> int:
    """Delete a store after a question."""
    session = Session.of(args)
    return _delete(args, session, str(session.store(args.store)), "DICOM store", "every instance in it")


def list_datasets(args: Namespace) -> int:
    """The datasets of the project in the location."""
    session = Session.of(args)
    found = list(session.api.list(f"{session.location}/datasets"))
    if args.json:
        say_json(found)
    elif not found:
        note(f"no datasets in {session.location}")
    else:
        table(("DATASET", "NAME"), [(item["name"].rpartition("/")[2], item["name"]) for item in found])
    return 0


def create_dataset(args: Namespace) -> int:
    """Create a dataset."""
    session = Session.of(args)
    name = session.dataset(args.dataset)
    operation = session.api.post(f"{name.parent}/datasets", {}, datasetId=name.dataset)
    return _tell(args, operation.get("response", operation), f"created dataset {name}")


def delete_dataset(args: Namespace) -> int:
    """Delete a dataset after a question."""
    session = Session.of(args)
    return _delete(args, session, str(session.dataset(args.dataset)), "dataset", "every store and instance in it")


def _delete(args: Namespace, session: Session, name: str, kind: str, content: str) -> int:
    session.api.get(name)
    if not confirm(f"Delete the {kind} {name} and {content}?", args.yes):
        note("nothing was deleted")
        return 1
    return _tell(args, session.api.delete(name), f"deleted {kind} {name}")


def _tell(args: Namespace, answer: Json, sentence: str) -> int:
    if args.json:
        say_json(answer)
    else:
        say(printable(sentence))
    return 0


def _short(name: str) -> str:
    """``DATASET/STORE``."""
    return "/".join(name.split("/")[5::2])
