"""Who may query what, with authentication on; whose jobs are whose; what the audit log has; several servers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sql.tables import write_table
from tests.support.access import Guarded
from tests.support.server import GantryServer, Json

NUMBERS = "UNNEST(GENERATE_ARRAY(1, 1000000))"
COUNT = "SELECT COUNT(*) AS n FROM p.d.t"
PEOPLE = ("nobody", "viewer", "runner", "reader", "both", "editor", "other", "scanner")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    for name in ("p", "q"):
        (home / name).mkdir()
        write_table(home / name, f"{name}.d.t")
    made = Guarded(
        *(home, *PEOPLE),
        GANTRY_BIGQUERY=f"p={home}/p,q={home}/q",
        GANTRY_AUDIT_LOG=str(home / "audit.jsonl"),
    )
    made.grant(
        "projects/p",
        *(("roles/viewer", "viewer"), ("roles/bigquery.jobUser", "runner"), ("roles/bigquery.dataViewer", "reader")),
        *(("roles/bigquery.jobUser", "both"), ("roles/bigquery.dataViewer", "both"), ("roles/editor", "editor")),
        *(("roles/bigquery.jobUser", "other"), ("roles/bigquery.dataViewer", "other")),
        ("roles/healthcare.dicomEditor", "scanner"),
    )
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def ask(guarded: Guarded, who: str, text: str = COUNT, project: str = "p") -> httpx.Response:
    body = {"query": text, "useLegacySql": False}
    return guarded.request(who, "POST", f"bigquery/v2/projects/{project}/queries", json=body)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *(("", 401), ("nobody", 403), ("viewer", 403), ("runner", 403), ("reader", 403), ("scanner", 403)),
        *(("both", 200), ("editor", 200), ("ada", 200)),
    ],
)
def test_who_queries_needs_both_rights(guarded: Guarded, who: str, status: int) -> None:
    answer = ask(guarded, who)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["rows"] == [{"f": [{"v": "6"}]}]
        return
    error = answer.json()["error"]
    assert error["errors"][0]["reason"] == ("authError" if status == 401 else "accessDenied")
    if who == "runner":  # a job may run that reads no table
        assert "bigquery.tables.getData" in error["message"] and ask(guarded, who, "SELECT 1").status_code == 200
    if who == "reader":
        assert "bigquery.jobs.create" in error["message"]


def test_a_right_is_of_one_project(guarded: Guarded) -> None:
    for text in ("SELECT * FROM q.d.t", "SELECT * FROM q.d.missing", "SELECT a.Modality FROM p.d.t a, q.d.t b"):
        answer = ask(guarded, "both", text)
        assert answer.status_code == 403 and "on project q" in answer.json()["error"]["message"]
    assert ask(guarded, "both", project="q").status_code == 403
    assert ask(guarded, "both", "SELECT 1 FROM r.d.t").status_code == 404


def test_an_extract_does_not_say_whether_a_table_of_others_exists(guarded: Guarded) -> None:
    said = set()
    for table in ("t", "missing"):
        source = {"projectId": "q", "datasetId": "d", "tableId": table}
        config = {"extract": {"sourceTable": source, "destinationUris": ["gs://b/x.csv"]}}
        answer = guarded.request("both", "POST", "bigquery/v2/projects/p/jobs", json={"configuration": config})
        said.add((answer.status_code, answer.json()["error"]["message"]))
    assert len(said) == 1 and said.pop()[0] == 403


@pytest.mark.parametrize(
    ("path", "seen_by"),
    [
        ("datasets", {"viewer", "reader", "both", "editor", "other"}),
        ("datasets/d", {"viewer", "reader", "both", "editor", "other"}),
        ("datasets/d/tables", {"viewer", "reader", "both", "editor", "other"}),
        ("datasets/d/tables/t", {"viewer", "reader", "both", "editor", "other"}),
        ("datasets/d/tables/t/data", {"reader", "both", "editor", "other"}),
        ("jobs", {"runner", "both", "editor", "other"}),
    ],
)
def test_who_sees_what(guarded: Guarded, path: str, seen_by: set[str]) -> None:
    found = {who for who in PEOPLE if guarded.request(who, "GET", f"bigquery/v2/projects/p/{path}").status_code == 200}
    assert found == seen_by
    assert guarded.request("", "GET", f"bigquery/v2/projects/p/{path}").status_code == 401


def test_projects_are_those_that_one_may_see(guarded: Guarded) -> None:
    assert [each["id"] for each in guarded.call("GET", "bigquery/v2/projects", "ada")["projects"]] == ["p", "q"]
    assert [each["id"] for each in guarded.call("GET", "bigquery/v2/projects", "both")["projects"]] == ["p"]
    assert guarded.call("GET", "bigquery/v2/projects", "nobody")["projects"] == []


def test_a_job_and_its_result_belong_to_who_made_it(guarded: Guarded) -> None:
    job = ask(guarded, "both").json()["jobReference"]["jobId"]
    table = guarded.call("GET", f"bigquery/v2/projects/p/jobs/{job}", "both")["configuration"]["query"]
    shown = table["destinationTable"]
    rows = f"bigquery/v2/projects/p/datasets/{shown['datasetId']}/tables/{shown['tableId']}"
    extract = {"configuration": {"extract": {"sourceTable": shown, "destinationUris": ["gs://b/x.csv"]}}}
    for path in (f"bigquery/v2/projects/p/jobs/{job}", f"bigquery/v2/projects/p/queries/{job}", rows, f"{rows}/data"):
        assert guarded.request("both", "GET", path).status_code == 200
        for who, status in (("other", 404), ("editor", 404), ("ada", 404), ("nobody", 403)):
            assert guarded.request(who, "GET", path).status_code == status, (who, path)
    assert guarded.request("other", "POST", f"bigquery/v2/projects/p/jobs/{job}/cancel").status_code == 404
    assert guarded.request("other", "POST", "bigquery/v2/projects/p/jobs", json=extract).status_code == 404
    listed = guarded.call("GET", "bigquery/v2/projects/p/jobs", "other").get("jobs", [])
    assert job not in [each["jobReference"]["jobId"] for each in listed]


def test_the_audit_log_has_queries_without_their_text(guarded: Guarded) -> None:
    ask(guarded, "both", "SELECT 'confidential'")
    text = (Path(guarded.server.buckets).parent / "audit.jsonl").read_text()
    assert "confidential" not in text
    last = [json.loads(line)["protoPayload"] for line in text.splitlines()][-1]
    assert (last["serviceName"], last["methodName"]) == (
        "bigquery.googleapis.com",
        "google.cloud.bigquery.v2.JobService.Query",
    )
    assert last["authorizationInfo"][0] == {
        "resource": "projects/p",
        "permission": "bigquery.jobs.create",
        "granted": True,
    }


class Pair:
    """Two servers with the same tables, and nothing else in common."""

    def __init__(self, home: Path) -> None:
        (home / "tables").mkdir()
        write_table(home / "tables")
        env = {"GANTRY_BIGQUERY": f"p={home}/tables"}
        self.one, self.other = (GantryServer(home / name, home / "buckets", env=env) for name in ("one", "other"))

    def call(self, server: GantryServer, verb: str, path: str, **more: Any) -> Json:
        answer = server.request(verb, f"bigquery/v2/projects/p/{path}", **more)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


@pytest.mark.slow
def test_a_job_of_one_server_is_answered_by_another(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    try:
        body = {"query": COUNT, "useLegacySql": False}
        job = pair.call(pair.one, "POST", "queries", json=body)["jobReference"]["jobId"]
        assert pair.call(pair.other, "GET", f"queries/{job}")["rows"] == [{"f": [{"v": "6"}]}]
        assert pair.call(pair.other, "GET", f"jobs/{job}")["status"] == {"state": "DONE"}
        slow = f"SELECT COUNT(*) FROM {NUMBERS} a, {NUMBERS} b WHERE MOD(a * b, 7) = 3"
        begun = {"configuration": {"query": body | {"query": slow}}}
        running = pair.call(pair.one, "POST", "jobs", json=begun)["jobReference"]["jobId"]
        waiting = pair.call(pair.other, "GET", f"queries/{running}?timeoutMs=500")
        assert waiting["jobComplete"] is False
        pair.call(pair.other, "POST", f"jobs/{running}/cancel")
        answer = pair.other.request("GET", f"bigquery/v2/projects/p/queries/{running}?timeoutMs=30000")
        assert answer.status_code == 499 and answer.json()["error"]["errors"][0]["reason"] == "stopped"
        assert pair.call(pair.one, "GET", f"jobs/{running}")["status"]["errorResult"]["reason"] == "stopped"
        lost = pair.call(pair.one, "POST", "jobs", json=begun)["jobReference"]["jobId"]
        pair.one.kill9()
        _make_silent(tmp_path / "tables" / ".gantry-queries")
        pair.other.wait_until(lambda: pair.call(pair.other, "GET", f"jobs/{lost}")["status"]["state"] == "DONE")
        assert pair.call(pair.other, "GET", f"jobs/{lost}")["status"]["errorResult"]["reason"] == "backendError"
    finally:
        pair.one.kill9()
        pair.other.stop()


def _make_silent(scratch: Path) -> None:
    """As if the servers had given their last sign a while ago."""

    for path in scratch.glob(".server-*"):
        os.utime(path, (time.time() - 120, time.time() - 120))
