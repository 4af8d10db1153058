"""Stores that had tables before rows were added to them get rows of the first change after the upgrade on."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gantry.events import Action, Event, Kind, Position, pack_events
from gantry.followed import Followed
from gantry.index.sql import SqlIndex
from gantry.operations.streaming import Streaming
from gantry.table_seams import NO_WAREHOUSE
from tests.faults.older import fill_older, index_of_schema

TABLE, TOPIC = "bq://p.d.t", "projects/p/topics/t"
STREAMS = [{"bigquery_destination": {"table_uri": TABLE}}]
EVENT = Event(Kind.STORED, Action.STORE, "1.2", "1.2.1", "CT", "STANDARD", "", "1.2.1.1", "v")


def make_older(path: Path, packs: int, start: int = 0) -> None:
    with closing(index_of_schema(path, "0020")) as older:
        fill_older(older)
        older.execute("UPDATE dicom_store SET settings = ?", (json.dumps({"stream_configs": STREAMS}),))
        older.execute("INSERT INTO change_feed VALUES (1, 'era')")
        older.execute("INSERT INTO delivery VALUES (1, ?, 0, 0, 0, 0)", (TOPIC,))
        if start:
            older.execute("INSERT INTO change_start VALUES (1, ?, 0, 77)", (start,))
        for number in range(start + 1, start + packs + 1):
            values = (1, number, 0, 10 + number, None, pack_events([EVENT]))
            older.execute("INSERT INTO change_pack VALUES (?, ?, ?, ?, ?, ?)", values)
        older.commit()


def test_a_table_that_was_kept_begins_after_all_that_has_happened(tmp_path: Path) -> None:
    for number, (packs, start) in enumerate([(0, 0), (3, 0), (0, 5), (2, 5)]):
        path = tmp_path / f"{number}.sqlite"
        make_older(path, packs, start)
        with closing(SqlIndex(path)) as index:
            table, topic = index.deliveries.list_deliveries()
            assert (table.receiver, table.era, table.planned) == (TABLE, "era", 0)
            assert table.position == index.feed.find_end(1)
            assert index.feed.read(1, table.position, 10).events == []
            assert (topic.receiver, topic.era, topic.position) == (TOPIC, "era", Position())


def test_what_is_no_table_here_is_passed_over() -> None:
    """An older version has accepted it without effect."""
    seams: Any = SimpleNamespace(warehouse=NO_WAREHOUSE, streamed=Followed())
    streaming = Streaming(seams, threading.Event())
    assert not any(map(streaming.covers, ("bq://p.d.t$20260101", "bq://p.d.t", TOPIC)))
