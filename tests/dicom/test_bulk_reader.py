"""Several bulk values of one instance, found in one pass: each is what it is when it is looked for alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.datasets import BIG_UID, EXPLICIT_UID, dataset, element, part10, sequence
from tests.support.plain_reader import BIG, EXPLICIT

from gantry.dicom.buffers import Held
from gantry.dicom.bulk import BulkPath, BulkReader, find_bulk
from gantry.dicom.elements import DataSet, Element
from gantry.errors import NotFound

A, B, C, SEQUENCE = 0x00091001, 0x00091002, 0x00091003, 0x00091010
UIDS = ("1.2", "1.2.1", "1.2.1.1")


def value(tag: int, text: bytes) -> tuple[int, bytes]:
    return element(tag, "OB", text, EXPLICIT)


def items(*numbers: int) -> tuple[int, bytes]:
    inside = [[value(A, b"a%d  " % n), sequence(SEQUENCE, [[value(B, b"b%d  " % n)]] * 2, EXPLICIT)] for n in numbers]
    return sequence(SEQUENCE, inside, EXPLICIT)


def read(*elements: tuple[int, bytes]) -> BulkReader:
    return BulkReader(Held(instance(*elements)))


def instance(*elements: tuple[int, bytes]) -> bytes:
    """The elements as they are given, behind those that every instance has."""
    body = dataset([], EXPLICIT, uids=UIDS) + b"".join(data for _, data in elements)
    return part10(body, EXPLICIT_UID, sop=UIDS[2])


def test_any_order_of_paths() -> None:
    elements = (value(A, b"1 "), value(B, b"22"), items(*range(10)), value(0x00091101, b"33"))
    nested: list[BulkPath] = [(SEQUENCE, n, A) for n in range(10)]
    nested += [(SEQUENCE, n, SEQUENCE, m, B) for n in range(10) for m in range(2)]
    paths: list[BulkPath] = [(A,), (B,), (0x00091101,), *nested]
    opened = Held(part10(dataset(list(elements), EXPLICIT, uids=UIDS), EXPLICIT_UID, sop=UIDS[2]))
    expected = {path: find_bulk(opened, path) for path in paths}
    assert expected[SEQUENCE, 7, A] == b"a7  "
    for seed in range(20):
        reader, mixed = BulkReader(opened), random.Random(seed).sample(paths * 2, len(paths) * 2)
        assert [reader.find(path) for path in mixed] == [expected[path] for path in mixed]


def test_of_two_elements_with_one_tag_it_is_the_first() -> None:
    """As in DICOM JSON, however the file has them in order."""
    for elements in (
        (value(C, b"c1"), value(A, b"a1"), value(C, b"c2")),
        (value(A, b"a1"), value(C, b"c1"), value(A, b"a2"), value(C, b"c2")),
    ):
        reader = read(*elements)
        assert [reader.find((tag,)) for tag in (A, C, A, C)] == [b"a1", b"c1", b"a1", b"c1"]


def many(order: str) -> list[tuple[int, bytes]]:
    """200 private values: rising, falling, behind one that is out of order, or mixed."""
    made = [value(0x00111001 + number, b"%04d" % number) for number in range(200)]
    if order == "falling":
        return made[::-1]
    if order == "mixed":
        return random.Random(1).sample(made, len(made))
    return [value(0x00131001, b"late"), *made] if order == "one is late" else made


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("order", ["rising", "falling", "one is late", "mixed"])
def test_elements_in_any_order_are_passed_a_few_times_only(
    order: str, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    elements = many(order)
    reader = read(sequence(SEQUENCE, [elements], EXPLICIT)) if nested else read(*elements)
    passed = 0
    read_elements = DataSet.read_elements

    def count(*given: Any, **named: Any) -> Iterator[Element]:
        nonlocal passed
        for each in read_elements(*given, **named):
            passed += 1
            yield each

    monkeypatch.setattr(DataSet, "read_elements", count)
    above = (SEQUENCE, 0) if nested else ()
    found = [reader.find((*above, 0x00111001 + number)) for number in range(200)]
    assert found == [b"%04d" % number for number in range(200)]
    assert passed < 4 * 200


def test_bits_allocated_counts_only_where_it_stands_before() -> None:
    """In big endian, it says how long the words of OW are (PS3.5 §8.1.1)."""
    bits = element(0x00280100, "US", b"\x20\x00", BIG)
    pixels = element(0x7FE00010, "OW", b"abcd", BIG)
    late = element(0x00280010, "US", b"\x02\x00", BIG)
    for order, words in (([bits, pixels, late], b"cdab"), ([pixels, bits, late], b"abcd")):
        body = dataset([], BIG, uids=UIDS) + sequence(SEQUENCE, [order], BIG)[1]
        reader = BulkReader(Held(part10(body, BIG_UID, sop=UIDS[2])))
        path = (SEQUENCE, 0, 0x7FE00010)
        assert reader.find(path) == words
        reader.find((SEQUENCE, 0, 0x00280010))
        assert reader.find(path) == words


@pytest.mark.parametrize("path", [(B,), (SEQUENCE, 3, A), (SEQUENCE, 0, C), (A, 0, B), (C, 0, A)])
def test_what_is_not_there_does_not_hide_what_is(path: BulkPath) -> None:
    elements = [value(A, b"a1"), items(1, 2, 3), value(0x00091101, b"zz")]
    reader = BulkReader(Held(part10(dataset(elements, EXPLICIT, uids=UIDS), EXPLICIT_UID, sop=UIDS[2])))
    for _ in range(2):
        with pytest.raises(NotFound):
            reader.find(path)
        assert reader.find((A,)) == b"a1"
        assert reader.find((SEQUENCE, 1, A)) == b"a2  "
        assert reader.find((0x00091101,)) == b"zz"
