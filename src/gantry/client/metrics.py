"""``metrics``: what a DICOM store, all stores of a dataset, a study or a series hold."""

from __future__ import annotations

from argparse import Namespace
from itertools import chain

from gantry.client.api import Api, Json
from gantry.client.connection import Connection
from gantry.client.terminal import fields, note, say_json, table
from gantry.client.transfer import read_path
from gantry.errors import InvalidArgument, NotFound
from gantry.languages import N_, _
from gantry.names import DatasetName
from gantry.sizes import format_number

_COUNTS = {
    N_("studies"): "studyCount",
    N_("series"): "seriesCount",
    N_("instances"): "instanceCount",
    N_("blob bytes"): "blobStorageSizeBytes",
    N_("index bytes"): "structuredStorageSizeBytes",
}
_ZERO = "0"  # a count that is zero is left out of the JSON


def show(args: Namespace) -> int:
    """Of the dataset of ``--dataset``, else of the store, or of what ``--study`` and ``--series`` name in it."""
    connection = Connection.of(args)
    path = read_path(args.study, args.series)
    if path and args.dataset:
        raise InvalidArgument(_("--study is for a DICOM store: give --store, and leave out --dataset"))
    if args.dataset or not (args.store or path):
        return _show_dataset(connection.api, connection.dataset_or_default(args.dataset), args.json)
    store = str(connection.store(args.store))
    metrics = _get(connection.api, store, path)
    if args.json:
        say_json(metrics)
        return 0
    shown = list(_COUNTS.items())[len(path.split("/")) // 2 if path else 0 :]
    counts = ((_(name), format_number(int(metrics.get(key, _ZERO)))) for name, key in shown)
    fields([(_("of"), path or store), *counts])
    return 0


def _get(api: Api, store: str, path: str) -> Json:
    kind = {0: "DICOMStore", 1: "Study", 2: "Series"}[len(path.split("/")) // 2 if path else 0]
    return api.get(f"{store}{path and f'/dicomWeb/{path}'}:get{kind}Metrics")


def _show_dataset(api: Api, dataset: DatasetName, as_json: bool) -> int:
    """One row for each store. The API counts stores, not datasets: their sum is made here."""
    metrics = []
    for store in api.list(f"{dataset}/dicomStores"):
        try:
            metrics.append(_get(api, store["name"], ""))
        except NotFound:
            note(_("{name} was deleted meanwhile").format(name=store["name"]))
    if as_json:
        say_json(metrics)
        return 0
    counts = [[int(each.get(key, _ZERO)) for key in _COUNTS.values()] for each in metrics]
    names = [each["name"].rpartition("/")[2] for each in metrics]
    sums = [sum(column) for column in zip(*counts, strict=True)] or [0] * len(_COUNTS)
    head = (_("STORE"), *(_(name).upper() for name in _COUNTS))
    rows = [
        [name, *map(format_number, row)] for name, row in zip(chain(names, (_("all"),)), (*counts, sums), strict=True)
    ]
    table(head, rows, right=head[1:])
    return 0
