"""An instance written in another native encoding, and back: heads of elements change, bytes of values do not.

PS3.5 §A.1 to §A.5, PS3.10 §7.1. Judged by a reader that shares no code with the one that is tested. What may differ:
the VR of private elements that once were implicit, how the length of a sequence or an item is given, group lengths
(retired, PS3.5 §7.2), and zeros behind the last element. From big endian to little the bytes of words change places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from tests.pixels.instances import Opened
from tests.support.datasets import FILES, REQUESTS, dataset, element, part10, sequence
from tests.support.files import content, made_names, parameters, real_names
from tests.support.plain_reader import BIG as BIG_ENDIAN
from tests.support.plain_reader import (
    BITS_ALLOCATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    find,
    little_endian,
    number_of,
    read_file,
    read_transfer_syntax,
    text_of,
    walk,
)

from gantry.dicom import forms
from gantry.dicom.bulk import find_bulk
from gantry.dicom.forms import Form
from gantry.dicom.representations import represent
from gantry.errors import StatusError

EXPLICIT_LE, IMPLICIT_LE, BIG, DEFLATED = forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.EXPLICIT_BE, forms.DEFLATED_LE
NATIVE = (EXPLICIT_LE, IMPLICIT_LE, BIG, DEFLATED)
SOP_CLASS, SOP_INSTANCE, PADDING = 0x00080016, 0x00080018, 0xFFFCFFFC
_PATH = re.compile(r"(?:^|[\s'\"(])(?:/[\w.-]+){2,}")
_OF_A_LIBRARY = re.compile(r"Traceback|pydicom|numpy|\w+(?:Error|Exception)\b|File \"|line \d+")


def written(data: bytes, syntax: str) -> bytes:
    """In another transfer syntax."""
    (part,) = represent(Opened(data), Form(forms.DICOM, syntax), lambda: None)
    return part.data


def native(names: Iterable[str]) -> list[str]:
    return [name for name in names if read_transfer_syntax(content(name)) in NATIVE]


def differences(before: Sequence[Element], after: Sequence[Element], bits: int = 0, path: str = "") -> list[str]:
    """Elements that are not in both, or have other bytes; ``before`` may be big endian."""
    one, other = _by_tag(before), _by_tag(after)
    found = [f"{path}{tag:08X} is in one file alone" for tag in sorted(one.keys() ^ other.keys())]
    for tag in sorted(one.keys() & other.keys()):
        if len(one[tag]) != len(other[tag]):
            found.append(f"{path}{tag:08X}: {len(one[tag])} times, then {len(other[tag])}")
        for first, second in zip(one[tag], other[tag], strict=False):
            found += _element_differences(first, second, bits, f"{path}{tag:08X}")
    return found


def _by_tag(elements: Sequence[Element]) -> dict[int, list[Element]]:
    found: dict[int, list[Element]] = {}
    for each in elements:
        if each.tag & 0xFFFF and each.tag >> 16 > 2:  # group 0002 has no place in a dataset (PS3.10 §7.1)
            found.setdefault(each.tag, []).append(each)
    return found


def _element_differences(before: Element, after: Element, bits: int, path: str) -> list[str]:
    others = after.items if after.value else ()
    if before.items is not None and others is not None:
        if len(before.items) != len(others):
            return [f"{path}: {len(before.items)} items, then {len(others)}"]
        pairs = enumerate(zip(before.items, others, strict=True))
        return [text for number, (one, other) in pairs for text in differences(one, other, bits, f"{path}/{number}/")]
    if not after.value and not before.value.replace(b"\xfe\xff\r\xe0\0\0\0\0", b"").replace(
        b"\xfe\xff\xdd\xe0\0\0\0\0", b""
    ):
        return []  # a sequence of nothing but delimiters, which implicit VR does not call a sequence
    if before.fragments != after.fragments:
        return [f"{path}: other fragments"]
    expected = little_endian(before, bits)
    if after.value == expected:
        return []
    return [f"{path} {before.vr!r}: {len(expected)} bytes {expected[:40]!r}, then {after.vr!r} {after.value[:40]!r}"]


def check_meta(data: bytes, syntax: str) -> None:
    """Everything of Type 1 is there (PS3.10 §7.1)."""
    file = read_file(data)
    values = {element.tag & 0xFFFF: element.value for element in file.meta}
    assert data[:132] == bytes(128) + b"DICM"
    assert [element.tag for element in file.meta] == sorted({element.tag for element in file.meta})
    assert int.from_bytes(values[0], "little") == file.start - (file.meta[0].start + 4)
    assert values[1] == b"\0\1"
    assert text_of(file.meta, meta_tag(0x10)) == file.transfer_syntax == syntax
    assert text_of(file.meta, meta_tag(2)) and text_of(file.meta, meta_tag(3)) and text_of(file.meta, meta_tag(0x12))
    assert all(len(value) % 2 == 0 for value in values.values())


def meta_tag(number: int) -> int:
    return 0x00020000 | number


def check_encoding(data: bytes, explicit: bool) -> None:
    """No VR in implicit form; in explicit form one that the standard has, at every depth outside of UN."""
    file = read_file(data)
    assert file.encoding == (EXPLICIT if explicit else IMPLICIT)
    pending = list(file.elements)
    while pending:
        element = pending.pop()
        assert bool(re.fullmatch("[A-Z]{2}", element.vr)) == explicit and element.vr != "ZZ", element[:2]
        pending += [inner for item in element.items or () for inner in item if element.vr != "UN"]


def refused_in_words(error: StatusError) -> bool:
    message = error.message
    return bool(message) and not _PATH.search(message) and not _OF_A_LIBRARY.search(message)


def check_steps(data: bytes, *syntaxes: str) -> None:
    """Through the transfer syntaxes one after the other; every file holds what the first one did."""
    first = read_file(data)
    bits = number_of(first.elements, BITS_ALLOCATED)
    for syntax in syntaxes:
        before, data = data, written(data, syntax)
        if data == before:
            continue  # a copy: the file says already that it is what is asked for
        assert differences(first.elements, read_file(data).elements, bits) == [], syntax
        check_meta(data, syntax)
        check_encoding(data, syntax != IMPLICIT_LE)


def steps_of(data: bytes) -> tuple[str, ...]:
    """There and back, and there again, beginning with what the file is not."""
    if read_file(data).encoding == IMPLICIT:
        return EXPLICIT_LE, IMPLICIT_LE, DEFLATED, IMPLICIT_LE
    return IMPLICIT_LE, EXPLICIT_LE, IMPLICIT_LE, DEFLATED, EXPLICIT_LE


@pytest.mark.parametrize("name", parameters(*native(made_names()), *native(real_names())))
def test_values_stay_as_they_are_through_all_native_encodings(name: str) -> None:
    data = content(name)
    check_steps(data, *steps_of(data))


@pytest.mark.parametrize("name", parameters(*native(made_names()), *native(real_names())))
def test_a_file_in_its_own_encoding_is_the_file(name: str) -> None:
    data = content(name)
    assert written(data, read_file(data).transfer_syntax) == data


def test_the_meta_group_says_what_the_dataset_is_where_it_said_nothing() -> None:
    for name in ("poor-meta", "poor-meta-implicit"):
        for syntax in (IMPLICIT_LE, DEFLATED, EXPLICIT_LE):
            if syntax == read_file(FILES[name]).transfer_syntax:
                continue
            file = read_file(written(FILES[name], syntax))
            assert text_of(file.meta, meta_tag(2)) == text_of(file.elements, SOP_CLASS)
            assert text_of(file.meta, meta_tag(3)) == text_of(file.elements, SOP_INSTANCE)


def test_private_elements_of_the_meta_group_stay() -> None:
    before, after = (
        read_file(data).meta for data in (FILES["private-meta"], written(FILES["private-meta"], IMPLICIT_LE))
    )
    kept = {element.tag: element.value for element in after}
    assert {tag: kept.get(tag) for tag in (0x00020100, 0x00020102)} == {
        element.tag: element.value for element in before if element.tag in (0x00020100, 0x00020102)
    }


def test_elements_stand_in_order() -> None:
    """PS3.5 §7.1: by ascending tag, however the file had them."""
    for syntax in (IMPLICIT_LE, EXPLICIT_LE):
        for name in ("private-explicit", "long-implicit", "words-big-endian"):
            tags = [element.tag for element in read_file(written(FILES[name], syntax)).elements]
            assert all(one <= other for one, other in pairwise(tags)), (name, syntax)


# VRs in explicit form -------------------------------------------------------------------------------------------------


def vrs(data: bytes) -> dict[tuple[int, ...], str]:
    return {path: element.vr for path, element in walk(read_file(data).elements)}


def test_vrs_are_those_of_the_dictionary_and_un_for_what_nobody_knows() -> None:
    """PS3.5 §A.1 and §6.2.2; a private creator is LO (§7.8.1)."""
    found = vrs(written(FILES["private-implicit"], EXPLICIT_LE))
    assert found[0x00100010,] == "PN" and found[0x00090010,] == "LO" and found[0x00091002,] == "UN"
    assert found[REQUESTS,] == "SQ" and found[REQUESTS, 0, 0x00090010] == "LO"
    found = vrs(written(FILES["long-implicit"], EXPLICIT_LE))
    assert found[0x00081030,] == "UN", "70,000 bytes do not fit the 16 bits of LO"
    assert found[0x54000100,] == "SQ" and found[0x60003000,] in ("OB", "OW")


@pytest.mark.parametrize(
    ("tag", "allowed"),
    [
        (0x00280106, ("US", "SS", "UN")),
        (0x00280107, ("US", "SS", "UN")),
        (0x00280120, ("US", "SS", "UN")),
        (0x50000103, ("US",)),
        (0x50003000, ("OW", "OB")),
        (0x60003000, ("OW", "OB")),
        (0x7FE00010, ("OW", "OB")),
    ],
)
def test_a_vr_that_the_dictionary_leaves_open_is_decided(tag: int, allowed: tuple[str, ...]) -> None:
    assert vrs(written(FILES["ambiguous-vrs-implicit"], EXPLICIT_LE))[tag,] in allowed


@pytest.mark.parametrize(("representation", "vr"), [(0, "US"), (1, "SS")])
def test_pixel_representation_decides_between_us_and_ss(representation: int, vr: str) -> None:
    """Also in items, and where it stands behind what it decides (PS3.5 §A.1)."""
    inside = [element(0x00283002, "US", b"\0\1\0\0\x10\0", IMPLICIT), element(0x00283006, "OW", b"\0\0", IMPLICIT)]
    more = [
        element(0x00280103, "US", bytes((representation, 0)), IMPLICIT),
        element(0x00280106, "US", b"\0\x80", IMPLICIT),
        sequence(0x00283010, [inside], IMPLICIT),
    ]
    found = vrs(written(part10(dataset(more, IMPLICIT), IMPLICIT_LE), EXPLICIT_LE))
    assert found[0x00280106,] == vr
    assert found[0x00283010, 0, 0x00283002] in (vr, "US")


# Big endian -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_big_endian_pixels_of_16_bits_become_little_or_are_refused(vr: str, syntax: str) -> None:
    """OB of cells wider than a byte is against PS3.5 §A.2, and is read as what its cells are."""
    from tests.support.plain_reader import BIG as BIG_ENDIAN

    more = [element(0x00280000 | tag, "US", bytes((value, 0)), BIG_ENDIAN) for tag, value in ((0x100, 16), (0x101, 16))]
    more += [element(0x00280102, "US", b"\x0f\0", BIG_ENDIAN)]
    pixels = element(0x7FE00010, vr, bytes((0, 1, 0, 2, 0, 3, 0, 4)), EXPLICIT)
    head = bytes.fromhex("7fe00010") + vr.encode() + b"\0\0\0\0\0\x08"
    data = part10(dataset(more, BIG_ENDIAN, pixels=(pixels[0], head + pixels[1][-8:])), BIG)
    try:
        made = written(data, syntax)
    except StatusError as error:
        assert vr == "OB" and refused_in_words(error)
        return
    (found,) = (each.value for each in read_file(made).elements if each.tag == 0x7FE00010)
    assert found == bytes((1, 0, 2, 0, 3, 0, 4, 0))


# Broken insides -------------------------------------------------------------------------------------------------------

GARBAGE = {
    "no item": b"garbage!" * 2,
    "an item longer than its sequence": b"\xfe\xff\x00\xe0\xff\0\0\0" + b"abcd",
    "an element longer than its item": b"\xfe\xff\x00\xe0\x0c\0\0\0\x08\0\0\x01\x40\0\0\0abcd",
    "zeros after the items": b"\xfe\xff\x00\xe0\0\0\0\0" + bytes(8),
    "a cut head": b"\xfe\xff\x00\xe0\x04\0\0\0abcd",
}


@pytest.mark.parametrize("inside", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("tag", [0x00081032, REQUESTS, 0x00081140])
@pytest.mark.parametrize("explicit", [True, False])
def test_a_broken_inside_is_kept_or_refused_and_never_lost(inside: bytes, tag: int, explicit: bool) -> None:
    encoding = EXPLICIT if explicit else IMPLICIT
    broken = element(tag, "SQ", inside, encoding)
    data = part10(dataset([broken], encoding), EXPLICIT_LE if explicit else IMPLICIT_LE)
    try:
        made = written(data, IMPLICIT_LE if explicit else EXPLICIT_LE)
    except StatusError as error:
        assert refused_in_words(error), error.message
        return
    assert differences(read_file(data).elements, read_file(made).elements) == []


def test_an_item_that_ends_with_the_data_set_has_a_pixel_representation_of_its_own() -> None:
    smallest, signed = element(0x00280106, "US", b"\xff\xff", IMPLICIT), element(0x00280103, "US", b"\1\0", IMPLICIT)
    last = sequence(0x52009230, [[smallest, signed]], IMPLICIT)
    data = part10(dataset([], IMPLICIT) + smallest[1] + last[1], IMPLICIT_LE)
    file = read_file(written(data, EXPLICIT_LE))
    assert [each.vr for each in find(file.elements, (0x00280106,))] == ["US"]
    assert [each.vr for each in find(file.elements, (0x52009230, 0, 0x00280106))] == ["SS"]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_vr_that_is_open_many_thousand_times_is_decided_at_once() -> None:
    """Each might look for PixelRepresentation in all that follows."""
    smallest, signed = element(0x00280106, "US", b"\xff\xff", IMPLICIT)[1], element(0x00280103, "US", b"\1\0", IMPLICIT)
    within = sequence(REQUESTS, [[(0, smallest)]], IMPLICIT)[1]
    data = part10(dataset([], IMPLICIT) + (smallest + within) * 20_000 + signed[1], IMPLICIT_LE)
    found = [each.vr for each in read_file(written(data, EXPLICIT_LE)).elements if each.tag == 0x00280106]
    assert found == ["SS"] * 20_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("vr", "bits"),
    [
        *(("US", b"\x0c\0"), ("US", b"\xff\xff"), ("US", b"\x10\0\x10\0"), ("UL", b"\x10\0\0\0")),
        *(("UV", b"\1\0\0\0\0\0\0\x08"), ("OB", b"\1" * 16), ("US", b"")),
    ],
    ids=["12", "65535", "two-numbers", "UL", "UV", "OB", "empty"],
)
def test_words_are_those_of_the_vr_where_bits_allocated_is_none_of_a_cell(vr: str, bits: bytes) -> None:
    """Also at once: a word has no more bytes than a number has. The bulk data is the same."""
    allocated, pixels = element(0x00280100, vr, bits, BIG_ENDIAN), element(0x7FE00010, "OW", b"\1\2\3\4", BIG_ENDIAN)
    data = part10(dataset([allocated], BIG_ENDIAN, pixels=pixels), BIG)
    copy = read_file(written(data, EXPLICIT_LE))
    assert [each.value for each in copy.elements if each.tag == 0x7FE00010] == [b"\1\2\3\4"]
    assert find_bulk(Opened(data), (0x7FE00010,)) == b"\1\2\3\4"


def test_what_may_be_in_a_message() -> None:
    assert refused_in_words(StatusError("an overlay lies in unused bits of the pixels and would be lost"))
    for text in ("", "ValueError: x", "at /srv/src/x.py", "Traceback (most", "pydicom says no"):
        assert not refused_in_words(StatusError(text))
