"""Rows of thousands of headers that are much alike, by one writer: each as if it had been written alone."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from gantry.dicom.header_bytes import HeaderBytes
from gantry.errors import InvalidArgument
from gantry.table_schema import Columns, merge_columns
from gantry.tables.rows import RowForm, RowWriter
from tests.tables.row import INSTANCE, require_columns

SERIES, SLICES = 6, 12  # of one writer
LONG = ("OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OD", "OF", "OL", "SV", "UV")
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f", "AT": "HH"}
CHARACTER_SETS = ("", "ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87", "ISO_IR 144")
TEXTS = (
    "",
    "A",
    "é",
    "Ä\\B",
    "x" * 300,
    '"\\1',
    "\0",
    "1.5",
    "20240229",
    "101112.5",
    "^B=C^D",
    "a" * 40,
    "\x1b$B0&\x1b(B",
)
PRIVATE, CONTEXT = 0x00091001, (0x00080005, 0x00280103)
ELEMENTS = (
    *((0x00080005, "CS"), (0x00080008, "CS"), (0x00080020, "DA"), (0x00080030, "TM"), (0x0008002A, "DT")),
    *((0x00080060, "CS"), (0x00081030, "LO"), (0x00081140, "SQ"), (0x00090010, "LO"), (PRIVATE, "LO")),
    *((0x00091002, "UN"), (0x00091003, "SQ"), (0x00100010, "PN"), (0x00101020, "DS"), (0x00104000, "LT")),
    *(
        (0x00180050, "DS"),
        (0x00186060, "FL"),
        (0x00189073, "FD"),
        (0x00189810, "US"),
        (0x0020000D, "UI"),
        (0x00200013, "IS"),
        (0x00200032, "DS"),
    ),
    *((0x00280009, "AT"), (0x00280010, "US"), (0x00280103, "US"), (0x00280106, "US"), (0x00280107, "SS")),
    *((0x00281052, "DS"), (0x00281101, "US"), (0x00400275, "SQ"), (0x0040A160, "UT"), (0x00420011, "OB")),
    *((0x00720084, "SS"), (0x52009230, "SQ"), (0x60000010, "US"), (0x60020010, "US")),
)

Element = tuple[int, str, Any]
"""Tag, VR and value: bytes, or the items of a sequence."""


class Maker:
    """Headers of one series, in one encoding."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.explicit, self.little = chance.choice(((True, True), (True, True), (False, True), (True, False)))
        self.order = "<" if self.little else ">"

    def elements(self, depth: int = 0) -> list[Element]:
        some = [each for each in ELEMENTS if self.chance.random() < (0.7 if depth == 0 else 0.2)]
        return [(tag, vr, self.value(tag, vr, depth)) for tag, vr in some if depth < 3 or vr != "SQ"]

    def value(self, tag: int, vr: str, depth: int) -> Any:
        if vr == "SQ":
            return [self.elements(depth + 1) for _ in range(self.chance.choice((0, 1, 1, 2)))]
        if tag == 0x00080005:
            return self.chance.choice(CHARACTER_SETS).encode()
        if tag == 0x00280103:
            return struct.pack(f"{self.order}H", self.chance.randrange(2))
        if vr in NUMBERS:
            count = self.chance.choice((1, 1, 1, 2))
            return bytes(self.chance.randrange(256) for _ in range(struct.calcsize("=" + NUMBERS[vr]) * count))
        text = self.chance.choice(TEXTS) if self.chance.random() < 0.5 else str(self.chance.randrange(100_000))
        return text.encode("utf-8" if self.chance.random() < 0.5 else "latin-1", "replace")

    def mutate(self, elements: list[Element]) -> list[Element]:
        made = list(elements)
        for _ in range(self.chance.choice((0, 1, 1, 2, 4))):
            at = self.chance.randrange(len(made)) if made else 0
            kind = self.chance.randrange(14)
            if kind == 0 and made:
                del made[at]
            elif kind == 1 and made:
                made.insert(at, made[self.chance.randrange(len(made))])
            elif kind == 2 and made:
                made.append(made.pop(at))
            elif kind == 3:
                made.append((PRIVATE, "LO", self.value(PRIVATE, "LO", 0)))
            elif kind == 4 and made and made[at][1] != "SQ":
                made[at] = (
                    made[at][0],
                    self.chance.choice(("US", "SS", "UN", "LO", "UT", "DS", "??", "OB")),
                    made[at][2],
                )
            elif kind == 5 and made and made[at][1] == "SQ" and made[at][2]:
                items = list(made[at][2])
                items[0] = self.mutate(items[0])
                made[at] = (*made[at][:2], items)
            elif made:
                made[at] = (*made[at][:2], self.value(made[at][0], made[at][1], 1))
        return made

    def header(self, elements: list[Element]) -> HeaderBytes:
        data, cuts = bytearray(), []
        for each in elements:
            if each[1] in ("UT", "OB", "SQ", "LT") and self.chance.random() < 0.05:
                length = self.chance.choice((10, 1000))
                cuts.append((len(data), length))
                data += self.head(each[0], each[1], length)
            else:
                data += self.write(each)
        if self.chance.random() < 0.03 and data:  # damage
            data[self.chance.randrange(len(data))] = self.chance.randrange(256)
        return HeaderBytes(b"", bytes(data), tuple(cuts), self.explicit, self.little)

    def head(self, tag: int, vr: str, length: int) -> bytes:
        start = struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit:
            return start + struct.pack(f"{self.order}I", length)
        if vr in LONG:
            return start + vr.encode() + struct.pack(f"{self.order}2xI", length)
        return start + vr.encode() + struct.pack(f"{self.order}H", length)

    def write(self, element: Element) -> bytes:
        tag, vr, value = element
        is_open = vr in ("SQ", "UT", "UN", "UC") and self.chance.random() < 0.2
        data = b"".join(map(self.item, value)) if isinstance(value, list) else value + b" " * (len(value) % 2)
        end = struct.pack(f"{self.order}HHI", 0xFFFE, 0xE0DD, 0)
        return self.head(tag, vr, 0xFFFFFFFF if is_open else len(data)) + data + (end if is_open else b"")

    def item(self, elements: list[Element]) -> bytes:
        data = b"".join(map(self.write, elements))
        is_open = self.chance.random() < 0.3
        head = struct.pack(f"{self.order}HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if is_open else len(data))
        return head + data + (struct.pack(f"{self.order}HHI", 0xFFFE, 0xE00D, 0) if is_open else b"")


def make_headers(seed: int) -> Iterator[HeaderBytes]:
    chance = random.Random(seed)
    makers = [Maker(chance) for _ in range(2)]
    known = makers[0].elements()
    for _ in range(SERIES):
        maker = chance.choice(makers)
        known = maker.mutate([(tag, vr, maker.value(tag, vr, 1) if tag in CONTEXT else old) for tag, vr, old in known])
        for _ in range(SLICES):
            if chance.random() < 0.2:
                known = maker.mutate(known)
            yield maker.header(known if chance.random() < 0.5 else maker.mutate(known))


def write(writer: RowWriter, header: HeaderBytes) -> Any:
    try:
        return json.loads(writer.write(INSTANCE, header).line())
    except InvalidArgument:
        return "refused"


@pytest.mark.parametrize("first", [0, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", [RowForm(), RowForm(as_json=True)], ids=["flattened", "json"])
def test_a_row_does_not_depend_on_those_before_it(form: RowForm, first: int) -> None:
    counts = [0, 0]
    for seed in range(first, first + (80 if first else 10)):
        together, columns = RowWriter(form), Columns()
        for number, header in enumerate(make_headers(seed)):
            alone = RowWriter(form)
            expected = write(alone, header)
            assert write(together, header) == expected, (seed, number)
            columns = merge_columns(columns, alone.list_columns())
            counts[expected == "refused"] += 1
            if expected != "refused":
                require_columns(expected, together.list_columns())
        assert merge_columns(columns, together.list_columns()) == together.list_columns()
    assert counts[0] > counts[1] > 0
