"""Text in pictures (PS3.18 §8.3.5.1.1): white letters with a black edge, in the font that comes with Pillow.

That font has the letters of ASCII. Other letters are drawn without their marks (é as e, ø as o, ß as ss), and what has
no such letter as a question mark. Workers only.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from gantry.dicom.cells import Pixels

_SMALLEST, _LARGEST = 10, 48  # pixels of a line of text: what can be read, and what is large enough
_LINES = 28  # of text of the wanted size would fill the shorter side of a picture
_MOST = 200  # characters of a line
_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
        "þ": "th",
        "Þ": "Th",
        "ı": "i",
        "ø": "o",
        "Ø": "O",
        "ł": "l",
        "Ł": "L",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "ħ": "h",
        "Ħ": "H",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "-",
    }
)


def fold_text(text: str) -> str:
    """Text in the characters that are drawn."""
    folded = unicodedata.normalize("NFKD", text[:_MOST].translate(_LETTERS))
    kept = (each for each in folded if not unicodedata.combining(each))
    return "".join(each if " " <= each <= "~" else "?" for each in kept)


def annotate(shown: Pixels, above: Sequence[str], below: Sequence[str]) -> Pixels:
    """The picture with lines of text in its upper and its lower left corner.

    The text is as large as fits. What does not fit in the smallest size that can be read is left out: long lines, and
    then the last ones of ``below``, before those of ``above``.
    """
    rows, columns = shown.shape[:2]
    folded = [[fold_text(line) for line in lines] for lines in (above, below)]
    size = _choose_size([line for lines in folded for line in lines], rows, columns)
    font, step, margin = _load_font(size), _step(size), _margin(size)
    room = (rows - 2 * margin) // step
    first, last = ([line for line in lines if _fits(line, size, columns)] for lines in folded)
    first = first[: max(0, room)]
    last = last[: max(0, room - len(first))]
    picture = Image.fromarray(np.ascontiguousarray(shown))
    draw = ImageDraw.Draw(picture)
    starts = [margin + step * number for number in range(len(first))]
    starts += [rows - margin - step * (len(last) - number) for number in range(len(last))]
    white, black = (255, 0) if shown.ndim == 2 else ((255, 255, 255), (0, 0, 0))
    for line, top in zip([*first, *last], starts, strict=True):
        draw.text((margin, top), line, white, font, stroke_width=_edge(size), stroke_fill=black)
    return np.asarray(picture)


def _choose_size(lines: Sequence[str], rows: int, columns: int) -> int:
    """The wanted size, or the largest one below it in which all lines fit; else the smallest one."""
    wanted = min(max(min(rows, columns) // _LINES, _SMALLEST), _LARGEST)
    for size in range(wanted, _SMALLEST, -1):
        has_room = len(lines) * _step(size) <= rows - 2 * _margin(size)
        if has_room and all(_fits(line, size, columns) for line in lines):
            return size
    return _SMALLEST


def _fits(line: str, size: int, columns: int) -> bool:
    return _load_font(size).getlength(line) + 2 * _margin(size) <= columns


def _step(size: int) -> int:
    return size * 5 // 4


def _margin(size: int) -> int:
    return size // 3 + _edge(size)


def _edge(size: int) -> int:
    return max(1, size // 12)


@cache
def _load_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - every wheel of Pillow has FreeType
    return font
