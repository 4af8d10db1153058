"""Datasets: list, create, edit and delete them; the list of their data stores."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from starlette.responses import Response

from gantry.api.methods import LIST_DATASETS
from gantry.api.resources import list_time_zones
from gantry.console.attention import list_matters
from gantry.console.deleting import DATASET, describe_deleted, require_confirmation, show_question
from gantry.console.first_page import list_cards, list_running
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.visible import PAGE, list_visible
from gantry.errors import StatusError
from gantry.languages import _
from gantry.names import DatasetName, DicomStoreName, check_segments

_PROJECT, _LOCATION = "gantry", "us-central1"  # as in the command line


def list_datasets(call: PageCall, error: StatusError | None = None) -> Response:
    """The page *Datasets*: those that the caller may see, of all projects and locations, and the DICOM stores that they
    may see of the others."""
    after = call.query.get("after", "").split("/")
    last = DicomStoreName(*after) if len(after) == 4 else DatasetName(*after) if len(after) == 3 else None
    with call.api.use(LIST_DATASETS, ()):
        found = list_visible(call, last)
    is_first = last is None
    return call.show(
        "datasets.html",
        200 if error is None else error.http,
        error=error,
        given={"dataset": "", "store": ""} | call.form,
        found=found,
        more="/".join(astuple(found.end)) if found.end else "",
        is_first=is_first,
        matters=list_matters(call) if is_first else (),
        running=list_running(call) if is_first else (),
        cards=list_cards(call) if is_first else (),
    )


def list_stores(call: PageCall) -> Response:
    """The tab *Data stores* of a dataset."""
    name = call.dataset
    dataset = call.api.get(str(name))
    query = {"pageSize": str(PAGE)} | ({"pageToken": call.query["page"]} if call.query.get("page") else {})
    answer = call.api.get(f"{name}/dicomStores", **query)
    sizes = call.context.seams.index.metrics.list_store_sizes(name)
    rows = [_row(name, item, sizes) for item in answer.get("dicomStores", ())]
    more = answer.get("nextPageToken", "")
    return call.show("stores.html", crumbs=crumbs_of(name), name=name, dataset=dataset, rows=rows, more=more)


def _row(parent: DatasetName, item: dict[str, Any], sizes: dict[str, tuple[int, int]]) -> dict[str, Any]:
    store = item["name"].rpartition("/")[2]
    name = DicomStoreName(parent.project, parent.location, parent.dataset, store)
    instances, size = sizes.get(store, (0, 0))
    return {"name": name, "labels": item.get("labels", {}), "instances": instances, "bytes": size}


def show_create_form(call: PageCall, error: StatusError | None = None) -> Response:
    given = {"project": _PROJECT, "location": _LOCATION, "dataset": "", "time_zone": ""} | call.form
    return call.show(
        "dataset_create.html",
        200 if error is None else error.http,
        crumbs=(Crumb(_("Create dataset"), ""),),
        given=given,
        error=error,
        locations=sorted(call.context.locations),
        zones=sorted(list_time_zones()),
    )


def create(call: PageCall) -> Response:
    form = call.form
    name = DatasetName(form.get("project", "").strip(), form.get("location", ""), form.get("dataset", "").strip())
    body = {"timeZone": form["time_zone"]} if form.get("time_zone") else {}
    try:
        check_segments(name.project, name.location)
        parent = f"projects/{name.project}/locations/{name.location}"
        call.api.send("POST", f"{parent}/datasets", body, {"datasetId": name.dataset})
    except StatusError as error:
        return show_create_form(call, error)
    return call.go(address_of(name))


def begin(call: PageCall) -> Response:
    """A dataset and a store in one step, and then what they are for: an import, or an upload."""
    form = call.form
    name = DatasetName(_PROJECT, _LOCATION, form.get("dataset", "").strip())
    store = form.get("store", "").strip()
    try:
        call.api.send("POST", f"projects/{_PROJECT}/locations/{_LOCATION}/datasets", {}, {"datasetId": name.dataset})
        call.api.send("POST", f"{name}/dicomStores", {}, {"dicomStoreId": store})
    except StatusError as error:
        return list_datasets(call, error)
    return call.go(f"{address_of(f'{name}/dicomStores/{store}')}/{'upload' if 'upload' in form else 'import'}")


def show_edit_form(call: PageCall, error: StatusError | None = None) -> Response:
    dataset = call.api.get(str(call.dataset))
    return call.show(
        "dataset_edit.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.dataset), Crumb(_("Edit"), "")),
        name=call.dataset,
        given={"time_zone": dataset.get("timeZone", "")} | call.form,
        error=error,
        zones=sorted(list_time_zones()),
    )


def edit(call: PageCall) -> Response:
    try:
        body = {"timeZone": call.form.get("time_zone", "")}
        call.api.send("PATCH", str(call.dataset), body, {"updateMask": "timeZone"})
    except StatusError as error:
        return show_edit_form(call, error)
    return call.go(address_of(call.dataset))


def show_delete_form(call: PageCall, error: StatusError | None = None) -> Response:
    name = call.dataset
    return show_question(call, DATASET, name.dataset, address_of(name), crumbs_of(name), _count_held(call), error)


def _count_held(call: PageCall) -> tuple[int, int]:
    call.api.get(str(call.dataset))
    sizes = call.context.seams.index.metrics.list_store_sizes(call.dataset).values()
    return sum(count for count, _size in sizes), sum(size for _count, size in sizes)


def delete(call: PageCall) -> Response:
    try:
        require_confirmation(call, call.dataset.dataset)
        held = _count_held(call)
        call.api.send("DELETE", str(call.dataset))
    except StatusError as error:
        return show_delete_form(call, error)
    return call.go("", describe_deleted(DATASET, call.dataset.dataset, held))
