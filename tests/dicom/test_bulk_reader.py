"""Several bulk values of one instance, found in one pass: each is what it is when it is looked for alone."""

from __future__ import annotations

import random

import pytest
from tests.support.datasets import EXPLICIT_UID, dataset, element, part10, sequence
from tests.support.plain_reader import EXPLICIT

from gantry.dicom.buffers import Held
from gantry.dicom.bulk import BulkPath, BulkReader, find_bulk
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
