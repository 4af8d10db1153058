"""The change feed of a DICOM store: a method of our own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from gantry.api.call import Call, Context
from gantry.api.messages import Json
from gantry.api.news import NotYet
from gantry.api.paging import Page, no_token, read_page
from gantry.api.wire import timestamp
from gantry.errors import FailedPrecondition, OutOfRange, invalid_field
from gantry.events import BEGIN_ANEW, Event, Position
from gantry.resources import DicomStore
from gantry.whole_numbers import read_number

DEFAULT_PAGE, MAX_PAGE = 1000, 10_000
"""Changes in an answer; a greater size means MAX_PAGE, which is some 5 MB."""

MAX_WAIT = 60
"""Seconds: proxies often give up after that."""

OFF = FailedPrecondition(
    "the change feed is off: this server has the setting changes_days = 0",
    advice="set changes_days to the number of days for which changes are to be kept, and start the server again",
)


def list_changes(call: Call) -> Json | NotYet:
    """``pageToken``, ``from`` (``start``, ``now``), ``pageSize``, ``wait`` (seconds). Raises NotFound, InvalidArgument,
    FailedPrecondition where the feed is off, OutOfRange for a token that is good no more."""
    index, query = call.context.seams.index, call.query
    store = index.resources.get_dicom_store(call.dicom_store)
    era = index.feed.get_era()
    if not era:
        raise OFF
    wait, begin = _read_wait(query), _read_from(query)
    page = read_page(query, f"{store.name}:changeFeed {store.id}", DEFAULT_PAGE, MAX_PAGE)
    if begin == "now":
        return _write(page, era, [], index.feed.find_end(store.id))
    return _read(call.context, store, page, era, time.monotonic() + wait)


def _read(context: Context, store: DicomStore, page: Page, era: str, until: float) -> Json | NotYet:
    found = context.seams.index.feed.read(store.id, _parse(page, era), page.size)
    if not found.events and until > time.monotonic() and not context.is_stopping():
        return NotYet(store.id, found.news, until, partial(_read, context, store, page, era, until))
    return _write(page, era, found.events, found.position)


def _read_wait(query: Mapping[str, str]) -> int:
    wait = read_number(query.get("wait") or "0")
    if wait is None or wait > MAX_WAIT:
        raise invalid_field("wait", f"must be a number of seconds, 0 to {MAX_WAIT}")
    return wait


def _read_from(query: Mapping[str, str]) -> str:
    begin = query.get("from", "")
    if begin not in ("", "start", "now"):
        raise invalid_field("from", "must be start (the oldest change that is kept) or now")
    if begin and query.get("pageToken"):
        raise invalid_field("from", "pageToken is set too; set one of them")
    return begin


def _parse(page: Page, era: str) -> Position | None:
    """None without a token. Raises InvalidArgument, OutOfRange."""
    if not page.after:
        return None
    its_era, *numbers = page.after.split("/")
    if its_era != era:
        raise OutOfRange(
            "this token is of a feed that has ended: it was turned off since, or its index is another one",
            advice=BEGIN_ANEW,
        )
    found = [number for text in numbers if (number := read_number(text)) is not None]
    if len(found) != len(Position._fields) or len(numbers) != len(found):
        raise no_token()
    return Position(*found)


def _write(page: Page, era: str, events: Sequence[tuple[datetime, Event]], position: Position) -> Json:
    token = page.token("/".join(map(str, (era, *position))))
    return {"changes": [_change_json(moment, event) for moment, event in events], "nextPageToken": token}


def _change_json(moment: datetime, event: Event) -> Json:
    """With the names of the attributes of the API's Pub/Sub messages."""
    found: dict[str, Any] = {
        "change": event.kind.value,
        "action": event.action.value,
        "lastUpdatedTime": timestamp(moment),
        "studyInstanceUID": event.study_instance_uid,
        "seriesInstanceUID": event.series_instance_uid,
        "sopInstanceUID": event.sop_instance_uid,
        "versionId": event.version_id,
        "modality": event.modality,
        "storageClass": event.storage_class,
        "previousStorageClass": event.previous_class,
    }
    return {name: value for name, value in found.items() if value}
