"""Each change is one row of a table that follows a store, whatever happens before or after each step of adding them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import update

from gantry.errors import AlreadyExists, DiskAway, StatusError
from gantry.index.sql import SqlIndex
from gantry.index.tables import change_pack
from gantry.index_wiring import INDEX
from gantry.names import ResourcePath
from gantry.operations import following
from gantry.operations.streaming import Streaming
from gantry.resources import Dataset, DicomStore, Method
from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.table_address import TableAddress
from tests.index.values import DATASET, STORE
from tests.streams.stepping import STEPS, Killed, Stepping, find_delivery
from tests.streams.test_local import TABLE, read
from tests.support.databases import index_url

LATER = datetime.now(UTC) + timedelta(days=1)


@contextmanager
def opened(home: Path) -> Iterator[Stepping]:
    """A store that a table follows, in a new index or in the one that is there."""
    with closing(SqlIndex(index_url(home / "data"))) as index:
        with suppress(AlreadyExists):
            index.resources.create_dataset(Dataset(DATASET), "v1")
            index.resources.create_dicom_store(DicomStore(STORE))
        index.feed.begin(True)
        made = Stepping(index, home)
        made.follow(TABLE)
        yield made
        made.workers.shutdown()


@pytest.fixture
def stepping(tmp_path: Path) -> Iterator[Stepping]:
    with opened(tmp_path) as made:
        made.stow(2)
        made.settle()
        assert made.rows() == made.told()
        made.stow(3)
        yield made


def run_to(stepping: Stepping, step: str, event: Callable[[Stepping], None]) -> None:
    """One server adds rows; at a step something happens. What it raises then does not matter."""
    stepping.happen(step, event)
    server = stepping.begin_server()
    try:
        stepping.tell(server)
    except (Killed, StatusError):
        pass
    assert stepping.happened, "the step was not reached"


def kill(_: Stepping) -> None:
    raise Killed


def another_server(stepping: Stepping) -> None:
    """This one is frozen meanwhile."""
    stepping.settle()


def others_and_more(stepping: Stepping) -> None:
    """They go on with what comes."""
    for _ in range(2):
        stepping.settle()
        stepping.stow()
    stepping.settle()


def something_new(stepping: Stepping) -> None:
    stepping.stow(2)


def deletion(stepping: Stepping) -> None:
    stepping.index.deletion.delete_instance(STORE, ResourcePath("1.2", "1.2.1", "1.2.1.4"))


def configured_anew(stepping: Stepping) -> None:
    """The same table."""
    stepping.follow(TABLE, include_source_store=True)


def another_table(stepping: Stepping) -> None:
    stepping.follow(TABLE, f"{TABLE}2")


@pytest.mark.parametrize(
    "event",
    [kill, another_server, others_and_more, something_new, deletion, configured_anew, another_table],
    ids=lambda event: event.__name__,
)
@pytest.mark.parametrize("step", STEPS)
def test_each_change_is_one_row(stepping: Stepping, step: str, event: Callable[[Stepping], None]) -> None:
    run_to(stepping, step, event)
    stepping.settle()
    assert stepping.rows() == stepping.told()
    stepping.stow()
    stepping.settle()
    assert stepping.rows() == stepping.told()
    assert not [name for name in os.listdir(stepping.root / ".gantry" / "t") if "op-" in name]


def expired(stepping: Stepping) -> None:
    """The feed keeps none of it any more."""
    while not stepping.index.feed.expire(LATER):
        pass


@pytest.mark.parametrize("step", STEPS)
def test_what_is_kept_no_longer_is_a_row_once_or_never(stepping: Stepping, step: str) -> None:
    told = stepping.told()
    run_to(stepping, step, expired)
    stepping.stow(2)
    told += stepping.told()
    stepping.settle()
    found = stepping.rows()
    assert found <= told
    assert all(found[uid, "INSERT"] for uid in ("1.2.1.1", "1.2.1.2", "1.2.1.6", "1.2.1.7"))


def partly_expired(stepping: Stepping) -> None:
    """The feed keeps no more than the last two changes of what is being added."""
    stepping.index.feed.expire(LATER, 3)


@pytest.mark.parametrize("step", STEPS)
def test_what_is_kept_in_part_is_no_row_twice(stepping: Stepping, step: str) -> None:
    """Rows were added, perhaps, and their position was not moved: those that the feed still has are not added again."""
    told = stepping.told()
    killed: list[str] = []

    def expire_and_kill(_: Stepping) -> None:
        killed.append(step)
        partly_expired(stepping)
        raise Killed

    run_to(stepping, step, expire_and_kill)
    assert killed
    stepping.stow(2)
    stepping.settle()
    found = stepping.rows()
    assert max(found.values()) == 1 and found <= told + stepping.told()
    kept = ("1.2.1.1", "1.2.1.2", "1.2.1.4", "1.2.1.5", "1.2.1.6", "1.2.1.7")
    assert all(found[uid, "INSERT"] == 1 for uid in kept)


def link_removed(stepping: Stepping) -> None:
    (stepping.root / "t").unlink()


def all_removed(stepping: Stepping) -> None:
    link_removed(stepping)
    shutil.rmtree(stepping.root / ".gantry" / "t")


@pytest.mark.parametrize("event", [link_removed, all_removed], ids=lambda event: event.__name__)
@pytest.mark.parametrize("step", STEPS)
def test_a_table_that_is_removed_by_hand_is_made_again(
    stepping: Stepping, step: str, event: Callable[[Stepping], None]
) -> None:
    run_to(stepping, step, event)
    stepping.settle()
    stepping.stow()
    stepping.settle()
    found = stepping.rows()
    assert found <= stepping.told(), "no row twice"
    assert found["1.2.1.6", "INSERT"] == 1
    if step.startswith("before"):
        assert found.total() >= 4 or step == "before index move", "what was not added yet"


def taken_away(stepping: Stepping) -> None:
    stepping.follow()


def taken_away_and_back(stepping: Stepping) -> None:
    stepping.follow()
    stepping.stow()
    stepping.follow(TABLE)


@pytest.mark.parametrize("event", [taken_away, taken_away_and_back], ids=lambda event: event.__name__)
@pytest.mark.parametrize("step", STEPS)
def test_a_table_that_is_taken_away_meanwhile(stepping: Stepping, step: str, event: Callable[[Stepping], None]) -> None:
    """What was on its way is there wholly, or not at all."""
    run_to(stepping, step, event)
    stepping.follow(TABLE)
    stepping.stow()
    stepping.settle()
    found = stepping.rows()
    assert found <= stepping.told()
    assert found.total() in (3, 6)
    assert not found["1.2.1.6", "INSERT"] or event is taken_away


@pytest.mark.parametrize("step", STEPS)
def test_a_store_that_is_deleted_meanwhile(stepping: Stepping, step: str) -> None:
    def deleted(_: Stepping) -> None:
        stepping.index.resources.delete_dicom_store(STORE)

    told = stepping.told()
    run_to(stepping, step, deleted)
    stepping.settle()
    stepping.seams.warehouse.sweep(lambda owner: True)
    assert stepping.rows() <= told and stepping.rows().total() in (2, 5)
    assert not [name for name in os.listdir(stepping.root / ".gantry" / "t") if "op-" in name]


@pytest.mark.parametrize("as_json", [True, False])
def test_another_schema_before_the_first_rows_are_there(tmp_path: Path, as_json: bool) -> None:
    """Rows that were made and given up leave no columns."""
    schema: Any = {"schema_as_json": {}}
    with opened(tmp_path) as stepping:
        stepping.follow(TABLE, **({} if as_json else schema))
        stepping.stow(2)
        run_to(stepping, "after keep", kill)
        stepping.follow(TABLE, **(schema if as_json else {}))
        stepping.settle()
        assert stepping.rows() == stepping.told()
        names = {name for name, *_ in duckdb.sql(f"DESCRIBE FROM '{stepping.root}/t/*.parquet'").fetchall()}
        assert ("Metadata" in names, "PatientID" in names) == (as_json, not as_json)


def test_one_whose_plan_was_made_and_not_carried_out_adds_as_many_as_were_planned(stepping: Stepping) -> None:
    run_to(stepping, "after index plan", kill)
    assert find_delivery(stepping).planned == 3
    stepping.stow(4)
    server = stepping.begin_server()
    assert not stepping.tell(server), "there are more"
    assert stepping.rows().total() == 5
    stepping.settle()
    assert stepping.rows() == stepping.told()
    assert find_delivery(stepping).planned == 0


def test_rows_that_are_visible_come_before_the_position_is_moved(stepping: Stepping) -> None:
    before = find_delivery(stepping).position
    seen: list[int] = []

    def look(_: Stepping) -> None:
        assert find_delivery(stepping).position == before
        seen.append(len(read(stepping.root)))

    run_to(stepping, "before index move", look)
    assert seen == [5]


def test_rows_wait_for_an_export_into_the_table(stepping: Stepping) -> None:
    """Its end may replace the table by what it has read before these changes."""
    operations, request = stepping.index.operations, {"table_uri": TABLE, "disposition": "WRITE_TRUNCATE"}
    export = operations.create_operation(DATASET, "v1", Method.EXPORT_DICOM_DATA, request, str(STORE))
    server = stepping.begin_server()
    assert not stepping.tell(server)
    assert stepping.rows().total() == 2
    claimed = operations.claim_operation("runner")
    assert claimed is not None and claimed.name == export.name
    operations.finish_operation(claimed, "runner", None)
    stepping.settle()
    assert stepping.rows() == stepping.told()


@pytest.mark.sqlite("its file is put back")
def test_an_index_that_was_put_back_has_other_changes_after_its_position(tmp_path: Path) -> None:
    """As many of them: the table has rows of others, and gets these, too."""
    with opened(tmp_path) as before:
        before.stow(2)
        before.settle()
        with (
            closing(sqlite3.connect(tmp_path / "data" / INDEX)) as source,
            closing(sqlite3.connect(tmp_path / "copy")) as copy,
        ):
            source.backup(copy)
        before.stow(3)
        run_to(before, "before index move", kill)
    for name in os.listdir(tmp_path / "data"):
        (tmp_path / "data" / name).unlink()
    shutil.move(tmp_path / "copy", tmp_path / "data" / INDEX)
    with opened(tmp_path) as after:
        after.count = 7
        after.stow(3)
        after.settle()
        assert after.told() <= after.rows()
        assert after.rows().total() == 8 and max(after.rows().values()) == 1


def test_another_directory_in_the_place_gets_nothing(stepping: Stepping) -> None:
    """Such as the mount point of a disk that is away."""
    elsewhere = stepping.root.rename(stepping.root.with_name("elsewhere"))
    stepping.root.mkdir()
    stepping.follow(TABLE)  # the same again
    with pytest.raises(DiskAway, match="has none of the tables that were in it"):
        stepping.settle()
    assert not os.listdir(stepping.root)
    stepping.root.rmdir()
    elsewhere.rename(stepping.root)
    stepping.settle()
    assert stepping.rows() == stepping.told()


def test_a_directory_that_is_gone_for_good_is_another_one_once_it_is_configured_again(stepping: Stepping) -> None:
    shutil.rmtree(stepping.root)
    stepping.root.mkdir()
    stepping.follow()
    stepping.follow(TABLE)
    stepping.stow()
    stepping.settle()
    assert stepping.rows() == {("1.2.1.6", "INSERT"): 1}


def test_tables_on_a_disk_that_gives_no_answer_keep_no_others_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "_HANG_SECONDS", 0.2)
    answers, hanging = threading.Event(), set[str]()
    with opened(tmp_path) as stepping:
        roots = {"p.d": str(stepping.root), "p.away": str(tmp_path / "away")}
        stepping.seams = replace(stepping.seams, warehouse=LocalWarehouse(roots, "mark"))
        stepping.follow(*(f"bq://p.away.t{number}" for number in range(20)), TABLE)
        stepping.stow()
        real = LocalWarehouse.open_stream

        def hang(self: Any, address: TableAddress, key: str, owner: str) -> Any:
            if address.dataset == "away":
                hanging.add(address.table)
                assert answers.wait(60)
            return real(self, address, key, owner)

        monkeypatch.setattr(LocalWarehouse, "open_stream", hang)
        stopping = threading.Event()
        server = following.Following(stepping.seams, Streaming(stepping.seams, stopping), stopping)
        deadline = time.monotonic() + 60
        while stepping.rows() != stepping.told() and time.monotonic() < deadline:
            server.run()
            time.sleep(0.05)
        assert stepping.rows() == stepping.told()
        assert len(hanging) <= 8, "no more threads wait for it"
        assert "its disk has given no answer" in caplog.text
        stopping.set()
        answers.set()
        while any(thread.name == "streams" for thread in threading.enumerate()):
            time.sleep(0.01)


def damaged(stepping: Stepping) -> None:
    """The second of the three changes that are being added."""
    with stepping.index.database.write() as connection:
        connection.execute(update(change_pack).where(change_pack.c.number == 4).values(data=b"damaged"))


@pytest.mark.parametrize("step", STEPS)
def test_a_damaged_row_of_the_feed_is_passed_over(stepping: Stepping, step: str) -> None:
    told = stepping.told()

    def damage_and_kill(stepping: Stepping) -> None:
        damaged(stepping)
        raise Killed

    run_to(stepping, step, damage_and_kill)
    stepping.stow()
    told["1.2.1.6", "INSERT"] = 1
    stepping.settle()
    missing = told - stepping.rows()
    assert stepping.rows() <= told and missing in ({}, {("1.2.1.4", "INSERT"): 1})
