"""Settings of resources that this server can keep but does not act on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gantry.errors import InvalidArgument

WITHOUT_EFFECT = {
    "notificationConfig": "no notifications would be sent",
    "notificationConfigs": "no notifications would be sent",
    "streamConfigs": "no metadata would be streamed to BigQuery",
    "encryptionSpec": "nothing would be encrypted with this key",
    "auditConfigs": "it would not change what the audit log holds",
}
"""The names that the setting ``accept_without_effect`` may have, each with what would not happen."""


def list_without_effect(store: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of a DICOM store, as the API shows it, that have no effect, each with what does not happen."""
    kept = {name: store.get(name) for name in ("notificationConfigs", "streamConfigs")}
    kept["notificationConfig"] = (store.get("notificationConfig") or {}).get("pubsubTopic")
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
