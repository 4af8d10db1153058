"""Data sets of any shape: what the header reader accepts can be described, fetched and written anew without loss.

Elements of any VR or none, right or wrong for their tag, at any depth, in every encoding and with every form of length;
insides that are broken; odd lengths and odd ends. ``GANTRY_EXAMPLES`` is how many are tried, instead of 200 that are
the same in every run.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.dicom.test_round_trips import (
    BIG,
    DEFLATED,
    EXPLICIT_LE,
    IMPLICIT_LE,
    check_meta,
    differences,
    refused_in_words,
    written,
)
from tests.dicomweb.test_every_bulk_uri import candidates, wrong
from tests.dicomweb.test_json_beside_pydicom import missing
from tests.support.datasets import SYNTAXES, Made, dataset, element, head, item, part10
from tests.support.files import header_bytes_of
from tests.support.plain_reader import (
    BITS_ALLOCATED,
    IMPLICIT,
    LONG,
    SEQUENCE_END,
    SHORT,
    UNDEFINED,
    Encoding,
    little_endian,
    number_of,
    read_file,
)

from gantry.dicom.attributes import read_attributes
from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import read_header
from gantry.errors import InvalidArgument, StatusError

_GIVEN = os.environ.get("GANTRY_EXAMPLES", "")
_SETTINGS = settings(
    max_examples=int(_GIVEN or 200),
    derandomize=not _GIVEN,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

PUBLIC = (
    *(0x00080050, 0x00080080, 0x00080090, 0x00081030, 0x00081190, 0x00100010, 0x00101010, 0x00104000, 0x00180050),
    *(0x00181310, 0x00189073, 0x00189087, 0x00200011, 0x00200013, 0x00209157, 0x00280009, 0x00280106, 0x00280120),
    *(0x00281101, 0x00281201, 0x00283006, 0x0040A13A, 0x00420011, 0x00880906, 0x50003000, 0x60003000, 0x70010077),
)
SEQUENCES = (0x00081032, 0x00081140, 0x00283010, 0x00400275, 0x00400008, 0x52009229, 0x54000100, 0x00880200)
CREATORS = (0x00090010, 0x00290010)
PRIVATES = (0x00091001, 0x00091002, 0x000910FF, 0x00291010, 0x7FE11001, 0x00091000)
VRS = tuple(sorted(SHORT | LONG - {"SQ"}))
ODD_VRS = ("  ", "--", "??", "ZZ", "XY", "")
TEXT_VRS = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
GARBAGE = (
    b"\xfe\xff\x00\xe0\xff\0\0\0abcd",
    b"\xfe\xff\x00\xe0\x0c\0\0\0\x08\0\0\x01\x40\0\0\0abcd",
    b"\xfe\xff\x00\xe0\0\0\0\0" + bytes(8),
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xff\xfe\xe0\x00\0\0\0\x04ab",
    b"\xfe\xff\x00\xe0\x04\0\0\0abcd",
    b"garbage!",
    b"\xfe\xff\x00",
)


class Node(NamedTuple):
    """An element to be: ``items`` for a sequence, ``value`` for anything else."""

    tag: int
    vr: str
    value: bytes
    items: tuple[tuple[Node, ...], ...] | None = None
    defined: bool = True
    items_defined: bool = True


# --- what is drawn

_texts = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.encode),
    st.sampled_from(
        [b"Doe^Jane", b"A\\B\\", b"=A^B=", b"M\xfcller ", b"1.50\\+3", b"9" * 400, b"1e400", b"abc\0", b" "]
    ),
)
_values = st.one_of(_texts, st.binary(max_size=24), st.just(b""), st.binary(min_size=60, max_size=300))


def _leaf(tag: int, vr: str, value: bytes) -> Node:
    return Node(tag, vr, value)


_leaves = st.builds(
    _leaf,
    st.sampled_from(PUBLIC + PRIVATES + CREATORS),
    st.one_of(st.sampled_from(VRS), st.sampled_from(VRS), st.sampled_from(ODD_VRS)),
    _values,
)
_broken = st.builds(
    _leaf, st.sampled_from(SEQUENCES + PRIVATES), st.sampled_from(["SQ", "UN", ""]), st.sampled_from(GARBAGE)
)


@st.composite
def _lists(draw: st.DrawFn, most: int, depth: int) -> tuple[Node, ...]:
    """No tag twice; in ascending order, which most writers keep, or as they come."""
    drawn = {node.tag: node for node in (draw(_node(depth)) for _ in range(draw(st.integers(0, most))))}
    found = tuple(drawn.values())
    return found if draw(st.integers(0, 3)) == 0 else tuple(sorted(found, key=lambda node: node.tag))


@st.composite
def _node(draw: st.DrawFn, depth: int) -> Node:
    kind = draw(st.integers(0, 9))
    if kind < 6 or (kind < 9 and not depth):
        return draw(_leaves)
    if kind == 9:
        return draw(_broken)
    tag, vr = draw(st.sampled_from(SEQUENCES * 2 + PRIVATES)), draw(st.sampled_from(["SQ", "SQ", "SQ", "UN", ""]))
    items = tuple(draw(_lists(3, depth - 1)) for _ in range(draw(st.integers(0, 3))))
    return Node(tag, vr, b"", items, draw(st.booleans()), draw(st.booleans()))


_ends = st.sampled_from([b""] * 6 + [bytes(2), bytes(64), b"\0", b"\x08", b"\xfe\xff\xdd\xe0\0\0\0\0"])


# --- what is made of it


def made_of(node: Node, encoding: Encoding) -> Made:
    if node.items is None:
        # In big endian nobody can say whether words of a public element without a VR are to be swapped.
        odd = encoding.order == ">" and node.vr in ODD_VRS and not node.tag >> 16 & 1
        return element(node.tag, "UN" if odd else node.vr, node.value, encoding)
    inner = encoding if node.vr == "SQ" or not encoding.explicit else IMPLICIT
    items = [item([made_of(each, inner) for each in nodes], inner, defined=node.items_defined) for nodes in node.items]
    value = b"".join(items) + (b"" if node.defined else head(SEQUENCE_END, "", 0, inner))
    return node.tag, head(node.tag, node.vr, len(value) if node.defined else UNDEFINED, encoding) + value


def file_of(nodes: Sequence[Node], syntax: str, end: bytes) -> bytes:
    encoding = SYNTAXES[syntax]
    return part10(dataset([made_of(node, encoding) for node in nodes], encoding) + end, syntax)


# --- what must hold


@pytest.mark.slow
@_SETTINGS
@given(_lists(8, 4), st.sampled_from(list(SYNTAXES)), _ends)
@example((Node(0x00091001, "??", b"abcd"), Node(0x00100010, "PN", b"Doe")), EXPLICIT_LE, b"")
@example((Node(0x00081032, "SQ", GARBAGE[0]),), IMPLICIT_LE, b"")
@example((Node(0x00280009, "AT", bytes(6)), Node(0x00181310, "US", b"\1")), BIG, b"")
@example((Node(0x00200011, "IS", b"9" * 5000), Node(0x00180050, "DS", b"1e400 ")), DEFLATED, b"")
def test_what_is_accepted_is_described_fetched_and_written(nodes: tuple[Node, ...], syntax: str, end: bytes) -> None:
    data = file_of(nodes, syntax, end)
    try:
        read_header(lambda offset, length: data[offset : offset + length], len(data))
    except InvalidArgument as error:
        assert error.message
        return
    check_description(data)
    check_copies(data)


def check_description(data: bytes) -> None:
    """The JSON has every element, only text that is in the file, and addresses that all give the bytes."""
    file, header_bytes = read_file(data), header_bytes_of(data)
    read_attributes(header_bytes)
    found = json.loads(dicom_json(header_bytes, "u"), parse_constant=lambda name: f"not JSON: {name}")
    assert missing(file, found) == []
    for path, member in members(found):
        if "BulkDataURI" in member:
            address = member["BulkDataURI"].removeprefix("u/")
            assert address == path and wrong(data, file, address) == ""
        elif not path.startswith("0002"):
            assert_from_file(data, path, member)


def members(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member at every depth, with the path that its address would have."""
    for tag, member in found.items():
        yield f"{path}{tag}", member
        if member["vr"] == "SQ":
            for number, inner in enumerate(member.get("Value", ())):
                yield from members(inner, f"{path}{tag}/{number}/")


def assert_from_file(data: bytes, path: str, member: Any) -> None:
    """Text is that of the file: no byte that is not in the value, and none of another element's."""
    file = read_file(data)
    values = [little_endian(each, number_of(file.elements, BITS_ALLOCATED)) for each in candidates(file, path)]
    assert values, path
    if "InlineBinary" in member:
        assert b64decode(member["InlineBinary"]) in values
    texts = [text for text in member.get("Value", ()) if isinstance(text, str) and member["vr"] in TEXT_VRS]
    if member["vr"] == "PN":
        texts = [text for name in member.get("Value", ()) if name for text in name.values()]
    for text in texts:  # a byte that is no text, like a lone escape, may be U+FFFD
        pieces = [piece.encode("latin-1") for piece in text.split("\ufffd")]
        assert any(all(piece in value for piece in pieces) for value in values), (path, text, values)


def check_copies(data: bytes) -> None:
    """In both encodings and back: the bytes of all values, or a refusal in words."""
    first = read_file(data)
    bits = number_of(first.elements, BITS_ALLOCATED)
    for syntaxes in ((EXPLICIT_LE, IMPLICIT_LE), (IMPLICIT_LE, EXPLICIT_LE, DEFLATED)):
        made = data
        for syntax in syntaxes:
            try:
                before, made = made, written(made, syntax)
            except StatusError as error:
                assert refused_in_words(error), error.message
                break
            if made != before:
                assert differences(first.elements, read_file(made).elements, bits) == [], syntax
                check_meta(made, syntax)


# --- what is drawn is worth it


@pytest.mark.slow
def test_most_of_what_is_drawn_is_accepted() -> None:
    """A property of refused files alone would hold by itself."""
    counts = {True: 0, False: 0}

    @settings(max_examples=200, derandomize=True, database=None)
    @given(_lists(8, 4), st.sampled_from(list(SYNTAXES)), _ends)
    def draw(nodes: tuple[Node, ...], syntax: str, end: bytes) -> None:
        data = file_of(nodes, syntax, end)
        try:
            read_header(lambda offset, length: data[offset : offset + length], len(data))
        except InvalidArgument:
            counts[False] += 1
        else:
            counts[True] += 1

    draw()
    assert counts[True] > counts[False] > 0
