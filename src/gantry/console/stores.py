"""DICOM stores: what one holds, making, changing and deleting them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gantry.api.effects import list_without_effect
from gantry.api.viewer import is_installed
from gantry.console.charts import Point, line_chart
from gantry.console.deleting import ask, confirmed
from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.errors import InvalidArgument, StatusError
from gantry.resources import Growth

_DAY = 86_400


def overview(view: View) -> Response:
    """Metrics, with how the store has grown."""
    name = view.store
    store = view.api.get(str(name))
    metrics = view.api.get(f"{name}:getDICOMStoreMetrics")
    grown = view.context.seams.index.metrics.list_growth(name)
    return view.show(
        "store.html",
        crumbs=crumbs_of(name),
        name=name,
        store=store,
        metrics={key: int(value) for key, value in metrics.items() if key != "name"},
        classes=_by_class(grown),
        modalities=view.context.seams.index.metrics.list_modalities(name),
        chart=_chart(grown),
        tab="overview",
        kept=list_without_effect(store),
        with_viewer=is_installed(view.context.viewer),
    )


def _by_class(grown: list[Growth]) -> list[tuple[str, int, int]]:
    sums: dict[str, list[int]] = {}
    for each in grown:
        held = sums.setdefault(each.storage_class, [0, 0])
        held[0] += each.instances
        held[1] += each.blob_bytes
    return [(name, count, size) for name, (count, size) in sorted(sums.items()) if count]


def _chart(grown: list[Growth]) -> str:
    """Instances over the days, from none on the day before the first."""
    days: dict[int, int] = {grown[0].day - 1: 0} if grown else {}
    total = 0
    for each in grown:
        total += each.instances
        days[each.day] = total
    points = [Point(day * _DAY, count) for day, count in days.items()]
    return line_chart(points, "Instances") if len(points) > 1 else ""


def create_form(view: View, error: StatusError | None = None) -> Response:
    view.api.get(str(view.dataset))
    return view.show(
        "store_create.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(view.dataset), Crumb("Create data store", "")),
        name=view.dataset,
        given={"store": "", "labels": ""} | view.form,
        error=error,
    )


def create(view: View) -> Response:
    store = view.form.get("store", "").strip()
    try:
        body = {"labels": _labels(view.form.get("labels", ""))}
        view.api.send("POST", f"{view.dataset}/dicomStores", body, {"dicomStoreId": store})
    except StatusError as error:
        return create_form(view, error)
    return view.go(address_of(f"{view.dataset}/dicomStores/{store}"))


def _labels(text: str) -> dict[str, str]:
    """``key=value``, one on a line. Raises InvalidArgument."""
    found: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals or key.strip() in found:
            raise InvalidArgument(f"labels: {line[:100]!r} is not a new KEY=VALUE")
        found[key.strip()] = value.strip()
    return found


def edit_form(view: View, error: StatusError | None = None) -> Response:
    store = view.api.get(str(view.store))
    labels = "\n".join(f"{key}={value}" for key, value in store.get("labels", {}).items())
    return view.show(
        "store_edit.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(view.store), Crumb("Edit", "")),
        name=view.store,
        given={"labels": labels} | view.form,
        error=error,
    )


def edit(view: View) -> Response:
    try:
        body = {"labels": _labels(view.form.get("labels", ""))}
        view.api.send("PATCH", str(view.store), body, {"updateMask": "labels"})
    except StatusError as error:
        return edit_form(view, error)
    return view.go(address_of(view.store))


def delete_form(view: View, error: StatusError | None = None) -> Response:
    name = view.store
    metrics: dict[str, Any] = view.api.get(f"{name}:getDICOMStoreMetrics")
    held = int(metrics.get("instanceCount", 0)), int(metrics.get("blobStorageSizeBytes", 0))
    return ask(view, "DICOM store", name.store, address_of(name), crumbs_of(name), held, error)


def delete(view: View) -> Response:
    try:
        confirmed(view, view.store.store)
        view.api.send("DELETE", str(view.store))
    except StatusError as error:
        return delete_form(view, error)
    return view.go(address_of(view.dataset))
