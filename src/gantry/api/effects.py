"""Settings of resources that this server can keep but does not act on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from gantry.errors import InvalidArgument

WITHOUT_EFFECT = {
    "notificationConfig": "no notifications would be sent, because the setting topics does not name the topic",
    "notificationConfigs": "no notifications would be sent, because the setting topics does not name the topic",
    "streamConfigs": "no metadata would be streamed to BigQuery or a directory, because the settings bigquery and "
    "bigquery_projects name no place for the table",
    "encryptionSpec": "nothing would be encrypted with this key",
    "auditConfigs": "it would not change what the audit log holds",
}
"""The names that the setting ``accept_without_effect`` may have, each with what would not happen."""


def list_without_effect(
    store: Mapping[str, Any], covers: Callable[[str], bool], covers_table: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """The settings of a DICOM store, as the API shows it, that have no effect, each with what does not happen.
    ``covers`` says of a topic that messages are sent to it, ``covers_table`` of the address of a table that it has a
    place."""
    topics = {
        "notificationConfigs": [each.get("pubsubTopic") for each in store.get("notificationConfigs") or ()],
        "notificationConfig": [(store.get("notificationConfig") or {}).get("pubsubTopic")],
    }
    kept = {name: not all(covers(each) for each in several if each) for name, several in topics.items()}
    streams = [each.get("bigqueryDestination") or {} for each in store.get("streamConfigs") or ()]
    kept["streamConfigs"] = not all(covers_table(each.get("tableUri", "")) for each in streams)
    return [(name, reason) for name, reason in WITHOUT_EFFECT.items() if kept.get(name)]


def read_names(names: Iterable[str]) -> tuple[str, ...]:
    """The value of ``accept_without_effect``. Raises ValueError for a name that is not in WITHOUT_EFFECT."""
    fields = tuple(dict.fromkeys(name.removesuffix(".kmsKeyName") for name in names if name))
    if not WITHOUT_EFFECT.keys() >= set(fields):
        raise ValueError
    return fields


def require_effect(name: str, accepted: Collection[str], field: str = "") -> None:
    """Raises InvalidArgument unless the setting accepts ``name``. ``field`` is the place in the request."""
    if name in accepted:
        return
    reason = f"is not supported by this server: {WITHOUT_EFFECT[name]}"
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field or name, "description": reason}],
    }
    raise InvalidArgument(
        f"{field or name} {reason}. Leave it out, or have it accepted and kept all the same by the server's setting "
        f'accept_without_effect = ["{name}"]',
        (detail,),
    )
