"""What takes turns at the index is timed, whatever comes of it."""

from __future__ import annotations

import pytest

from gantry.index.sql import SqlIndex


def counted(index: SqlIndex) -> tuple[int, ...]:
    """Turns, transactions and connections."""
    return tuple(classes[-1][1] for classes, _ in index.read_times().values())


def test_each_turn_transaction_and_connection_counts_once(index: SqlIndex) -> None:
    before = counted(index)
    with index.database.write():
        pass
    with pytest.raises(KeyError), index.database.write():
        raise KeyError
    for _ in range(3):
        with index.database.read():
            pass
    assert [now - then for now, then in zip(counted(index), before, strict=True)] == [2, 2, 3]
