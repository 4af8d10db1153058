"""Reading the audit log: the latest lines first, a part of the file at a time, whatever a crash has left in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gantry.api import audit_reading
from gantry.api.audit_reading import AuditLine, Wanted, read_audit

BEGIN = datetime(2030, 1, 31, tzinfo=UTC)


def line(number: int, who: str = "ada@example.org", call: dict[str, Any] | None = None, code: int = 0) -> str:
    time = BEGIN + timedelta(hours=number)
    entry: dict[str, Any] = {
        "insertId": str(number),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "resource": {"type": "audited_resource", "labels": {"project_id": "p", "method": "datasets.get"}},
        "protoPayload": {
            "methodName": "google.cloud.healthcare.v1.projects.locations.datasets.get",
            "resourceName": f"projects/p/locations/l/datasets/d{number}",
            "authenticationInfo": {"principalEmail": who} if who else {},
            "requestMetadata": {"callerIp": "127.0.0.1"},
            "status": {"code": code} if code else {},
        },
    }
    return json.dumps(entry | ({"operation": call | {"producer": "x"}} if call else {}), ensure_ascii=False)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(line(number) + "\n" for number in range(100)))
    return path


def numbers(lines: list[AuditLine]) -> list[int]:
    return [int(each.resource.rpartition("/d")[2]) for each in lines]


def test_the_latest_lines_come_first_and_pages_join(log: Path) -> None:
    found, before = [], None
    while before != 0:
        page = read_audit(str(log), Wanted(), 7, before)
        found += numbers(page.lines)
        before = page.before
    assert found == list(reversed(range(100)))
    first = read_audit(str(log), Wanted(), 1).lines[0]
    assert (first.who, first.method, first.project, first.address) == (
        "ada@example.org",
        "datasets.get",
        "p",
        "127.0.0.1",
    )


def test_lines_that_come_meanwhile_move_no_page(log: Path) -> None:
    page = read_audit(str(log), Wanted(), 10)
    with log.open("a") as file:
        file.write(line(1000) + "\n")
    assert numbers(read_audit(str(log), Wanted(), 10, page.before).lines) == list(range(89, 79, -1))


def test_a_page_reads_a_part_of_the_file_and_leads_on(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_reading, "MAX_READ", 10_000)
    monkeypatch.setattr(audit_reading, "_BLOCK", 1000)
    wanted, found, pages, before = Wanted(("d3",)), [], 0, None
    while before != 0:
        page = read_audit(str(log), wanted, 50, before)
        assert before is None or page.before < before
        found, before, pages = found + numbers(page.lines), page.before, pages + 1
    assert found == [*range(39, 29, -1), 3] and pages > 3


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2030-02-02", "", range(99, 47, -1)),
        ("", "2030-02-01", range(23, -1, -1)),
        ("2030-02-01", "2030-02-02", range(47, 23, -1)),
    ],
)
def test_days(log: Path, monkeypatch: pytest.MonkeyPatch, since: str, until: str, expected: range) -> None:
    monkeypatch.setattr(audit_reading, "_BLOCK", 2000)
    assert numbers(read_audit(str(log), Wanted((), since, until), 100).lines) == list(expected)


def test_what_is_no_line_is_passed_over(log: Path) -> None:
    data = b'{"timestamp": "2030\n' + line(200, "zoë@example.org").encode() + b"\n   \n{}\n[1]\n\xff\xfe\n"
    log.write_bytes(data + line(201).encode() + b"\n" + line(202).encode()[:100])
    assert numbers(read_audit(str(log), Wanted(), 10).lines) == [201, 200]
    assert numbers(read_audit(str(log), Wanted(("ZOË",)), 10).lines) == [200]


def test_two_lines_of_a_call_are_one_and_a_call_without_an_end_is_said(log: Path) -> None:
    first, last = {"id": "a1", "first": True}, {"id": "a1", "last": True}
    killed = {"id": "b2", "first": True}
    log.write_text("\n".join((line(1, call=first), line(2, call=killed), line(1, call=last, code=7))) + "\n")
    found = read_audit(str(log), Wanted(), 10).lines
    assert [(each.code, each.is_open) for each in found] == [(7, False), (0, True)]
    # Of a page that begins between both, too.
    page = read_audit(str(log), Wanted(), 1)
    assert [each.is_open for each in read_audit(str(log), Wanted(), 10, page.before).lines] == [True]


def test_a_log_that_was_moved_away_has_no_lines(tmp_path: Path) -> None:
    assert read_audit(str(tmp_path / "none"), Wanted(), 10) == ([], 0)
    (tmp_path / "empty").touch()
    assert read_audit(str(tmp_path / "empty"), Wanted(), 10) == ([], 0)


@pytest.mark.parametrize("behind", [1, 5])
def test_lines_of_a_clock_that_was_behind_end_no_search(log: Path, behind: int) -> None:
    """As after a start without a battery, until the time is asked for."""
    early = [line(-500_000 + number) for number in range(behind)]
    every = [*(line(number) for number in range(50)), *early, *(line(number) for number in range(50, 100))]
    log.write_text("".join(f"{each}\n" for each in every))
    assert numbers(read_audit(str(log), Wanted((), "2030-02-01"), 100).lines) == list(range(99, 23, -1))


def test_a_search_ends_where_all_is_older(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_reading, "_DISORDER", 2000)
    monkeypatch.setattr(audit_reading, "MAX_READ", 20_000)
    page = read_audit(str(log), Wanted((), "2030-02-03"), 100)
    assert numbers(page.lines) == list(range(99, 71, -1)) and page.before == 0


def test_a_long_gap_that_a_power_cut_has_left_ends_no_page(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were not written before it are zeros, without the end of a line."""
    monkeypatch.setattr(audit_reading, "MAX_READ", 5000)
    monkeypatch.setattr(audit_reading, "_BLOCK", 1000)
    log.write_bytes(f"{line(1)}\n".encode() + bytes(20_000) + f"\n{line(2)}\n".encode())
    found, before = [], None
    while before != 0:
        page = read_audit(str(log), Wanted(), 50, before)
        assert before is None or page.before < before
        found, before = found + numbers(page.lines), page.before
    assert found == [2, 1]
