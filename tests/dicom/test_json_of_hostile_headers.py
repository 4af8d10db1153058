"""Headers made to cost much, or to be mistaken for one another: the JSON of each is right and comes at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any

import pytest
from tests.support.datasets import PROCEDURES, REQUESTS, Made, element, head, item, sequence
from tests.support.plain_reader import BIG, EXPLICIT, IMPLICIT, UNDEFINED, Encoding

from gantry.dicom.attributes import read_attributes
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import JsonWriter, dicom_json, fragments
from gantry.dicom.xml_model import native_xml

ENCODINGS = pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT, BIG], ids=["explicit", "implicit", "big"])
SIGNED, SMALLEST, INSTITUTION = 0x00280103, 0x00280106, 0x00080080
MAX_SECONDS, FRAMES_OF_A_SERVER = 5, 60
LONG = "a value that is remembered nowhere, as it is too long for that. " * 8


def header(made: Iterable[Made], encoding: Encoding = EXPLICIT) -> HeaderBytes:
    body = b"".join(data for _, data in made)
    return HeaderBytes(b"", body, (), encoding.explicit, encoding.order == "<")


def in_a_thread(act: Callable[[], Any]) -> Any:
    """As deep in calls as a request is, and for a short time."""
    found: list[Any] = []

    def deeper(frames: int) -> None:
        if frames:
            deeper(frames - 1)
        else:
            found.append(act())

    thread = Thread(target=deeper, args=(FRAMES_OF_A_SERVER,), daemon=True)
    thread.start()
    thread.join(MAX_SECONDS)
    assert found, "it takes too long, or an exception has left the thread"
    return found[0]


def everything(header_bytes: HeaderBytes) -> Any:
    """What is made of a header: JSON, with and without addresses, XML, and the rows of an index."""
    found = json.loads(dicom_json(header_bytes, "u"))
    native_xml(found)
    fragments(header_bytes, frozenset((REQUESTS, PROCEDURES)))
    read_attributes(header_bytes)
    return found


def depth_of(found: Any, tag: str) -> int:
    depth = 0
    while tag in found and found[tag].get("Value"):
        found, depth = found[tag]["Value"][-1], depth + 1
    return depth


# --- cost


@pytest.mark.timeout(60)
@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("levels", [20, 199, 210])
@ENCODINGS
def test_elements_out_of_order_on_every_level(encoding: Encoding, levels: int, defined: bool) -> None:
    last = element(INSTITUTION, "LO", LONG, encoding)
    inner = [last]
    for _ in range(levels):
        inner = [sequence(REQUESTS, [inner], encoding, defined=defined), last]
    found = in_a_thread(lambda: everything(header(inner, encoding)))
    assert depth_of(found, f"{REQUESTS:08X}") == min(levels, 200)
    assert found[f"{INSTITUTION:08X}"]["Value"] == [LONG.strip()]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("before", [True, False], ids=["in-an-item-behind", "in-the-item"])
def test_items_that_are_broken_on_every_level(before: bool) -> None:
    value = b""
    for _ in range(199):
        made = sequence(REQUESTS, [], EXPLICIT)[1][:8] + len(value).to_bytes(4, "little") + value
        rest = item([(0, b"\1\0\2\0")], EXPLICIT) if before else b""
        value = item([(REQUESTS, made + (b"" if before else b"\1\0\2\0"))], EXPLICIT) + rest
    outermost = REQUESTS, head(REQUESTS, "SQ", len(value), EXPLICIT) + value
    found = in_a_thread(lambda: everything(header([outermost])))
    assert found[f"{REQUESTS:08X}"] == {"vr": "UN", "BulkDataURI": f"u/{REQUESTS:08X}"}


@pytest.mark.timeout(60)
def test_items_that_begin_like_those_before_them_on_every_level() -> None:
    """What is expected of the third item holds but for its end, so that it is read anew."""
    few = sequence(REQUESTS, [[], [], []], EXPLICIT)
    inner = [few]
    for level in range(28):
        name, other = (element(0x00400280, "LT", f"{level}{text}{LONG}", EXPLICIT) for text in ("a", "b"))
        longer = sequence(REQUESTS, [[], [], [], []], EXPLICIT)
        rest = [element(0x00400280, "LT", LONG, EXPLICIT), element(0x00400281, "LT", f"{level}", EXPLICIT)]
        items = [[few, *rest[:1]], [longer, *rest[:1]], [sequence(REQUESTS, [[], [], inner], EXPLICIT), name, other]]
        inner = [sequence(REQUESTS, items, EXPLICIT, defined=False)]
    assert depth_of(in_a_thread(lambda: everything(header(inner))), f"{REQUESTS:08X}") > 28


@pytest.mark.parametrize("around", [180, 190, 199])
def test_a_sequence_that_was_written_before_is_told_apart_no_deeper(around: int) -> None:
    """The same bytes at the top level, asked for again and again, are remembered."""
    inner = [element(INSTITUTION, "LO", "x", EXPLICIT)]
    for _ in range(12):
        inner = [sequence(REQUESTS, [inner], EXPLICIT)]
    assert everything(header(inner)) == everything(header(inner))
    for _ in range(around):
        inner = [sequence(REQUESTS, [inner], EXPLICIT, defined=False)]
    assert depth_of(in_a_thread(lambda: everything(header(inner))), f"{REQUESTS:08X}") == min(around + 12, 200)


# --- one for another


def alike(headers: list[HeaderBytes]) -> list[Any]:
    writer, found = JsonWriter(), []
    for one in headers:
        found.append(json.loads(writer.write(one, "u")))
        assert found[-1] == json.loads(dicom_json(one, "u"))
    return found


@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_pixel_representation_decides_wherever_it_stands(behind: bool) -> None:
    """The same bytes of a value are US in the header before, which has no PixelRepresentation (PS3.5 §A.1)."""
    smallest = element(SMALLEST, "US", b"\xfe\xff", IMPLICIT)
    signed = element(SIGNED, "US", b"\1\0", IMPLICIT)
    both = [smallest, signed] if behind else [signed, smallest]
    found = alike([header(made, IMPLICIT) for made in ([smallest], both, [smallest], both)])
    assert [one[f"{SMALLEST:08X}"]["Value"] for one in found] == [[0xFFFE], [-2], [0xFFFE], [-2]]


def test_pixel_representation_behind_a_sequence_is_not_that_of_its_items() -> None:
    def one(value: bytes) -> HeaderBytes:
        inner = sequence(PROCEDURES, [[element(SMALLEST, "US", value, IMPLICIT)]], IMPLICIT)
        return header([inner, element(SIGNED, "US", b"\1\0", IMPLICIT)], IMPLICIT)

    numbers = [0xFFF0, 0xFFF1, 0xFFF2, 0xFFF3]
    found = alike([one(number.to_bytes(2, "little")) for number in numbers])
    items = [each[f"{PROCEDURES:08X}"]["Value"][0] for each in found]
    assert [inner[f"{SMALLEST:08X}"] for inner in items] == [{"vr": "US", "Value": [number]} for number in numbers]


@pytest.mark.parametrize("length", [UNDEFINED, 0x7FFFFFFF], ids=["without-end", "too-long"])
def test_a_broken_element_where_the_headers_before_had_another_one(length: int) -> None:
    """The sequence that it is in is bulk data, as it would be alone."""

    def one(inner: bytes) -> HeaderBytes:
        made = sequence(PROCEDURES, [[(0x00091001, inner)]], EXPLICIT)
        return header([made, element(0x00100010, "PN", "Doe^Jane", EXPLICIT)])

    good = [element(0x00091001, "UN", value, EXPLICIT)[1] for value in (b"abcd", b"efgh")]
    broken = head(0x00091001, "UN", length, EXPLICIT) + b"ijkl"
    found = alike([one(inner) for inner in (*good, broken, *good)])
    assert found[2][f"{PROCEDURES:08X}"]["vr"] == "UN"


def test_headers_with_and_without_an_address() -> None:
    made = [header([sequence(PROCEDURES, [[element(0x00091001, "OB", value, EXPLICIT)]], EXPLICIT)])
            for value in (b"ab", b"cd", b"ef", b"gh", b"ij")]  # fmt: skip
    writer = JsonWriter()
    for one, address in zip(made, ("", "", "u/1", "u/2", ""), strict=True):
        assert writer.write(one, address) == dicom_json(one, address)


@ENCODINGS
def test_the_character_set_counts_wherever_it_stands(encoding: Encoding) -> None:
    """Elements may be in any order, and writing the instance anew puts them in that of their tags."""
    name = element(0x00100010, "PN", b"M\xc3\xbcller ", encoding)
    inner = sequence(PROCEDURES, [[name]], encoding)
    character_set = element(0x00080005, "CS", "ISO_IR 192", encoding)
    one = header([name, inner, character_set], encoding)
    found, some = json.loads(dicom_json(one, "u")), fragments(one, frozenset((0x00100010,)))
    assert found["00100010"]["Value"] == found[f"{PROCEDURES:08X}"]["Value"][0]["00100010"]["Value"]
    assert (
        found["00100010"]["Value"]
        == [{"Alphabetic": "Müller"}]
        == json.loads(f"{{{some[0x00100010]}}}")["00100010"]["Value"]
    )


def test_a_sequence_out_of_order_changes_nothing_for_what_follows() -> None:
    within = [element(0x00081150, "UI", "1.2", IMPLICIT), element(0x00081030, "LO", "ab", IMPLICIT)]
    signed, smallest = element(SIGNED, "US", b"\1\0", IMPLICIT), element(SMALLEST, "US", b"\xff\xff", IMPLICIT)
    found = json.loads(dicom_json(header([sequence(PROCEDURES, [within], IMPLICIT), signed, smallest], IMPLICIT), "u"))
    assert found[f"{SMALLEST:08X}"] == {"vr": "SS", "Value": [-1]}


def test_an_unknown_vr_before_an_element_that_has_none() -> None:
    """Whether its length has 16 bits is told by what follows it: letters of a VR do in the headers before."""
    unknown = 0x00080070, head(0x00080070, "QQ", 0, BIG)
    good = [header([unknown, element(0x00081030, "LO", value, BIG)], BIG) for value in ("ab", "cd")]
    other = header([unknown, (0x00081030, b"\0\x08\x10\x30" + b"\0\x08\x10\x2c" + bytes(0x8102C))], BIG)
    found = alike([*good, other, *good])
    assert [list(one) for one in found] == [["00080070", "00081030"]] * 2 + [["00080070"]] + [list(found[0])] * 2
