"""Stores that had topics before messages were sent get them from the first change after the upgrade on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from gantry.events import Position
from gantry.index.sql import SqlIndex
from tests.faults.older import fill_older, index_of_schema

TOPIC = {"pubsub_topic": "projects/p/topics/t"}


def test_a_topic_that_was_kept_begins_with_the_feed(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with closing(index_of_schema(path, "0019")) as older:
        fill_older(older)
        settings = {"labels": {}, "notification_config": None, "notification_configs": [TOPIC], "stream_configs": []}
        older.execute("UPDATE dicom_store SET settings = ?", (json.dumps(settings),))
        older.commit()
    with closing(SqlIndex(path)) as index:
        found = index.deliveries.list_deliveries()
    assert [(each.receiver, each.position) for each in found] == [(TOPIC["pubsub_topic"], Position())]
