"""A server with many threads keeps its memory small."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.server import GantryServer

_HEAP_BYTES = 64 << 20

# Sixteen threads hold memory at the same time; then the C library counts its heaps (malloc_info(3)).
PROGRAM = """
import ctypes, threading
from gantry.heaps import share_heaps
share_heaps()
meet = threading.Barrier(16)
def work():
    for _ in range(50):
        held = [bytes(20_000) for _ in range(20)]
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
"""


def count_heaps(tmp_path: Path, **env: str) -> int:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    asked = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | env
    return subprocess.run([sys.executable, script], env=asked, capture_output=True, check=True).stdout.count(
        b"<heap nr="
    )


def count_further_heaps(pid: int) -> int:
    """Those of threads: each is the begin of 64 MiB that are kept for it (HEAP_MAX_SIZE in glibc's arena.c)."""
    areas = [line.split()[:2] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    found = 0
    for (area, rights), (following, kept) in pairwise(areas):
        begin, end = int(area.split("-")[0], 16), int(following.split("-")[1], 16)
        found += (rights, kept, begin % _HEAP_BYTES, end - begin) == ("rw-p", "---p", 0, _HEAP_BYTES)
    return found


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="heaps of glibc")


def test_threads_share_two_heaps_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    assert 1 <= count_heaps(tmp_path) <= 2
    assert count_heaps(tmp_path, MALLOC_ARENA_MAX="5") > 2


@pytest.mark.slow
def test_a_server_that_answers_many_at_once_has_one_further_heap(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        with ThreadPoolExecutor(16) as callers:
            answers = list(
                callers.map(lambda _: server.request("GET", "v1/projects/p/locations/l/datasets"), range(200))
            )
        assert {answer.status_code for answer in answers} == {200}
        assert count_further_heaps(server.process.pid) <= 1
    finally:
        server.stop()
