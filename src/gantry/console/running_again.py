"""*Run again*: the same operation once more, or an import of those objects alone that have failed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gantry.api.inside import VERSION
from gantry.console.operations import find_operation, go_to_operation
from gantry.console.page_call import PageCall
from gantry.console.refusals import NotNow
from gantry.languages import _
from gantry.reasons import Reason
from gantry.resources import Method, Operation

_REPEATED = (Method.IMPORT_DICOM_DATA, Method.EXPORT_DICOM_DATA)


def can_run_again(value: Operation) -> bool:
    return value.done and value.store is not None and value.method in _REPEATED


def can_import_failed(value: Operation) -> bool:
    is_import = value.method is Method.IMPORT_DICOM_DATA and value.store is not None
    return value.done and is_import and value.counter.failure > 0


def run_again(call: PageCall) -> Response:
    """Raises FailedPrecondition for an operation that cannot be repeated."""
    value = find_operation(call)
    if not can_run_again(value):
        raise NotNow(_("only an import or export that has ended can be run again"))
    if "failures_of" in value.request:
        return _begin_import(call, value, value.request)
    verb = "import" if value.method is Method.IMPORT_DICOM_DATA else "export"
    return go_to_operation(call, call.api.send("POST", f"{value.store}:{verb}", _make_body(value)))


def _make_body(value: Operation) -> dict[str, Any]:
    """The body of the request that started an operation."""
    request = value.request
    if value.method is Method.IMPORT_DICOM_DATA:
        settings = {"blobStorageClass": request.get("storage_class", "STANDARD")}
        return {"gcsSource": {"uri": request["uri"]}, "blobStorageSettings": settings}
    if "uri_prefix" not in request:
        raise NotNow(_("an export of metadata to a table is started again from a program"))
    body: dict[str, Any] = {"gcsDestination": {"uriPrefix": request["uri_prefix"], "mimeType": request["mime_type"]}}
    if request.get("filter_uri"):
        body["filterConfig"] = {"resourcePathsGcsUri": request["filter_uri"]}
    return body


def import_failed(call: PageCall) -> Response:
    """Import what has failed, all of it or of one reason. Raises FailedPrecondition where nothing has."""
    value = find_operation(call)
    if not can_import_failed(value):
        raise NotNow(_("only what an import has failed on, when it has ended, can be imported again"))
    request = {name: value.request[name] for name in ("uri", "storage_class")} | {"failures_of": value.name.id}
    reason = call.form.get("reason", "")
    return _begin_import(call, value, request | ({"reason": reason} if reason in Reason.__members__ else {}))


def _begin_import(call: PageCall, value: Operation, request: dict[str, Any]) -> Response:
    with call.api.begin("POST", f"{value.store}:import"):
        begun = call.context.seams.index.operations.create_operation(
            call.dataset,
            VERSION,
            Method.IMPORT_DICOM_DATA,
            request,
            str(value.store),
            call.context.most_operations,
        )
        call.context.notify()
    return go_to_operation(call, {"name": str(begun.name)})
