"""Writing many rows at once, and one by one where one of them has a value that the index cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from gantry.index.commits import run_plain
from gantry.index.refusals import BadValue, translated

Item = TypeVar("Item")


def write_sound(
    connection: Connection, items: Sequence[Item], write: Callable[[Sequence[Item]], None]
) -> dict[int, BadValue]:
    """Write all items but those that the index cannot hold; the errors of these, by their place.

    ``write`` is undone where it raises BadValue; every other error is raised.
    """
    if not items or _try(connection, items, write) is None:
        return {}
    tried = ((number, _try(connection, [item], write)) for number, item in enumerate(items))
    return {number: error for number, error in tried if error is not None}


def _try(connection: Connection, items: Sequence[Item], write: Callable[[Sequence[Item]], None]) -> BadValue | None:
    run_plain(connection, "SAVEPOINT sound")
    try:
        with translated():
            write(items)
    except BadValue as error:
        run_plain(connection, "ROLLBACK TO sound")
        run_plain(connection, "RELEASE sound")
        return error
    run_plain(connection, "RELEASE sound")
    return None
