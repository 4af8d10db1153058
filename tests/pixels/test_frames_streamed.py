"""Frames are made while they are sent: memory holds a few megabytes of them, however many are asked for."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, cast

import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from gantry.errors import DataLoss
from gantry.studies import frames as module
from gantry.studies import pixel_work, render, retrieve
from gantry.studies.decoded_value import DecodedValue
from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.memory import peaks, reset_peaks
from tests.support.web import Web, parts_of, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
SIDE, COUNT = 1024, 40
RLE = "1.2.840.10008.1.2.5"
OCTETS = 'multipart/related; type="application/octet-stream"'


def frame(number: int) -> bytes:
    return bytes([number]) * (SIDE * SIDE)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    pixels = b"".join(map(frame, range(COUNT)))
    made.stored(instance(A, Rows=SIDE, Columns=SIDE, NumberOfFrames=str(COUNT), PixelData=pixels))
    return made


def test_many_frames_come_as_a_stream(web: Web) -> None:
    numbers = [*range(1, COUNT + 1), 1, 7]
    response = web.get(f"{uid_path(*A)}/frames/{','.join(map(str, numbers))}", OCTETS)
    assert [part.data for part in parts_of(response)] == [frame(number - 1) for number in numbers]
    assert "content-length" not in response.headers


def test_a_number_that_is_not_there_is_said_before_the_first_frame(web: Web) -> None:
    numbers = ",".join(map(str, [*range(1, COUNT + 1), COUNT + 1]))
    refused(web.get(f"{uid_path(*A)}/frames/{numbers}", OCTETS), "OUT_OF_RANGE")


def test_a_client_that_leaves_leaves_no_file_open(web: Web) -> None:
    numbers = ",".join(map(str, range(1, COUNT + 1)))
    with web.gantry.server.client.stream("GET", f"/{web.root}/{uid_path(*A)}/frames/{numbers}") as response:
        assert next(response.iter_raw())
    assert len(parts_of(web.get(f"{uid_path(*A)}/frames/1", OCTETS))) == 1


class Worker:
    """Frames of a megabyte each, made by as many calls as ``frames_of_blob`` needs."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def made(self, *where: Any, wanted: Sequence[int] = (), most: int = 0, **rest: Any) -> Any:
        if where[-1] is pixel_work.count_frames_of_blob:
            return COUNT
        self.calls.append(list(wanted))
        return list(pixel_work._first(self._frames(wanted), most))

    def _frames(self, wanted: Sequence[int]) -> Iterator[bytes]:
        yield from (frame(number) for number in wanted)


def test_a_worker_makes_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(module, "made_of", worker.made)
    none: Any = None
    drawn = module._decode_some(none, none, none, list(range(COUNT)), "")
    assert [b"".join(each) for each in drawn] == [frame(number) for number in range(COUNT)]
    assert [len(call) for call in worker.calls] == [40, 24, 8]


def test_nothing_is_made_ahead_of_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(module, "made_of", worker.made)
    none: Any = None
    drawn = module._decode_some(none, none, none, list(range(COUNT)), "")
    for _ in range(16):
        next(drawn)
    assert len(worker.calls) == 1


def test_a_frame_is_read_in_pieces() -> None:
    class Blob:
        sizes: list[int]

        def read_at(self, at: int, length: int) -> bytes:
            self.sizes.append(length)
            return bytes(length)

    blob: Any = Blob()
    blob.sizes = []
    assert sum(map(len, module._read(blob, [(10, 3 << 20), (5 << 20, 7)]))) == (3 << 20) + 7
    assert max(blob.sizes) == 1 << 20


class Row:
    number_of_frames = COUNT


@pytest.mark.parametrize("wanted", [None, list(range(COUNT))])
def test_pictures_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, wanted: list[int] | None) -> None:
    worker, none, row = Worker(), cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(render, "made_of", worker.made)
    drawn = render.pictures(none, none, row, none, wanted)
    assert [next(drawn) for _ in range(16)] == [frame(number) for number in range(16)]
    assert len(worker.calls) == 1
    assert list(drawn) == [frame(number) for number in range(16, COUNT)]
    assert [len(call) for call in worker.calls] == [40, 24, 8]


def test_decoded_bulk_data_is_made_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, none, row = Worker(), cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(retrieve, "made_of", worker.made)
    value = retrieve._decoded(none, none, row, retrieve.PIXEL_DATA)
    assert value.size == COUNT * SIDE * SIDE and len(worker.calls) == 1
    held = [len(value.frames._held) for at in range(0, value.size, 1 << 20) if value.read(at, 1 << 20)]  # type: ignore[union-attr]
    assert max(held) == pixel_work.WORTH_A_CALL
    assert [len(call) for call in worker.calls] == [40, 24, 8]
    assert value.read(20 * (1 << 20) - 1, 2) == b"\x13"[:1] + b"\x14"[:1]
    assert value.read(value.size - 5, 100) == bytes([COUNT - 1]) * 5 and value.read(value.size, 10) == b""


def test_frames_of_different_sizes_are_no_one_value() -> None:
    lengths = iter(([b"ab", b"cd"], [b"e"]))
    value = DecodedValue(3, lambda _: next(lengths))
    assert value.read_at(1, 9) == b"bcd"
    with pytest.raises(DataLoss, match="different sizes"):
        value.read_at(4, 1)


def test_a_worker_that_gives_nothing_ends_the_answer() -> None:
    with pytest.raises(DataLoss):
        list(pixel_work.in_runs([0, 1], lambda _: []))
    with pytest.raises(DataLoss):
        DecodedValue(2, lambda _: [])


MANY = 160
"""Frames of a megabyte: ten times what a call of a worker makes."""


@pytest.fixture(scope="module")
def compressed() -> bytes:
    """Frames of one value each, run-length encoded (PS3.5 §G): small on the disk, large once they are decoded."""
    row = b"".join(bytes([257 - 128, 0]) for _ in range(SIDE * SIDE // 128))
    head = struct.pack("<16I", 1, 64, *[0] * 14)
    items = [head + row.replace(b"\x81\0", bytes([129, number])) for number in range(MANY)]
    return instance(
        A, RLE, Rows=SIDE, Columns=SIDE, NumberOfFrames=str(MANY), PixelData=encapsulate(items, has_bot=False)
    )


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/bulkdata/7FE00010", OCTETS),
        ("/bulkdata/7FE00010", "application/octet-stream"),
        ("/rendered", 'multipart/related; type="image/png"'),
    ],
)
def test_memory_does_not_grow_with_the_frames(gantry: Gantry, compressed: bytes, path: str, accept: str) -> None:
    web = Web(gantry)
    web.stored(compressed)
    web.get(f"{uid_path(*A)}/frames/1", OCTETS)  # workers and their libraries are there
    pid = gantry.server.process.pid
    reset_peaks(pid)
    before, size = peaks(pid), 0
    with gantry.server.client.stream("GET", f"/{web.root}/{uid_path(*A)}{path}", headers={"accept": accept}) as answer:
        assert answer.status_code == 200
        size = sum(map(len, answer.iter_raw()))
    assert size > (MANY << 20 if "bulk" in path else MANY * 100)
    assert peaks(pid) - before < (MANY << 20) * 3 // 4


def test_decoded_bulk_data_is_that_of_its_frames(gantry: Gantry, compressed: bytes) -> None:
    web = Web(gantry)
    web.stored(compressed)
    path = f"{uid_path(*A)}/bulkdata/7FE00010"
    whole = web.get(path, "application/octet-stream")
    assert int(whole.headers["content-length"]) == len(whole.content) == MANY << 20
    assert all(whole.content[at << 20 : (at + 1) << 20] == frame(at) for at in range(MANY))
    part = web.get(path, "application/octet-stream", headers={"range": f"bytes={(100 << 20) - 3}-{(100 << 20) + 3}"})
    assert part.status_code == 206 and part.content == bytes([99] * 3 + [100] * 4)
    (one,) = parts_of(web.get(path, OCTETS))
    assert one.data == whole.content


def test_all_frames_are_rendered_in_their_order(gantry: Gantry, compressed: bytes) -> None:
    web = Web(gantry)
    web.stored(compressed)
    found = parts_of(web.get(f"{uid_path(*A)}/rendered", 'multipart/related; type="image/png"'))
    shown = [Image.open(BytesIO(part.data)).getpixel((5, 5)) for part in found]
    assert shown == list(range(MANY))
    found = parts_of(web.get(f"{uid_path(*A)}/frames/160,1,7/rendered", "image/png"))
    assert [Image.open(BytesIO(part.data)).getpixel((5, 5)) for part in found] == [159, 0, 6]
    numbers = ",".join(map(str, range(1, MANY + 2)))
    refused(web.get(f"{uid_path(*A)}/frames/{numbers}/rendered", "image/png"), "OUT_OF_RANGE")
