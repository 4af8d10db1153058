"""Operations: how they are shown, and their list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from gantry.console.frame import make_frame
from gantry.console.operation_search import STATES, search
from gantry.console.page_call import PageCall, address_of, crumbs_of
from gantry.console.typed_dates import PRESETS
from gantry.errors import Code
from gantry.languages import N_, _
from gantry.names import OperationName, ResourcePath
from gantry.operation_state import State, state_of
from gantry.resources import Method, Operation, Waiting

PAGE, _STORES = 50, 200
_RECENT = 30.0  # seconds over which the rate is averaged, as on the command line
TITLES = {
    Method.IMPORT_DICOM_DATA: N_("Import"),
    Method.EXPORT_DICOM_DATA: N_("Export"),
    Method.CREATE_DATASET: N_("Create dataset"),
    Method.SET_BLOB_STORAGE_SETTINGS: N_("Change storage class"),
    Method.DELETE_STUDY: N_("Delete study"),
    Method.DELETE_SERIES: N_("Delete series"),
    Method.UPDATE_STUDY_METADATA: N_("Update study"),
    Method.UPDATE_SERIES_METADATA: N_("Update series"),
}
_KINDS = {Method.IMPORT_DICOM_DATA: "import", Method.EXPORT_DICOM_DATA: "export"}
_DONE = {
    Method.IMPORT_DICOM_DATA: N_("Imported"),
    Method.EXPORT_DICOM_DATA: N_("Instances exported"),
    Method.SET_BLOB_STORAGE_SETTINGS: N_("Changed"),
    Method.DELETE_STUDY: N_("Deleted"),
    Method.DELETE_SERIES: N_("Deleted"),
    Method.UPDATE_STUDY_METADATA: N_("Updated"),
    Method.UPDATE_SERIES_METADATA: N_("Updated"),
}
"""What has become of an object that did not fail. A dataset's creation has no objects."""


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown. ``kind`` is the icon: ok, running, partial, failed, cancelled."""

    kind: str
    word: str


_BADGES = {
    State.RUNNING: Badge("running", N_("Running")),
    State.WAITING: Badge("partial", N_("Waiting")),
    State.CANCELLING: Badge("running", N_("Cancelling")),
    State.SUCCEEDED: Badge("ok", N_("OK")),
    State.PARTIAL: Badge("partial", N_("Finished with errors")),
    State.FAILED: Badge("failed", N_("Failed")),
    State.CANCELLED: Badge("cancelled", N_("Cancelled")),
}


def badge_of(value: Operation, waits: bool = False) -> Badge:
    code = value.error.code if value.error else Code.OK
    badge = _BADGES[state_of(value.done, value.cancel_requested, code, value.counter.success, waits)]
    return Badge(badge.kind, _(badge.word))


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation in the list, or at the head of its page. ``percent`` and ``left`` are None while unknown."""

    value: Operation
    status: Badge
    title: str
    address: str
    subject: str
    seconds: float
    rate: float
    percent: float | None
    left: float | None
    waiting: Waiting | None = None

    @property
    def kind(self) -> str:
        """``import``, ``export``, or "" for others."""
        return _KINDS.get(self.value.method, "")

    @property
    def done_word(self) -> str:
        word = _DONE.get(self.value.method)
        return _(word) if word else ""

    @property
    def rest_word(self) -> str:
        return _("Not done") if self.value.done else _("Remaining")

    @property
    def waiting_seconds(self) -> float:
        return 0.0 if self.waiting is None else (datetime.now(UTC) - self.waiting.since).total_seconds()


def row_of(
    value: Operation, points: Sequence[tuple[datetime, int]] = (), waiting: Waiting | None = None
) -> OperationRow:
    counter = value.counter
    done, total = counter.success + counter.failure, counter.success + counter.failure + counter.pending
    seconds = ((value.end_time or datetime.now(UTC)) - value.create_time).total_seconds()
    rate = _rate(value, points, done, seconds)
    known = not value.done and total > 0
    return OperationRow(
        value,
        badge_of(value, waiting is not None),
        _(TITLES[value.method]),
        address_of(value.name),
        subject_of(value),
        seconds,
        rate,
        100 * done / total if known else None,
        counter.pending / rate if known and rate and counter.pending else None,
        None if value.done else waiting,
    )


def _rate(value: Operation, points: Sequence[tuple[datetime, int]], done: int, seconds: float) -> float:
    """Objects per second: over the last half minute while it runs, over all of it afterwards."""
    if not value.done and points:
        now = datetime.now(UTC)
        recent = [point for point in points if (now - point[0]).total_seconds() > _RECENT] or [(value.create_time, 0)]
        time, before = recent[-1]
        return max(done - before, 0) / max((now - time).total_seconds(), 0.1)
    return done / seconds if seconds > 0 else 0.0


def subject_of(value: Operation) -> str:
    """The path, source or destination of an operation."""
    request = value.request
    if "path" in request:
        return str(ResourcePath(*request["path"]))
    return str(request.get("uri") or request.get("uri_prefix") or request.get("filter_uri") or "")


# The list -------------------------------------------------------------------------------------------------------------


def list_operations(call: PageCall) -> Response:
    """The tab *Operations* of a dataset, the newest first: all, or those of a store, kind, state, or of some days."""
    call.api.get(f"{call.dataset}/operations", pageSize="1")  # raises what keeps the caller from seeing them
    found = search(call, PAGE)
    rows = [row_of(each, waiting=call.context.waiting(each.name.id)) for each in found.operations]
    return call.show(
        "operations.html",
        crumbs=crumbs_of(call.dataset),
        name=call.dataset,
        rows=rows,
        more=found.after,
        wanted=found.wanted,
        query=urlencode(found.wanted),
        error=found.error,
        kinds={method.name: _(title) for method, title in TITLES.items()},
        states={name: _(words) for name, words in STATES.items()},
        presets={name: _(words) for name, words in PRESETS.items()},
        stores=_list_stores(call),
        running=any(not row.value.done for row in rows),
    )


def _list_stores(call: PageCall) -> list[str]:
    if not call.may("dicomStores.list", call.dataset):
        return []
    listed = call.api.get(f"{call.dataset}/dicomStores", pageSize=str(_STORES))
    return [item["name"].rpartition("/")[2] for item in listed.get("dicomStores", ())]


def show_running(call: PageCall) -> Response:
    """The part of the head that says what is running."""
    place = call.query.get("at", "").split("/")
    return call.show("running.html", frame=make_frame(call.context, call.api, place))


# One of them ----------------------------------------------------------------------------------------------------------


def find_operation(call: PageCall) -> Operation:
    """Raises PermissionDenied, NotFound."""
    name = OperationName.parse(call.dataset, call.ids[3])
    call.api.get(str(name))
    return call.context.seams.index.operations.get_operation(name)


def cancel(call: PageCall) -> Response:
    name = OperationName.parse(call.dataset, call.ids[3])
    call.api.send("POST", f"{name}:cancel")
    return call.go(address_of(name))


def go_to_operation(call: PageCall, answer: dict[str, Any]) -> Response:
    """Redirect to the page of an operation that has just started."""
    return call.go(address_of(answer["name"]))
