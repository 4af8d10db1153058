"""Frames are made while they are sent: memory holds a few megabytes of them, however many are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gantry.studies import frames as module
from gantry.studies import pixel_work
from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
SIDE, COUNT = 1024, 40
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
    """Frames of a megabyte each, made by as many calls as ``decode_blob`` needs."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def made(self, *where: Any, wanted: list[int], most: int, **rest: Any) -> list[bytes]:
        self.calls.append(list(wanted))
        return list(pixel_work._take_until(self._frames(wanted), most))

    def _frames(self, wanted: list[int]) -> Iterator[bytes]:
        yield from (frame(number) for number in wanted)


def test_a_worker_makes_a_few_frames_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(module, "run_pixel_work", worker.made)
    none: Any = None
    drawn = module._decode_some(none, none, none, list(range(COUNT)), "")
    assert [b"".join(each) for each in drawn] == [frame(number) for number in range(COUNT)]
    assert [len(call) for call in worker.calls] == [40, 24, 8]


def test_nothing_is_made_ahead_of_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr(module, "run_pixel_work", worker.made)
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
