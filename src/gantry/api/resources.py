"""Locations, datasets and DICOM stores."""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import Any

from gantry.api.call import Call
from gantry.api.effects import require_effect
from gantry.api.filters import parse_label_filter, parse_terms
from gantry.api.masks import apply_mask
from gantry.api.messages import Json, read, read_request, require_same
from gantry.api.paging import read_page
from gantry.api.stream_configs import check_notifications, check_streams, covers_table, require_streams
from gantry.api.wire import (
    DatasetBody,
    DicomStoreBody,
    dataset_json,
    dicom_store_json,
    dump_message,
    operation_json,
)
from gantry.errors import FailedPrecondition, NotFound, invalid_field
from gantry.followed import list_tables
from gantry.names import DatasetName, DicomStoreName, LocationName, check_dataset_id, check_dicom_store_id
from gantry.notices import list_topics
from gantry.resources import Dataset, DicomStore
from gantry.seams import Seams

_NO_ZONES = {"Factory", "localtime", "posixrules"}
"""Files beside those of time zones: what they mean differs from machine to machine, or is nothing."""

# Ids of key rings and keys as Cloud KMS has them.
_KMS_KEY = re.compile(r"projects/[^/\s]{1,256}/locations/([^/]+)/keyRings/[\w-]{1,63}/cryptoKeys/[\w-]{1,63}", re.ASCII)


def get_location(call: Call) -> Json:
    return _location_json(_known_location(call))


def list_locations(call: Call) -> Json:
    fields = ("locationId", "displayName", "name")
    wanted = parse_terms(call.query.get("filter", ""), fields)
    page = read_page(call.query, f"{call.ids}{sorted(wanted.items())}")
    rows = [_location_json(LocationName(call.ids[0], item)) for item in sorted(call.context.locations)]
    rows = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    rest = [row for row in rows if row["locationId"] > page.after]
    return page.answer("locations", rest, lambda row: row, lambda row: str(row["locationId"]))


def create_dataset(call: Call) -> Json:
    location = _known_location(call)
    body = read_request(DatasetBody, call.body, parent=location)
    name = DatasetName(location.project, location.location, check_dataset_id(call.query.get("datasetId", "")))
    index = call.context.seams.index
    value = _with_dataset_settings(call, Dataset(name), dump_message(body))
    operation = index.resources.create_dataset(value, call.version)
    return operation_json(operation, call.public_url)


def get_dataset(call: Call) -> Json:
    return dataset_json(call.context.seams.index.resources.get_dataset(call.dataset))


def list_datasets(call: Call) -> Json:
    page = read_page(call.query, str(call.location))
    rows = call.context.seams.index.resources.list_datasets(call.location, page.size + 1, page.after)
    return page.answer("datasets", rows, dataset_json, lambda row: row.name.dataset)


def patch_dataset(call: Call) -> Json:
    body = dump_message(read(DatasetBody, call.body))
    fields = ("time_zone", "encryption_spec")

    def change(old: Dataset) -> Dataset:
        settings = {"time_zone": old.time_zone, "encryption_spec": {"kms_key_name": old.kms_key_name}}
        wanted = apply_mask(call.query, DatasetBody, fields, settings, body)
        require_same("name", body.get("name"), str(old.name), old.name.dataset)
        return _with_dataset_settings(call, old, wanted)

    return dataset_json(call.context.seams.index.resources.change_dataset(call.dataset, change))


def delete_dataset(call: Call) -> Json:
    call.context.seams.index.resources.delete_dataset(call.dataset)
    call.context.uploads.end_deleted()
    call.context.sweep()
    return {}


def create_dicom_store(call: Call) -> Json:
    dataset = call.dataset
    body = read_request(DicomStoreBody, call.body, parent=dataset)
    store_id = check_dicom_store_id(call.query.get("dicomStoreId", ""))
    name = DicomStoreName(dataset.project, dataset.location, dataset.dataset, store_id)
    value = _with_store_settings(call, DicomStore(name), dump_message(body))
    _require_topics(call, DicomStore(name), value)
    require_streams(call, DicomStore(name), value)
    call.context.seams.index.resources.create_dicom_store(value)
    return dicom_store_json(value)


def get_dicom_store(call: Call) -> Json:
    return dicom_store_json(call.context.seams.index.resources.get_dicom_store(call.dicom_store))


def list_dicom_stores(call: Call) -> Json:
    text = call.query.get("filter", "")
    matches = parse_label_filter(text)
    page = read_page(call.query, f"{call.dataset}?{text}")
    rows: list[DicomStore] = []
    after = page.after
    while len(rows) <= page.size:
        chunk = call.context.seams.index.resources.list_dicom_stores(call.dataset, page.size + 1, after)
        rows += [item for item in chunk if matches(item.labels)]
        if len(chunk) <= page.size:
            break
        after = chunk[-1].name.store
    return page.answer("dicomStores", rows, dicom_store_json, lambda row: row.name.store)


def patch_dicom_store(call: Call) -> Json:
    body = dump_message(read(DicomStoreBody, call.body))
    fields = ("labels", "notification_config", "notification_configs", "stream_configs")

    def change(old: DicomStore) -> DicomStore:
        settings = {field: getattr(old, field) for field in fields}
        wanted = apply_mask(call.query, DicomStoreBody, fields, settings, body)
        require_same("name", body.get("name"), str(old.name), old.name.store)
        return _with_store_settings(call, old, wanted)

    old = call.context.seams.index.resources.get_dicom_store(call.dicom_store)
    new = change(old)
    _require_topics(call, old, new)  # asks the network, so not in the transaction
    require_streams(call, old, new)
    return dicom_store_json(call.context.seams.index.resources.change_dicom_store(call.dicom_store, change))


def delete_dicom_store(call: Call) -> Json:
    call.context.seams.index.resources.delete_dicom_store(call.dicom_store)
    call.context.uploads.end_deleted()
    call.context.sweep()
    return {}


def _known_location(call: Call) -> LocationName:
    location = call.location
    if location.location not in call.context.locations:
        raise NotFound(
            f"location {location.location!r} is not served here; the locations are {', '.join(call.context.locations)}"
        )
    return location


def _location_json(name: LocationName) -> Json:
    return {"name": str(name), "locationId": name.location, "displayName": name.location}


def _with_dataset_settings(call: Call, value: Dataset, settings: dict[str, Any]) -> Dataset:
    time_zone = settings.get("time_zone") or ""
    if time_zone and time_zone not in list_time_zones():
        raise invalid_field("timeZone", f"{time_zone!r} is not an IANA time zone such as America/New_York")
    kms_key_name = (settings.get("encryption_spec") or {}).get("kms_key_name") or ""
    if kms_key_name:
        match = _KMS_KEY.fullmatch(kms_key_name)
        if match is None or match.group(1) != value.name.location:
            raise invalid_field(
                "encryptionSpec.kmsKeyName",
                f"must be projects/P/locations/{value.name.location}/keyRings/R/cryptoKeys/K",
            )
        if kms_key_name != value.kms_key_name:
            require_effect("encryptionSpec", call.context.accept_without_effect, "encryptionSpec.kmsKeyName")
    return replace(value, time_zone=time_zone, kms_key_name=kms_key_name)


@cache
def list_time_zones() -> frozenset[str]:
    """The names of IANA that this machine knows."""
    return frozenset(zoneinfo.available_timezones()) - _NO_ZONES


def _with_store_settings(call: Call, value: DicomStore, settings: dict[str, Any]) -> DicomStore:
    labels = settings.get("labels") or {}
    _check_labels(labels)
    new = replace(
        value,
        labels=labels,
        notification_config=settings.get("notification_config"),
        notification_configs=settings.get("notification_configs") or [],
        stream_configs=settings.get("stream_configs") or [],
    )
    _check_configs(value, new, call.context.accept_without_effect, call.context.seams)
    return new


def _require_topics(call: Call, old: DicomStore, new: DicomStore) -> None:
    """Where messages could not be published to a topic now the store is not changed. Raises what ``Publisher.require``
    does."""
    seams = call.context.seams
    for topic in dict.fromkeys(list_topics(new)):
        if topic not in list_topics(old) and seams.publisher.covers(topic):
            if not seams.index.feed.get_era():
                raise FailedPrecondition(
                    "notifications are made from the change feed, which is off", advice="set changes_days to 1 or more"
                )
            seams.publisher.require(topic)


def _check_configs(old: DicomStore, new: DicomStore, accepted: Collection[str], seams: Seams) -> None:
    """Unchanged settings are not checked: an older version may have stored them. Wrong values are reported before
    settings without effect. Raises InvalidArgument."""
    notifies = new.notification_config != old.notification_config, new.notification_configs != old.notification_configs
    streams = new.stream_configs != old.stream_configs
    if any(notifies):
        check_notifications(new.notification_config, new.notification_configs)
    if streams:
        check_streams(new.stream_configs)
    for field, changed in (("notificationConfig", notifies[0]), ("notificationConfigs", notifies[1])):
        if changed and not all(map(seams.publisher.covers, list_topics(new, field))):
            require_effect(field, accepted)
    if streams and not all(covers_table(seams, table) for table in list_tables(new)):
        require_effect("streamConfigs", accepted)


def _check_labels(labels: dict[str, str]) -> None:
    if len(labels) > 64:
        raise invalid_field("labels", "at most 64")
    for key, text in labels.items():
        if not (_is_label(key) and key and unicodedata.category(key[0]) in ("Ll", "Lo")):
            raise invalid_field("labels", f"key {key!r} must be a lower-case letter, then up to 62 of a-z 0-9 _ -")
        if not _is_label(text):
            raise invalid_field("labels", f"value {text!r} of {key!r} must be up to 63 of a-z 0-9 _ -")


def _is_label(text: str) -> bool:
    """Letters without case or of lower case, numbers, ``_`` and ``-``; at most 63 characters and 128 bytes."""
    fits = len(text) <= 63 and len(text.encode("utf-8", "replace")) <= 128
    return fits and all(c in "_-" or unicodedata.category(c) in ("Ll", "Lo", "Nd", "Nl", "No") for c in text)
