"""The reader that tests judge with, on bytes made by hand, and beside pydicom on real files."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import RawDataElement

from tests.support.datasets import FILES, KINDS, SYNTAXES, dataset, part10
from tests.support.files import content, parameters, real_names
from tests.support.plain_reader import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    Damaged,
    Element,
    PlainFile,
    find,
    little_endian,
    number_of,
    read_file,
    text_of,
    walk,
)

META = bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
IMPLICIT_META = bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x12\x001.2.840.10008.1.2\0"
BIG_META = bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.2\0"
CT, CT_READ = b"\x08\0\x60\0CS\x02\0CT", (0x00080060, "CS", b"CT")
ITEM, ITEM_END, END = b"\xfe\xff\0\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"


def plain(file: PlainFile) -> list[Any]:
    return [simple(element) for element in file.elements]


def simple(element: Element) -> tuple[int, str, Any]:
    if element.items is not None:
        return element.tag, element.vr, [[simple(inner) for inner in item] for item in element.items]
    if element.fragments is not None:
        return element.tag, element.vr, list(element.fragments)
    return element.tag, element.vr, element.value


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (META + b"\x08\0\x60\0CS\x02\0CT", [(0x00080060, "CS", b"CT")]),
        (META + b"\x09\0\x01\x10OB\0\0\x03\0\0\0abc", [(0x00091001, "OB", b"abc")]),
        (IMPLICIT_META + b"\x08\0\x60\0\x02\0\0\0CT", [(0x00080060, "", b"CT")]),
        (BIG_META + b"\0\x28\0\x10US\0\x02\0\x01", [(0x00280010, "US", b"\0\1")]),
        (META + b"\x08\0\x60\0\x02\0\0\0CT", [(0x00080060, "", b"CT")]),
        (IMPLICIT_META + b"\x08\0\x60\0CS\x02\0CT", [(0x00080060, "CS", b"CT")]),
        (META + CT + b"\x09\0\x01\x10??\x02\0ab", [CT_READ, (0x00091001, "??", b"ab")]),
        (META + CT + b"\x09\0\x01\x10ZZ\x02\0ab", [CT_READ, (0x00091001, "ZZ", b"ab")]),
        (META + b"\x09\0\x01\x10ZZ\0\0\x02\0\0\0ab", [(0x00091001, "ZZ", b"ab")]),
        (META + b"\x09\0\x01\x10ZZ\0\0", [(0x00091001, "ZZ", b"")]),
        (META + b"\x08\0\x60\0CS\x02\0CT" + bytes(6), [(0x00080060, "CS", b"CT")]),
    ],
)  # fmt: skip
def test_elements(data: bytes, expected: list[Any]) -> None:
    assert plain(read_file(data)) == expected


CODE = b"\x08\0\0\x01SH\x02\0C1"
BARE_CODE = b"\x08\0\0\x01\x02\0\0\0C1"


@pytest.mark.parametrize(
    ("head", "value", "vr", "items"),
    [
        (b"SQ\0\0\x12\0\0\0", ITEM + b"\x0a\0\0\0" + CODE, "SQ", 1),
        (b"SQ\0\0\xff\xff\xff\xff", ITEM + b"\x0a\0\0\0" + CODE + END, "SQ", 1),
        (b"SQ\0\0\xff\xff\xff\xff", (ITEM + b"\xff\xff\xff\xff" + CODE + ITEM_END) * 2 + END, "SQ", 2),
        (b"UN\0\0\xff\xff\xff\xff", ITEM + b"\xff\xff\xff\xff" + BARE_CODE + ITEM_END + END, "UN", 1),
        (b"UN\0\0\x12\0\0\0", ITEM + b"\x0a\0\0\0" + BARE_CODE, "UN", 1),
        (b"\xff\xff\xff\xff", ITEM + b"\xff\xff\xff\xff" + BARE_CODE + ITEM_END + END, "", 1),
    ],
)
def test_sequences(head: bytes, value: bytes, vr: str, items: int) -> None:
    before = b"\x08\0\x60\0CS\x02\0CT"
    (_, found) = read_file(META + before + b"\x09\0\x01\x10" + head + value).elements
    assert (found.vr, found.value) == (vr, value.removesuffix(END))
    assert [[(each.tag, each.value) for each in item] for item in found.items or ()] == [[(0x00080100, b"C1")]] * items


def test_a_stray_delimiter_between_items_is_passed_over() -> None:
    value = ITEM + b"\x0a\0\0\0" + CODE + ITEM_END
    (found,) = read_file(META + b"\x32\x10\x08\0SQ\0\0" + struct.pack("<I", len(value)) + value).elements
    assert [[each.value for each in item] for item in found.items or ()] == [[b"C1"]]


def test_fragments() -> None:
    value = ITEM + bytes(4) + ITEM + b"\x02\0\0\0ab" + END
    (found,) = read_file(META + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + value).elements
    assert found.fragments == (b"", b"ab")


@pytest.mark.parametrize(
    "inside",
    [
        ITEM + b"\x0c\0\0\0" + CODE,
        ITEM + b"\x08\0\0\0" + CODE,
        ITEM + b"\x0a\0\0\0" + BARE_CODE[:-1] + b"\x7f" + bytes(8),
        ITEM + b"\x0a\0\0\0" + CODE + bytes(8),
        b"garbage!",
    ],
)
def test_a_broken_inside_of_a_defined_length_is_kept_as_bytes(inside: bytes) -> None:
    data = META + b"\x32\x10\x08\0SQ\0\0" + struct.pack("<I", len(inside)) + inside + b"\x10\0\x20\0LO\x02\0P1"
    broken, after = read_file(data).elements
    assert (broken.broken, broken.items, broken.value) == (True, None, inside)
    assert (after.tag, after.value) == (0x00100020, b"P1")


@pytest.mark.parametrize(
    "body",
    [
        b"\x08\0\x60\0CS\x04\0CT",
        b"\x08\0\x60\0CS\x02\0CT\x08",
        b"\x32\x10\x08\0SQ\0\0\xff\xff\xff\xff" + ITEM + b"\x0a\0\0\0" + CODE,
        b"\x32\x10\x08\0SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff" + CODE + END,
        ITEM_END,
    ],
)
def test_what_is_cut_is_refused(body: bytes) -> None:
    with pytest.raises(Damaged):
        read_file(META + body)


def test_words_become_little_endian() -> None:
    def one(vr: str, value: bytes, tag: int = 0x00091001, bits: int = 0) -> bytes:
        return little_endian(Element(tag, vr, value, 0, ">"), bits)

    assert one("US", b"\0\1\0\2\3") == b"\1\0\2\0\3"
    assert one("FD", bytes(range(8))) == bytes(range(8))[::-1]
    assert one("OB", b"\0\1") == one("UN", b"\0\1") == b"\0\1"
    assert one("OB", b"\0\1", 0x7FE00010, 16) == b"\1\0"
    assert one("OW", b"\0\1\2\3", 0x7FE00010, 32) == b"\3\2\1\0"
    assert one("OW", b"\0\1\2\3", 0x7FE00010, 1) == b"\1\0\3\2"


def test_elements_are_found_by_path() -> None:
    file = read_file(FILES["sequences-explicit"])
    assert [each.value for each in find(file.elements, (0x00400275, 0, 0x00400008, 0, 0x00080100))] == [b"C1"]
    assert find(file.elements, (0x00400275, 1, 0x00400008)) == find(file.elements, (0x00100040,)) == []


@pytest.mark.parametrize("name", KINDS)
def test_every_encoding_of_a_kind_holds_the_same_values(name: str) -> None:
    """Text, lengths and depth alike; the words as little endian."""
    found = []
    for syntax, encoding in SYNTAXES.items():
        file = read_file(part10(dataset(KINDS[name](encoding), encoding), syntax))
        assert file.encoding == encoding and file.transfer_syntax == syntax
        leaves = [(path, little_endian(e, 8)) for path, e in walk(file.elements) if not e.items]
        assert not any(element.broken for _, element in walk(file.elements))
        found.append([leaf for leaf in leaves if leaf[0] != (0x7FE00010,)])
    assert found[0] == found[1] == found[2] == found[3] and len(found[0]) > 10


def test_all_of_the_made_files_are_read() -> None:
    for name, data in FILES.items():
        file = read_file(data)
        assert text_of(file.elements, 0x00100020) == "P1", name
        assert number_of(file.elements, 0x00280010) == 2
    assert read_file(FILES["words-big-endian"]).encoding == BIG
    assert read_file(FILES["declares-explicit-is-implicit"]).encoding == IMPLICIT
    assert read_file(FILES["declares-implicit-is-explicit"]).encoding == EXPLICIT


# Beside pydicom -------------------------------------------------------------------------------------------------------


def raw_tree(ds: Any) -> list[tuple[int, Any]]:
    """Tag and bytes, or items, as pydicom has read them and before it decodes them."""
    found = []
    for tag in sorted(ds.keys()):
        element = ds.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR not in ("SQ",):
            found.append((int(tag), bytes(element.value or b"")))
        else:
            items = ds[tag].value if element.VR == "SQ" else None
            found.append((int(tag), [raw_tree(item) for item in items] if items is not None else element.value))
    return found


def same(ours: Sequence[Element], theirs: list[tuple[int, Any]]) -> bool:
    """What pydicom has decoded at once (character sets), and sequences that only one looks into, by their tags."""
    last = {element.tag: element for element in ours}
    if sorted(last) != [tag for tag, _ in theirs]:
        return False
    for tag, value in theirs:
        element = last[tag]
        if isinstance(value, list):
            items = element.items or ()
            if len(items) != len(value) or not all(same(*both) for both in zip(items, value, strict=True)):
                return False
        elif (
            isinstance(value, bytes) and element.items is None and element.fragments is None and element.value != value
        ):
            return False
    return True


@pytest.mark.parametrize("name", parameters(*real_names()))
def test_real_files_beside_pydicom(name: str) -> None:
    data = content(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(BytesIO(data), force=True)
        assert same(read_file(data).elements, raw_tree(ds))
