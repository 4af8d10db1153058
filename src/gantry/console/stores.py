"""DICOM stores: their contents; create, edit and delete them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

from markupsafe import Markup
from starlette.responses import Response

from gantry.api.effects import list_without_effect
from gantry.api.stream_configs import covers_table
from gantry.api.viewer import is_installed
from gantry.console.charts import Point, draw_line_chart
from gantry.console.deleting import STORE, describe_deleted, require_confirmation, show_question
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import _
from gantry.resources import Growth

_DAY, _EPOCH = 86_400, date(1970, 1, 1)
_LEAST_DAYS = 3  # of a chart: fewer are no line
_SHOWN, _SHOWN_DAYS = 20, 60  # modalities shown unfolded, days in the table


def show_store(call: PageCall) -> Response:
    """The tab *Overview*: metrics and growth."""
    name, seams = call.store, call.context.seams
    store = call.api.get(str(name))
    metrics = call.api.get(f"{name}:getDICOMStoreMetrics")
    grown = call.context.seams.index.metrics.list_growth(name)
    days = list_days(grown)
    return call.show(
        "store.html",
        crumbs=crumbs_of(name),
        name=name,
        store=store,
        metrics={key: int(value) for key, value in metrics.items() if key != "name"},
        classes=_by_class(grown),
        modalities=call.context.seams.index.metrics.list_modalities(name),
        chart=draw_growth(days, datetime.now(UTC).date()),
        days=days[::-1][:_SHOWN_DAYS],
        shown=_SHOWN,
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


class Day(NamedTuple):
    """What a store gained on a day, and what it held at its end."""

    day: date
    change: int
    total: int


def list_days(grown: list[Growth]) -> list[Day]:
    """The days on which something changed, the first one first."""
    changes: dict[int, int] = {}
    for each in grown:
        changes[each.day] = changes.get(each.day, 0) + each.instances
    totals = accumulate(changes.values())
    return [
        Day(_EPOCH + timedelta(day), change, total)
        for (day, change), total in zip(changes.items(), totals, strict=True)
    ]


def draw_growth(days: list[Day], today: date) -> Markup | str:
    """Instances over time in steps, since nobody knows how they came within a day; "" for less than three days."""
    if len(days) < _LEAST_DAYS:
        return ""
    points, before = [Point(_seconds(days[0].day - timedelta(1)), 0)], 0
    for each in days:
        points += [Point(_seconds(each.day), before), Point(_seconds(each.day), each.total)]
        before = each.total
    return draw_line_chart([*points, Point(_seconds(max(today, days[-1].day) + timedelta(1)), before)], _("Instances"))


def _seconds(day: date) -> float:
    return (day - _EPOCH).days * _DAY


def show_create_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.dataset))
    return call.show(
        "store_create.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.dataset), Crumb(_("Create data store"), "")),
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
            text = _("labels: “{line}” is not KEY=VALUE, or repeats a key")
            raise Refused(text.format(line=line[:100]))
        labels[key.strip()] = value.strip()
    return labels


def show_edit_form(call: PageCall, error: StatusError | None = None) -> Response:
    store = call.api.get(str(call.store))
    labels = "\n".join(f"{key}={value}" for key, value in store.get("labels", {}).items())
    return call.show(
        "store_edit.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb(_("Edit"), "")),
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
    return show_question(call, STORE, name.store, address_of(name), crumbs_of(name), _count_held(call), error)


def _count_held(call: PageCall) -> tuple[int, int]:
    metrics: dict[str, Any] = call.api.get(f"{call.store}:getDICOMStoreMetrics")
    return int(metrics.get("instanceCount", 0)), int(metrics.get("blobStorageSizeBytes", 0))


def delete(call: PageCall) -> Response:
    try:
        require_confirmation(call, call.store.store)
        held = _count_held(call)
        call.api.send("DELETE", str(call.store))
    except StatusError as error:
        return show_delete_form(call, error)
    return call.go(address_of(call.dataset), describe_deleted(STORE, call.store.store, held))
