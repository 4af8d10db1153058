"""Writing many rows at once, and one by one where one of them has a value that the index cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from gantry.index.deferred import begin_part, end_part, send, undo_part
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
    begin_part(connection, "sound")
    try:
        with translated():
            write(items)
            send(connection)
    except BadValue as error:
        undo_part(connection, "sound")
        end_part(connection, "sound")
        return error
    end_part(connection, "sound")
    return None
