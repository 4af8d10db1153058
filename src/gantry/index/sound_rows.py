"""Writing many rows at once, and one by one where one of them has a value that the index cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from gantry.index.commits import driver_of
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
    driver_of(connection).execute("SAVEPOINT sound")
    try:
        with translated():
            write(items)
    except BadValue as error:
        driver_of(connection).execute("ROLLBACK TO sound")
        driver_of(connection).execute("RELEASE sound")
        return error
    driver_of(connection).execute("RELEASE sound")
    return None
