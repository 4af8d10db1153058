"""The file of the index cannot be read for a moment, or is read wrongly: work goes on by itself afterwards."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.failing import Faults, Mode
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

COUNT = 400


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    with Faults(tmp_path) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, faults: Faults) -> Iterator[GantryServer]:
    running = GantryServer(tmp_path / "data", tmp_path / "buckets", env=faults.env)
    bucket = running.buckets / "b"
    bucket.mkdir()
    for number in range(COUNT):
        (bucket / f"{number}.dcm").write_bytes(make_instance("1.2.1", f"1.2.1.{number % 5}", f"1.2.1.1.{number}"))
    yield running
    faults.end()
    running.stop()


def is_done(server: GantryServer, operation: str) -> bool:
    answer = server.request("GET", f"v1/{operation}")
    assert answer.status_code in (200, 503), answer.text
    return bool(answer.json().get("done", False))


TROUBLE: list[tuple[str, str, int, Mode]] = [
    ("read", "index.sqlite", errno.EIO, "fail"),
    ("read", "index.sqlite", errno.EIO, "empty"),
    ("write", "index.sqlite-wal", errno.EIO, "fail"),
    ("write", "index.sqlite-wal", errno.ENOSPC, "fail"),
    ("write", "index.sqlite-wal", errno.EROFS, "fail"),
    ("write", "index.sqlite-wal", errno.EIO, "short"),
    ("fdatasync", "index.sqlite", errno.EIO, "fail"),
]


@pytest.mark.parametrize("call, path, error, mode", TROUBLE)
def test_an_import_goes_on_after_it(
    server: GantryServer, faults: Faults, call: str, path: str, error: int, mode: Mode
) -> None:
    store = server.create_store("d", "s")
    operation = server.import_(store, "gs://b/**")
    with faults.failing(call, path=path, error=error, after=2, times=4, mode=mode) as rule:
        server.wait_until(lambda: is_done(server, operation))
        if call != "read":  # what is in SQLite's memory is not read again
            assert rule.failed
    done = server.operation(operation)
    assert "error" not in done, done
    assert counts(done) == (COUNT, 0)
    found = server.call("GET", f"v1/{store}/dicomWeb/studies/1.2.1/instances", params={"limit": 5 * COUNT})
    assert len(found) == COUNT
