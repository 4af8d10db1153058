"""*Storage class*: of one study, series or instance, of ticked studies, or of all that a search finds."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gantry.console import picking
from gantry.console.filter_files import list_buckets, name_studies, read_destination, write_filter
from gantry.console.finding import name_parameters
from gantry.console.operations import go_to_operation
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.studies import count_held, crumbs_of_path
from gantry.errors import StatusError
from gantry.languages import _
from gantry.queries import StudyTotals
from gantry.resources import BlobStorageClass

_PERMISSION = "dicomStores.dicomWebWrite"


def show_form(call: PageCall, error: StatusError | None = None) -> Response:
    """Of the studies that the address names. Raises InvalidArgument where nothing is chosen."""
    picked = picking.read_picked(call)
    return _show(
        call,
        error,
        crumbs=(*crumbs_of(call.store), Crumb(_("Storage class"), "")),
        totals=picking.count(call, picked),
        studies=picked.uids,
        search=picked.search or {},
        buckets=list_buckets(call, "write"),
        here=f"{address_of(call.store)}/storage-class",
        back=f"{address_of(call.store)}/studies",
    )


def show_form_below(call: PageCall, error: StatusError | None = None) -> Response:
    """Of a study, a series or an instance."""
    here = address_of(f"{call.store}/{call.path}")
    instances, _bytes = count_held(call)
    return _show(
        call,
        error,
        crumbs=(*crumbs_of_path(call), Crumb(_("Storage class"), "")),
        totals=StudyTotals(0 if call.path.series else 1, 0, instances),
        studies=(),
        search={},
        buckets=None,
        here=f"{here}/storage-class",
        back=here,
    )


def _show(call: PageCall, error: StatusError | None, **values: Any) -> Response:
    given = {"storage_class": "", "bucket": "", "prefix": ""} | call.form
    status = 200 if error is None else error.http
    return call.show(
        "storage_class.html",
        status,
        classes=[each.value for each in BlobStorageClass],
        parameters=name_parameters(),
        given=given,
        error=error,
        **values,
    )


def change(call: PageCall) -> Response:
    """Write the studies into a filter file, and start the operation."""
    try:
        picked, destination = picking.read_picked(call), read_destination(call.form)
        lines = name_studies(picking.list_uids(call, picked))
        uri = write_filter(call, _PERMISSION, destination, lines)
        body = _body(call) | {"filterConfig": {"resourcePathsGcsUri": uri}}
        answer = call.api.send("POST", f"{call.store}:setBlobStorageSettings", body)
    except StatusError as error:
        return show_form(call, error)
    return go_to_operation(call, answer)


def change_below(call: PageCall) -> Response:
    try:
        path = f"{call.store}/dicomWeb/{call.path}:setBlobStorageSettings"
        answer = call.api.send("POST", path, _body(call))
    except StatusError as error:
        return show_form_below(call, error)
    return go_to_operation(call, answer)


def _body(call: PageCall) -> dict[str, Any]:
    return {"blobStorageSettings": {"blobStorageClass": call.form.get("storage_class", "")}}
