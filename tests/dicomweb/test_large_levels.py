"""Studies with many instances in one answer: memory does not grow with them, and a client that leaves ends the work."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.memory import peaks, reset_peaks
from tests.support.web import Web, parts_of, uid_path

STUDY, SERIES = "1.2.6", "1.2.6.1"
SIDE, COUNT = 1024, 60
PATHS = {
    "rendered": 'multipart/related; type="image/png"',
    "pixeldata": 'multipart/related; type="application/octet-stream"',
    "bulkdata": 'multipart/related; type="application/octet-stream"',
}
"""Each answer has some 60 MB: noise cannot be compressed."""


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    noise = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE), np.uint8)
    return [
        instance((STUDY, SERIES, f"{SERIES}.{number}"), Rows=SIDE, Columns=SIDE, PixelData=(noise ^ number).tobytes())
        for number in range(1, COUNT + 1)
    ]


@pytest.fixture
def web(gantry: Gantry, pictures: list[bytes]) -> Web:
    made = Web(gantry)
    for first in range(0, COUNT, 20):
        made.stored(*pictures[first : first + 20])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("tail", PATHS)
def test_memory_does_not_grow_with_the_instances(web: Web, tail: str) -> None:
    pid = web.gantry.server.process.pid
    everything = web.get(f"{uid_path(STUDY, SERIES)}/{tail}", PATHS[tail])  # libraries are loaded now
    assert len(parts_of(everything)) == COUNT
    reset_peaks(pid)
    before, size = peaks(pid), 0
    with httpx.stream("GET", f"{web.url}/{uid_path(STUDY)}/{tail}", headers={"accept": PATHS[tail]}) as response:
        for data in response.iter_raw():
            size += len(data)
    assert size > COUNT * SIDE * SIDE * 9 // 10
    assert peaks(pid) - before < size // 2


def open_files(pid: int) -> int:
    """How many files of blobs the server has open."""
    return sum("/blobs/" in str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink())


@pytest.mark.parametrize("tail", PATHS)
def test_a_client_that_leaves_ends_the_work(web: Web, tail: str) -> None:
    """No file of a blob stays open, and other requests are answered."""
    server = web.gantry.server
    before = open_files(server.process.pid)
    with httpx.stream("GET", f"{web.url}/{uid_path(STUDY)}/{tail}", headers={"accept": PATHS[tail]}) as response:
        assert response.status_code == 200 and next(response.iter_raw(1 << 16))
    server.wait_until(lambda: open_files(server.process.pid) <= before)
    one = web.get(f"{uid_path(STUDY, SERIES, f'{SERIES}.1')}/rendered", "image/png")
    assert one.status_code == 200
    assert "Traceback" not in server.log_text()
