"""``gantry changes``: what is printed, tokens to go on with, Ctrl-C, servers that go away."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from gantry.cli import run as run_here
from gantry.client import changes
from tests.cli.harness import CT, ENVIRON, MR, Server, Stub, free_port

NAME = "projects/gantry/locations/us-central1/datasets/d/dicomStores/s"
CHANGE = {
    "change": "MOVED",
    "action": "SetBlobSettings",
    "lastUpdatedTime": "2026-01-02T03:04:05.000006Z",
    "studyInstanceUID": "1.1",
    "seriesInstanceUID": "1.2",
    "sopInstanceUID": "1.3\x1b",
    "versionId": "v",
    "storageClass": "ARCHIVE",
    "previousStorageClass": "STANDARD",
}


def page(token: str, *found: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"changes": list(found), "nextPageToken": token}


def tokens_in(text: str) -> list[str]:
    return re.findall(r"--since (\S+)", text)


def test_a_line_for_each_change_and_a_token_to_go_on_with(server: Server) -> None:
    assert server("stores", "create", "changes/main").returncode == 0
    server.bucket("changes", {"ct.dcm": CT.read_bytes(), "mr.dcm": MR.read_bytes()})
    first = server("changes", "changes/main")
    assert (first.returncode, first.stdout) == (0, "")
    (token,) = tokens_in(first.stderr)
    assert server("import", "gs://changes/**", "--store", "changes/main").returncode == 0
    second = server("changes", "changes/main", "--since", token)
    assert second.returncode == 0
    lines = second.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"\S+Z  STORED    ImportDicomData  studies/\S+/series/\S+/instances/\S+  STANDARD", line)
    third = server("changes", env={"GANTRY_STORE": "changes/main"})
    assert third.stdout == second.stdout
    assert server("changes", "changes/main", "--since", tokens_in(second.stderr)[0]).stdout == ""


def test_json(server: Server) -> None:
    assert server("stores", "create", "changes/json").returncode == 0
    server.bucket("one", {"ct.dcm": CT.read_bytes()})
    now = server("changes", "changes/json", "--now", "--json")
    (begin,) = map(json.loads, now.stdout.splitlines())
    assert server("import", "gs://one/**", "--store", "changes/json").returncode == 0
    done = server("changes", "changes/json", "--json", "--since", begin["nextPageToken"])
    change, token = map(json.loads, done.stdout.splitlines())
    assert (change["change"], change["modality"]) == ("STORED", "CT")
    assert token.keys() == {"nextPageToken"}
    assert (done.returncode, done.stderr) == (0, "")


def test_what_was_moved_is_told_with_its_classes(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([page("t1", CHANGE), page("t1")])
    stub.answer = lambda *_: next(answers)
    assert run_here(["changes", NAME, "--server", stub.url]) == 0
    told = capsys.readouterr()
    where = "studies/1.1/series/1.2/instances/1.3\\x1b"
    assert told.out == f"2026-01-02T03:04:05.000006Z  MOVED     SetBlobSettings  {where}  STANDARD -> ARCHIVE\n"
    assert tokens_in(told.err) == ["t1"]


def test_an_error_is_told_with_the_token_of_what_was_printed(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    message = {"error": {"code": 400, "status": "OUT_OF_RANGE", "message": "not kept any more. Begin anew"}}
    answers = iter([page("t1", CHANGE), (400, message)])
    stub.answer = lambda *_: next(answers)
    assert run_here(["changes", NAME, "--server", stub.url]) == 2
    told = capsys.readouterr()
    assert "not kept any more. Begin anew" in told.err
    assert tokens_in(told.err) == ["t1"]


def test_follow_waits_at_the_server_and_outlives_its_restart(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(
        [page("t1"), (503, "starting"), (502, {}), page("t2", CHANGE), (404, {"error": {"message": "gone"}})]
    )
    stub.answer = lambda *_: next(answers)
    monkeypatch.setattr(changes, "FIRST_PAUSE", 0.01)
    assert run_here(["changes", NAME, "--follow", "--now", "--server", stub.url]) == 2
    told = capsys.readouterr()
    assert told.out.count("MOVED") == 1
    assert "trying again" in told.err
    assert tokens_in(told.err) == ["t2"]
    queries = [path.partition("?")[2] for _, path in stub.requests]
    assert queries == ["from=now", *["pageToken=t1&wait=30"] * 3, "pageToken=t2&wait=30"]


def test_without_follow_a_server_that_is_away_is_told_at_once() -> None:
    assert run_here(["changes", NAME, "--server", f"http://127.0.0.1:{free_port()}"]) == 3


def test_ctrl_c_prints_the_token(server: Server) -> None:
    assert server("stores", "create", "changes/interrupted").returncode == 0
    server.bucket("followed", {"ct.dcm": CT.read_bytes()})
    assert server("import", "gs://followed/**", "--store", "changes/interrupted").returncode == 0
    command = [sys.executable, "-m", "gantry", "changes", "changes/interrupted", "--follow", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON | {"GANTRY_SERVER": server.url}
    ) as following:
        assert following.stdout is not None
        lines = [following.stdout.readline() for _ in range(2)]
        following.send_signal(signal.SIGINT)
        rest, errors = following.communicate(timeout=30)
    assert (following.returncode, errors) == (130, "")
    assert rest in ("", lines[1])  # it may come before the client knows that it has said so
    token = json.loads(lines[1])["nextPageToken"]
    assert server("changes", "changes/interrupted", "--since", token, "--json").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "x", "--now"], "--since and --now"),
        (["--since", "nonsense"], "pageToken"),
    ],
)
def test_wrong_flags_exit_2(server: Server, store: str, arguments: list[str], words: str) -> None:
    done = server("changes", store, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
