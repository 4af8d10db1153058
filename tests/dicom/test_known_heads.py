"""What files have in common spares work and changes nothing: every file is read as if it were the first."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gantry.dicom import walk
from gantry.dicom.elements import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from gantry.dicom.known_heads import MOST_PATTERNS, MOST_PAUSE, KnownHeads, Loose, Passed, Stretch
from gantry.dicom.part10 import MAX_META_ELEMENTS, read_header
from gantry.dicom.walk import Walk
from gantry.errors import InvalidArgument

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
ENCODINGS = {EXPLICIT: EXPLICIT_LE, IMPLICIT: IMPLICIT_LE, BIG: EXPLICIT_BE}
UNDEFINED = 0xFFFFFFFF


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what files of other tests had in common."""

    def make() -> None:
        monkeypatch.setattr(walk, "_KNOWN", {each: without_patterns(known) for each, known in walk._KNOWN.items()})
        monkeypatch.setattr("gantry.dicom.part10.KNOWN_META", without_patterns(walk.KNOWN_META))

    make()
    return make


def without_patterns(known: KnownHeads) -> KnownHeads:
    return KnownHeads(known._encoding, known._groups, known._most, known._kept)


def element(syntax: str, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    length, order = len(value) if length is None else length, ">" if syntax == BIG else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "I", length) + value
    form = "xxI" if vr in ("OB", "OW", "SQ", "UN") else "H"
    return head + vr.encode() + struct.pack(order + form, length) + value


def text(value: str) -> bytes:
    return value.encode() + b" " * (len(value) % 2)


def uid(value: str) -> bytes:
    return value.encode() + b"\0" * (len(value) % 2)


def make_file(number: int, syntax: str = EXPLICIT, extra: dict[int, bytes] | None = None, more_meta: int = 0) -> bytes:
    """A file of a series: a few of its values are of another length in each."""
    word = ">H" if syntax == BIG else "<H"
    values = {
        0x00080005: ("CS", b"ISO_IR 100"),
        0x00080008: ("CS", b"ORIGINAL\\PRIMARY "),
        0x00080016: ("UI", uid("1.2.840.10008.5.1.4.1.1.2")),
        0x00080018: ("UI", uid(f"1.2.3.{number**5}")),
        0x00080060: ("CS", b"CT"),
        0x00081140: ("SQ", element(syntax, 0xFFFEE000, "", b"", 0)),
        0x00091001: ("UN", b"private!"),
        0x00100010: ("PN", b"Doe^Jane"),
        0x00100020: ("LO", b"12"),
        0x00180050: ("DS", text(f"{number / 8}")),
        0x0020000D: ("UI", uid("1.2.3")),
        0x0020000E: ("UI", uid("1.2.3.4")),
        0x00200013: ("IS", text(str(number))),
        0x00280008: ("IS", b"1 "),
        0x00280010: ("US", struct.pack(word, 512)),
        0x00280011: ("US", struct.pack(word, number)),
        0x00280100: ("US", struct.pack(word, 16)),
    }
    values |= {tag: ("UN", value) for tag, value in (extra or {}).items()}
    dataset = b"".join(element(syntax, tag, vr, value) for tag, (vr, value) in sorted(values.items()))
    dataset += element(syntax, 0x7FE00010, "OW", bytes(64))
    meta = [
        element(EXPLICIT, 0x00020001, "OB", b"\0\1"),
        element(EXPLICIT, 0x00020003, "UI", uid(f"1.2.3.{number**5}")),
    ]
    meta += [element(EXPLICIT, 0x00020010, "UI", uid(syntax)), element(EXPLICIT, 0x00020013, "SH", b"GANTRY")]
    meta += [element(EXPLICIT, 0x00020100 + each, "UI", b"1.") for each in range(more_meta)]
    return bytes(128) + b"DICM" + b"".join(meta) + dataset


def read(data: bytes) -> Any:
    """All that the reader says of a file: what it is, its numbers and its places, or why it refuses it."""
    try:
        header = read_header(lambda at, length: data[at : at + length], len(data))
    except InvalidArgument as error:
        return error.message
    return header, header.numbers, header.layout


def read_alone(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same by a reader that knows no other file."""
    with monkeypatch.context() as alone:
        alone.setattr(Walk, "pass_known", lambda walk, known: Passed(walk.pos))
        return read(data)


def damaged(data: bytes) -> Iterator[bytes]:
    """The file with each byte behind the preamble changed in two ways, and cut at each place."""
    for at in range(132, len(data)):
        for flip in (1, 0x80):
            yield data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :]
        yield data[:at]


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_files_of_a_series_are_read_as_if_each_were_the_first(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (*range(1, 130), 5000, 3, 2):
        data = make_file(number, syntax)
        found = read(data)
        assert found == read_alone(data, monkeypatch)
        assert found[1][0x00200013] == number
        assert found[1][0x00280011] == number


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("tag", [0x00030010, 0x7FDF0010], ids=["first group", "last group"])
def test_the_groups_between_file_meta_and_pixels_are_of_the_data_set(
    syntax: str, tag: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 40):
        data = make_file(number, syntax, {tag: b"outermost!"})
        assert read(data) == read_alone(data, monkeypatch)
    passed = []
    follow = KnownHeads.follow
    monkeypatch.setattr(KnownHeads, "follow", lambda *given: passed.append(follow(*given)) or passed[-1])
    read(data)
    assert [each.elements for each in passed] == [4, 18]


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_a_series_is_soon_known_up_to_its_pixels(syntax: str) -> None:
    for number in range(1, 300):
        read(make_file(number, syntax))
    counts = []
    follow = KnownHeads.follow

    def counting(self: KnownHeads, *given: Any) -> Passed:
        counts.append(follow(self, *given))
        return counts[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KnownHeads, "follow", counting)
        read(make_file(300, syntax))
    assert [each.elements for each in counts] == [4, 17]
    assert counts[-1].last == 0x00280100


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_a_damaged_file_is_refused_or_read_as_ever(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 130):
        read(make_file(number, syntax))
    for data in damaged(make_file(77, syntax)):
        assert read(data) == read_alone(data, monkeypatch)


def test_a_damaged_file_teaches_nothing_wrong(monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]) -> None:
    good = make_file(12)
    for data in damaged(good):
        forget()
        read(data)
        assert read(good) == read_alone(good, monkeypatch)
        assert read(data) == read_alone(data, monkeypatch)


def test_a_uid_that_occurs_twice_is_refused_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = make_file(1)
    second = element(EXPLICIT, 0x0020000D, "UI", uid("1.2.9"))
    pixels = twice.index(struct.pack("<HH", 0x7FE0, 0x10))
    twice = twice[:pixels] + second + twice[pixels:]
    for _ in range(5):
        assert "occurs twice" in read(twice)
        assert not isinstance(read(make_file(1)), str)


def make_heads(length: int) -> bytes:
    """Nine short elements, of which the one in the middle has a value of this length, and more behind them."""
    short = [element(EXPLICIT, 0x00100000 + each, "LO", b"ab") for each in range(1, 10)]
    short[4] = element(EXPLICIT, 0x00100005, "LO", b"x" * length)
    return b"".join(short) + bytes(40)


def pass_heads(known: KnownHeads, data: bytes, limit: int | None = None) -> Passed:
    return known.follow(data, 0, len(data) if limit is None else limit, ({}, {}))


def test_heads_that_are_alike_are_compared_at_once() -> None:
    """And between them those whose values have another length in each file."""
    known = KnownHeads(EXPLICIT_LE, range(3, 0x7FE0), 20, {})
    pass_heads(known, make_heads(2))
    assert [type(step) for step in known._patterns[0].steps] == [Stretch]
    for length in (4, 6, 2):
        pass_heads(known, make_heads(length))
    assert [type(step) for step in known._patterns[0].steps] == [Stretch, Loose, Stretch]


def test_a_value_of_any_length_is_passed_as_far_as_it_may_be_long() -> None:
    """Behind that, and behind the end, the walk goes on at its head."""
    known = KnownHeads(EXPLICIT_LE, range(3, 0x7FE0), 20, {})
    for length in (2, 4, 6, 2):
        pass_heads(known, make_heads(length))
    before = Passed(4 * 10, 0x00100004, 4)
    for length in (0, 8, 20):
        assert pass_heads(known, make_heads(length)) == Passed(9 * 10 - 2 + length, 0x00100009, 9)
    assert pass_heads(known, make_heads(22)) == before
    assert pass_heads(known, make_heads(20), 4 * 10 + 8 + 19) == before


def test_values_too_long_to_be_kept_are_treated_as_in_a_first_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 40):
        read(make_file(number))
    long = make_file(1).replace(
        element(EXPLICIT, 0x00200013, "IS", b"1 "), element(EXPLICIT, 0x00200013, "IS", b"1" + b" " * 65)
    )
    assert read(long) == read_alone(long, monkeypatch)
    assert 0x00200013 not in read(long)[1]


def test_long_values_are_cut_out_of_the_header_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (4098, 4096, 4094):
        for number in range(1, 40):
            data = make_file(number, extra={0x00091010: bytes(size)})
            assert read(data) == read_alone(data, monkeypatch)


def test_series_that_come_in_turn_are_all_known() -> None:
    extras: list[dict[int, bytes]] = [{0x00181000 + each: b"ab"} for each in range(MOST_PATTERNS)]
    for number in range(1, 400):
        for extra in extras:
            read(make_file(100 + number % 7, extra=extra))
    known = walk._KNOWN[EXPLICIT_LE]
    for extra in extras:
        before = known._wait, set(known._patterns)
        read(make_file(105, extra=extra))
        assert (known._wait, set(known._patterns)) == before


def test_files_without_likeness_are_not_learnt_from_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = []
    monkeypatch.setattr(KnownHeads, "_learn", lambda self, heads: learnt.append(heads))
    for number in range(1, 2001):
        read(make_file(1, extra={0x00204000 + number: b"ab"}))
    assert 2 <= len(learnt) <= 2 * (MOST_PAUSE.bit_length() + 2000 // MOST_PAUSE + 1)


def test_a_series_is_learnt_soon_again_once_files_were_alike() -> None:
    for number in range(1, 2001):
        read(make_file(1, extra={0x00204000 + number: b"ab"}))
    for _ in range(2 * MOST_PAUSE + 2 * MOST_PAUSE.bit_length()):
        read(make_file(1))
    for _ in range(3):
        read(make_file(1, extra={0x00181000: b"ab"}))
    assert 0x00181000 in {head.tag for head in walk._KNOWN[EXPLICIT_LE]._patterns[0].heads}


def test_a_file_meta_group_with_too_many_elements_is_refused_however_often_it_comes() -> None:
    full, over = make_file(1, more_meta=MAX_META_ELEMENTS - 5), make_file(1, more_meta=MAX_META_ELEMENTS - 3)
    for _ in range(4):
        assert not isinstance(read(full), str)
        assert "more than" in read(over)
