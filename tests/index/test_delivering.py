"""Messages of many topics, some of which do not answer: nothing is lost, and nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from gantry.errors import DataLoss, Unavailable
from gantry.followed import Followed
from gantry.index.sql import SqlIndex
from gantry.index.tables import change_pack
from gantry.membership import Membership
from gantry.notices import Message
from gantry.operations import notifying
from gantry.operations.following import Following
from gantry.operations.notifying import Notifying
from gantry.resources import DicomStore
from tests.index.values import STORE, item

LATER = datetime.now(UTC) + timedelta(days=400)
GOOD = "projects/p/topics/z-good"


class Publisher:
    """``most`` messages of a call arrive. Topics named ``hung`` do not answer before ``released``, and fail then.
    ``then`` is called with each message that arrives."""

    def __init__(self, most: int = 1000, then: Callable[[str], None] = lambda _: None) -> None:
        self.most, self.then, self.released = most, then, threading.Event()
        self.arrived: Counter[str] = Counter()
        self.data: list[str] = []
        self.versions: set[str] = set()

    def covers(self, _topic: str) -> bool:
        return True

    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        if "hung" in topic:
            self.released.wait(60)
            raise Unavailable("does not answer")
        some = messages[: self.most]
        self.versions |= {each.attributes["versionId"] for each in some}
        self.data += [each.data.decode().rpartition("/")[2] for each in some]
        self.arrived[topic] += len(some)
        self.then(topic)
        return len(some)


class Delivering:
    def __init__(self, index: SqlIndex, publisher: Publisher) -> None:
        self.stopping = threading.Event()
        self.notified, self.members = Followed("published", "failed", "given_up"), Membership()
        seams: Any = SimpleNamespace(index=index, publisher=publisher, notified=self.notified, members=self.members)
        self.notifying = Following(seams, Notifying(seams, self.stopping), self.stopping)
        self.publisher = publisher

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Look again and again, as each second."""
        deadline = time.monotonic() + 30
        while not is_done():
            assert time.monotonic() < deadline
            self.notifying.run()
            time.sleep(0.02)

    def count_failures(self) -> int:
        return int(self.notified.read().counts["failed"])


@pytest.fixture
def deliver(index: SqlIndex) -> Iterator[Callable[[Publisher], Delivering]]:
    index.feed.begin(True)
    made: list[Delivering] = []

    def begin(publisher: Publisher) -> Delivering:
        made.append(Delivering(index, publisher))
        return made[-1]

    yield begin
    for each in made:
        each.stopping.set()
        each.publisher.released.set()
    while any(thread.name == "notifications" for thread in threading.enumerate()):
        time.sleep(0.01)


def set_topics(index: SqlIndex, *topics: str) -> None:
    configs = [{"pubsub_topic": each} for each in topics]
    index.resources.change_dicom_store(STORE, lambda old: replace(old, notification_configs=configs))


def test_what_was_given_up_is_not_sent_again_and_again(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    set_topics(index, GOOD)
    index.uploads.store_instances(store.id, [item(1)])
    while not index.feed.expire(LATER):
        pass
    index.uploads.store_instances(store.id, [item(number) for number in range(2, 12)])
    delivering = deliver(Publisher(most=4))
    delivering.run_until(lambda: len({*delivering.publisher.data}) == 10)
    assert sorted(delivering.publisher.data) == sorted(f"9.{number}" for number in range(2, 12))


def test_topics_that_do_not_answer_keep_no_other_waiting_however_many(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    set_topics(index, GOOD, *(f"projects/p/topics/hung-{number}" for number in range(20)))
    index.uploads.store_instances(store.id, [item(1)])
    delivering = deliver(Publisher())
    delivering.publisher.released.set()
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == 1 and delivering.count_failures() >= 20)
    delivering.publisher.released.clear()
    time.sleep(1.1)  # those that have failed are tried again
    delivering.notifying.run()
    index.uploads.store_instances(store.id, [item(2)])
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == 2)


def test_topics_that_always_have_more_take_turns(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "_TURN_SECONDS", 0.0)
    busy, numbers, lock = (
        [f"projects/p/topics/{number}" for number in range(8)],
        iter(range(2, 100_000)),
        threading.Lock(),
    )

    def go_on(topic: str) -> None:
        with lock:
            index.uploads.store_instances(store.id, [item(next(numbers))])

    set_topics(index, *busy, GOOD)
    index.uploads.store_instances(store.id, [item(1)])
    delivering = deliver(Publisher(then=go_on))
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] > 0)


def test_what_another_server_leaves_is_sent(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    """It sends a part, and dies, while this one sends the same."""
    set_topics(index, GOOD)
    index.uploads.store_instances(store.id, [item(number) for number in range(1, 7)])

    def interfere(topic: str) -> None:
        (delivery,) = index.deliveries.list_deliveries()
        if not delivery.position.number:
            other = index.feed.read(store.id, delivery.position, 2).position
            assert index.deliveries.move(delivery, other, delivery.era)

    delivering = deliver(Publisher(most=3, then=interfere))
    delivering.run_until(lambda: len({*delivering.publisher.data}) == 6)


def test_messages_have_the_versions_of_the_feed_and_no_place_of_a_blob(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    set_topics(index, GOOD)
    index.uploads.store_instances(store.id, [item(1)])
    delivering = deliver(Publisher())
    delivering.run_until(lambda: bool(delivering.publisher.data))
    ((_, event),) = index.feed.read(store.id, None, 10).events
    assert delivering.publisher.versions == {event.version_id}
    assert item(1).blob_key not in event.version_id


def test_news_of_many_stores(index: SqlIndex, store: DicomStore) -> None:
    index.feed.begin(True)
    others = {store.id + number for number in range(1, 1200)}
    index.uploads.store_instances(store.id, [item(1)])
    found = index.feed.find_news({store.id, *others})
    assert found.pop(store.id) == (1, 0)
    assert found == dict.fromkeys(others, (0, 0))


def test_receivers_are_read_where_they_are_others_than_before(
    index: SqlIndex,
    store: DicomStore,
    deliver: Callable[[Publisher], Delivering],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There may be ten thousand, and they are looked at each second."""
    calls, read = [0], index.deliveries.list_deliveries

    def count() -> Any:
        calls[0] += 1
        return read()

    monkeypatch.setattr(index.deliveries, "list_deliveries", count)
    set_topics(index, GOOD)
    delivering = deliver(Publisher())
    for number in range(1, 4):
        index.uploads.store_instances(store.id, [item(number)])
        delivering.run_until(lambda number=number: delivering.publisher.arrived[GOOD] == number)
    assert calls == [1]
    other = GOOD.replace("good", "other")
    set_topics(index, GOOD, other)
    index.uploads.store_instances(store.id, [item(9)])
    delivering.run_until(lambda: delivering.publisher.arrived[other] == 1)
    assert calls == [2]
    set_topics(index, other)
    index.uploads.store_instances(store.id, [item(10)])
    delivering.run_until(lambda: delivering.publisher.arrived[other] == 2)
    assert delivering.publisher.arrived[GOOD] == 4


def test_a_former_keeper_knows_no_lag(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    """Another server has sent what this one could not."""
    set_topics(index, "projects/p/topics/hung")
    index.uploads.store_instances(store.id, [item(1)])
    delivering = deliver(Publisher())
    delivering.publisher.released.set()
    delivering.run_until(lambda: delivering.count_failures() > 0)
    assert delivering.notified.read().oldest is not None and delivering.notified.read().behind == 1
    delivering.members.is_keeper = False
    delivering.notifying.run()
    assert delivering.notified.read().oldest is None and delivering.notified.read().behind == 0
    (delivery,) = index.deliveries.list_deliveries()
    assert index.deliveries.move(delivery, index.feed.find_end(store.id), delivery.era)
    delivering.members.is_keeper = True
    delivering.notifying.run()
    assert delivering.notified.read().behind == 0


@pytest.mark.parametrize("before", [0, 1])
def test_what_happened_while_the_feed_was_off_is_said(
    index: SqlIndex,
    store: DicomStore,
    deliver: Callable[[Publisher], Delivering],
    caplog: pytest.LogCaptureFixture,
    before: int,
) -> None:
    """Nobody knows of it: that is no silent success. What comes after it is sent."""
    set_topics(index, GOOD)
    delivering = deliver(Publisher())
    for number in range(before):
        index.uploads.store_instances(store.id, [item(number)])
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == before)
    while not index.feed.expire(LATER):
        pass
    index.feed.begin(False)
    index.uploads.store_instances(store.id, [item(10)])
    index.feed.begin(True)
    delivering.run_until(lambda: delivering.notified.read().counts["given_up"] == 1)
    assert "the change feed was off since" in caplog.text
    index.uploads.store_instances(store.id, [item(11)])
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == before + 1)
    assert delivering.publisher.data[-1] == "9.11"
    assert delivering.notified.read().counts["given_up"] == 1


def test_a_topic_that_was_set_while_the_feed_was_off_begins_with_it(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    index.feed.begin(False)
    set_topics(index, GOOD)
    index.feed.begin(True)
    index.uploads.store_instances(store.id, [item(1)])
    delivering = deliver(Publisher())
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == 1)
    assert delivering.notified.read().counts["given_up"] == 0


def damage(index: SqlIndex, number: int) -> None:
    with index.database.write() as connection:
        connection.execute(update(change_pack).where(change_pack.c.number == number).values(data=b"damaged"))


@pytest.mark.parametrize("damaged", [1, 3, 5])
def test_a_damaged_row_of_the_feed_is_passed_over_and_that_is_said(
    index: SqlIndex,
    store: DicomStore,
    deliver: Callable[[Publisher], Delivering],
    caplog: pytest.LogCaptureFixture,
    damaged: int,
) -> None:
    """Else nobody would be told of anything behind it for as long as it is kept, and what goes meanwhile never."""
    set_topics(index, GOOD)
    for number in range(1, 6):
        index.uploads.store_instances(store.id, [item(number)])
    damage(index, damaged)
    delivering = deliver(Publisher())
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == 4)
    delivering.run_until(lambda: delivering.notified.read().counts["given_up"] == 1)
    assert delivering.publisher.data == [f"9.{number}" for number in range(1, 6) if number != damaged]
    assert caplog.text.count("are damaged in the index") == 1
    index.uploads.store_instances(store.id, [item(6)])
    delivering.run_until(lambda: delivering.publisher.arrived[GOOD] == 5)
    assert delivering.notified.read().counts["given_up"] == 1


def test_another_loss_than_that_of_the_feed_passes_nothing_over(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering]
) -> None:
    set_topics(index, GOOD)
    index.uploads.store_instances(store.id, [item(1)])
    publisher = Publisher()

    def lose(topic: str) -> None:
        publisher.then = lambda _: None
        raise DataLoss("something else")

    publisher.then = lose
    delivering = deliver(publisher)
    delivering.run_until(lambda: len(publisher.data) == 2)
    assert delivering.notified.read().counts["given_up"] == 0
    assert {*publisher.data} == {"9.1"}
