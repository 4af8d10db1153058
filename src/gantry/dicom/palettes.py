"""Palettes: stored values to RGB (PS3.3 §C.7.6.3.1.5, §C.7.6.3.1.6), segmented ones too (§C.7.9.2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gantry.dicom.cells import Pixels
from gantry.dicom.library_values import read_value
from gantry.dicom.look_up_tables import MAX_ENTRIES
from gantry.errors import InvalidArgument

_CHANNELS = ("Red", "Green", "Blue")
_BLOCK = 1 << 15  # pixels: indices take eight times the room of a byte
_MAX_NESTING = 4
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


class _Table(NamedTuple):
    """The colours of one channel; ``first`` is the stored value that the first entry is for."""

    first: int
    entries: Pixels


def palette_to_rgb(pixels: Pixels, ds: Any) -> Pixels:
    """Look up 8-bit RGB in the palette of an image. Raises InvalidArgument for a palette that makes no sense."""
    tables = [_read_table(ds, name, pixels.dtype.kind == "i") for name in _CHANNELS]
    # Entries of 16 bits that never leave the low byte are 8-bit ones in a wide cell, as older writers have it.
    shift = 8 if max(int(table.entries.max()) for table in tables) > 255 else 0
    colours = [(table.first, (table.entries >> shift).astype(np.uint8)) for table in tables]
    flat = pixels.reshape(-1)
    rgb = np.empty((flat.size, 3), np.uint8)
    for start in range(0, flat.size, _BLOCK):
        values = flat[start : start + _BLOCK].astype(np.int64)
        for channel, (first, entries) in enumerate(colours):
            rgb[start : start + _BLOCK, channel] = entries.take(np.clip(values - first, 0, len(entries) - 1))
    return rgb.reshape(*pixels.shape, 3)


def _read_table(ds: Any, name: str, is_signed: bool) -> _Table:
    count, first, bits = _read_descriptor(ds, name)
    first -= (1 << 16) * (is_signed and first >= 1 << 15)  # US or SS, as the pixels are signed or not
    data = _read_words(ds, f"{name}PaletteColorLookupTableData")
    segments = _read_words(ds, f"Segmented{name}PaletteColorLookupTableData")
    if data is not None:
        entries = _cut_entries(data, count)
    elif segments is not None:
        parts = segments.view(np.uint8) if bits == 8 else segments
        entries = np.array(_expand(parts, 0, len(parts), [], count, _MAX_NESTING)[:count], parts.dtype)
    else:
        raise InvalidArgument(f"PALETTE COLOR without {name}PaletteColorLookupTableData")
    if not entries.size:
        raise InvalidArgument(f"{name}PaletteColorLookupTableData is empty")
    return _Table(first, entries)


def _read_descriptor(ds: Any, name: str) -> tuple[int, int, int]:
    """Number of entries, first value as 16 bits without a sign, bits per entry."""
    keyword = f"{name}PaletteColorLookupTableDescriptor"
    if keyword not in ds:
        raise InvalidArgument(f"PALETTE COLOR without {keyword}")
    value = read_value(ds, keyword)
    try:
        count, first, bits = (int(number) for number in value)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{keyword} is not three whole numbers") from None
    if bits not in (8, 16):
        raise InvalidArgument(f"{keyword} has {bits} bits for an entry; there can be 8 or 16")
    return (count & 0xFFFF) or MAX_ENTRIES, first & 0xFFFF, bits


def _read_words(ds: Any, keyword: str) -> Pixels | None:
    """A value as little endian words, whatever its VR; an odd last byte goes. None where there is none."""
    value = read_value(ds, keyword)
    if value is None:
        return None
    if not isinstance(value, bytes):
        numbers = [value] if isinstance(value, int) else list(value)[: MAX_ENTRIES + 1]
        value = b"".join((int(number) & 0xFFFF).to_bytes(2, "little") for number in numbers)
    if len(value) > 2 * MAX_ENTRIES:
        raise InvalidArgument(f"{keyword} has more entries than 16 bits can number")
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2")


def _cut_entries(data: Pixels, count: int) -> Pixels:
    """Words, or bytes where there are just enough of those, whatever the descriptor has for bits."""
    if data.nbytes in (count, count + 1):
        return data.view(np.uint8)[:count]
    return data[:count]


def _expand(data: Pixels, at: int, most: int, made: list[int], count: int, nesting: int) -> list[int]:
    """``made`` with up to ``most`` segments from a place in the table, discrete, linear or indirect, behind it.

    No segment begins once there are ``count`` entries. Each adds something, so the steps are no more than the entries;
    padding looks like a discrete segment of nothing.
    """
    while most and at + 1 < len(data) and len(made) < count:
        kind, length, before = int(data[at]), int(data[at + 1]), len(made)
        if kind == _DISCRETE and not length:
            break
        at, most = at + 2, most - 1
        if kind == _DISCRETE:
            made += data[at : at + length].tolist()
            at += length
        elif kind == _LINEAR and made and at < len(data):
            made += _interpolate(made[-1], int(data[at]), length)
            at += 1
        elif kind == _INDIRECT and made and nesting:
            words = 4 // data.itemsize  # a place in bytes, in 32 bits
            start = int.from_bytes(data[at : at + words].tobytes(), "little") // data.itemsize
            _expand(data, start, length, made, count, nesting - 1)
            at += words
        if len(made) == before:
            raise InvalidArgument("a segmented palette has a segment that makes no sense")
    return made


def _interpolate(start: int, end: int, length: int) -> list[int]:
    """``length`` entries after ``start`` up to ``end``."""
    steps = np.arange(1, length + 1)
    return [] if not length else np.rint(start + steps * ((end - start) / length)).astype(np.int64).tolist()
