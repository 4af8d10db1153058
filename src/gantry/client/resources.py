"""``stores`` and ``datasets``: list, create, describe, delete."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress

from gantry.client.api import Json
from gantry.client.connection import Connection
from gantry.client.terminal import confirm, fields, note, printable, say, say_json, table
from gantry.errors import AlreadyExists, NotFound, Unimplemented
from gantry.languages import _
from gantry.sizes import format_number


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
        note(_("no DICOM stores; create one with `gantry stores create DATASET/STORE`"))
    else:
        table((_("STORE"), _("NAME")), [(_short(item["name"]), item["name"]) for item in stores])
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
            note(_("created dataset {name}").format(name=name.parent))
        created = create()
    return report(args, created, _("created DICOM store {name}").format(name=name))


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
            (_("store"), store["name"]),
            (_("labels"), labels),
            (_("notifies"), ", ".join(_list_topics(store))),
            (_("streams to"), ", ".join(_list_tables(store))),
            (_("studies"), _format(sizes.get("studyCount"))),
            (_("series"), _format(sizes.get("seriesCount"))),
            (_("instances"), _format(sizes.get("instanceCount"))),
            (_("blob bytes"), _format(sizes.get("blobStorageSizeBytes"))),
        )
    )
    return 0


def _format(count: str | None) -> str:
    return format_number(int(count)) if count else ""


def delete_store(args: Namespace) -> int:
    """Delete a store after a confirmation."""
    connection = Connection.of(args)
    texts = _("Delete the DICOM store {name} and every instance in it?"), _("deleted DICOM store {name}")
    return delete_named(args, connection, str(connection.store(args.store)), *texts)


def list_datasets(args: Namespace) -> int:
    """The datasets of the project in the location."""
    connection = Connection.of(args)
    datasets = list(connection.api.list(f"{connection.location}/datasets"))
    if args.json:
        say_json(datasets)
    elif not datasets:
        note(_("no datasets in {location}").format(location=connection.location))
    else:
        table((_("DATASET"), _("NAME")), [(item["name"].rpartition("/")[2], item["name"]) for item in datasets])
    return 0


def create_dataset(args: Namespace) -> int:
    """Create a dataset."""
    connection = Connection.of(args)
    name = connection.dataset(args.dataset)
    operation = connection.api.post(f"{name.parent}/datasets", {}, datasetId=name.dataset)
    return report(args, operation.get("response", operation), _("created dataset {name}").format(name=name))


def describe_dataset(args: Namespace) -> int:
    """Show a dataset and how many stores it has."""
    connection = Connection.of(args)
    name = connection.dataset(args.dataset)
    dataset = connection.api.get(str(name))
    if args.json:
        say_json(dataset)
        return 0
    stores = sum(1 for _ in connection.api.list(f"{name}/dicomStores"))
    fields(
        (
            (_("dataset"), dataset["name"]),
            (_("time zone"), dataset.get("timeZone", "")),
            (_("stores"), format_number(stores)),
        )
    )
    return 0


def delete_dataset(args: Namespace) -> int:
    """Delete a dataset after a confirmation."""
    connection = Connection.of(args)
    texts = _("Delete the dataset {name} and every store and instance in it?"), _("deleted dataset {name}")
    return delete_named(args, connection, str(connection.dataset(args.dataset)), *texts)


def delete_named(
    args: Namespace, connection: Connection, name: str, question: str, sentence: str, is_there: bool = False
) -> int:
    """Delete a resource after a confirmation; ``is_there``: that it exists is known. ``question`` and ``sentence``, for
    what is done, have a place for its ``name``. Raises what the server answers."""
    if not is_there:
        connection.api.get(name)
    if not confirm(question.format(name=name), args.yes):
        note(_("nothing was deleted"))
        return 1
    return report(args, connection.api.delete(name), sentence.format(name=name))


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
