"""Walks through pages of any size give every instance once, in their order."""

from __future__ import annotations

import pytest

from gantry.index import walking
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.resources import Batch, Operation
from tests.index.values import RUNNER, STORE, item


@pytest.mark.parametrize("page", [1, 2, 3, 7, 12, 13])
def test_pages_follow_each_other(
    index: SqlIndex, operation: Operation, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Also where a page ends in the middle of a series, and at the end of one."""
    items = [item(number, f"1.{number % 2}", f"2.{number % 2}.{number % 3}") for number in range(24)]
    index.operations.commit_batch(operation, RUNNER, Batch("a", tuple(items)))
    monkeypatch.setattr(walking, "PAGE", page)
    for depth in (1, 2, 3):
        for uids in {each.uids[:depth] for each in items}:
            path = ResourcePath(*uids)
            wanted = sorted(each.uids for each in items if each.uids[:depth] == uids)
            assert [each.uids for each in index.instances.list_below(STORE, path)] == wanted
            assert sorted(each.uids for each in index.instances.walk_below(operation.store_id, path)) == wanted
    walk = list(index.instances.walk_store(operation.store_id))
    assert sorted(each.uids for each in walk) == sorted(each.uids for each in items)
    assert [each.position for each in walk] == [
        each.position for each in sorted(walk, key=lambda row: row[8:9] + row[2:3])
    ]
    for at, found in enumerate(walk):
        assert list(index.instances.walk_store(operation.store_id, found.position)) == walk[at + 1 :]
