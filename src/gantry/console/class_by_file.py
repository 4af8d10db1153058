"""*Change storage class*: of the instances that a filter file names."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from gantry.console.operations import go_to_operation
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import _
from gantry.resources import BlobStorageClass


def show_form(call: PageCall, error: StatusError | None = None) -> Response:
    call.api.get(str(call.store))
    return call.show(
        "class_by_file.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb(_("Storage class"), "")),
        name=call.store,
        here=f"{address_of(call.store)}/storage-class/file",
        classes=list(BlobStorageClass),
        given={"filter_uri": call.query.get("filter_uri", ""), "storage_class": ""} | call.form,
        error=error,
    )


def start(call: PageCall) -> Response:
    given = call.form
    try:
        if not given.get("storage_class"):
            raise Refused(_("choose the new storage class"))
        body: dict[str, Any] = {
            "filterConfig": {"resourcePathsGcsUri": given.get("filter_uri", "").strip()},
            "blobStorageSettings": {"blobStorageClass": given["storage_class"]},
        }
        answer: dict[str, Any] = call.api.send("POST", f"{call.store}:setBlobStorageSettings", body)
    except StatusError as error:
        return show_form(call, error)
    return go_to_operation(call, answer)
