"""Storage classes, metrics and deletion below a DICOM store."""

from __future__ import annotations

from typing import Any

from gantry.api.call import Call
from gantry.api.messages import Json, read_request
from gantry.api.operations import read_filter_uri, read_storage_class, start_operation
from gantry.api.wire import (
    SetBlobStorageSettingsRequest,
    metrics_json,
    operation_json,
    storage_info_json,
)
from gantry.errors import invalid_field
from gantry.resources import Method

_UNSPECIFIED = (None, 0, "", "BLOB_STORAGE_CLASS_UNSPECIFIED")


def set_by_filter(call: Call) -> Json:
    """A store needs a filter: an omitted field must not change a whole store."""
    request = read_request(SetBlobStorageSettingsRequest, call.body, resource=call.dicom_store)
    chosen = _read_required_class(request)
    if request.filter_config is None:
        raise invalid_field(
            "filterConfig", "is required on a DICOM store: a file that names studies, series or instances"
        )
    filter_uri = read_filter_uri(call, request.filter_config.resource_paths_gcs_uri or "")
    return _set(call, {"storage_class": chosen, "filter_uri": filter_uri})


def set_below(call: Call) -> Json:
    """A study, a series or an instance. Raises NotFound before an operation exists."""
    request = read_request(SetBlobStorageSettingsRequest, call.body, resource=_spellings(call))
    chosen = _read_required_class(request)
    if request.filter_config is not None:
        raise invalid_field("filterConfig", "is for DICOM stores; this path already names the instances")
    call.context.seams.index.instances.require(call.dicom_store, call.path)
    return _set(call, {"storage_class": chosen, "path": list(call.path)})


def get_info(call: Call) -> Json:
    info = call.context.seams.index.instances.get_storage_info(call.dicom_store, call.path)
    return storage_info_json(_resource(call), info)


def get_dicom_store_metrics(call: Call) -> Json:
    metrics = call.context.seams.index.metrics.get_metrics(call.dicom_store)
    return metrics_json({"name": str(call.dicom_store)}, metrics, ("study", "series"))


def get_study_metrics(call: Call) -> Json:
    metrics = call.context.seams.index.metrics.get_metrics(call.dicom_store, call.path)
    return metrics_json({"study": _resource(call)}, metrics, ("series",))


def get_series_metrics(call: Call) -> Json:
    metrics = call.context.seams.index.metrics.get_metrics(call.dicom_store, call.path)
    return metrics_json({"series": _resource(call)}, metrics, ())


def delete_study(call: Call) -> Json:
    return _delete(call, Method.DELETE_STUDY)


def delete_series(call: Call) -> Json:
    return _delete(call, Method.DELETE_SERIES)


def delete_instance(call: Call) -> Json:
    call.context.seams.index.deletion.delete_instance(call.dicom_store, call.path)
    call.context.sweep()
    return {}


def _delete(call: Call, method: Method) -> Json:
    """The answer is a finished operation: nothing finds the study any more; its rows and bytes are removed later."""
    operation = call.context.seams.index.deletion.delete_below(call.dicom_store, call.path, call.version, method)
    call.context.sweep()
    return operation_json(operation, call.public_url)


def _set(call: Call, request: dict[str, Any]) -> Json:
    return start_operation(call, Method.SET_BLOB_STORAGE_SETTINGS, request)


def _read_required_class(request: SetBlobStorageSettingsRequest) -> str:
    settings = request.blob_storage_settings
    value = None if settings is None else settings.blob_storage_class
    if value in _UNSPECIFIED:
        raise invalid_field("blobStorageSettings.blobStorageClass", "is required: the new class")
    return read_storage_class(value)


def _spellings(call: Call) -> tuple[str, ...]:
    """A path may have a slash before its verb, as in samples of the API's storage class page; so may the field."""
    return _resource(call), f"{_resource(call)}/"


def _resource(call: Call) -> str:
    return f"{call.dicom_store}/dicomWeb/{call.path}"
