"""The proof that a rewritten data set is the old one, and the border to the library that reads attributes of pixels."""

from __future__ import annotations

from struct import pack

import pytest
from tests.dicom.test_round_trips import written
from tests.pixels.instances import Opened
from tests.support.datasets import FILES
from tests.support.dicom import element

from gantry.dicom import transcoding
from gantry.dicom.buffers import Held
from gantry.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, DataSet, Encoding
from gantry.dicom.file_meta import read_meta, write_meta
from gantry.dicom.forms import IMPLICIT_LE as IMPLICIT_LE_UID
from gantry.dicom.open_source import read_instance
from gantry.dicom.part10 import read_header, read_header_bytes
from gantry.dicom.rewriting import place_elements, require_same, rewrite
from gantry.dicom.traversal import Scope, read_steps
from gantry.errors import FailedPrecondition, Internal, InvalidArgument


def item(content: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


NAME = element(0x0010, 0x0010, b"PN", "Doe^John")
CODE = element(0x0008, 0x0100, b"SH", "C1")
CODES = element(0x0008, 0x1032, b"SQ", item(CODE) + item(CODE))
WHOLE = CODES + NAME


@pytest.mark.parametrize(
    "tampered",
    [
        CODES,
        WHOLE + element(0x0010, 0x0020, b"LO", "P1"),
        CODES + element(0x0010, 0x0010, b"PN", "Doe^Jane"),
        element(0x0008, 0x1032, b"SQ", item(CODE)) + NAME,
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(element(0x0008, 0x0100, b"SH", "C2"))) + NAME,
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(CODE) + item(b"")) + NAME,
        WHOLE[:-1],
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(b"")) + NAME,
        element(0x0008, 0x1032, b"SQ", item(CODE) + item(element(0x0008, 0x0102, b"SH", "C1"))) + NAME,
    ],
)
@pytest.mark.parametrize("target", [EXPLICIT_LE, IMPLICIT_LE])
def test_anything_else_than_the_old_data_set_is_a_mistake(tampered: bytes, target: object) -> None:
    """Elements, items and bytes that are missing, more, or other ones."""
    old = DataSet(WHOLE, EXPLICIT_LE)
    right = b"".join(rewrite(old, place_elements(old), {}, target))  # type: ignore[arg-type]
    require_same(old, place_elements(old), {}, DataSet(right, target))  # type: ignore[arg-type]
    other = DataSet(tampered, EXPLICIT_LE)
    try:
        wrong = b"".join(rewrite(other, place_elements(other), {}, target))  # type: ignore[arg-type]
    except InvalidArgument:
        wrong = tampered
    with pytest.raises(Internal):
        require_same(old, place_elements(old), {}, DataSet(wrong, target))  # type: ignore[arg-type]


@pytest.mark.parametrize("stored", [EXPLICIT_LE, IMPLICIT_LE])
@pytest.mark.parametrize(("vr", "other"), [(b"SH", b"LO"), (b"PN", b"UN"), (b"SQ", b"OB")])
def test_the_same_bytes_under_another_vr_are_a_mistake(stored: Encoding, vr: bytes, other: bytes) -> None:
    """At the top level and in items."""
    explicit = DataSet(element(0x0008, 0x0000, b"UL", pack("<I", 0)) + WHOLE, EXPLICIT_LE)
    old = DataSet(b"".join(rewrite(explicit, place_elements(explicit), {}, stored)), stored)
    right = b"".join(rewrite(old, place_elements(old), {}, EXPLICIT_LE))
    require_same(old, place_elements(old), {}, DataSet(right, EXPLICIT_LE))
    at = right.index(vr)
    is_short = other == b"UN" and vr == b"PN"
    head = other + b"\0\0" + pack("<I", 8) if is_short else other
    wrong = right[:at] + head + right[at + (4 if is_short else 2) :]
    with pytest.raises(Internal):
        require_same(old, place_elements(old), {}, DataSet(wrong, EXPLICIT_LE))


def test_an_instance_that_was_written_wrong_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding, "rewrite", lambda *_: [b""])
    with pytest.raises(Internal):
        written(FILES["private-explicit"], IMPLICIT_LE_UID)


def test_the_library_is_given_the_elements_that_were_told_apart() -> None:
    """Of two with the same tag the first; sequences with and without a length."""
    closed = CODES.replace(pack("<HH", 0x0008, 0x1032), pack("<HH", 0x0028, 0x3010))
    open_end = pack("<HH2s2xI", 0x0028, 0x9145, b"SQ", 0xFFFFFFFF) + item(CODE) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    more = element(0x0028, 0x0010, b"US", b"cc") + closed + open_end
    plain = FILES["16-bits-explicit"]
    at = plain.index(pack("<HH", 0x7FE0, 0x0010))
    ds = read_instance(Held(plain[:at] + more + plain[at:])).source.ds
    assert ds.get("Rows") != 0x6363 and ds[0x00283010].value[1].CodeValue == ds[0x00289145].value[0].CodeValue == "C1"


def test_heads_without_a_vr_are_written_anew_at_any_depth() -> None:
    """A sequence whose own head is right may hold some that are not."""
    blank = pack("<HHI", 0x0008, 0x0100, 2) + b"C1"
    for inside in (blank, element(0x0008, 0x1032, b"SQ", item(blank)), CODE + element(0x0008, 0x0102, b"XX", b"")):
        old = DataSet(element(0x0040, 0xA730, b"SQ", item(CODE) + item(inside)), EXPLICIT_LE)
        new = DataSet(b"".join(rewrite(old, place_elements(old), {}, EXPLICIT_LE)), EXPLICIT_LE)
        require_same(old, place_elements(old), {}, new)
        heads = [step.element.vr for step in read_steps(new, new.elements(), Scope(new, len(new.data)))]
        assert all(heads), inside


@pytest.mark.parametrize(("signed", "vr"), [(0, "US"), (1, "SS")])
def test_what_a_value_is_depends_on_those_before_it_at_any_depth(signed: int, vr: str) -> None:
    """PixelRepresentation of the data set, for items that have none of their own (PS3.5 §A.1)."""

    def implicit(tag: int, value: bytes) -> bytes:
        return pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value

    tables = implicit(0x00283010, item(implicit(0x00283002, bytes(6))))
    body = implicit(0x00280103, pack("<H", signed)) + implicit(0x00280106, b"\xfe\xff") + tables
    old = DataSet(body, IMPLICIT_LE)
    new = DataSet(b"".join(rewrite(old, place_elements(old), {}, EXPLICIT_LE)), EXPLICIT_LE)
    found = {step.element.tag: step.element.vr for step in read_steps(new, new.elements(), Scope(new, len(new.data)))}
    assert found[0x00280106] == found[0x00283002] == vr


def test_where_long_values_end_is_kept_with_the_header() -> None:
    """Also behind a value that was cut; so that a search need not walk what it does not look for."""
    long = pack("<HH2s2xI", 0x0040, 0x0275, b"SQ", 0xFFFFFFFF) + item(element(0x0040, 0x0007, b"LO", "x" * 60)) * 40
    long += pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data = FILES["long-explicit"] + long
    opened = Opened(data)
    layout = read_header(opened.read_at, opened.size).layout
    assert layout.cuts
    found = read_header_bytes(opened.read_at, opened.size, layout)
    assert found is not None
    again = type(found).from_bytes(found.to_bytes())
    assert again == found and found.ends
    for start, end in found.ends:
        assert found.body[end : end + 8] == pack("<HHI", 0xFFFE, 0xE0DD, 0)
        assert DataSet(found.body, found.encoding).find_end(start, len(found.body), found.encoding) == end


def test_stray_delimiters_between_items_are_passed_over() -> None:
    """As dcmtk does (some writers end items of defined length with one)."""
    stray = pack("<HHI", 0xFFFE, 0xE00D, 0)
    data_set = DataSet(element(0x0008, 0x1032, b"SQ", item(CODE) + stray + item(CODE) + stray) + NAME, EXPLICIT_LE)
    sequence, name = data_set.elements()
    assert [len(list(each.elements())) for each in data_set.read_items(sequence)] == [1, 1]
    assert name.tag == 0x00100010


def test_sequences_that_are_the_same_again_end_where_their_own_delimiters_stand() -> None:
    """Their ends are not looked for twice."""
    same = pack("<HH2s2xI", 0x0008, 0x1032, b"SQ", 0xFFFFFFFF) + item(CODE) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
    data_set = DataSet(same * 4 + NAME, EXPLICIT_LE)
    *sequences, name = data_set.elements()
    assert [each.end for each in sequences] == [len(same) * number for number in range(1, 5)]
    assert (name.tag, name.end) == (0x00100010, len(data_set.data))


def test_fragments_get_a_head_without_a_length() -> None:
    """Pixels of a compressed file whose heads have no VR, as some writers leave them."""
    fragments = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd"
    end = pack("<HHI", 0xFFFE, 0xE0DD, 0)
    old = DataSet(pack("<HHI", 0x7FE0, 0x0010, 0xFFFFFFFF) + fragments + end, IMPLICIT_LE)
    placed = place_elements(old)
    made = b"".join(rewrite(old, placed, {}, EXPLICIT_LE))
    assert made == pack("<HH2s2xI", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF) + fragments + end
    require_same(old, placed, {}, DataSet(made, EXPLICIT_LE))


def test_a_sequence_whose_items_cannot_be_told_apart_stays_as_it_is_in_its_own_encoding() -> None:
    broken = element(0x0008, 0x1032, b"SQ", bytes(range(1, 9)))
    old = DataSet(broken + NAME, EXPLICIT_LE)
    placed = place_elements(old)
    assert b"".join(rewrite(old, placed, {}, EXPLICIT_LE)) == broken + NAME
    with pytest.raises(FailedPrecondition, match="cannot be told apart"):
        rewrite(old, placed, {}, IMPLICIT_LE)


def test_elements_come_in_the_order_of_their_tags() -> None:
    """PS3.5 §7.1; some writers append what they add."""
    old = DataSet(NAME + CODES, EXPLICIT_LE)
    placed = place_elements(old)
    assert [each.tag for each, _ in placed] == [0x00081032, 0x00100010]
    assert b"".join(rewrite(old, placed, {}, EXPLICIT_LE)) == CODES + NAME


def test_items_without_a_vr_that_cannot_be_told_apart_are_un() -> None:
    """UN has the bytes of implicit VR (PS3.5 §6.2.2)."""
    broken = pack("<HHI", 0x0008, 0x1032, 8) + bytes(range(1, 9))
    old = DataSet(broken, IMPLICIT_LE)
    made = b"".join(rewrite(old, place_elements(old), {}, EXPLICIT_LE))
    assert made == pack("<HH2s2xI", 0x0008, 0x1032, b"UN", 8) + bytes(range(1, 9))


@pytest.mark.parametrize("target", [EXPLICIT_LE, IMPLICIT_LE])
def test_words_of_big_endian_are_swapped_and_text_is_not(target: Encoding) -> None:
    def big(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        return pack(">HH", group, number) + vr + pack(">H", len(value)) + value

    old = DataSet(
        big(0x0010, 0x0010, b"PN", b"AB")
        + big(0x0028, 0x0010, b"US", b"\1\2")
        + big(0x0028, 0x0009, b"AT", b"\1\2\3\4"),
        EXPLICIT_BE,
    )
    placed = place_elements(old)
    made = DataSet(b"".join(rewrite(old, placed, {}, target)), target)
    found = {each.tag: bytes(made.data[each.value : each.stop]) for each in made.elements()}
    assert found == {0x00100010: b"AB", 0x00280009: b"\2\1\4\3", 0x00280010: b"\2\1"}
    require_same(old, placed, {}, made)


def test_a_meta_group_keeps_what_is_not_of_the_writer() -> None:
    kept = element(0x0002, 0x0016, b"AE", "SENDER")
    old = element(0x0002, 0x0000, b"UL", pack("<I", 99)) + element(0x0002, 0x0010, b"UI", "1.2\0") + kept
    foreign = old + element(0x0008, 0x0005, b"CS", "ISO_IR 6")
    for meta in (old, foreign, old + b"\2\0"):
        made = write_meta("1.4", "1.5", "1.6", meta)
        found = read_meta(made[132:])
        assert found[0x00020016] == kept and made.count(b"1.6\0") == 1 and b"ISO_IR" not in made
        assert set(found) == {*range(0x00020001, 0x00020004), 0x00020010, 0x00020012, 0x00020013, 0x00020016}
        assert made[:140] == bytes(128) + b"DICM" + pack("<HH2sH", 2, 0, b"UL", 4)[:8]
        assert int.from_bytes(made[140:144], "little") == len(made) - 144
    assert set(read_meta(write_meta("1.4", "1.5", "1.6")[132:])) == set(found) - {0x00020016}
