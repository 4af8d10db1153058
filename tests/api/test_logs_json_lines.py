"""Failures as lines of JSON on stdout, for collectors of logs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.api.logging import JsonLines
from gantry.errors import InvalidArgument, Status, Unavailable
from gantry.log_entries import LogEntry
from gantry.names import DatasetName, OperationName
from gantry.operations.retention import report_failures
from gantry.resources import Failure, Method, Operation
from gantry.seams import Seams
from tests.support import prepared
from tests.support.gantry import Gantry
from tests.support.server import GantryServer


class Collected(GantryServer):
    """A server whose stdout goes to a file of its own."""

    @property
    def out(self) -> Path:
        return self.data.parent / "stdout"

    def _spawn(self) -> None:
        command = [sys.executable, "-m", "gantry", "serve", "--log-json", "--port", str(self.port), "--workers", "2"]
        command += ["--data", str(self.data), "--buckets", str(self.buckets)]
        with self.log.open("ab") as log, self.out.open("ab") as out:
            self.process = prepared.Popen(command, stdout=out, stderr=log, env=self.environ)


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[Gantry]:
    server = Collected(tmp_path / "data", tmp_path / "buckets")
    try:
        yield Gantry(server)
    finally:
        server.stop()


@pytest.mark.slow
def test_one_line_per_committed_failure(collected: Gantry) -> None:
    """The lines are the entries that ``entries:list`` gives, in their order, and nothing else."""
    for number in range(150):
        collected.put(collected.bucket, f"{number}\n\u2028.dcm", b"not DICOM")
    collected.import_("*")
    collected.import_("gs://no-such-bucket-at-all/x")
    collected.server.stop()
    assert isinstance(collected.server, Collected)
    lines = collected.server.out.read_text().split("\n")
    assert lines.pop() == ""
    collected.server.start()
    request = {"resourceNames": ["projects/p"], "pageSize": 1000}
    assert [json.loads(line) for line in lines] == collected.call("POST", "v2/entries:list", json=request)["entries"]
    assert len(lines) == 151
    assert "Gantry is ready" in collected.server.log_text(), "people read stderr"


def entry(seq: int) -> LogEntry:
    return LogEntry(seq, OPERATION.create_time, Failure("gs://b/x", Status(InvalidArgument.code, "bad")))


OPERATION = Operation(
    OperationName(DatasetName("p", "l", "d"), 7),
    "v1",
    Method.IMPORT_DICOM_DATA,
    datetime(2030, 1, 2, tzinfo=UTC),
)


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    tried = 0

    def write(self, text: str) -> int:
        self.tried += 1
        raise BrokenPipeError


def test_a_collector_that_has_gone_stops_the_lines_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    stream = Gone()
    lines = JsonLines(stream)
    lines(OPERATION, [entry(1)])
    lines(OPERATION, [entry(2)])
    assert stream.tried == 1
    assert "cannot be written to stdout any more" in caplog.text


class NoLogs:
    def list_last_failures(self, *_: object) -> list[LogEntry]:
        raise Unavailable("the index cannot be used right now")


def test_entries_that_cannot_be_read_back_do_not_end_the_operation(caplog: pytest.LogCaptureFixture) -> None:
    unused: Any = None
    index: Any = SimpleNamespace(logs=NoLogs())
    seams = Seams(index, unused, unused, unused, unused, 1, listener=JsonLines(io.StringIO()))
    report_failures(seams, OPERATION, 3)
    assert "3 failures were not reported: the index cannot be used right now" in caplog.text
    report_failures(seams, OPERATION, 0)
