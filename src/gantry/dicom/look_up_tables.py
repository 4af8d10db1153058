"""Modality and VOI look-up tables (PS3.3 §C.11.1.1, §C.11.2.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.dicom.library_values import read_value
from gantry.errors import InvalidArgument

MAX_ENTRIES = 1 << 16
"""Of a table: its descriptor has 16 bits for the count, 0 standing for this (PS3.3 §C.11.1.1.1)."""


def find_usable_lut(sequence: Any) -> Any:
    """The first item that has a descriptor and data; None without one."""
    try:
        return next((item for item in sequence or () if _has_table(item)), None)
    except TypeError:  # it is no sequence
        return None


def _has_table(item: Any) -> bool:
    descriptor, data = read_value(item, "LUTDescriptor"), read_value(item, "LUTData")
    is_whole = hasattr(descriptor, "__len__") and len(descriptor) == 3
    return is_whole and (isinstance(data, int) or (data is not None and len(data) > 0))


def look_up(values: Pixels, item: Any, is_signed: bool) -> tuple[Pixels, float]:
    """Values through a LUT item, and its largest possible output. Raises InvalidArgument for an item without a table.

    ``is_signed``: the values that come in may be negative. The first value that the table is for is 16 bits, and
    whether they have a sign follows from that and not from its VR, as in dcmtk.
    """
    if not _has_table(item):
        raise InvalidArgument("a look-up table has no LUTDescriptor or no LUTData")
    count, first, bits = (int(number) & 0xFFFF for number in item.get("LUTDescriptor"))
    if is_signed and first >= 0x8000:
        first -= 0x10000
    entries = _read_entries(item.get("LUTData"), count or MAX_ENTRIES)
    top = max((1 << min(max(bits, 1), 16)) - 1, int(entries.max()))
    return entries[np.clip(values - first, 0, len(entries) - 1)].astype(np.float64), float(top)


def _read_entries(data: Any, count: int) -> Pixels:
    """Words, or bytes where there are just enough of those."""
    if isinstance(data, bytes):
        wide = len(data) >= 2 * count
        entries: Pixels = np.frombuffer(data[: 2 * count if wide else count], "<u2" if wide else np.uint8)
    else:
        numbers = [data] if isinstance(data, int) else list(data[:MAX_ENTRIES])
        entries = np.asarray(numbers, np.int64) & 0xFFFF
        if len(entries) * 2 in (count, count + 1):
            entries = entries.astype("<u2").view(np.uint8)
        entries = entries[:count]
    if not entries.size:
        raise InvalidArgument("a look-up table is empty")
    return entries
