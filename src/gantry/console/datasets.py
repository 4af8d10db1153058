"""Datasets: their list, their data stores, making, changing and deleting them."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from starlette.responses import Response

from gantry.api.methods import LIST_DATASETS
from gantry.console.deleting import ask, confirmed
from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.errors import StatusError
from gantry.names import DatasetName, DicomStoreName, check_segments

PAGE = 100
_LOOKED_AT = 5000
_PROJECT, _LOCATION = "gantry", "us-central1"


def listed(view: View) -> Response:
    """Those that the caller may see, of all projects and locations."""
    after = view.query.get("after", "").split("/")
    last = DatasetName(*after) if len(after) == 3 else None
    with view.api.use(LIST_DATASETS, ()):
        names, end = _visible(view, last)
    more = f"{end.project}/{end.location}/{end.dataset}" if end else ""
    return view.show("datasets.html", names=names, more=more, begun=last is not None)


def _visible(view: View, last: DatasetName | None) -> tuple[list[DatasetName], DatasetName | None]:
    """A page of those that the caller may see, and the last one looked at where there may be more.

    One page looks at a bounded number: whoever may see few of very many is not answered after a minute.
    """
    names: list[DatasetName] = []
    for _ in range(_LOOKED_AT // PAGE):
        found = view.context.seams.index.resources.list_dataset_names(PAGE + 1, last)
        for name in found[:PAGE]:
            if len(names) == PAGE:
                return names, last
            names += [name] if view.may("datasets.get", name) else []
            last = name
        if len(found) <= PAGE:
            return names, None
    return names, last


def stores(view: View) -> Response:
    """The tab *Data stores* of a dataset."""
    name = view.dataset
    dataset = view.api.get(str(name))
    query = {"pageSize": str(PAGE)} | ({"pageToken": view.query["page"]} if view.query.get("page") else {})
    found = view.api.get(f"{name}/dicomStores", **query)
    sizes = view.context.seams.index.metrics.list_store_sizes(name)
    rows = [_row(name, item, sizes) for item in found.get("dicomStores", ())]
    more = found.get("nextPageToken", "")
    return view.show(
        "stores.html", crumbs=crumbs_of(name), name=name, dataset=dataset, rows=rows, more=more, tab="stores"
    )


def _row(parent: DatasetName, item: dict[str, Any], sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
    store = item["name"].rpartition("/")[2]
    name = DicomStoreName(parent.project, parent.location, parent.dataset, store)
    instances, size = sizes.get(store, (0, 0))
    return {"name": name, "labels": item.get("labels", {}), "instances": instances, "bytes": size}


def create_form(view: View, error: StatusError | None = None) -> Response:
    given = {"project": _PROJECT, "location": _LOCATION, "dataset": "", "time_zone": ""} | view.form
    return view.show(
        "dataset_create.html",
        200 if error is None else error.http,
        crumbs=(Crumb("Create dataset", ""),),
        given=given,
        error=error,
        locations=sorted(view.context.locations),
        zones=sorted(available_timezones()),
    )


def create(view: View) -> Response:
    form = view.form
    name = DatasetName(form.get("project", "").strip(), form.get("location", ""), form.get("dataset", "").strip())
    body = {"timeZone": form["time_zone"]} if form.get("time_zone") else {}
    try:
        check_segments(name.project, name.location)
        parent = f"projects/{name.project}/locations/{name.location}"
        view.api.send("POST", f"{parent}/datasets", body, {"datasetId": name.dataset})
    except StatusError as error:
        return create_form(view, error)
    return view.go(address_of(name))


def edit_form(view: View, error: StatusError | None = None) -> Response:
    dataset = view.api.get(str(view.dataset))
    return view.show(
        "dataset_edit.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(view.dataset), Crumb("Edit", "")),
        name=view.dataset,
        given={"time_zone": dataset.get("timeZone", "")} | view.form,
        error=error,
        zones=sorted(available_timezones()),
    )


def edit(view: View) -> Response:
    try:
        body = {"timeZone": view.form.get("time_zone", "")}
        view.api.send("PATCH", str(view.dataset), body, {"updateMask": "timeZone"})
    except StatusError as error:
        return edit_form(view, error)
    return view.go(address_of(view.dataset))


def delete_form(view: View, error: StatusError | None = None) -> Response:
    name = view.dataset
    view.api.get(str(name))
    sizes = view.context.seams.index.metrics.list_store_sizes(name).values()
    held = sum(count for count, _ in sizes), sum(size for _, size in sizes)
    return ask(view, "dataset", name.dataset, address_of(name), crumbs_of(name), held, error)


def delete(view: View) -> Response:
    try:
        confirmed(view, view.dataset.dataset)
        view.api.send("DELETE", str(view.dataset))
    except StatusError as error:
        return delete_form(view, error)
    return view.go("")
