"""Whatever the bytes are, ``read_header`` answers with a header or ``InvalidArgument``, and with bounded reading."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.dicom.part10 import InstanceIdentity, read_header
from gantry.errors import InvalidArgument

EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
UIDS = {0x00080016: b"1.2.840.10008.5.1.4.1.1.2\0", 0x00080018: b"1.2.4\0", 0x0020000D: b"1.2\0", 0x0020000E: b"1.23"}
HEADER = ("1.2", "1.23", "1.2.4", "1.2.840.10008.5.1.4.1.1.2")
UNDEFINED = 0xFFFFFFFF


def element(syntax: str, tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    length, order = len(value) if length is None else length, ">" if syntax == BIG else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return head + struct.pack(order + "I", length) + value
    form = "xxI" if vr in ("OB", "OW", "SQ") else "H"
    return head + vr.encode() + struct.pack(order + form, length) + value


def top_level(syntax: str) -> list[bytes]:
    """The top-level elements of a small dataset with every kind of length in it."""

    def item(value: bytes, length: int | None = None) -> bytes:
        return element(syntax, 0xFFFEE000, "", value, length)

    item_end, end = element(syntax, 0xFFFEE00D, "", b""), element(syntax, 0xFFFEE0DD, "", b"")
    inside = element(syntax, 0x00081150, "UI", b"1.2.9\0")
    parts = [element(syntax, tag, "UI", value) for tag, value in UIDS.items()]
    parts.append(element(syntax, 0x00200013, "IS", b"12"))
    parts.append(element(syntax, 0x00400275, "SQ", item(inside)))
    parts.append(element(syntax, 0x00400555, "SQ", item(inside, UNDEFINED) + item_end + item(inside) + end, UNDEFINED))
    if syntax == JPEG:
        value = item(b"") + item(b"\xff\xd8\xff\xd9") + item(b"abcdef") + end
        parts.append(element(syntax, 0x7FE00010, "OB", value, UNDEFINED))
    else:
        parts.append(element(syntax, 0x7FE00010, "OW", b"\1\2\3\4\5\6\7\x08"))
    return parts


def with_meta(syntax: str, dataset: bytes) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(EXPLICIT, 0x00020001, "OB", b"\0\1") + element(EXPLICIT, 0x00020010, "UI", uid)
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-15)
        dataset = deflater.compress(dataset) + deflater.flush()
    group_length = element(EXPLICIT, 0x00020000, "UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + group_length + meta + dataset


SYNTAXES = (EXPLICIT, IMPLICIT, BIG, JPEG)
VALID = {syntax: with_meta(syntax, b"".join(top_level(syntax))) for syntax in (*SYNTAXES, DEFLATED)}


def read(data: bytes) -> InstanceIdentity | None:
    """The header or None for a refusal; any other exception passes. Reading is bounded by a few times the size."""
    asked = 0

    def read_at(offset: int, length: int) -> bytes:
        nonlocal asked
        assert 0 <= offset < offset + length <= len(data)
        asked += length
        return data[offset : offset + length]

    try:
        return read_header(read_at, len(data))
    except InvalidArgument as error:
        assert error.message and len(error.message) < 300
        return None
    finally:
        assert asked <= 8 * len(data)


@pytest.mark.parametrize("syntax", VALID)
def test_the_valid_files_are_valid(syntax: str) -> None:
    assert read(VALID[syntax]) == InstanceIdentity(*HEADER, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_truncation_is_refused(syntax: str) -> None:
    """All but the cuts between two top-level elements after the UIDs, which leave another complete dataset."""
    data, parts = VALID[syntax], top_level(syntax)
    complete = {len(data) - sum(map(len, parts[n:])) for n in range(len(UIDS), len(parts) + 1)}
    assert {cut for cut in range(len(data) + 1) if read(data[:cut])} == complete


def test_every_truncation_of_a_deflated_file_is_refused() -> None:
    data = VALID[DEFLATED]
    assert not [cut for cut in range(len(data)) if read(data[:cut])]


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    assert read(data) is None


@settings(max_examples=500)
@given(st.sampled_from(sorted(VALID)), st.binary(max_size=200))
def test_random_dataset(syntax: str, dataset: bytes) -> None:
    start = len(VALID[syntax]) if syntax == DEFLATED else len(with_meta(syntax, b""))
    read(VALID[syntax][:start] + dataset)
    read(with_meta(syntax, dataset))


TOKENS = st.sampled_from(
    [
        b"\xff\xff\xff\xff",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"\x08\0\x18\0UI",
        b"\xe0\x7f\x10\0OB\0\0",
        b"UN\0\0",
        b"SQ\0\0\xff\xff\xff\xff",
        b"ZZ",
        b"\0" * 8,
    ]
)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_mutations(syntax: str, data: st.DataObject) -> None:
    """Bytes replaced, put in, or cut out of a valid file."""
    mutated = bytearray(VALID[syntax])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(130, len(mutated)))
        gone = data.draw(st.integers(0, 8))
        mutated[start : start + gone] = data.draw(TOKENS | st.binary(max_size=8))
    read(bytes(mutated))


@pytest.mark.slow
@settings(max_examples=500)
@given(st.sampled_from(SYNTAXES), st.lists(TOKENS | st.binary(max_size=4), max_size=60))
def test_chains_of_structure(syntax: str, tokens: list[bytes]) -> None:
    read(VALID[syntax] + b"".join(tokens))
    read(with_meta(syntax, b"".join(tokens)))
