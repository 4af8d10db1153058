"""``stores`` and ``datasets``: list, create, describe, delete."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.terminal import confirm, fields, note, printable, say, say_json, table
from gantry.errors import AlreadyExists, NotFound, Unimplemented


def list_stores(args: Namespace) -> int:
    """The stores of one dataset, or of all."""
    connection = Connection.of(args)
    if args.dataset:
        datasets = [str(connection.dataset(args.dataset))]
    else:
        datasets = [item["name"] for item in connection.api.list(f"{connection.location}/datasets")]
    stores = [store for dataset in datasets for store in connection.api.list(f"{dataset}/dicomStores")]
    if args.json:
        say_json(stores)
    elif not stores:
        note("no DICOM stores; create one with `gantry stores create DATASET/STORE`")
    else:
        table(("STORE", "NAME"), [(_short(item["name"]), item["name"]) for item in stores])
    return 0


def create_store(args: Namespace) -> int:
    """Create a store, and its dataset if it does not exist."""
    connection = Connection.of(args)
    name = connection.store(args.store)

    def create() -> Json:
        return connection.api.post(f"{name.parent}/dicomStores", {}, dicomStoreId=name.store)

    try:
        created = create()
    except NotFound:
        with suppress(AlreadyExists):
            connection.api.post(f"{name.parent.parent}/datasets", {}, datasetId=name.dataset)
            note(f"created dataset {name.parent}")
        created = create()
    return _report(args, created, f"created DICOM store {name}")


def describe_store(args: Namespace) -> int:
    """Show a store and its sizes, if the server has them."""
    connection = Connection.of(args)
    name = connection.store(args.store)
    store = connection.api.get(str(name))
    if args.json:
        say_json(store)
        return 0
    sizes: Json = {}
    with suppress(Unimplemented):
        sizes = connection.api.get(f"{name}:getDICOMStoreMetrics")
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
    """Delete a store after a confirmation."""
    connection = Connection.of(args)
    return _delete(args, connection, str(connection.store(args.store)), "DICOM store", "every instance in it")


def list_datasets(args: Namespace) -> int:
    """The datasets of the project in the location."""
    connection = Connection.of(args)
    datasets = list(connection.api.list(f"{connection.location}/datasets"))
    if args.json:
        say_json(datasets)
    elif not datasets:
        note(f"no datasets in {connection.location}")
    else:
        table(("DATASET", "NAME"), [(item["name"].rpartition("/")[2], item["name"]) for item in datasets])
    return 0


def create_dataset(args: Namespace) -> int:
    """Create a dataset."""
    connection = Connection.of(args)
    name = connection.dataset(args.dataset)
    operation = connection.api.post(f"{name.parent}/datasets", {}, datasetId=name.dataset)
    return _report(args, operation.get("response", operation), f"created dataset {name}")


def delete_dataset(args: Namespace) -> int:
    """Delete a dataset after a confirmation."""
    connection = Connection.of(args)
    return _delete(args, connection, str(connection.dataset(args.dataset)), "dataset", "every store and instance in it")


def _delete(args: Namespace, connection: Connection, name: str, kind: str, content: str) -> int:
    connection.api.get(name)
    if not confirm(f"Delete the {kind} {name} and {content}?", args.yes):
        note("nothing was deleted")
        return 1
    return _report(args, connection.api.delete(name), f"deleted {kind} {name}")


def _report(args: Namespace, answer: Json, sentence: str) -> int:
    if args.json:
        say_json(answer)
    else:
        say(printable(sentence))
    return 0


def _short(name: str) -> str:
    """``DATASET/STORE``."""
    return "/".join(name.split("/")[5::2])
