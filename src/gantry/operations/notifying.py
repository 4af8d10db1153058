"""Sends a message for each change of an instance to the topics of its DICOM store: at least once, in the order of the
changes, and never in the way of who makes them."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

from gantry.backoff import Backoff
from gantry.errors import NotFound, OutOfRange, StatusError
from gantry.events import Action, Event, Kind, Page, Position
from gantry.index_protocols.deliveries import Delivery
from gantry.notices import Message, list_topics
from gantry.resources import DicomStore
from gantry.seams import Seams

logger = logging.getLogger(__name__)

_PAGE = 500  # changes that are read at once
_AT_A_TIME = 8  # topics
_FAILED_AT_A_TIME = 4  # of those that have failed before: however many do not answer, they keep no other waiting
_TURN_SECONDS = 10.0  # that a topic is sent to while others wait for their turn
_FIRST_SECONDS, _MOST_SECONDS = 1.0, 60.0
"""Between two attempts: a receiver is restarted within seconds, and one that is away for a night asks for no more."""

_Key = tuple[int, str]
"""The number of a store, and a topic."""


class _Made(NamedTuple):
    """``number`` of the change on its page."""

    number: int
    message: Message


class Notifying:
    """Recurring work: ``run`` begins what is to be sent, and returns at once."""

    def __init__(self, seams: Seams, stopping: threading.Event) -> None:
        self._seams, self._stopping = seams, stopping
        self._backoff = Backoff(_FIRST_SECONDS, _MOST_SECONDS)
        self._lock = threading.Lock()
        self._running: set[_Key] = set()
        self._news: dict[_Key, tuple[int, int]] = {}
        self._said: dict[_Key, str] = {}
        self._turns: dict[_Key, int] = {}
        self._numbers = count(1)

    def run(self) -> None:
        known = self._seams.index.deliveries.list_deliveries()
        deliveries = [each for each in known if self._seams.publisher.covers(each.topic)]
        self._forget_others({(each.store_id, each.topic) for each in deliveries})
        news = self._seams.index.feed.find_news({each.store_id for each in deliveries}) if deliveries else {}
        deliveries.sort(key=lambda each: self._turns.get((each.store_id, each.topic), 0))
        for each in deliveries:
            self._begin(each, news.get(each.store_id, (0, 0)))

    def _forget_others(self, keys: set[_Key]) -> None:
        """No others have topics any more."""
        self._seams.notified.keep(keys)
        with self._lock:
            known: tuple[dict[_Key, Any], ...] = self._news, self._said, self._turns
            for gone in {*self._news, *self._said, *self._turns} - keys - self._running:
                self._backoff.succeed(str(gone))
                for each in known:
                    each.pop(gone, None)

    def _begin(self, delivery: Delivery, news: tuple[int, int]) -> None:
        key = delivery.store_id, delivery.topic
        with self._lock:
            if not self._is_free(key) or self._news.get(key) == news or not self._backoff.is_due(str(key)):
                return
            self._running.add(key)
            self._turns[key] = next(self._numbers)
        threading.Thread(target=self._deliver, args=(delivery, news), name="notifications", daemon=True).start()

    def _is_free(self, key: _Key) -> bool:
        if key in self._running or len(self._running) >= _AT_A_TIME:
            return False
        return key not in self._said or len(self._running & self._said.keys()) < _FAILED_AT_A_TIME

    def _deliver(self, delivery: Delivery, news: tuple[int, int]) -> None:
        key = delivery.store_id, delivery.topic
        try:
            if self._send_all(delivery):
                with self._lock:
                    self._news[key] = news
            self._succeed(key)
        except StatusError as error:
            self._fail(delivery, error.message)
        except Exception as error:  # what is unexpected is tried again too: no message is lost by it
            logger.exception("messages of %s", delivery.store)
            self._fail(delivery, f"an unexpected {type(error).__name__}")
        finally:
            with self._lock:
                self._running.discard(key)

    def _send_all(self, delivery: Delivery) -> bool:
        """False where there may be more: the server stops, or others wait for their turn, or have gone on with it."""
        try:
            store = self._seams.index.resources.get_dicom_store(delivery.store)
        except NotFound:
            return True
        position, until = delivery.position, time.monotonic() + _TURN_SECONDS
        while not self._stopping.is_set():
            page = self._read(delivery, position)
            if not page.events and page.position == position:
                return True
            reached = self._send_page(store, delivery, page)
            if not self._seams.index.deliveries.move(delivery.store_id, delivery.topic, position, reached):
                return False  # it was configured anew, or another server goes on
            position = reached
            if len(self._running) >= _AT_A_TIME and time.monotonic() > until:
                return False
        return False

    def _read(self, delivery: Delivery, position: Position) -> Page:
        try:
            return self._seams.index.feed.read(delivery.store_id, position, _PAGE)
        except OutOfRange:
            self._seams.notified.count("given_up", 1)
            logger.error(
                "messages of %s for topic %s are given up: they could not be sent for as long as changes are kept (the "
                "setting changes_days); it goes on with the oldest change that is kept",
                delivery.store,
                delivery.topic,
            )
            return self._seams.index.feed.read(delivery.store_id, None, _PAGE)

    def _send_page(self, store: DicomStore, delivery: Delivery, page: Page) -> Position:
        """How far all messages have arrived."""
        made = make_messages(store, delivery.topic, page)
        if not made:
            return page.position
        self._seams.notified.wait((delivery.store_id, delivery.topic), made[0].message.time)
        arrived = self._seams.publisher.publish(delivery.topic, [each.message for each in made])
        self._seams.notified.count("published", arrived)
        if arrived == len(made):
            return page.position
        return self._seams.index.feed.read(delivery.store_id, page.start, made[arrived].number).position

    def _succeed(self, key: _Key) -> None:
        self._backoff.succeed(str(key))
        self._seams.notified.wait(key, None)
        with self._lock:
            said = self._said.pop(key, "")
        if said:
            logger.info("messages for topic %s arrive again", key[1])

    def _fail(self, delivery: Delivery, reason: str) -> None:
        """Said once for each reason."""
        key = delivery.store_id, delivery.topic
        self._backoff.fail(str(key))
        self._seams.notified.count("failed", 1)
        with self._lock:
            before, self._said[key] = self._said.get(key), reason
        if before != reason:
            logger.warning("messages of %s cannot be sent, and are kept and tried again: %s", delivery.store, reason)


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
