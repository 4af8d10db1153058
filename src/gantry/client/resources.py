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
    return report(args, created, f"created DICOM store {name}")


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
            ("notifies", ", ".join(_list_topics(store))),
            ("streams to", ", ".join(_list_tables(store))),
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
    return delete_named(args, connection, str(connection.store(args.store)), "DICOM store", "every instance in it")


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
    return report(args, operation.get("response", operation), f"created dataset {name}")


def describe_dataset(args: Namespace) -> int:
    """Show a dataset and how many stores it has."""
    connection = Connection.of(args)
    name = connection.dataset(args.dataset)
    dataset = connection.api.get(str(name))
    if args.json:
        say_json(dataset)
        return 0
    stores = sum(1 for _ in connection.api.list(f"{name}/dicomStores"))
    fields((("dataset", dataset["name"]), ("time zone", dataset.get("timeZone", "")), ("stores", f"{stores:,}")))
    return 0


def delete_dataset(args: Namespace) -> int:
    """Delete a dataset after a confirmation."""
    connection = Connection.of(args)
    return delete_named(
        args, connection, str(connection.dataset(args.dataset)), "dataset", "every store and instance in it"
    )


def delete_named(
    args: Namespace, connection: Connection, name: str, kind: str, content: str, is_there: bool = False
) -> int:
    """Delete a resource after a confirmation; ``is_there``: that it exists is known. Raises what the server answers."""
    if not is_there:
        connection.api.get(name)
    if not confirm(f"Delete the {kind} {name} and {content}?", args.yes):
        note("nothing was deleted")
        return 1
    return report(args, connection.api.delete(name), f"deleted {kind} {name}")


def report(args: Namespace, answer: Json, sentence: str) -> int:
    """Print the answer of a change, or a sentence for people."""
    if args.json:
        say_json(answer)
    else:
        say(printable(sentence))
    return 0


def _list_topics(store: Json) -> list[str]:
    configs = [store.get("notificationConfig") or {}, *store.get("notificationConfigs", ())]
    return [config["pubsubTopic"] for config in configs if config.get("pubsubTopic")]


def _list_tables(store: Json) -> list[str]:
    return [(each.get("bigqueryDestination") or {}).get("tableUri", "") for each in store.get("streamConfigs", ())]


def _short(name: str) -> str:
    """``DATASET/STORE``."""
    return "/".join(name.split("/")[5::2])
