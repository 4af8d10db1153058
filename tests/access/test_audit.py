"""The audit log: every call has its line, in the form of Cloud Audit Logs, and no line says more than it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from gantry.api.access import ANYBODY
from gantry.api.audit import Audit
from gantry.api.forwarded import Proxies
from gantry.api.methods import METHODS, OWN
from gantry.errors import Code
from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded
from tests.support.server import Json
from tests.support.web import multipart

DATASETS = "projects/p/locations/us-central1/datasets"
STORE = f"{DATASETS}/d/dicomStores/s"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def guarded(home: Path) -> Iterator[Guarded]:
    settings = {"GANTRY_AUDIT_LOG": str(home / "audit.jsonl"), "GANTRY_TRUSTED_PROXIES": "127.0.0.1"}
    made = Guarded(home, "bob", **settings)
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def lines(home: Path, name: str = "audit.jsonl") -> list[Json]:
    return [json.loads(line) for line in (home / name).read_text().splitlines()]


def told(entry: Json) -> tuple[str, str, str, int]:
    """Who, method, resource, code."""
    payload = entry["protoPayload"]
    method = payload["methodName"].partition(".locations.")[2]
    who = payload["authenticationInfo"].get("principalEmail", "")
    return who, method, payload["resourceName"], payload["status"].get("code", 0)


def test_who_did_what_to_which_resource(guarded: Guarded, home: Path) -> None:
    guarded.call("POST", f"v1/{DATASETS}?datasetId=d")
    guarded.call("POST", f"v1/{DATASETS}/d/dicomStores?dicomStoreId=s")
    content_type, body = multipart([instance(("1.2", "1.3", "1.4"), PatientName="Secret^Name", PatientID="secret-id")])
    web = f"v1/{STORE}/dicomWeb/studies"
    assert guarded.request(ADMIN, "POST", web, content=body, headers={"content-type": content_type}).status_code == 200
    assert guarded.request(ADMIN, "GET", f"{web}?PatientName=Secret*").status_code == 200
    assert guarded.request("bob", "GET", f"{web}/1.2/metadata").status_code == 403
    assert guarded.request("", "DELETE", f"{web}/1.2?access_token=stolen-token-0000").status_code == 401
    assert guarded.request(ADMIN, "GET", f"{web}?PatientName=x&secret-parameter=1").status_code == 400
    found = lines(home)
    ada = "ada@example.org"
    assert [told(entry) for entry in found] == [
        (ada, "datasets.create", DATASETS, 0),
        (ada, "datasets.dicomStores.create", f"{DATASETS}/d/dicomStores", 0),
        (ada, "datasets.dicomStores.storeInstances", web[3:], 0),
        (ada, "datasets.dicomStores.searchForStudies", web[3:], 0),
        ("bob@example.org", "datasets.dicomStores.studies.retrieveMetadata", f"{web[3:]}/1.2/metadata", 7),
        ("", "datasets.dicomStores.studies.delete", f"{web[3:]}/1.2", 16),
        (ada, "datasets.dicomStores.searchForStudies", web[3:], 3),
    ]
    text = (home / "audit.jsonl").read_text().lower()
    for word in ("secret", "stolen", "the-token-of"):
        assert word not in text


@pytest.mark.slow
def test_reading_all_of_a_study_has_a_line_and_needs_permission(guarded: Guarded, home: Path) -> None:
    """PS3.18 §10.4.1.1.3, §10.4.1.1.5, §10.4.1.1.6"""
    guarded.call("POST", f"v1/{DATASETS}?datasetId=d")
    guarded.call("POST", f"v1/{DATASETS}/d/dicomStores?dicomStoreId=s")
    content_type, body = multipart([instance(("1.2", "1.3", "1.4"))])
    web = f"v1/{STORE}/dicomWeb/studies"
    assert guarded.request(ADMIN, "POST", web, content=body, headers={"content-type": content_type}).status_code == 200
    names = {"rendered": "Rendered", "bulkdata": "Bulkdata", "pixeldata": "Pixeldata"}
    paths = [f"1.2{level}/{tail}" for level in ("", "/series/1.3") for tail in names]
    paths += [f"1.2/series/1.3/instances/1.4/{tail}" for tail in ("bulkdata", "pixeldata")]
    expected = []
    for path in paths:
        name = f"retrieve{names[path.rpartition('/')[2]]}"
        for caller, who, status, code in ((ADMIN, "ada", 200, 0), ("bob", "bob", 403, 7)):
            assert guarded.request(caller, "GET", f"{web}/{path}").status_code == status
            expected.append((f"{who}@example.org", name, f"{web[3:]}/{path}", code))
    assert [told(entry) for entry in lines(home)[3:]] == expected


def test_a_line_has_the_form_of_cloud_audit_logs(guarded: Guarded, home: Path) -> None:
    guarded.call("POST", f"v1/{DATASETS}?datasetId=d")
    seen = {"user-agent": "x" * 1000, "x-forwarded-for": "10.1.1.1, 192.0.2.1"}
    guarded.request("bob", "GET", f"v1beta1/{DATASETS}/d", headers=seen)
    made, read = lines(home)
    assert made["logName"] == "projects/p/logs/cloudaudit.googleapis.com%2Factivity"
    assert read["logName"] == "projects/p/logs/cloudaudit.googleapis.com%2Fdata_access"
    assert (made["severity"], read["severity"]) == ("NOTICE", "ERROR")
    for entry, method in ((made, "datasets.create"), (read, "datasets.get")):
        labels = {"project_id": "p", "method": method}
        assert entry["resource"] == {"type": "audited_resource", "labels": labels}
    payload = read["protoPayload"]
    assert payload["@type"] == "type.googleapis.com/google.cloud.audit.AuditLog"
    assert payload["serviceName"] == "healthcare.googleapis.com"
    assert payload["methodName"] == "google.cloud.healthcare.v1beta1.projects.locations.datasets.get"
    right = {"resource": f"{DATASETS}/d", "permission": "healthcare.datasets.get", "granted": False}
    assert payload["authorizationInfo"] == [right]
    assert payload["requestMetadata"]["callerIp"] == "192.0.2.1"
    assert payload["requestMetadata"]["callerSuppliedUserAgent"] == "x" * 200
    assert made["insertId"] != read["insertId"] and made["timestamp"] <= read["timestamp"]


ACTIVITY = {
    *(f"datasets.{verb}" for verb in ("create", "patch", "delete", "setIamPolicy")),
    *(f"datasets.dicomStores.{verb}" for verb in ("create", "patch", "delete", "setIamPolicy")),
    "projects.setIamPolicy",
}
"""What changes resources and who may use them. Instances are data, also for whoever deletes them."""


def test_which_calls_are_activity_and_which_are_access_to_data(tmp_path: Path) -> None:
    audit = Audit(str(tmp_path / "audit.jsonl"), Proxies())
    request = Request({"type": "http", "client": ("192.0.2.1", 1), "headers": []})
    called = METHODS + OWN
    for method in called:
        audit.record(request, "v1", method, ["p", *"abcdefgh"], ANYBODY, Code.OK)
    found = [(entry["logName"].rpartition("%2F")[2], entry["severity"]) for entry in lines(tmp_path)]
    activity = [method.id in ACTIVITY for method in called]
    assert found == [("activity", "NOTICE") if is_admin else ("data_access", "INFO") for is_admin in activity]
    assert sum(activity) == len(ACTIVITY)


def test_a_file_that_is_moved_away_is_begun_anew(guarded: Guarded, home: Path) -> None:
    guarded.call("GET", f"v1/{DATASETS}")
    (home / "audit.jsonl").rename(home / "audit.1")
    guarded.call("GET", f"v1/{DATASETS}")
    assert (len(lines(home, "audit.1")), len(lines(home))) == (1, 1)
    assert (home / "audit.jsonl").stat().st_mode & 0o077 == 0


def test_names_that_would_break_a_line(guarded: Guarded, home: Path) -> None:
    for name in ("a%0Ab", "a%22b", "%F0%9F%98%80", "100%25s"):
        guarded.request(ADMIN, "GET", f"v1/{DATASETS}/{name}")
    names = ['a"b', "😀", "100%s"]
    assert [told(entry)[2] for entry in lines(home)] == [f"{DATASETS}/{name}" for name in names]


def test_the_file_is_its_owners_alone(guarded: Guarded, home: Path) -> None:
    assert (home / "audit.jsonl").stat().st_mode & 0o077 == 0
