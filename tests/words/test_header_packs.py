"""Headers that are compressed together, and what the index may hold instead."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard

from gantry import header_packs
from gantry.errors import DataLoss
from gantry.header_packs import pack, unpack


@pytest.mark.parametrize("entries", [[], [b""], [b"a"], [b"", b"abc", b""], [bytes(1 << 20)] * 60])
def test_what_is_packed_comes_back(entries: list[bytes]) -> None:
    assert unpack(pack(entries)) == entries


def test_a_pack_is_its_count_its_lengths_and_its_entries() -> None:
    plain = zstandard.ZstdDecompressor().decompress(pack([b"ab", b"c"]))
    assert plain == b"\2\0\0\0" + b"\2\0\0\0" + b"\1\0\0\0" + b"abc"


@pytest.mark.parametrize(
    "plain",
    [b"", b"\1", b"\1\0\0\0", b"\1\0\0\0\2\0\0\0a", b"\1\0\0\0\1\0\0\0ab", b"\2\0\0\0\1\0\0\0",
     b"\0\0\0\0a", b"\xff\xff\xff\xff", b"\1\0\0\0\xff\xff\xff\xffa", b"\2\0\0\0\1\0\0\0\xff\xff\xff\xff"],
)  # fmt: skip
def test_lengths_that_do_not_add_up(plain: bytes) -> None:
    with pytest.raises(DataLoss, match="headers in the index are damaged"):
        unpack(zstandard.ZstdCompressor().compress(plain))


@pytest.mark.parametrize("data", [b"", b"no zstd", pack([b"abc"])[:-2], pack([b"abc"])[4:]])
def test_what_is_no_pack(data: bytes) -> None:
    with pytest.raises(DataLoss, match="headers in the index are damaged"):
        unpack(data)


def test_a_pack_of_the_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [b"a" * 100, b"b" * 20]
    size = 4 * 3 + 120
    monkeypatch.setattr(header_packs, "_MAX_BYTES", size)
    assert unpack(pack(entries)) == entries
    monkeypatch.setattr(header_packs, "_MAX_BYTES", size - 1)
    with pytest.raises(DataLoss, match="too large"):
        unpack(pack(entries))


@pytest.mark.parametrize("says_its_size", [True, False])
def test_a_pack_that_inflates_without_end(says_its_size: bool) -> None:
    """More than any pack has is not inflated: 512 MiB of zeros take some kilobytes."""
    compressor = zstandard.ZstdCompressor(write_content_size=says_its_size)
    size = 512 << 20
    stream = compressor.compressobj(size=size if says_its_size else -1)
    data = b"".join(stream.compress(bytes(1 << 20)) for _ in range(512)) + stream.flush()
    assert len(data) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(DataLoss):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()
