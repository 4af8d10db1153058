"""Our values ↔ the API's JSON. All camelCase names and every ``@type`` are here.

``messages.py`` reads requests. Output leaves out fields with default values and writes 64-bit integers as strings.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pydantic import AliasChoices, Field, StrictInt

from gantry.api.messages import Json, Message
from gantry.counters import ProgressCounter, Transfer
from gantry.errors import Status
from gantry.languages import ENGLISH, _, language
from gantry.log_entries import LogEntry
from gantry.names import url_path
from gantry.reasons import ABOUT, DOMAIN, Reason
from gantry.resources import (
    Dataset,
    DicomStore,
    Failure,
    Method,
    Metrics,
    Operation,
    StorageInfo,
    Waiting,
)

_TYPES = "type.googleapis.com/"
_PACKAGE = "google.cloud.healthcare"
_EMPTY = (Method.SET_BLOB_STORAGE_SETTINGS, Method.DELETE_STUDY, Method.DELETE_SERIES)


class EncryptionSpec(Message):
    kms_key_name: str | None = None


class DatasetBody(Message):
    name: str | None = None
    time_zone: str | None = None
    encryption_spec: EncryptionSpec | None = None
    satisfies_pzi: bool | None = None
    satisfies_pzs: bool | None = None


class NotificationConfig(Message):
    pubsub_topic: str | None = None
    send_for_bulk_import: bool | None = None


class TopicConfig(Message):
    pubsub_topic: str


class SchemaFlattened(Message, extra="ignore"):
    """What an older version has stored in it is left out of answers; requests may hold no field."""


class SchemaJson(Message, extra="ignore"):
    """As ``SchemaFlattened``."""


class BigQueryDestination(Message):
    table_uri: str | None = None
    force: bool | None = None
    write_disposition: str | StrictInt | None = None
    include_source_store: bool | None = None
    schema_flattened: SchemaFlattened | None = None
    schema_as_json: SchemaJson | None = Field(
        None, validation_alias=AliasChoices("schemaJson", "schema_json"), serialization_alias="schemaJson"
    )
    change_data_capture_config: Json | None = None


class StreamConfig(Message):
    bigquery_destination: BigQueryDestination | None = None
    deidentified_store_destination: Json | None = None


class DicomStoreBody(Message):
    name: str | None = None
    labels: dict[str, str] | None = None
    notification_config: NotificationConfig | None = None
    notification_configs: list[TopicConfig] | None = None
    stream_configs: list[StreamConfig] | None = None


class GcsSource(Message):
    uri: str | None = None


class BlobStorageSettings(Message):
    blob_storage_class: str | StrictInt | None = None


class ImportDicomDataRequest(Message):
    gcs_source: GcsSource | None = None
    blob_storage_settings: BlobStorageSettings | None = None


class GcsDestination(Message):
    uri_prefix: str | None = None
    mime_type: str | None = None


class FilterConfig(Message):
    resource_paths_gcs_uri: str | None = None


class ExportDicomDataRequest(Message):
    gcs_destination: GcsDestination | None = None
    bigquery_destination: BigQueryDestination | None = None
    filter_config: FilterConfig | None = None


class SetBlobStorageSettingsRequest(Message):
    blob_storage_settings: BlobStorageSettings | None = None
    filter_config: FilterConfig | None = None


class CancelOperationRequest(Message):
    pass


def dump_message(message: Message) -> Json:
    """The fields that were set, in snake_case."""
    return message.model_dump(exclude_none=True)


def dataset_json(value: Dataset) -> Json:
    spec = {"kmsKeyName": value.kms_key_name} if value.kms_key_name else None
    return _without_defaults({"name": str(value.name), "timeZone": value.time_zone, "encryptionSpec": spec})


def dicom_store_json(value: DicomStore) -> Json:
    legacy = value.notification_config
    return _without_defaults(
        {
            "name": str(value.name),
            "labels": value.labels,
            "notificationConfig": None if legacy is None else _camel(NotificationConfig, legacy),
            "notificationConfigs": [_camel(TopicConfig, item) for item in value.notification_configs],
            "streamConfigs": [_camel(StreamConfig, item) for item in value.stream_configs],
        },
        keep=("notificationConfig",),
    )


def operation_json(
    value: Operation, public_url: str, waiting: Waiting | None = None, tells_transfer: bool = False
) -> Json:
    """An Operation; its types have the API version that started it, in answers of every version.

    ``transfer`` and ``waiting`` are fields of our own, which clients of the API ignore (docs/howto/operations.md).
    """
    package = f"{_PACKAGE}.{value.version}"
    metadata = _without_defaults(
        {
            "@type": f"{_TYPES}{package}.OperationMetadata",
            "apiMethodName": f"{package}.{value.method.value}",
            "createTime": timestamp(value.create_time),
            "endTime": None if value.end_time is None else timestamp(value.end_time),
            "logsUrl": f"{public_url}/logs/{url_path(value.name)}",
            "counter": counter_json(value.counter),
            "transfer": transfer_json(value.transfer) if tells_transfer else None,
            "cancelRequested": value.cancel_requested,
            "waiting": None if waiting is None or value.done else waiting_json(waiting),
        }
    )
    answer: Json = {"name": str(value.name), "metadata": metadata}
    if value.done:
        answer["done"] = True
        if value.error is None:
            answer["response"] = _response(value, package)
        else:
            answer["error"] = _error(value, value.error, package)
    return answer


def waiting_json(value: Waiting) -> Json:
    """What an operation waits for. Without ``nextAttemptTime`` it is being tried just now."""
    return _without_defaults(
        {
            "for": value.cause.value,
            "since": timestamp(value.since),
            "nextAttemptTime": None if value.next_attempt is None else timestamp(value.next_attempt),
            "message": value.message,
        }
    )


def counter_json(value: ProgressCounter) -> Json:
    counts = {"pending": value.pending, "success": value.success, "failure": value.failure}
    return {key: str(count) for key, count in counts.items() if count}


def transfer_json(value: Transfer) -> Json:
    counts = {"bytes": value.bytes, "uncheckedObjects": value.unchecked, "files": value.files}
    return {key: str(count) for key, count in counts.items() if count}


def metrics_json(subject: Json, value: Metrics, levels: tuple[str, ...]) -> Json:
    """Metrics of a store, study or series; ``levels`` are the levels below it whose counts are shown."""
    counted = {"study": value.studies, "series": value.series}
    numbers = {f"{level}Count": counted[level] for level in levels} | {
        "instanceCount": value.instances,
        "structuredStorageSizeBytes": value.structured_bytes,
        "blobStorageSizeBytes": value.blob_bytes,
    }
    return subject | {key: str(number) for key, number in numbers.items() if number}


def storage_info_json(resource: str, value: StorageInfo) -> Json:
    return {
        "referencedResource": resource,
        "blobStorageInfo": {
            "sizeBytes": str(value.size),
            "storageClass": value.storage_class,
            "storageClassUpdateTime": timestamp(value.update_time),
        },
        "structuredStorageInfo": {"sizeBytes": str(value.structured_size)},
    }


class LogKind(NamedTuple):
    """How the log entries of a kind of operation are named. ``subject`` is the field that names the object."""

    log: str
    producer: str
    type: str
    subject: str


def _log_kind(log: str, producer: str, type: str, subject: str = "resourceName") -> LogKind:
    log_type = f"{_TYPES}{_PACKAGE}.logging.{type}LogEntry"
    return LogKind(f"healthcare.googleapis.com%2F{log}", producer, log_type, subject)


LOG_KINDS = {
    Method.CREATE_DATASET: _log_kind("dataset_create", "create_dataset", "CreateDataset"),
    Method.IMPORT_DICOM_DATA: _log_kind("dicom_import", "import_dicom", "ImportDicom", "source"),
    Method.EXPORT_DICOM_DATA: _log_kind("dicom_export", "export_dicom", "ExportDicom"),
    Method.SET_BLOB_STORAGE_SETTINGS: _log_kind("dicom_storage", "set_blob_storage_settings", "SetBlobStorageSettings"),
    Method.DELETE_STUDY: _log_kind("dicom_delete", "delete_study", "DeleteStudy"),
    Method.DELETE_SERIES: _log_kind("dicom_delete", "delete_series", "DeleteSeries"),
    Method.UPDATE_STUDY_METADATA: _log_kind("dicom_update", "update_study_metadata", "UpdateStudyMetadata"),
    Method.UPDATE_SERIES_METADATA: _log_kind("dicom_update", "update_series_metadata", "UpdateSeriesMetadata"),
}


def log_entry_json(operation: Operation, value: LogEntry) -> Json:
    """One entry in the form of Cloud Logging."""
    kind, store = LOG_KINDS[operation.method], operation.store
    labels = {"project_id": operation.name.dataset.project, "location": operation.name.dataset.location}
    if store is not None:
        labels |= {"dataset_id": store.dataset, "dicom_store_id": store.store}
    return {
        "insertId": f"{operation.name.id}-{value.seq}",
        "logName": f"projects/{labels['project_id']}/logs/{kind.log}",
        "timestamp": timestamp(value.time),
        "receiveTimestamp": timestamp(value.time),
        "severity": value.severity.name,
        "resource": {"type": "healthcare_dicom_store", "labels": labels},
        "operation": {"id": str(operation.name.id), "producer": kind.producer},
        "jsonPayload": {
            "@type": kind.type,
            kind.subject: value.failure.resource,
            "error": _status_json(value.failure.status),
        },
    }


def timestamp(value: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _response(value: Operation, package: str) -> Json:
    if value.method is Method.CREATE_DATASET:
        return {"@type": f"{_TYPES}{package}.dataset.Dataset", "name": str(value.name.dataset)}
    if value.method in _EMPTY:
        return {"@type": f"{_TYPES}google.protobuf.Empty"}
    return {"@type": f"{_TYPES}{package}.{_service(value)}.{_kind(value)}Response"}


def _error(value: Operation, error: Status, package: str) -> Json:
    details = {
        "@type": f"{_TYPES}{package}.{_service(value)}.{_kind(value)}ErrorDetails",
        "sampleErrors": [_sample(failure) for failure in value.samples],
    }
    return _status_json(error) | {"details": [details, error_info(error.reason), *localized(error.reason)]}


def _service(value: Operation) -> str:
    """``dicom`` of ``dicom.DicomService.ImportDicomData``."""
    return value.method.value.partition(".")[0]


def _kind(value: Operation) -> str:
    """``ImportDicomData`` of ``dicom.DicomService.ImportDicomData``."""
    return value.method.value.rpartition(".")[2]


def _sample(failure: Failure) -> Json:
    return {"resource": failure.resource, "error": _status_json(failure.status)}


def _status_json(status: Status) -> Json:
    return {"code": int(status.code), "message": status.message, "details": [error_info(status.reason)]}


def error_info(reason: Reason) -> Json:
    """A ``google.rpc.ErrorInfo``: the kind of a failure, for programs (docs/howto/failures.md)."""
    return {"@type": f"{_TYPES}google.rpc.ErrorInfo", "reason": reason.value, "domain": DOMAIN}


def localized(reason: Reason) -> list[Json]:
    """A ``google.rpc.LocalizedMessage`` for people, where the caller asks for another language than English: what went
    wrong and what to do. ``message`` is English for everybody: programs and support compare it."""
    if language() == ENGLISH:
        return []
    text = f"{_(ABOUT[reason].title)}. {_(ABOUT[reason].advice)}"
    return [{"@type": f"{_TYPES}google.rpc.LocalizedMessage", "locale": language(), "message": text}]


def _camel(model: type[Message], value: Json) -> Json:
    return _without_defaults(model.model_validate(value).model_dump(by_alias=True, exclude_none=True))


def _without_defaults(value: Json, keep: tuple[str, ...] = ()) -> Json:
    return {
        key: item
        for key, item in value.items()
        if item is not None and (key in keep or (item not in (False, "") and item != [] and item != {}))
    }
