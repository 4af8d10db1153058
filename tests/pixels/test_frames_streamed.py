"""Frames are made while they are sent: memory holds a few megabytes of them, however many are asked for."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from io import BytesIO
from typing import Any, cast

import httpx
import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from gantry.errors import DataLoss, NotFound, Replaced
from gantry.resources import StoredInstance
from gantry.studies import decoded_frames, pixel_work, render
from gantry.studies import frames as module
from gantry.studies.decoded_frames import DecodedFrames
from gantry.studies.retrieve import Value
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
    refused(web.get(f"{uid_path(*A)}/frames/{numbers}", OCTETS), "NOT_FOUND")


def test_a_client_that_leaves_leaves_no_file_open(web: Web) -> None:
    numbers = ",".join(map(str, range(1, COUNT + 1)))
    with web.gantry.server.client.stream("GET", f"/{web.root}/{uid_path(*A)}/frames/{numbers}") as response:
        assert next(response.iter_raw())
    assert len(parts_of(web.get(f"{uid_path(*A)}/frames/1", OCTETS))) == 1


class Row:
    sop_instance_uid, number_of_frames = A[2], COUNT


class Worker:
    """Frames of a megabyte each, made by as many calls as ``decode_blob`` needs."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def made(self, *where: Any, wanted: Sequence[int] | None = (), most: int = 0, **rest: Any) -> Any:
        if where[-1] is pixel_work.count_blob_frames:
            return COUNT
        wanted = range(COUNT) if wanted is None else wanted
        self.calls.append(list(wanted))
        return list(pixel_work._take_until(self._frames(wanted), most))

    def _frames(self, wanted: Sequence[int]) -> Iterator[bytes]:
        yield from (frame(number) for number in wanted)


def test_a_worker_makes_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(pixel_work, "run_pixel_work", worker.made)
    none: Any = None
    drawn = module._decode_some(none, none, cast(Any, Row()), list(range(COUNT)), "")
    assert [b"".join(each) for each in drawn] == [frame(number) for number in range(COUNT)]
    assert [len(call) for call in worker.calls] == [40, 24, 8]


def test_nothing_is_made_ahead_of_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(pixel_work, "run_pixel_work", worker.made)
    none: Any = None
    drawn = module._decode_some(none, none, cast(Any, Row()), list(range(COUNT)), "")
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


@pytest.mark.parametrize("wanted", [None, list(range(COUNT))])
def test_pictures_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, wanted: list[int] | None) -> None:
    worker, none, row = Worker(), cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(pixel_work, "run_pixel_work", worker.made)
    drawn = render.render_images(none, none, row, render.View("image/png"), wanted)
    assert [next(drawn) for _ in range(16)] == [frame(number) for number in range(16)]
    assert len(worker.calls) == 1
    assert list(drawn) == [frame(number) for number in range(16, COUNT)]
    assert [len(call) for call in worker.calls] == [40, 24, 8]


@pytest.mark.parametrize("size", [10, pixel_work.WORTH_A_CALL // 2])
def test_pictures_that_one_call_makes_are_not_counted(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    calls: list[Any] = []

    def made(*where: Any, **rest: Any) -> Any:
        calls.append(where[-1])
        return 2 if where[-1] is pixel_work.count_blob_frames else [bytes(size), bytes(size)]

    none, row = cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(pixel_work, "run_pixel_work", made)
    assert [len(picture) for picture in render.render_images(none, none, row, render.View("image/png"), None)] == [
        size,
        size,
    ]
    assert calls == [pixel_work.render_blob] + [pixel_work.count_blob_frames] * (size > 10)


def test_decoded_bulk_data_is_made_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, none, row = Worker(), cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(decoded_frames, "run_pixel_work", worker.made)
    frames = DecodedFrames(none, none, row, COUNT)
    value = Value(None, len(frames), value=frames)
    assert value.size == COUNT * SIDE * SIDE and len(worker.calls) == 1
    held = [sum(map(len, frames._held)) for at in range(0, value.size, 1 << 20) if value.read(at, 1 << 20)]
    assert max(held) == pixel_work.WORTH_A_CALL
    assert [len(call) for call in worker.calls] == [40, 24, 8]
    assert value.read(20 * (1 << 20) - 1, 2) == b"\x13\x14"
    assert value.read(value.size - 5, 100) == bytes([COUNT - 1]) * 5 and value.read(value.size, 10) == b""


def test_frames_of_different_sizes_are_no_one_value(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter(([b"ab", b"cd"], [b"e"]))
    monkeypatch.setattr(decoded_frames, "run_pixel_work", lambda *where, **rest: next(runs))
    none = cast(Any, None)
    frames = DecodedFrames(none, none, none, 3)
    assert frames[1:4] == b"bcd"
    with pytest.raises(DataLoss, match="frame 3 has 1 bytes"):
        frames[4:5]


def test_a_worker_that_gives_nothing_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    none, row = cast(Any, None), cast(Any, Row())
    monkeypatch.setattr(pixel_work, "run_pixel_work", lambda *where, **rest: [])
    with pytest.raises(DataLoss):
        list(pixel_work.stream_frames(none, none, row, pixel_work.decode_blob, [0, 1]))


class Moved:
    """Seams of an instance whose bytes are no longer where ``before`` says, but where ``after`` does."""

    def __init__(self, before: StoredInstance, after: StoredInstance) -> None:
        self.before, self.after = before, after
        self.index = self.instances = self.pixels = self
        self.blobs = None

    def list_below(self, *where: Any) -> Iterator[StoredInstance]:
        return iter([self.after])

    def submit(self, function: Any, key: str, **options: Any) -> Future[list[bytes]]:
        made: Future[list[bytes]] = Future()
        if key == self.before.blob_key:
            made.set_exception(NotFound("gone"))
        else:
            made.set_result([key.encode()])
        return made


BEFORE = StoredInstance(*A, "1.2", RLE, "main/1", 10, "STANDARD", 1, 0, 1, COUNT, SIDE, SIDE, 8, 5, 6)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [({}, True), ({"pack_id": 7}, False), ({"pack_number": 0}, False), ({"size": 11}, False)],
)
def test_an_answer_is_made_of_the_bytes_of_its_row_alone(changes: dict[str, Any], is_same: bool) -> None:
    """In another place they are the same; those of an instance stored over it are not."""
    seams, none = cast(Any, Moved(BEFORE, BEFORE._replace(blob_key="cheap/2", **changes))), cast(Any, None)
    if is_same:
        assert pixel_work.run_pixel_work(seams, none, BEFORE, pixel_work.decode_blob) == [b"cheap/2"]
        return
    with pytest.raises(Replaced, match="was replaced"):
        pixel_work.run_pixel_work(seams, none, BEFORE, pixel_work.decode_blob)


def rle(pixels: bytes) -> bytes:
    """One segment of literal runs (PS3.5 §G.3.1)."""
    rows = (pixels[at : at + 128] for at in range(0, len(pixels), 128))
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"".join(b"\x7f" + row for row in rows)


def damaged(number: int, count: int = 40) -> bytes:
    """Noise in RLE, of which one frame ends too early."""
    items = [rle(random.Random(1).randbytes(SIDE * SIDE))] * count
    items[number] = items[number][:5000]
    return instance(
        A, RLE, Rows=SIDE, Columns=SIDE, NumberOfFrames=str(count), PixelData=encapsulate(items, has_bot=False)
    )


PATHS = [
    ("/bulkdata/7FE00010", OCTETS),
    ("/bulkdata/7FE00010", "application/octet-stream"),
    ("/rendered?quality=100", 'multipart/related; type="image/jpeg"'),
    (f"/frames/{','.join(map(str, range(1, 41)))}", OCTETS),
]


@pytest.mark.parametrize(("path", "accept"), PATHS)
def test_an_error_half_way_breaks_the_connection(gantry: Gantry, path: str, accept: str) -> None:
    """Else what was sent would look complete."""
    web, size = Web(gantry), 0
    web.stored(damaged(35))
    url = f"/{web.root}/{uid_path(*A)}{path}"
    with gantry.server.client.stream("GET", url, headers={"accept": accept}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            for piece in answer.iter_raw():
                size += len(piece)
    assert size >= 16 << 20


@pytest.mark.parametrize("number", [0, 5])
@pytest.mark.parametrize(("path", "accept"), PATHS)
def test_an_error_among_the_first_frames_has_its_status(gantry: Gantry, path: str, accept: str, number: int) -> None:
    web = Web(gantry)
    web.stored(damaged(number))
    refused(web.get(f"{uid_path(*A)}{path}", accept), "INVALID_ARGUMENT", f"frame {number + 1}")


@pytest.mark.parametrize(("path", "accept"), PATHS[1:])
def test_an_answer_that_the_client_has_is_304(gantry: Gantry, path: str, accept: str) -> None:
    web = Web(gantry)
    web.stored(damaged(35))
    url = f"/{web.root}/{uid_path(*A)}{path}"
    with gantry.server.client.stream("GET", url, headers={"accept": accept}) as answer:
        etag = answer.headers["etag"]
    same = web.get(f"{uid_path(*A)}{path}", accept, headers={"if-none-match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "accept"), PATHS)
def test_a_client_that_leaves_holds_no_worker(gantry: Gantry, path: str, accept: str) -> None:
    """There are fewer workers than clients that leave."""
    web = Web(gantry)
    web.stored(damaged(39))
    url = f"/{web.root}/{uid_path(*A)}{path}"
    for _ in range(6):
        with gantry.server.client.stream("GET", url, headers={"accept": accept}) as answer:
            assert next(answer.iter_raw())
    assert len(parts_of(web.get(f"{uid_path(*A)}/frames/1", OCTETS))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("accept", [OCTETS, "application/octet-stream"])
def test_head_has_the_headers_of_the_answer(gantry: Gantry, accept: str) -> None:
    web = Web(gantry)
    web.stored(damaged(39))
    url = f"/{web.root}/{uid_path(*A)}/bulkdata/7FE00010"
    head = gantry.server.client.head(url, headers={"accept": accept})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("content-length") == (None if accept == OCTETS else str(40 << 20))


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


def growth(web: Web, path: str, accept: str) -> tuple[int, int]:
    """Bytes of an answer, and by how much the memory of the server and its workers grows while it is sent."""
    pid = web.gantry.server.process.pid
    url, size, before = f"/{web.root}/{uid_path(*A)}{path}", 0, 0
    for _ in range(2):  # in the first one workers load their libraries
        reset_peaks(pid)
        before = peaks(pid)
        with web.gantry.server.client.stream("GET", url, headers={"accept": accept}) as answer:
            assert answer.status_code == 200
            size = sum(map(len, answer.iter_raw()))
    return size, peaks(pid) - before


@pytest.mark.slow
@pytest.mark.parametrize("accept", [OCTETS, "application/octet-stream"])
def test_memory_does_not_grow_with_the_frames_of_bulk_data(gantry: Gantry, compressed: bytes, accept: str) -> None:
    """Whole, they are in memory three times at least: in the worker, on the way out of it, and in the server."""
    web = Web(gantry)
    web.stored(compressed)
    size, grown = growth(web, "/bulkdata/7FE00010", accept)
    assert size >= MANY << 20
    assert grown < size * 3 // 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pictures(gantry: Gantry) -> None:
    """Noise, so that pictures are large."""
    web, count = Web(gantry), 128
    noise = random.Random(1).randbytes(SIDE * SIDE)
    pixels = b"".join(noise[number:] + noise[:number] for number in range(count))
    web.stored(instance(A, Rows=SIDE, Columns=SIDE, NumberOfFrames=str(count), PixelData=pixels))
    size, grown = growth(web, "/rendered?quality=100", 'multipart/related; type="image/jpeg"')
    assert size > count << 20
    assert grown < size * 3 // 2


@pytest.mark.slow
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


@pytest.mark.slow
def test_all_frames_are_rendered_in_their_order(gantry: Gantry, compressed: bytes) -> None:
    web = Web(gantry)
    web.stored(compressed)
    found = parts_of(web.get(f"{uid_path(*A)}/rendered", 'multipart/related; type="image/png"'))
    shown = [Image.open(BytesIO(part.data)).getpixel((5, 5)) for part in found]
    assert shown == list(range(MANY))
    found = parts_of(web.get(f"{uid_path(*A)}/frames/160,1,7/rendered", "image/png"))
    assert [Image.open(BytesIO(part.data)).getpixel((5, 5)) for part in found] == [159, 0, 6]
    numbers = ",".join(map(str, range(1, MANY + 2)))
    refused(web.get(f"{uid_path(*A)}/frames/{numbers}/rendered", "image/png"), "NOT_FOUND")
