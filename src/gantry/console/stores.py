"""DICOM stores: their contents; create, edit and delete them."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from gantry.api.effects import list_without_effect
from gantry.api.stream_configs import covers_table
from gantry.api.viewer import is_installed
from gantry.console.charts import Point, draw_line_chart
from gantry.console.deleting import require_confirmation, show_question
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.errors import InvalidArgument, StatusError
from gantry.resources import Growth

_DAY = 86_400


def show_store(call: PageCall) -> Response:
    """The tab *Overview*: metrics and growth."""
    name, seams = call.store, call.context.seams
    store = call.api.get(str(name))
    metrics = call.api.get(f"{name}:getDICOMStoreMetrics")
    grown = call.context.seams.index.metrics.list_growth(name)
    return call.show(
        "store.html",
        crumbs=crumbs_of(name),
        name=name,
        store=store,
        metrics={key: int(value) for key, value in metrics.items() if key != "name"},
        classes=_by_class(grown),
        modalities=call.context.seams.index.metrics.list_modalities(name),
        chart=_chart(grown),
        tab="overview",
        kept=list_without_effect(store, seams.publisher.covers, partial(covers_table, seams)),
        with_viewer=is_installed(call.context.viewer),
    )


def _by_class(grown: list[Growth]) -> list[tuple[str, int, int]]:
    sums: dict[str, list[int]] = {}
    for each in grown:
        held = sums.setdefault(each.storage_class, [0, 0])
        held[0] += each.instances
        held[1] += each.blob_bytes
    return [(name, count, size) for name, (count, size) in sorted(sums.items()) if count]


def _chart(grown: list[Growth]) -> str:
    """Instances by day, from 0 on the day before the first."""
    days: dict[int, int] = {grown[0].day - 1: 0} if grown else {}
    total = 0
    for each in grown:
        total += each.instances
        days[each.day] = total
    points = [Point(day * _DAY, count) for day, count in days.items()]
    return draw_line_chart(points, "Instances") if len(points) > 1 else ""


def show_create_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.dataset))
    return call.show(
        "store_create.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.dataset), Crumb("Create data store", "")),
        name=call.dataset,
        given={"store": "", "labels": ""} | call.form,
        error=error,
    )


def create(call: PageCall) -> Response:
    store = call.form.get("store", "").strip()
    try:
        body = {"labels": _labels(call.form.get("labels", ""))}
        call.api.send("POST", f"{call.dataset}/dicomStores", body, {"dicomStoreId": store})
    except StatusError as error:
        return show_create_form(call, error)
    return call.go(address_of(f"{call.dataset}/dicomStores/{store}"))


def _labels(text: str) -> dict[str, str]:
    """``key=value``, one on a line. Raises InvalidArgument."""
    labels: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals or key.strip() in labels:
            raise InvalidArgument(f"labels: {line[:100]!r} is not KEY=VALUE, or repeats a key")
        labels[key.strip()] = value.strip()
    return labels


def show_edit_form(call: PageCall, error: StatusError | None = None) -> Response:
    store = call.api.get(str(call.store))
    labels = "\n".join(f"{key}={value}" for key, value in store.get("labels", {}).items())
    return call.show(
        "store_edit.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb("Edit", "")),
        name=call.store,
        given={"labels": labels} | call.form,
        error=error,
    )


def edit(call: PageCall) -> Response:
    try:
        body = {"labels": _labels(call.form.get("labels", ""))}
        call.api.send("PATCH", str(call.store), body, {"updateMask": "labels"})
    except StatusError as error:
        return show_edit_form(call, error)
    return call.go(address_of(call.store))


def show_delete_form(call: PageCall, error: StatusError | None = None) -> Response:
    name = call.store
    metrics: dict[str, Any] = call.api.get(f"{name}:getDICOMStoreMetrics")
    held = int(metrics.get("instanceCount", 0)), int(metrics.get("blobStorageSizeBytes", 0))
    return show_question(call, "DICOM store", name.store, address_of(name), crumbs_of(name), held, error)


def delete(call: PageCall) -> Response:
    try:
        require_confirmation(call, call.store.store)
        call.api.send("DELETE", str(call.store))
    except StatusError as error:
        return show_delete_form(call, error)
    return call.go(address_of(call.dataset))
