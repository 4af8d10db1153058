"""Long-running operations: starting, reading, listing, cancelling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from gantry.api.call import Call
from gantry.api.destinations import check_destination_prefix
from gantry.api.filters import parse_terms
from gantry.api.messages import Json, enum_name, read_request
from gantry.api.paging import read_page
from gantry.api.tables import read_table
from gantry.api.wire import (
    CancelOperationRequest,
    ExportDicomDataRequest,
    GcsDestination,
    ImportDicomDataRequest,
    dump_message,
    operation_json,
)
from gantry.dicom.forms import DICOM, parse_form
from gantry.errors import InvalidArgument, Unimplemented, invalid_field
from gantry.operations.cancel import cancel
from gantry.resources import BlobStorageClass, Method, Operation
from gantry.storage.uris import BucketKind, StorageUri, UriPattern, parse_prefix

Read = TypeVar("Read")
Address = TypeVar("Address", StorageUri, UriPattern)


def import_dicom_data(call: Call) -> Json:
    """Checks the whole request before an operation exists. Raises InvalidArgument."""
    request = read_request(ImportDicomDataRequest, call.body, name=call.dicom_store)
    if request.gcs_source is None or not request.gcs_source.uri:
        raise invalid_field("gcsSource.uri", "is required: gs://BUCKET/OBJECT, wildcards allowed")
    pattern = read_address(call, "gcsSource.uri", UriPattern.parse, request.gcs_source.uri)
    settings = request.blob_storage_settings
    chosen = read_storage_class(None if settings is None else settings.blob_storage_class)
    return start_operation(call, Method.IMPORT_DICOM_DATA, {"uri": str(pattern), "storage_class": chosen})


def export_dicom_data(call: Call) -> Json:
    """Checks the whole request before an operation exists. Raises InvalidArgument, FailedPrecondition."""
    request = read_request(ExportDicomDataRequest, call.body, name=call.dicom_store)
    gcs, table = request.gcs_destination, request.bigquery_destination
    if gcs is not None and table is not None:
        raise invalid_field("bigqueryDestination", "gcsDestination is set too; set one of them")
    if table is not None:
        details = read_table(call, dump_message(table))
    elif gcs is not None and gcs.uri_prefix:
        details = _read_prefix(call, gcs)
    else:
        raise invalid_field(
            "gcsDestination.uriPrefix",
            "is required: gs://BUCKET or gs://BUCKET/DIRECTORY; or bigqueryDestination.tableUri",
        )
    if request.filter_config is not None:
        details["filter_uri"] = read_filter_uri(call, request.filter_config.resource_paths_gcs_uri or "")
    return start_operation(call, Method.EXPORT_DICOM_DATA, details)


def _read_prefix(call: Call, gcs: GcsDestination) -> dict[str, Any]:
    parse_form(gcs.mime_type or DICOM)
    prefix = read_address(call, "gcsDestination.uriPrefix", parse_prefix, gcs.uri_prefix or "")
    check_destination_prefix(call, prefix)
    return {"uri_prefix": str(prefix), "mime_type": gcs.mime_type or ""}


def get_operation(call: Call) -> Json:
    return _write(call, call.context.seams.index.operations.get_operation(call.operation))


def list_operations(call: Call) -> Json:
    """Newest first. ``filter``: ``done=true|false`` and ``metadata.apiMethodName=…``."""
    if call.query.get("returnPartialSuccess", "").lower() == "true":
        raise Unimplemented("leave returnPartialSuccess out, or set it to false: this server lists all or fails")
    text = call.query.get("filter", "")
    wanted = parse_terms(text, ("done", "metadata.apiMethodName"))
    done = wanted.get("done")
    if done not in (None, "true", "false"):
        raise invalid_field("filter", "done is true or false")
    method = wanted.get("metadata.apiMethodName")
    page = read_page(call.query, f"{call.dataset}?{text}")
    rows = call.context.seams.index.operations.list_operations(
        call.dataset,
        page.size + 1,
        before=page.after_number,
        done=None if done is None else done == "true",
        method=method and ".".join(method.split(".")[-3:]),
    )
    return page.answer("operations", rows, partial(_write, call), lambda row: str(row.name.id))


def _write(call: Call, value: Operation) -> Json:
    waiting = call.context.waiting(value.name.id)
    return operation_json(value, call.public_url, waiting, _is_through_network(call, value))


def _is_through_network(call: Call, value: Operation) -> bool:
    """Whether its bucket is one of a provider. Of a directory an operation says what Google's says, no more."""
    address = value.request.get("uri") or value.request.get("uri_prefix") or ""
    bucket = "/".join(address.split("/", 3)[:3])
    return bool(bucket) and call.context.seams.kind_of(bucket) is not BucketKind.DIRECTORY


def cancel_operation(call: Call) -> Json:
    read_request(CancelOperationRequest, call.body, name=f"{call.dataset}/operations/{call.ids[3]}")
    cancel(call.context.seams, call.operation)
    return {}


def start_operation(call: Call, method: Method, request: dict[str, Any]) -> Json:
    operation = call.context.seams.index.operations.create_operation(
        call.dataset, call.version, method, request, str(call.dicom_store), call.context.most_operations
    )
    call.context.notify()
    return {"name": str(operation.name)}


def read_storage_class(value: str | int | None) -> str:
    """The class by name or by number; absent means STANDARD."""
    names = ("BLOB_STORAGE_CLASS_UNSPECIFIED", *(item.value for item in BlobStorageClass))
    chosen = enum_name("blobStorageSettings.blobStorageClass", value or 0, names)
    return BlobStorageClass.STANDARD.value if chosen == names[0] else chosen


def read_field(field: str, parse: Callable[[str], Read], text: str) -> Read:
    """The value of a field, read by ``parse``. Raises InvalidArgument that names the field."""
    try:
        return parse(text)
    except InvalidArgument as error:
        raise invalid_field(field, error.message) from None


def read_address(call: Call, field: str, parse: Callable[[str], Address], text: str) -> Address:
    """The address in a field, of a bucket that the settings know. Raises InvalidArgument that names the field."""
    address = read_field(field, parse, text)
    if call.context.seams.kind_of(address.bucket) is BucketKind.UNKNOWN:
        raise invalid_field(
            field, f"the settings of this server name no bucket {address.bucket}; write gs://BUCKET/OBJECT"
        )
    return address


def read_filter_uri(call: Call, text: str) -> str:
    uri = read_address(call, "filterConfig.resourcePathsGcsUri", StorageUri.parse, text)
    if not uri.key or "*" in uri.key or "?" in uri.key:
        raise invalid_field("filterConfig.resourcePathsGcsUri", f"{text!r} must name one object: gs://BUCKET/FILE")
    return str(uri)
