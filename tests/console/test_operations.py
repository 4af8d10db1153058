"""The page of an operation tells one truth, groups errors by reason, and helps to do again what can be."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.console.operation_errors import link_of
from gantry.console.operation_page import _list_shares
from gantry.counters import ProgressCounter
from gantry.errors import Code, Status
from gantry.log_entries import LogEntry, Severity
from gantry.names import DatasetName, OperationName, parse_dicom_store_name
from gantry.reasons import Reason
from gantry.resources import CANCELLED, Failure, Method, Operation
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts
from tests.support.web import Web

WHOLE = instance(("1.2.1", "1.2.1.1", "1.2.1.1.1"), PatientName="Doe^Jane")
OTHER = instance(("1.2.2", "1.2.2.1", "1.2.2.1.1"), PatientName="Roe^Ann")


@pytest.fixture
def failed(gantry: Gantry) -> tuple[Gantry, Json]:
    """An import of a good object, and of four bad ones of three kinds."""
    Web(gantry).stored(instance(("1.2.2", "1.2.2.1", "1.2.2.1.1"), PatientName="Other^Content"))
    objects = {"1.dcm": WHOLE, "cut.dcm": WHOLE[:-10], "a.txt": b"text", "b.txt": b"more text", "other.dcm": OTHER}
    for key, data in objects.items():
        gantry.put(gantry.bucket, f"in/{key}", data)
    return gantry, gantry.import_("in/*")


def text_of(gantry: Gantry, path: str, **kw: Any) -> str:
    response = gantry.request("GET", f"console/{path}", **kw)
    assert response.status_code == 200, response.text
    return re.sub(r"\s+", " ", response.text)


def post(gantry: Gantry, path: str, **fields: str) -> Json:
    """The operation that a form has started, when it has ended."""
    answer = gantry.request("POST", f"console/{path}", data=fields)
    assert answer.status_code == 303, answer.text
    return gantry.wait(answer.headers["location"].removeprefix("/console/"))


def shares(page: str) -> dict[str, int]:
    """Reason → objects, in the table *By reason*."""
    table = page.partition('id="reasons"')[2]
    rows = re.findall(r'<code class="dim">(\w+)</code>.*?<td class="num">([\d,]+)', table)
    return {reason: int(count) for reason, count in rows}


def test_errors_are_grouped_by_reason_with_advice(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    page = text_of(gantry, operation["name"])
    assert shares(page) == {"NOT_DICOM": 2, "TRUNCATED": 1, "ALREADY_EXISTS_DIFFERENT": 1}
    assert "Leave it out; nothing of it can be stored." in page
    assert "<dt>Imported</dt><dd>1</dd>" in page and '<dt>Failed</dt><dd class="bad">4</dd>' in page
    assert "Remaining" not in page and "Pending" not in page and 'aria-label="Imported: 1, Failed: 4"' in page


@pytest.mark.parametrize("words", ["truncated", "TRUNC", "cut.dcm"])
def test_errors_are_found_by_the_words_on_the_page(failed: tuple[Gantry, Json], words: str) -> None:
    gantry, operation = failed
    errors = text_of(gantry, f"{operation['name']}/errors?q={words}")
    assert "cut.dcm" in errors and "a.txt" not in errors


def test_the_kept_instance_is_a_click_away(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    errors = text_of(gantry, f"{operation['name']}/errors?reason=ALREADY_EXISTS_DIFFERENT")
    (address,) = re.findall(r'href="/console/([^"]+)">Show the kept instance', errors)
    assert "Other^Content" in text_of(gantry, address)
    assert "Import again" not in text_of(gantry, f"{operation['name']}/errors")


@pytest.mark.parametrize("scheme", ["gs", "s3", "az"])
def test_what_may_succeed_later_can_be_imported_again_from_any_bucket(gantry: Gantry, scheme: str) -> None:
    resource, store = f"{scheme}://b/a b.dcm", parse_dicom_store_name(gantry.store)
    operation: Any = SimpleNamespace(store=store, method=Method.IMPORT_DICOM_DATA)
    entry = LogEntry(1, datetime.now(UTC), Failure(resource, Status(Code.NOT_FOUND, "x", kind=Reason.OBJECT_GONE)))
    link, label = link_of(operation, entry)
    assert label == "Import again" and link.endswith(f"/import?uri={scheme}%3A%2F%2Fb%2Fa%20b.dcm")


def test_programs_get_the_reason(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    info = operation["error"]["details"][1]
    assert info == {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SEVERAL", "domain": "gantry"}
    assert {each["details"][0]["reason"] for each in gantry.failures(operation).values()} == {
        *("NOT_DICOM", "TRUNCATED", "ALREADY_EXISTS_DIFFERENT")
    }
    table = gantry.request("GET", f"console/{operation['name']}/errors.csv").text
    assert sorted(row["reason"] for row in csv.DictReader(io.StringIO(table)))[0] == "ALREADY_EXISTS_DIFFERENT"


def test_an_error_of_one_kind_has_its_reason_in_the_answer(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "a.txt", b"text")
    assert gantry.import_("*")["error"]["details"][1]["reason"] == "NOT_DICOM"
    assert gantry.import_("none/*")["error"]["details"][1]["reason"] == "NO_MATCH"


def test_what_failed_is_imported_again_and_nothing_else(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    assert "Import all failed again (4)" in text_of(gantry, operation["name"])
    gantry.put(gantry.bucket, "in/cut.dcm", instance(("1.2.3", "1.2.3.1", "1.2.3.1.1")))
    (gantry.server.buckets / gantry.bucket / "in/b.txt").unlink()
    again = post(gantry, f"{operation['name']}/import-failed")
    assert counts(again) == (1, 3)
    assert {key: each["details"][0]["reason"] for key, each in gantry.failures(again).items()} == {
        "in/a.txt": "NOT_DICOM",
        "in/b.txt": "OBJECT_GONE",
        "in/other.dcm": "ALREADY_EXISTS_DIFFERENT",
    }
    assert "Only what failed in" in text_of(gantry, again["name"])
    assert counts(post(gantry, f"{again['name']}/again")) == (1, 3)


def test_one_reason_is_imported_again(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    assert counts(post(gantry, f"{operation['name']}/import-failed", reason="NOT_DICOM")) == (0, 2)


def test_an_operation_is_run_again(failed: tuple[Gantry, Json]) -> None:
    gantry, operation = failed
    assert counts(post(gantry, f"{operation['name']}/again")) == (1, 4)
    exported = gantry.export("x")
    assert counts(post(gantry, f"{exported['name']}/again")) == (2, 0)
    refused = gantry.request("POST", f"console/{exported['name']}/import-failed")
    assert refused.status_code == 400 and "can be imported again" in refused.text


def _make(counter: ProgressCounter, error: Status | None) -> Operation:
    now, dataset = datetime.now(UTC), DatasetName("p", "l", "d")
    method = Method.IMPORT_DICOM_DATA
    return Operation(OperationName(dataset, 7), "v1", method, now, end_time=now, counter=counter, error=error)


def test_the_end_of_an_operation_is_no_object() -> None:
    """A cancel, and an error of the whole operation, have an entry in the log."""
    counted = {(Severity.ERROR, Reason.CANCELLED): 1, (Severity.ERROR, Reason.TRUNCATED): 2}
    cancelled = _make(ProgressCounter(100, 5, 2), CANCELLED)
    assert [(each.reason, each.objects) for each in _list_shares(cancelled, counted)] == [(Reason.TRUNCATED, 2)]
    both = replace(cancelled, counter=ProgressCounter(100, 5, 3))
    assert sum(each.objects for each in _list_shares(both, counted)) == 3


def test_after_a_cancel_nothing_is_pending(gantry: Gantry, big_bucket: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    gantry.request("POST", f"console/{name}/cancel")
    gantry.wait(name)
    page = text_of(gantry, name)
    assert "Pending" not in page and "Remaining" not in page and shares(page) == {}


def test_while_it_runs_the_count_alone_says_that_nothing_has_failed(gantry: Gantry, big_bucket: str) -> None:
    """Counts and errors are asked for at different moments, so a sentence beside them could be wrong."""
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    page = text_of(gantry, name)
    errors = text_of(gantry, f"{name}/errors")
    is_done = gantry.call("GET", f"v1/{name}").get("done", False)
    assert is_done or ("No errors" not in page + errors and "<dt>Failed</dt><dd>0</dd>" in page)
    assert is_done or "Errors are listed here as they occur" in errors
