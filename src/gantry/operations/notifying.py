"""Sends a message for each change of an instance to the topics of its DICOM store; see ``following``."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from gantry.errors import NotFound
from gantry.events import Action, Event, Kind, Page, Position
from gantry.index_protocols.deliveries import Delivery
from gantry.notices import Message, list_topics
from gantry.resources import DicomStore
from gantry.seams import Seams

_PAGE = 500  # changes that are read at once
_TURN_SECONDS = 10.0  # that a topic is sent to while others wait for their turn


class _Made(NamedTuple):
    """``number`` of the change on its page."""

    number: int
    message: Message


class Notifying:
    """See ``following.Work``."""

    name, what = "notifications", "messages"

    def __init__(self, seams: Seams, stopping: threading.Event) -> None:
        self._seams, self._stopping, self.followed = seams, stopping, seams.notified

    def covers(self, receiver: str) -> bool:
        return self._seams.publisher.covers(receiver)

    def is_due(self, receiver: str) -> bool:
        return True

    def find_disk(self, receiver: str) -> str:
        return ""

    def tell(self, delivery: Delivery, is_crowded: Callable[[], bool]) -> bool:
        try:
            store = self._seams.index.resources.get_dicom_store(delivery.store)
        except NotFound:
            return True
        until = time.monotonic() + _TURN_SECONDS
        while not self._stopping.is_set():
            page = self._seams.index.feed.read(delivery.store_id, delivery.position, _PAGE)
            if not page.events and page.position == delivery.position:
                return True
            reached = self._send_page(store, delivery, page)
            if not self._seams.index.deliveries.move(delivery, reached, delivery.era):
                return False  # it was configured anew, or another server goes on
            self.followed.reach((delivery.store_id, delivery.receiver), reached.number)
            delivery = delivery._replace(position=reached)
            if is_crowded() and time.monotonic() > until:
                return False
        return False

    def _send_page(self, store: DicomStore, delivery: Delivery, page: Page) -> Position:
        """How far all messages have arrived."""
        made = make_messages(store, delivery.receiver, page)
        if not made:
            return page.position
        self.followed.wait((delivery.store_id, delivery.receiver), made[0].message.time)
        arrived = self._seams.publisher.publish(delivery.receiver, [each.message for each in made])
        self.followed.count("published", arrived)
        if arrived == len(made):
            return page.position
        return self._seams.index.feed.read(delivery.store_id, page.start, made[arrived].number).position


def make_messages(store: DicomStore, topic: str, page: Page) -> list[_Made]:
    """Of the changes of a page those that the configuration of the topic wants."""
    is_plain = topic in list_topics(store, "notificationConfig")
    imports = bool((store.notification_config or {}).get("send_for_bulk_import"))
    wanted = {Action.STORE, Action.IMPORT} if imports else {Action.STORE}
    made = []
    for number, (moment, event) in enumerate(page.events):
        if not is_plain:
            made.append(_Made(number, _make(store, event, moment, _describe(store, event, moment))))
        elif event.action in wanted and event.kind != Kind.DELETED:
            made.append(_Made(number, _make(store, event, moment, {})))
    return made


def _make(store: DicomStore, event: Event, moment: datetime, attributes: dict[str, str]) -> Message:
    path = "{}/dicomWeb/studies/{}/series/{}/instances/{}".format(store.name, *event.uids)
    told = "\n".join((str(store.id), moment.isoformat(), *map(str, event)))
    return Message(hashlib.sha256(told.encode()).hexdigest()[:32], path, path.encode(), attributes, moment)


def _describe(store: DicomStore, event: Event, moment: datetime) -> dict[str, str]:
    """The attributes of the documentation ("DICOM Pub/Sub notifications"); those without a value are left out."""
    study, series, instance = event.uids
    found = {
        "action": str(event.action),
        "lastUpdatedTime": _write_time(moment),
        "storeName": str(store.name),
        "studyInstanceUID": study,
        "seriesInstanceUID": series,
        "sopInstanceUID": instance,
        "versionId": event.version_id,
        "modality": event.modality,
        "storageClass": event.storage_class,
        "previousStorageClass": event.previous_class,
    }
    return {name: value for name, value in found.items() if value}


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _write_time(moment: datetime) -> str:
    """RFC 1123, as the documentation has it: ``Wed, 01 Jan 2020 00:00:00 UTC``, whatever the locale."""
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} UTC"
