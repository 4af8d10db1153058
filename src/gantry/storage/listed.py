"""What the tables of contents of a segment list, and what of it was freed since."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.seams import OpenedObject
from gantry.storage.contents import extents_of, read_tables
from gantry.storage.extents import Entry, parse_extent
from gantry.storage.freed import is_freed


def list_entries(opened: OpenedObject) -> Iterator[Entry]:
    """Without the instances that have been freed. Raises what reading raises."""
    for table in read_tables(opened):
        for entry in table.entries:
            extent = parse_extent(entry.key)
            if extent is not None and not is_freed(opened, extent.offset, extent.length):
                yield entry


def count_freed(opened: OpenedObject) -> int:
    """How many of them have been freed. Raises what reading raises."""
    listed = [extent for table in read_tables(opened) for extent in extents_of(table)]
    return sum(is_freed(opened, extent.offset, extent.length) for extent in listed)
