"""Following an operation: servers that go away, Ctrl-C, tokens, pages."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from gantry.cli import run as run_here
from gantry.client import progress
from gantry.client.progress import Pace
from gantry.client.terminal import format_duration
from gantry.client.view import OperationView
from gantry.names import DatasetName, OperationName
from tests.cli.harness import ENVIRON, Stub, free_port

NAME = str(OperationName(DatasetName("gantry", "us-central1", "d"), 7))


def operation(success: int, pending: int) -> dict[str, Any]:
    counter = {"success": str(success), "pending": str(pending)}
    metadata = {"apiMethodName": "x.ImportDicomData", "createTime": "2026-01-01T00:00:00Z", "counter": counter}
    answer = {"name": NAME, "metadata": metadata}
    return answer if pending else answer | {"done": True, "response": {}}


def test_a_server_that_is_away_for_a_moment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([(200, operation(1, 1)), (503, "starting"), (502, {}), (200, operation(2, 0))])
    stub.answer = lambda *_: next(answers)
    monkeypatch.setattr(progress, "FIRST_PAUSE", 0.01)
    assert run_here(["operations", "wait", NAME, "--server", stub.url]) == 0
    told = capsys.readouterr()
    assert "2 succeeded" in told.out
    assert "trying again" in told.err
    assert "the server is back" in told.err


def test_a_server_that_stays_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.3)
    url = f"http://127.0.0.1:{free_port()}"
    assert run_here(["operations", "wait", NAME, "--server", url]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert f"gantry operations wait 7 --dataset d --server {url}" in told.err


def test_any_other_answer_ends_it(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = lambda *_: (404, {"error": {"code": 404, "message": "no operation 7", "status": "NOT_FOUND"}})
    assert run_here(["operations", "wait", NAME, "--server", stub.url]) == 2
    assert capsys.readouterr().err == "gantry: no operation 7\n"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, {"error": {"code": 500, "message": "oh", "status": "INTERNAL"}}, 5),
        (429, {"error": {"code": 429, "message": "oh", "status": "RESOURCE_EXHAUSTED"}}, 5),
        (503, {"error": {"code": 503, "message": "oh", "status": "UNAVAILABLE"}}, 3),
        (401, {"error": {"code": 401, "message": "oh", "status": "UNAUTHENTICATED"}}, 2),
        (200, "<html>", 2),
        (404, "<html>", 2),
        (200, [], 2),
    ],
)
def test_answers_and_exit_codes(
    stub: Stub, status: int, body: Any, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.answer = lambda *_: (status, body)
    assert run_here(["datasets", "list", "--server", stub.url]) == code
    assert capsys.readouterr().err.startswith("gantry: ")


def test_ctrl_c_leaves_the_operation_alone(stub: Stub) -> None:
    stub.answer = lambda verb, _: (200, {"name": NAME} if verb == "POST" else operation(1, 9))
    command = [sys.executable, "-m", "gantry", "import", "gs://b/**", "--store", "d/s", "--server", stub.url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON, process_group=0
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert first.startswith("import: 1 of 10")
    assert (process.returncode, out) == (130, "")
    assert "The operation continues." in err
    assert f"gantry operations cancel 7 --dataset d --server {stub.url}" in err
    assert ("POST", f"/v1/{NAME}:cancel") not in stub.requests


def transferred(size: int, unchecked: int = 0, pending: int = 0) -> dict[str, Any]:
    answer = operation(3, pending)
    found = {"bytes": size, "uncheckedObjects": unchecked}
    answer["metadata"]["transfer"] = {name: str(count) for name, count in found.items() if count}
    answer["metadata"]["endTime"] = "2026-01-01T00:00:02Z"
    return answer


def test_bytes_are_shown_beside_objects(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = lambda *_: (200, transferred(3 << 20))
    assert run_here(["operations", "wait", NAME, "--server", stub.url]) == 0
    told = capsys.readouterr()
    assert told.out == "✓ import: 3 succeeded, 3.0 MiB in 2.0 s (1.5/s, 1.5 MiB/s)\n"
    assert told.err == "import: 3 of 3, 3.0 MiB, 1.5/s, 1.5 MiB/s\n"


def test_what_was_read_unchecked_is_told(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = lambda *_: (200, transferred(1234, 2))
    assert run_here(["operations", "wait", NAME, "--server", stub.url]) == 0
    assert "  2 read unchecked: their provider has no checksum of them\n" in capsys.readouterr().out
    assert run_here(["operations", "describe", NAME, "--server", stub.url]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["bytes", "1,234"] in lines
    assert ["unchecked", "2 read unchecked: their provider has no checksum of them"] in lines


def test_the_bar_shows_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "console", lambda stderr=False: terminal)
    with progress.Bar() as bar:
        bar.show(OperationView(transferred(5 << 20, pending=4)))
        bar.show(OperationView(transferred(6 << 20)))
    assert re.search(r"3 of 3 +6\.0 MiB +1\.5/s, 3\.0 MiB/s", Text.from_ansi(shown.getvalue()).plain)


def test_cancel(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = lambda verb, _: (200, {} if verb == "POST" else operation(1, 9))
    assert run_here(["operations", "cancel", NAME, "--server", stub.url]) == 0
    assert capsys.readouterr().out == "operation 7 is being cancelled; what it has done so far is kept\n"
    assert stub.requests[0] == ("POST", f"/v1/{NAME}:cancel")


def test_an_operation_that_was_cancelled_exits_4(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": 1, "message": "the operation was cancelled", "details": []}
    stub.answer = lambda *_: (200, operation(3, 9) | {"done": True, "error": error})
    assert run_here(["operations", "wait", NAME, "--server", stub.url]) == 4
    told = capsys.readouterr().out
    assert "✗ import cancelled: 3 succeeded, 9 not done in " in told
    assert "the operation was cancelled" in told


def test_the_token_is_sent(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.answer = lambda *_: (200, {})
    assert run_here(["datasets", "list", "--server", stub.url, "--token", "secret"]) == 0
    assert run_here(["datasets", "list", "--server", stub.url]) == 0
    monkeypatch.setenv("GANTRY_TOKEN", "from the environment")
    assert run_here(["datasets", "list", "--server", stub.url]) == 0
    sent = [headers.get("authorization") for headers in stub.headers]
    assert sent == ["Bearer secret", None, "Bearer from the environment"]


def test_errors_reads_every_page(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(_verb: str, path: str) -> tuple[int, Any]:
        page = 2 if "pageToken=more%2F2" in path else 1
        entry = {"jsonPayload": {"resourceName": f"studies/{page}", "error": {"code": 3, "message": "broken"}}}
        return 200, {"entries": [entry]} | ({"nextPageToken": "more/2"} if page == 1 else {})

    stub.answer = answer
    assert run_here(["operations", "errors", NAME, "--server", stub.url]) == 0
    assert capsys.readouterr().out == "  studies/1: broken\n  studies/2: broken\n"
    assert run_here(["operations", "errors", NAME, "--server", stub.url, "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["jsonPayload"]["resourceName"] for line in lines] == ["studies/1", "studies/2"]
    assert stub.requests[0][1] == f"/logs/{NAME}?pageSize=1000"


def test_pace_looks_at_the_last_seconds() -> None:
    pace = Pace()
    for second in range(100):
        finished = 1000 + second * (5 if second < 50 else 20)
        pace.add(finished, 0, float(second))
    assert pace.rates == (pytest.approx(20), 0)
    assert pace.text(OperationView(operation(50, 600))) == "20/s, 30 s left"


def test_pace_in_bytes() -> None:
    """Those that passed before the command began to look do not count."""
    pace = Pace()
    pace.add(10, 5 << 30, 100.0)
    pace.add(50, (5 << 30) + (9 << 20), 102.0)
    assert pace.text(OperationView(operation(50, 600))) == "20/s, 4.5 MiB/s, 30 s left"


def test_pace_of_an_operation_that_was_under_way_before() -> None:
    pace = Pace()
    pace.add(1_000_000, 1 << 40, 5.0)
    assert pace.text(OperationView(operation(50, 600))) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s")),
        *((3599.7, "1 h 00 min"), (7800, "2 h 10 min"), (356400, "4 d 03 h")),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
