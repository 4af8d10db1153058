"""What is damaged beside what is lost stops no messages; one failing read ends no job of another server."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete

from gantry.api.app import _lane_of_page
from gantry.api.lanes import Lane
from gantry.index import metrics
from gantry.index.sql import SqlIndex
from gantry.index.tables import dicom_store
from gantry.querying.job_files import JobFiles
from gantry.resources import DicomStore
from tests.index.test_delivering import GOOD, Delivering, Publisher, damage, deliver, set_topics
from tests.index.values import item

__all__ = ["deliver"]


@pytest.mark.parametrize("numbers", [(2, 3), (1, 2)], ids=["the next two", "those that are kept"])
def test_messages_go_on_behind_damage_that_loses_their_place(
    index: SqlIndex, store: DicomStore, deliver: Callable[[Publisher], Delivering], numbers: tuple[int, int]
) -> None:
    set_topics(index, GOOD)
    for number in (1, 2):
        index.uploads.store_instances(store.id, [item(number)])
    made = deliver(Publisher())
    made.run_until(lambda: made.publisher.arrived[GOOD] == 2)
    for number in (3, 4):
        index.uploads.store_instances(store.id, [item(number)])
    for number in numbers:
        damage(index, number)
    index.uploads.store_instances(store.id, [item(5)])
    made.run_until(lambda: item(5).uids[-1] in made.publisher.data)
    assert made.notified.read().counts.get("given_up")


def test_a_store_that_goes_meanwhile_has_no_card(
    index: SqlIndex, store: DicomStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_them = metrics._list_named

    def lose(*given: object) -> object:
        with index.database.write() as connection:
            connection.execute(delete(dicom_store))
        return name_them(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(metrics, "_list_named", lose)
    assert index.metrics.list_recent(10, 0) == []


def test_a_sign_that_cannot_be_read_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = JobFiles(tmp_path, 1 << 30)
    files.touch_server("x")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "stat", fail)
        assert not files.is_silent("x")
    os.utime(tmp_path / ".server-x", (0, 0))
    assert not files.is_silent("x") and files._suspected
    files.forget_server("x")
    assert files.is_silent("x") and not files._suspected


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("console/projects/p/locations/l/datasets/query", Lane.READ),
        ("console/projects/query/locations/l/datasets/d/dicomStores/query/import", Lane.READ),
        ("console/projects/p/locations/l/datasets/d/dicomStores/s/query", Lane.TABLE),
        ("console/projects/p/locations/l/datasets/d/dicomStores/s/query/j/progress", Lane.TABLE),
    ],
)
def test_only_pages_of_queries_wait_for_tables(path: str, lane: Lane) -> None:
    assert _lane_of_page(path.split("/"), Lane.READ) is lane
