"""Schemas of the discovery document: requests from their message classes, answers from one table."""

from __future__ import annotations

import types
from itertools import chain
from typing import Any, Union, get_args, get_origin

from gantry.api import iam, wire
from gantry.api.messages import Json, Message

_EMPTY = "Empty"
# Method → its request ("" for none) and its answer. All others have HttpBody.
BODIES: dict[str, tuple[str, str]] = {
    "get": ("", "Location"),
    "list": ("", "ListLocationsResponse"),
    "datasets.create": ("Dataset", "Operation"),
    "datasets.list": ("", "ListDatasetsResponse"),
    "datasets.get": ("", "Dataset"),
    "datasets.patch": ("Dataset", "Dataset"),
    "datasets.delete": ("", _EMPTY),
    "datasets.operations.get": ("", "Operation"),
    "datasets.operations.list": ("", "ListOperationsResponse"),
    "datasets.operations.cancel": ("CancelOperationRequest", _EMPTY),
    "datasets.dicomStores.create": ("DicomStore", "DicomStore"),
    "datasets.dicomStores.list": ("", "ListDicomStoresResponse"),
    "datasets.dicomStores.get": ("", "DicomStore"),
    "datasets.dicomStores.patch": ("DicomStore", "DicomStore"),
    "datasets.dicomStores.delete": ("", _EMPTY),
    "datasets.dicomStores.import": ("ImportDicomDataRequest", "Operation"),
    "datasets.dicomStores.export": ("ExportDicomDataRequest", "Operation"),
    "datasets.dicomStores.setBlobStorageSettings": ("SetBlobStorageSettingsRequest", "Operation"),
    "datasets.dicomStores.getDICOMStoreMetrics": ("", "DicomStoreMetrics"),
    "datasets.dicomStores.dicomWeb.studies.getStudyMetrics": ("", "StudyMetrics"),
    "datasets.dicomStores.dicomWeb.studies.setBlobStorageSettings": ("SetBlobStorageSettingsRequest", "Operation"),
    "datasets.dicomStores.dicomWeb.studies.series.getSeriesMetrics": ("", "SeriesMetrics"),
    "datasets.dicomStores.dicomWeb.studies.series.instances.getStorageInfo": ("", "StorageInfo"),
    "datasets.dicomStores.storeInstances": ("HttpBody", "HttpBody"),
    "datasets.dicomStores.studies.storeInstances": ("HttpBody", "HttpBody"),
    "datasets.dicomStores.updateInstances": ("HttpBody", "HttpBody"),
    "datasets.dicomStores.studies.updateInstances": ("HttpBody", "HttpBody"),
    "datasets.dicomStores.studies.series.instances.updateMetadata": ("HttpBody", "HttpBody"),
    "datasets.dicomStores.studies.updateMetadata": ("HttpBody", "Operation"),
    "datasets.dicomStores.studies.series.updateMetadata": ("HttpBody", "Operation"),
    "datasets.dicomStores.studies.delete": ("", "Operation"),
    "datasets.dicomStores.studies.series.delete": ("", "Operation"),
    "datasets.dicomStores.studies.series.instances.delete": ("", _EMPTY),
}
for _kind in ("datasets", "datasets.dicomStores"):
    BODIES[f"{_kind}.getIamPolicy"] = ("", "Policy")
    BODIES[f"{_kind}.setIamPolicy"] = ("SetIamPolicyRequest", "Policy")
    BODIES[f"{_kind}.testIamPermissions"] = ("TestIamPermissionsRequest", "TestIamPermissionsResponse")
_STRING: Json = {"type": "string"}
_ANYTHING: Json = {"type": "object", "additionalProperties": {"type": "any"}}
_INT64: Json = {"type": "string", "format": "int64"}
_SIZES: Json = {"structuredStorageSizeBytes": _INT64, "blobStorageSizeBytes": _INT64}


def _list_of(field: str, schema: str) -> Json:
    return {field: {"type": "array", "items": {"$ref": schema}}, "nextPageToken": _STRING}


# Messages that are only in answers, field by field.
_ANSWERS: dict[str, Json] = {
    "Empty": {},
    "Location": {"name": _STRING, "locationId": _STRING, "displayName": _STRING},
    "ListLocationsResponse": _list_of("locations", "Location"),
    "ListDatasetsResponse": _list_of("datasets", "Dataset"),
    "ListDicomStoresResponse": _list_of("dicomStores", "DicomStore"),
    "ListOperationsResponse": _list_of("operations", "Operation"),
    "Operation": {
        "name": _STRING,
        "metadata": _ANYTHING,
        "done": {"type": "boolean"},
        "error": {"$ref": "Status"},
        "response": _ANYTHING,
    },
    "Status": {
        "code": {"type": "integer", "format": "int32"},
        "message": _STRING,
        "details": {"type": "array", "items": _ANYTHING},
    },
    "TestIamPermissionsResponse": {"permissions": {"type": "array", "items": _STRING}},
    "HttpBody": {"contentType": _STRING, "data": {"type": "string", "format": "byte"}},
    "DicomStoreMetrics": {"name": _STRING, "studyCount": _INT64, "seriesCount": _INT64, "instanceCount": _INT64}
    | _SIZES,
    "StudyMetrics": {"study": _STRING, "seriesCount": _INT64, "instanceCount": _INT64} | _SIZES,
    "SeriesMetrics": {"series": _STRING, "instanceCount": _INT64} | _SIZES,
    "StorageInfo": {"referencedResource": _STRING, "blobStorageInfo": _ANYTHING, "structuredStorageInfo": _ANYTHING},
}


def schemas() -> dict[str, Json]:
    """Every schema by name."""
    members = vars(wire).values(), vars(iam).values()
    models = [each for each in chain(*members) if isinstance(each, type) and issubclass(each, Message)]
    by_name = {_name(each): _object(each) for each in models if each is not Message}
    by_name |= {name: {"type": "object", "properties": fields} for name, fields in _ANSWERS.items()}
    return {name: {"id": name} | schema for name, schema in sorted(by_name.items())}


def _name(model: type[Message]) -> str:
    return model.__name__.removesuffix("Body")


def _object(model: type[Message]) -> Json:
    fields = {
        field.serialization_alias or field.alias or name: _type(field.annotation)
        for name, field in model.model_fields.items()
    }
    return {"type": "object", "properties": fields}


def _type(annotation: Any) -> Json:
    """The schema of a field; of several types the first is used."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _type(inner[0])
    if origin is list:
        return {"type": "array", "items": _type(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1])}
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return {"$ref": _name(annotation)}
    simple: dict[Any, Json] = {str: _STRING, bool: {"type": "boolean"}, int: {"type": "integer", "format": "int32"}}
    return simple.get(annotation, {"type": "any"})
