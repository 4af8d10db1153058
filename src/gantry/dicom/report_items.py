"""Content items of structured reports (PS3.3 §C.17.3, §C.18): their values, whatever their type is called.

A value is shown where it is there, and not where ValueType promises it: an item of an unknown or wrong type loses none.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from gantry.dicom.report_values import (
    NOT_SHOWN,
    UNREAD,
    DataSet,
    has_bytes,
    is_number_unread,
    is_unread,
    read_code,
    read_date,
    read_date_time,
    read_items,
    read_text,
    read_time,
    read_unit,
    read_values,
    read_whole_numbers,
)

CONTENT, CONCEPT, OBSERVED, REFERENCES = "0040A730", "0040A043", "0040A032", "00081199"
"""ContentSequence, ConceptNameCodeSequence, ObservationDateTime, ReferencedSOPSequence."""

_VALUE_TYPE, _RELATIONSHIP, _TARGET = "0040A040", "0040A010", "0040DB73"
_MEASURED, _NUMBER, _FLOAT, _NUMERATOR, _DENOMINATOR = "0040A300", "0040A30A", "0040A161", "0040A162", "0040A163"
_FRAMES, _COORDINATES, _TABLE = "00081160", "00700022", "0040A801"
_MAX_POINTS, _MAX_FRAMES, _MAX_REFERENCES = 20, 100, 100
"""What is shown of longer lists: of a graphic, of a reference, of an item, which should have one (§C.18.3)."""

_MARKUP = 300  # characters of a page for a link: its address, and the name of what it leads to
MAX_INDENTS = 20
"""Levels that text is indented by, so that deep items still have room on the line."""


class Reference(NamedTuple):
    """A SOP Instance that an item names: its UID, its path below ``dicomWeb`` where the evidence lists its study and
    series, else "", and numbers of frames."""

    uid: str
    path: str
    frames: tuple[int, ...] = ()


class ContentItem(NamedTuple):
    """``number`` is its place in the tree, ``1.2.3``; ``value_type`` as PS3.3 Table C.17.3-7 has it; ``target`` the
    number of another item that stands in its place (by reference, §C.17.3.2.5). ``depth`` begins at 0."""

    depth: int
    number: str
    relationship: str
    value_type: str
    name: str
    text: str
    references: tuple[Reference, ...] = ()
    target: str = ""

    def texts(self) -> tuple[str, ...]:
        """All that is text out of the file."""
        return (self.relationship, self.name, self.text, *(reference.uid for reference in self.references))


def measure(item: ContentItem) -> int:
    """Characters that an item takes on a page, about: links, escapes and the indents of lines are counted too."""
    texts = item.texts()
    links = sum(1 + len(reference.frames) for reference in item.references) + bool(item.target)
    indents = 2 * min(item.depth + 1, MAX_INDENTS + 1) * sum(text.count("\n") + text.count("\r") for text in texts)
    return (
        sum(len(escape(text)) for text in texts) + len(item.number) + 2 * len(item.target) + links * _MARKUP + indents
    )


def read_item(item: DataSet, depth: int, number: str, paths: dict[str, str]) -> ContentItem:
    """``paths`` has the paths of instances by UID, those that the evidence lists."""
    value_type = read_text(item, _VALUE_TYPE).strip().upper()
    return ContentItem(
        depth,
        number,
        read_text(item, _RELATIONSHIP),
        value_type,
        read_code(item, CONCEPT),
        _write_item(item, value_type),
        tuple(_read_reference(reference, paths) for reference in read_items(item, REFERENCES)[:_MAX_REFERENCES]),
        "" if is_number_unread(item, _TARGET) else ".".join(map(str, read_whole_numbers(item, _TARGET))),
    )


def _read_reference(reference: DataSet, paths: dict[str, str]) -> Reference:
    uid = read_text(reference, "00081155")
    return Reference(uid, paths.get(uid, ""), tuple(read_whole_numbers(reference, _FRAMES)[:_MAX_FRAMES]))


def _write_item(item: DataSet, value_type: str) -> str:
    """All values of an item (PS3.3 §C.17.3.2, §C.18), and when it was observed."""
    texts = ["; ".join(filter(None, _list_values(item, value_type)))]
    if observed := read_date_time(item, OBSERVED):
        texts.append(f"(observed {observed})")
    return " ".join(filter(None, texts))


def _list_values(item: DataSet, value_type: str) -> Iterator[str]:
    yield read_text(item, "0040A160")  # TextValue
    yield _write_number(item)
    yield read_code(item, "0040A168")  # ConceptCodeSequence
    yield read_text(item, "0040A123")  # PersonName
    yield read_date(item, "0040A121")
    yield read_time(item, "0040A122")
    yield read_date_time(item, "0040A120")
    yield read_text(item, "0040A124")  # UID
    yield from _list_parts(item)
    yield _write_graphic(item, 3 if value_type == "SCOORD3D" else 2)
    yield _write_temporal(item)
    yield f"(a table, {NOT_SHOWN})" if _TABLE in item else ""
    yield f"items below {UNREAD}" if is_unread(item, CONTENT) else ""  # one of them may negate this one
    yield f"see item {UNREAD}" if is_number_unread(item, _TARGET) else ""


def _write_number(item: DataSet) -> str:
    texts = [_write_measured(value) for value in read_items(item, _MEASURED)]
    texts += [UNREAD] if is_unread(item, _MEASURED) else []
    return " ".join(filter(None, (*texts, read_code(item, "0040A301"))))  # NumericValueQualifierCodeSequence


def _write_measured(value: DataSet) -> str:
    """NumericValue and unit. FloatingPointValue and the fraction are the same number again (§C.18.1), and stand in."""
    fraction = "/".join(filter(None, (read_text(value, _NUMERATOR), read_text(value, _DENOMINATOR))))
    number = read_text(value, _NUMBER) or read_text(value, _FLOAT) or fraction
    return f"{number} {read_unit(value, '004008EA')}".strip() if number else ""


def _list_parts(item: DataSet) -> Iterator[str]:
    """What of the objects is meant: segments, channels of a waveform; and what is not shown of the references."""
    references = read_items(item, REFERENCES)
    for reference in references[:_MAX_REFERENCES]:
        for tag, label in (("0062000B", "segment"), ("0040A0B0", "channel")):
            if found := read_text(reference, tag):
                yield f"{label} {found}"
        yield f"frames {UNREAD}" if is_number_unread(reference, _FRAMES) else ""
        yield _write_more(len(read_whole_numbers(reference, _FRAMES)) - _MAX_FRAMES, "frames")
    yield _write_more(len(references) - _MAX_REFERENCES, "objects")
    yield UNREAD if is_unread(item, REFERENCES) else ""


def _write_more(number: int, what: str) -> str:
    return f"and {number} more {what}, {NOT_SHOWN}" if number > 0 else ""


def _write_graphic(item: DataSet, dimensions: int) -> str:
    """Type and coordinates, of which the first ones are shown."""
    kind = read_text(item, "00700023").lower()
    if has_bytes(item, _COORDINATES):
        return f"{kind} {read_text(item, _COORDINATES)}".strip()
    numbers = list(map(str, read_values(item, _COORDINATES)))
    points = [numbers[at : at + dimensions] for at in range(0, len(numbers), dimensions)]
    shown = [", ".join(point) for point in points[:_MAX_POINTS]]
    more = _write_more(len(points) - _MAX_POINTS, "points")
    return f"{kind} {'; '.join(filter(None, (*shown, more)))}".strip()


def _write_temporal(item: DataSet) -> str:
    """Temporal coordinates: sample positions, offsets in seconds, or times."""
    offsets = read_text(item, "0040A138")
    texts = (read_text(item, "0040A132"), f"{offsets} s" if offsets else "", read_date_time(item, "0040A13A"))
    return f"{read_text(item, '0040A130').lower()} {'; '.join(filter(None, texts))}".strip()
