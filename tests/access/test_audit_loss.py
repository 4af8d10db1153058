"""The audit log's directory is gone or its disk is full: calls keep their own answers and the loss is reported; where
lines are required, no call acts without one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gantry.api.audit_file import AuditFile
from tests.dicomweb.instances import instance
from tests.faults.failing import Faults
from tests.support.raw import RawConnection
from tests.support.server import GantryServer, Json
from tests.support.web import multipart

DATASETS = "v1/projects/p/locations/us-central1/datasets"
WEB = f"{DATASETS}/d/dicomStores/s/dicomWeb/studies"


class Audited:
    """A server whose audit log is in a directory of its own."""

    def __init__(self, home: Path, **env: str) -> None:
        self.directory = home / "audit"
        self.directory.mkdir()
        self.file = self.directory / "audit.jsonl"
        env = {"GANTRY_AUDIT_LOG": str(self.file)} | env
        self.server = GantryServer(home / "data", home / "buckets", env=env)
        self.server.create_store("d", "s")

    def lose(self, how: str) -> None:
        if how == "gone":
            shutil.rmtree(self.directory)
        elif how == "a file in its place":
            shutil.rmtree(self.directory)
            self.directory.write_text("")
        elif how == "a directory in its place":
            self.file.unlink()
            self.file.mkdir()
        else:
            self.file.unlink()
            self.file.symlink_to("/dev/full")

    def mend(self) -> None:
        if self.directory.is_dir():
            shutil.rmtree(self.directory)
        else:
            self.directory.unlink(missing_ok=True)
        self.directory.mkdir()

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def lost(self) -> float:
        """The metric."""
        text = self.server.request("GET", "metrics").text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("gantry_audit_lines_lost_"))

    def every_call(self) -> dict[str, httpx.Response]:
        """A call of each kind: API, DICOMweb, an upload, a page, a form, and calls that fail by themselves."""
        kind, body = multipart([instance(("1.2", "1.3", "1.4"))])
        headers, ask = {"content-type": kind}, self.server.request
        fields = {"project": "p", "location": "us-central1", "dataset": "by-form"}
        return {
            "get": ask("GET", f"{DATASETS}/d"),
            "create": ask("POST", f"{DATASETS}?datasetId=new"),
            "store": ask("POST", WEB, content=body, headers=headers),
            "search": ask("GET", WEB),
            "delete": ask("DELETE", f"{WEB}/1.2"),
            "page": ask("GET", "console/"),
            "form": ask("POST", "console/create", data=fields),
            "not found": ask("GET", f"{DATASETS}/other"),
            "refused": ask("POST", f"{DATASETS}?datasetId=a/b"),
        }


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    made = Audited(tmp_path)
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Audited]:
    made = Audited(tmp_path, GANTRY_AUDIT_REQUIRED="true")
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


WAYS = ("gone", "a file in its place", "a directory in its place", "full")


@pytest.mark.parametrize("how", WAYS)
def test_a_call_keeps_its_own_answer_and_the_loss_is_reported(audited: Audited, how: str) -> None:
    right = {name: response.status_code for name, response in audited.every_call().items()}
    assert right["not found"] == 404 and right["refused"] == 400 and right["create"] == right["store"] == 200
    for name in ("new", "by-form"):
        audited.server.call("DELETE", f"{DATASETS}/{name}")
    assert audited.server.request("GET", "readyz").text == "ok\n" and audited.lost() == 0
    audited.lose(how)
    again = {name: response.status_code for name, response in audited.every_call().items()}
    assert again == right and right["form"] == 303
    assert audited.lost() >= len(again)
    assert audited.server.log_text().count("lines are lost") == 1, "it is said once, not for each line"
    ready = audited.server.request("GET", "readyz")
    assert ready.status_code == 200 and "audit log" in ready.text
    audited.mend()
    assert audited.server.request("GET", "readyz").text == "ok\n"
    audited.server.call("GET", f"{DATASETS}/d")
    assert [line["protoPayload"]["resourceName"] for line in audited.lines()] == [f"{DATASETS}/d".removeprefix("v1/")]
    assert "written again" in audited.server.log_text()


@pytest.mark.parametrize("how", WAYS)
def test_where_lines_are_required_nothing_acts_without_one(strict: Audited, how: str) -> None:
    strict.lose(how)
    answers = strict.every_call()
    for name, response in answers.items():
        assert response.status_code == 503, name
        if name not in ("page", "form"):
            error = response.json()["error"]
            assert error["status"] == "UNAVAILABLE" and "audit log" in error["message"]
            assert str(strict.directory) not in error["message"]
    assert strict.server.request("GET", "readyz").status_code == 503
    assert strict.server.request("GET", "healthz").status_code == 200
    strict.mend()
    assert strict.server.request("GET", "readyz").text == "ok\n", "nobody has to call for it to be ready again"
    names = [item["name"] for item in strict.server.call("GET", DATASETS)["datasets"]]
    assert [name.rpartition("/")[2] for name in names] == ["d"], "a refused call has acted"
    assert strict.server.request("GET", WEB).status_code in (200, 204)


def test_a_required_line_comes_before_the_call_and_one_after_it(strict: Audited) -> None:
    strict.file.unlink()
    strict.server.request("GET", f"{DATASETS}/other")
    first, last = strict.lines()
    assert first["operation"].pop("first") and last["operation"].pop("last")
    assert first["operation"] == last["operation"] and first["insertId"] != last["insertId"]
    assert (first["protoPayload"]["status"], last["protoPayload"]["status"]) == ({}, {"code": 5})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_required_line_that_hangs_holds_no_other_request(tmp_path: Path, method: str) -> None:
    """The disk of the audit log gives no answer: the calls that wait for it wait in threads."""
    with Faults(tmp_path) as faults, ThreadPoolExecutor() as pool:
        audited = Audited(tmp_path, GANTRY_AUDIT_REQUIRED="true", **faults.env)
        with faults.failing("write", path="audit.jsonl", mode="hang") as rule:
            waiting = pool.submit(audited.server.request, method, f"{DATASETS}?datasetId=new")
            audited.server.wait_until(lambda: rule.seen)
            assert audited.server.request("GET", "healthz").status_code == 200
            assert not waiting.done()
        assert waiting.result().status_code == 200
        audited.server.stop()


@pytest.mark.parametrize("says", ["has left", "is too long"])
def test_a_line_of_a_call_that_has_no_answer_yet_holds_no_other_request(tmp_path: Path, says: str) -> None:
    """No thread answers an upload whose client leaves, or a body that is refused for its size: their lines wait for the
    disk in a thread, too."""
    with Faults(tmp_path) as faults:
        audited = Audited(tmp_path, **faults.env)
        with faults.failing("write", path="audit.jsonl", mode="hang") as rule:
            with RawConnection(audited.server) as client:
                path, size = (f"/{WEB}", 100) if says == "has left" else (f"/{DATASETS}?datasetId=new", 1 << 40)
                client.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\nx".encode())
                if says == "is too long":
                    audited.server.wait_until(lambda: rule.seen)
            audited.server.wait_until(lambda: rule.seen)
            assert audited.server.request("GET", "healthz").status_code == 200
        audited.server.wait_until(lambda: any(line["protoPayload"]["status"] for line in audited.lines()))
        audited.server.stop()


def test_required_without_a_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="audit_required: needs audit_log"):
        GantryServer(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_AUDIT_REQUIRED": "true"})


def test_a_line_for_which_there_is_not_enough_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a line would make the next one unreadable."""
    room, write = [10], os.write

    def write_some(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    path = tmp_path / "audit.jsonl"
    file = AuditFile(str(path))
    monkeypatch.setattr(os, "write", write_some)
    assert file.append("a") and not file.append("a line of more") and file.lost == 1
    assert path.read_text() == "a\n"
    assert file.describe_loss() and path.read_text() == "a\n"
    room[0] = 100_000
    assert file.describe_loss() == "" and path.read_text() == "a\n"
    assert file.append("b") and path.read_text() == "a\nb\n"


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        pytest.param(b"", b"b\n", id="empty"),
        pytest.param(b"a\n", b"a\nb\n", id="whole"),
        pytest.param(b'a\n{"insertId": ', b'a\n{"insertId": \nb\n', id="a part of a line"),
        pytest.param(b"a\n" + b" " * 4096, b"a\n" + b" " * 4096 + b"b\n", id="room that was tried"),
        pytest.param(b"\0" * 5000, b"\0" * 5000 + b"\nb\n", id="power was lost"),
    ],
)
def test_a_part_of_a_line_that_a_killed_server_has_left_spoils_no_other(
    tmp_path: Path, found: bytes, kept: bytes
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(found)
    file = AuditFile(str(path))
    file.open()
    assert path.read_bytes() == found, "a start that is refused later has changed nothing"
    assert file.append("b") and path.read_bytes() == kept
    assert file.append("c") and path.read_bytes() == kept + b"c\n"


def test_a_part_that_cannot_be_taken_back_spoils_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that may only grow (``chattr +a``)."""
    room, write = [5], os.write

    def write_some(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "audit.jsonl"
    file = AuditFile(str(path))
    monkeypatch.setattr(os, "write", write_some)
    monkeypatch.setattr(os, "ftruncate", refuse)
    assert file.append("a") and not file.append("a line")
    room[0] = 100
    assert file.append("b") and file.append("c")
    assert path.read_text() == "a\na l\nb\nc\n"
    room[0] = len("d\n")
    assert file.append("d") and not file.append("e")
    room[0] = 100
    assert file.append("f") and path.read_text().endswith("c\nd\nf\n")


def test_a_file_that_may_be_written_and_not_read_is_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("a\n")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("gantry.api.audit_file.open", refuse, raising=False)
    assert AuditFile(str(path)).append("b")
    monkeypatch.undo()
    assert path.read_text() == "a\nb\n"


def test_reports_become_rarer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr("gantry.api.audit_file.time.monotonic", lambda: now[0])
    file = AuditFile(str(tmp_path / "gone" / "audit.jsonl"))
    reported = []
    for minute in range(24 * 60):  # a day, a call each minute
        caplog.clear()
        assert not file.append("x")
        reported += [minute] * caplog.text.count("lines are lost")
        now[0] += 60
    assert reported == [0, 1, 3, 7, 15, 31, *range(63, 24 * 60, 60)]
    (tmp_path / "gone").mkdir()
    assert file.append("x") and "1440 lines were lost" in caplog.text
    assert file.append("x") and caplog.text.count("written again") == 1


def test_a_file_that_cannot_be_opened_is_found_at_the_start_and_not_with_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AuditFile(str(tmp_path / "gone" / "audit.jsonl")).open()
    AuditFile(str(tmp_path / "audit.jsonl")).open()
    assert (tmp_path / "audit.jsonl").exists()


LINES = 12


def append_together(
    file: AuditFile, monkeypatch: pytest.MonkeyPatch, write: Callable[[int, bytes], int]
) -> tuple[list[bool], list[int]]:
    """Whether each line was kept, of threads that come while the first line is written; and the sizes of writes.

    ``write`` is what writes after the first line.
    """
    begun, go_on, sizes = threading.Event(), threading.Event(), list[int]()
    original = os.write

    def write_and_wait(fd: int, data: bytes) -> int:
        if not begun.is_set():
            begun.set()
            assert go_on.wait(30)
            return original(fd, data)
        sizes.append(len(data))
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_and_wait)
    with ThreadPoolExecutor(LINES + 1) as threads:
        first = threads.submit(file.append, "first")
        assert begun.wait(30)
        others = [threads.submit(file.append, f"line {number:02}") for number in range(LINES)]
        while len(file._waiting) < LINES:
            time.sleep(0.001)
        go_on.set()
        assert first.result()
        return [each.result() for each in others], sizes


def test_lines_that_wait_together_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    kept, sizes = append_together(AuditFile(str(path)), monkeypatch, os.write)
    assert kept == [True] * LINES
    assert sizes == [LINES * len("line 00\n")]
    lines = path.read_text().splitlines()
    assert lines[0] == "first" and sorted(lines[1:]) == [f"line {number:02}" for number in range(LINES)]


def test_of_lines_that_wait_together_those_are_lost_that_have_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, original = [3 * len("line 00\n") + 2], os.write

    def write_some(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = original(fd, data[: room[0]])
        room[0] -= written
        return written

    def give_back(fd: int, size: int, truncate: Callable[[int, int], None] = os.ftruncate) -> None:
        room[0] += os.fstat(fd).st_size - size
        truncate(fd, size)

    path = tmp_path / "audit.jsonl"
    file = AuditFile(str(path))
    monkeypatch.setattr(os, "ftruncate", give_back)
    kept, _ = append_together(file, monkeypatch, write_some)
    assert kept.count(True) == 3 and file.lost == LINES - 3
    assert len(path.read_text().splitlines()) == 4


def test_lines_of_whoever_is_broken_off_are_written_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, broken = tmp_path / "audit.jsonl", threading.Event()
    original = AuditFile._try

    def break_once(file: AuditFile, lines: list[Any]) -> OSError | None:
        if len(lines) > 1 and not broken.is_set():
            broken.set()
            raise MemoryError
        return original(file, lines)

    monkeypatch.setattr(AuditFile, "_try", break_once)
    with pytest.raises(MemoryError):
        append_together(AuditFile(str(path)), monkeypatch, os.write)
    assert broken.is_set()
    assert len(path.read_text().splitlines()) == LINES  # the first, and all but the one of the broken thread
