"""Text in pictures (PS3.18 §8.3.5.1.1): white letters with a black edge, in the font that comes with Pillow.

That font has the letters of ASCII. Other letters are drawn without their marks (é as e, ø as o, ß as ss), and what has
no such letter as a question mark; a patient's identity that would become another one in that way is not drawn. Workers
only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gantry.errors import NotAcceptable

if TYPE_CHECKING:
    from gantry.dicom.cells import Pixels

_SMALLEST, _LARGEST = 10, 48  # pixels of a line of text: what can be read, and what is large enough
_LINES = 28  # of text of the wanted size would fill the shorter side of a picture
_MOST = 200  # characters of a line
_LABELLED = {"ID": "PatientID", "Born": "PatientBirthDate", "Sex": "PatientSex"}  # every other line is the name
_WORD = re.compile(r"[^ -]*[ -]|[^ -]+")  # with the space or the hyphen behind it, where a line may end
_INDENT = "  "  # of what continues a line
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

    The text is as large as fits. ``above`` identifies the patient: a name that does not fit in the smallest size that
    can be read is continued on the next line. What of ``below`` does not fit is left out: long lines, and then the last
    ones. Raises NotAcceptable where a line of ``above`` does not fit, or has letters that cannot be drawn.
    """
    rows, columns = shown.shape[:2]
    identity = [_fold_identity(line) for line in above]
    folded = [fold_text(line) for line in below]
    size = _choose_size([*identity, *folded], rows, columns)
    step, margin = _step(size), _margin(size)
    room = (rows - 2 * margin) // step
    first = [part for line in identity for part in _wrap(line, size, columns)]
    if len(first) > max(0, room):
        raise _refuse("the lines about the patient do not fit into the picture")
    last = [line for line in folded if _fits(line, size, columns)][: max(0, room - len(first))]
    starts = [margin + step * number for number in range(len(first))]
    starts += [rows - margin - step * (len(last) - number) for number in range(len(last))]
    return _draw(shown, list(zip([*first, *last], starts, strict=True)), size)


def _draw(shown: Pixels, lines: Sequence[tuple[str, int]], size: int) -> Pixels:
    """The picture with each line at its upper edge."""
    picture = Image.fromarray(np.ascontiguousarray(shown))
    draw, font = ImageDraw.Draw(picture), _load_font(size)
    white, black = (255, 0) if shown.ndim == 2 else ((255, 255, 255), (0, 0, 0))
    for line, top in lines:
        draw.text((_margin(size), top), line, white, font, stroke_width=_edge(size), stroke_fill=black)
    return np.asarray(picture)


def _fold_identity(line: str) -> str:
    """A line about the patient in the characters that are drawn: a name may lose the marks of its letters, and nothing
    else may change. Raises NotAcceptable."""
    folded, label = fold_text(line), _find_label(line)
    is_same = folded == line if label else folded.count("?") == line.count("?") and bool(folded.strip())
    if not is_same or len(line) > _MOST:
        raise _refuse(f"{label or 'PatientName'} has letters that the font of the server lacks, or too many")
    return folded


def _find_label(line: str) -> str:
    """The attribute of a line about the patient; "" for the name, which has no label."""
    label, colon, _ = line.partition(": ")
    return _LABELLED.get(label, "") if colon else ""


def _wrap(line: str, size: int, columns: int) -> list[str]:
    """A line about the patient in as many lines as it needs. The name alone is divided: half an ID is another ID.

    Raises NotAcceptable.
    """
    if _fits(line, size, columns):
        return [line]
    label = _find_label(line)
    parts = [""]
    for word in () if label else _WORD.findall(line):
        if _fits((parts[-1] + word).rstrip(), size, columns):
            parts[-1] += word
        else:
            parts.append(_INDENT + word)
    parts = [part.rstrip() for part in parts if part.strip()]
    if not parts or not all(_fits(part, size, columns) for part in parts):
        raise _refuse(f"{label or 'PatientName'} does not fit into the picture")
    return parts


def _refuse(why: str) -> NotAcceptable:
    return NotAcceptable(f"annotation=patient: {why}", advice="ask for a larger picture, or without this annotation")


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
