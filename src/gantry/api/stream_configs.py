"""``notificationConfig(s)``, ``streamConfigs`` and BigQuery destinations: which values are valid."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from gantry.api.call import Call
from gantry.api.messages import enum_name
from gantry.calls_that_hang import call_within
from gantry.errors import FailedPrecondition, InvalidArgument, Unimplemented, invalid_field
from gantry.followed import list_tables
from gantry.operations.streaming import require_stream
from gantry.resources import DicomStore
from gantry.seams import Seams
from gantry.table_address import TableAddress

# Letters and length as Pub/Sub has them for names of topics (its page "Pub/Sub basics"); the shortest there has three.
_TOPIC = re.compile(r"projects/[^/\s\x00-\x1f]{1,256}/topics/[A-Za-z][A-Za-z0-9._~+%-]{0,254}")
_MAX_TOPICS = 100  # every change of an instance is a message to each
# bq://PROJECT.DATASET.TABLE; old projects have a domain before a colon, tables any letters, blanks and $DECORATOR.
_TABLE = re.compile(r"bq://(?:[\w.-]+:)?[\w-]+\.\w+\.[\w $-]+")
_MAX_TABLE_URI, _MAX_STREAMS = 2000, 5  # as the API documents them
ANSWER_SECONDS = 30.0
"""That a request waits for what a table lies in: it keeps a thread, and others write the index meanwhile."""

_DISPOSITIONS = ("WRITE_DISPOSITION_UNSPECIFIED", "WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_APPEND")

Config = dict[str, Any]
"""A message as ``wire.dump_message`` gives it, with its fields in snake_case."""


def check_notifications(one: Config | None, several: list[Config]) -> None:
    """Raises InvalidArgument for a name that is no topic, and if both fields are used."""
    _check_topic("notificationConfig.pubsubTopic", (one or {}).get("pubsub_topic") or "")
    if len(several) > _MAX_TOPICS:
        raise invalid_field("notificationConfigs", f"at most {_MAX_TOPICS}")
    for number, config in enumerate(several):
        place = f"notificationConfigs.{number}.pubsubTopic"
        if not config.get("pubsub_topic"):
            raise invalid_field(place, "is required")
        _check_topic(place, config["pubsub_topic"])
    if several and any((one or {}).values()):
        raise invalid_field(
            "notificationConfigs", "notificationConfig and notificationConfigs are not compatible; set one of them"
        )


def _check_topic(field: str, topic: str) -> None:
    if topic and not _TOPIC.fullmatch(topic):
        raise invalid_field(field, f"{topic[:200]!r} must be projects/PROJECT/topics/TOPIC")


def check_streams(streams: list[Config]) -> None:
    """At most five destinations, each another table. Raises InvalidArgument."""
    if len(streams) > _MAX_STREAMS:
        raise invalid_field("streamConfigs", f"at most {_MAX_STREAMS}")
    for number, stream in enumerate(streams):
        place = f"streamConfigs.{number}"
        if stream.get("deidentified_store_destination") is not None:
            raise invalid_field(
                f"{place}.deidentifiedStoreDestination", "is not supported by this server: it de-identifies nothing"
            )
        destination = stream.get("bigquery_destination") or {}
        check_destination(f"{place}.bigqueryDestination", destination)
        try:
            TableAddress.parse(destination["table_uri"])
        except InvalidArgument as error:
            raise invalid_field(f"{place}.bigqueryDestination.tableUri", error.message) from None
    tables = [stream["bigquery_destination"]["table_uri"] for stream in streams]
    if len(set(tables)) != len(tables):
        raise invalid_field("streamConfigs", "each needs a bigqueryDestination.tableUri of its own")


def require_streams(call: Call, old: DicomStore, new: DicomStore) -> None:
    """Where rows could not be added to a table now the store is not changed. Raises FailedPrecondition, NotFound,
    PermissionDenied, Unavailable, DeadlineExceeded, and Unimplemented for what this server does not do."""
    seams, before = call.context.seams, list_tables(old)
    for number, (table, config) in enumerate(list_tables(new).items()):
        if config == before.get(table) or not covers_table(seams, table):
            continue
        if config.get("change_data_capture_config") is not None:
            refuse_change_data_capture(f"streamConfigs.{number}.bigqueryDestination", config)
        if not seams.index.feed.get_era():
            raise FailedPrecondition(
                "rows are made from the change feed, which is off", advice="set changes_days to 1 or more"
            )
        call_within(ANSWER_SECONDS, f"table {table}", partial(require_stream, seams, new, config))


def refuse_change_data_capture(place: str, destination: Config) -> None:
    """Raises InvalidArgument, Unimplemented."""
    if destination.get("schema_as_json") is None:
        raise invalid_field(f"{place}.changeDataCaptureConfig", "needs schemaJson")
    raise Unimplemented(f"leave {place}.changeDataCaptureConfig out: this server does not capture changes")


def covers_table(seams: Seams, table: str) -> bool:
    """Whether the settings give the table of a stream a place. False for what is no address of one."""
    try:
        return seams.warehouse.covers(TableAddress.parse(table))
    except InvalidArgument:
        return False


def check_destination(place: str, destination: Config) -> None:
    """A BigQueryDestination; its disposition becomes a name. Raises InvalidArgument that names the field."""
    table = destination.get("table_uri") or ""
    if not table:
        raise invalid_field(f"{place}.tableUri", "is required: bq://PROJECT.DATASET.TABLE")
    if not _TABLE.fullmatch(table) or len(table) > _MAX_TABLE_URI:
        raise invalid_field(f"{place}.tableUri", f"{table[:200]!r} must be bq://PROJECT.DATASET.TABLE")
    if (value := destination.get("write_disposition")) is not None:
        destination["write_disposition"] = enum_name(f"{place}.writeDisposition", value, _DISPOSITIONS)
    if destination.get("schema_flattened") is not None and destination.get("schema_as_json") is not None:
        raise invalid_field(f"{place}.schemaFlattened", "schemaJson is set too; set one of them")
