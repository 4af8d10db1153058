"""Words in the other byte order (PS3.5 §7.3)."""

from __future__ import annotations

from gantry.dicom.buffers import Buffer
from gantry.dicom.tags import PIXEL_DATA
from gantry.dicom.vr import TABLE

_CELLS = range(16, 65, 8)
"""Bits of a pixel cell, which are whole bytes (PS3.5 §8.1.1) and no more than those of a number."""


def swap_words(value: Buffer, size: int) -> bytes:
    """Words of ``size`` bytes in the other order; a rest that is no whole word stays as it is."""
    if size == 1:
        return bytes(value)
    whole = len(value) - len(value) % size
    words = bytearray(value)
    for place in range(size):
        words[place:whole:size] = value[size - 1 - place : whole : size]
    return bytes(words)


def word_size(tag: int, vr: str, bits_allocated: int) -> int:
    """Bytes that change places in a value. Pixels of 2 to 8 whole bytes are words of their own size, whatever their VR:
    some writers call them OB (PS3.5 §8.2, §A.3)."""
    if tag == PIXEL_DATA and bits_allocated in _CELLS:
        return bits_allocated // 8
    return TABLE[vr].word
