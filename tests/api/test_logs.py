"""Error logs as Cloud Logging would list them: POST /v2/entries:list (§6.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.answers import refused, violated_field
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import LOCATION, PROJECT, Json

BAD = 7


def entries(gantry: Gantry, filter: str = "", order: str = "timestamp asc", size: int = 1000) -> list[Json]:
    """Every entry of this test's dataset that a filter selects, over all pages."""
    mine = f'resource.labels.dataset_id="{gantry.dataset_id}"'
    request = {"resourceNames": [f"projects/{PROJECT}"], "orderBy": order, "pageSize": size}
    request["filter"] = f"{mine} AND ({filter})" if filter else mine
    found: list[Json] = []
    while True:
        answer = gantry.call("POST", "v2/entries:list", json=request)
        found += answer.get("entries", [])
        assert len(answer.get("entries", [])) <= size
        if "nextPageToken" not in answer:
            return found
        request["pageToken"] = answer["nextPageToken"]


def sources(found: list[Json]) -> list[str]:
    return [item["jsonPayload"]["source"].rpartition("/")[2] for item in found]


@pytest.fixture
def failed(gantry: Gantry) -> tuple[Json, Json]:
    """Two imports: ``BAD`` objects that are not DICOM, then one whose UIDs are taken."""
    for number in range(BAD):
        gantry.put(gantry.bucket, f"bad/{number}.dcm", b"not DICOM")
    for number in range(2):
        gantry.put(gantry.bucket, f"taken/{number}.dcm", make_instance(sop="1.2.3", patient_id=str(number)))
    return gantry.import_("bad/*"), gantry.import_("taken/*")


def test_an_import_entry(gantry: Gantry, failed: tuple[Json, Json]) -> None:
    """§6.3: the payload, the labels, the operation, the severity."""
    entry = entries(gantry)[0]
    assert entry.pop("timestamp") == entry.pop("receiveTimestamp")
    number = failed[0]["name"].rpartition("/")[2]
    error = entry["jsonPayload"].pop("error")
    assert (error["code"], "DICM" in error["message"]) == (3, True)
    assert entry == {
        "insertId": f"{number}-1",
        "logName": f"projects/{PROJECT}/logs/healthcare.googleapis.com%2Fdicom_import",
        "severity": "ERROR",
        "resource": {
            "type": "healthcare_dicom_store",
            "labels": {
                "project_id": PROJECT,
                "location": LOCATION,
                "dataset_id": gantry.dataset_id,
                "dicom_store_id": "store",
            },
        },
        "operation": {"id": number, "producer": "import_dicom"},
        "jsonPayload": {
            "@type": "type.googleapis.com/google.cloud.healthcare.logging.ImportDicomLogEntry",
            "source": f"gs://{gantry.bucket}/bad/0.dcm",
        },
    }


def test_an_export_entry_names_a_resource(gantry: Gantry) -> None:
    """§6.3"""
    filter_uri = gantry.put(gantry.bucket, "filter", b"/studies/1.2\nno path\n")
    gantry.export("x", filterConfig={"resourcePathsGcsUri": filter_uri})
    entry, *_ = entries(gantry, "jsonPayload.resourceName:filter")
    assert entry["jsonPayload"]["@type"].endswith(".ExportDicomLogEntry")
    assert entry["jsonPayload"]["resourceName"] == f"{filter_uri}#line=2"
    assert entry["logName"].endswith("%2Fdicom_export")
    assert entry["operation"]["producer"] == "export_dicom"


@pytest.mark.parametrize("size", [1, 3, BAD + 1, 1000])
def test_in_the_order_of_time_both_ways_page_by_page(gantry: Gantry, failed: tuple[Json, Json], size: int) -> None:
    oldest_first = entries(gantry, size=size)
    assert sources(oldest_first) == [f"{number}.dcm" for number in range(BAD)] + ["1.dcm"]
    assert entries(gantry, order="timestamp desc", size=size) == oldest_first[::-1]
    assert entries(gantry, order="", size=size) == oldest_first


def test_moments_before_and_behind_all_years(gantry: Gantry, failed: tuple[Json, Json]) -> None:
    """In UTC the first is of the year 0, and the last of the year 10000."""
    first, last = "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"
    assert len(entries(gantry, f"timestamp>={first}")) == len(entries(gantry, f"timestamp<={last}")) == BAD + 1
    assert entries(gantry, f"timestamp<{first}") == entries(gantry, f"timestamp>{last}") == []


@pytest.mark.slow
def test_filters(gantry: Gantry, failed: tuple[Json, Json]) -> None:
    """Each selects some of the eight entries; an operator that does not hold selects none."""
    first, second = (item["name"].rpartition("/")[2] for item in failed)
    middle = entries(gantry)[BAD]["timestamp"]
    kind = "type.googleapis.com/google.cloud.healthcare.logging.ImportDicomLogEntry"
    numbers = {
        'resource.type="healthcare_dicom_store"': 8,
        'resource.type="gce_instance"': 0,
        "severity=ERROR": 8,
        "severity>=ERROR": 8,
        "severity >= warning": 8,
        "severity>ERROR": 0,
        "severity=INFO": 0,
        f'resource.labels.project_id="{PROJECT}"': 8,
        'resource.labels.project_id="other"': 0,
        f"resource.labels.location={LOCATION} resource.labels.dicom_store_id=store": 8,
        'resource.labels.dicom_store_id="stor"': 0,
        'resource.labels.dicom_store_id:"TOR"': 8,
        f'timestamp>="{middle}"': 1,
        f'timestamp<"{middle}"': 7,
        f'timestamp<="{middle}"': 8,
        f'timestamp>"{middle}"': 0,
        f"timestamp={middle}": 1,
        'timestamp>="2020-01-01" AND timestamp<"2999-12-31T23:59:59.999999999+02:00"': 8,
        f'jsonPayload.source="gs://{gantry.bucket}/bad/3.dcm"': 1,
        'jsonPayload.source:"BAD/"': 7,
        "jsonPayload.source:/taken/": 1,
        "jsonPayload.resourceName:taken": 0,
        f'jsonPayload."@type"="{kind}"': 8,
        'jsonPayload."@type":Export': 0,
        "jsonPayload.error.code=6": 1,
        "jsonPayload.error.code!=6": 7,
        'jsonPayload.error.message:"checksum mismatch"': 1,
        f'operation.id="{first}"': 7,
        f"operation.id={second}": 1,
        "operation.id=none": 0,
        'operation.producer="import_dicom"': 8,
        f'logName="projects/{PROJECT}/logs/healthcare.googleapis.com%2Fdicom_import"': 8,
        f'logName="projects/{PROJECT}/logs/healthcare.googleapis.com%2Fdicom_export"': 0,
        'logName="projects/other/logs/healthcare.googleapis.com%2Fdicom_import"': 0,
        f'logName!="projects/{PROJECT}/logs/healthcare.googleapis.com%2Fdicom_export"': 8,
        "logName:dicom_import": 8,
        "severity=ERROR\njsonPayload.error.code=6": 1,
        "((severity=ERROR) AND (jsonPayload.error.code=6))": 1,
        "jsonPayload.error.code=6 OR jsonPayload.source:bad/1": 2,
        "NOT jsonPayload.error.code=6": 7,
        "-jsonPayload.error.code=6 jsonPayload.source:1.dcm": 1,
        "severity=ERROR AND jsonPayload.error.code=6 OR jsonPayload.error.code=3": 8,
    }
    assert {text: len(entries(gantry, text)) for text in numbers} == numbers


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("foo=bar", "'foo'"),
        ("severity>=ERROR AND textPayload:x", "'textPayload'"),
        ("timeout", "'timeout'"),
        ('"some words"', "some words"),
        ("severity=ERROR AND", "too early"),
        ("AND severity=ERROR", "AND severity"),
        ("(severity=ERROR", "too early"),
        ("severity=ERROR)", "')'"),
        ("severity=HIGH", "'HIGH'"),
        ("severity:ERROR", "':'"),
        ("timestamp>=yesterday", "'yesterday'"),
        ('jsonPayload.source=~"x.*"', "'=~'"),
        ("jsonPayload.source>x", "'>'"),
        ("(" * 60 + "severity=ERROR" + ")" * 60, "parentheses"),
        ("severity=ERROR " * 2000, "longer"),
        ("severity=ERROR " * 1300, "200 comparisons"),
        ("severity=ERROR OR " * 1000 + "severity=ERROR", "200 comparisons"),
    ],
)
def test_what_a_filter_cannot_say_is_named(gantry: Gantry, text: str, named: str) -> None:
    response = gantry.request("POST", "v2/entries:list", json={"resourceNames": ["projects/p"], "filter": text})
    assert violated_field(refused(response, "INVALID_ARGUMENT", "filter", named)) == "filter"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "resourceNames"),
        ({"resourceNames": []}, "resourceNames"),
        ({"resourceNames": ["projects/p", "folders/1"]}, "resourceNames"),
        ({"resourceNames": ["projects/p/locations/l/buckets/b/views/v"]}, "resourceNames"),
        ({"resourceNames": ["projects/p"], "orderBy": "severity"}, "orderBy"),
        ({"resourceNames": [f"projects/{number}" for number in range(101)]}, "resourceNames"),
        ({"resourceNames": ["projects/p"], "pageSize": -1}, "pageSize"),
        ({"resourceNames": ["projects/p"], "pageToken": "x"}, "pageToken"),
        ({"resourceNames": ["projects/p"], "fliter": "x"}, "fliter"),
    ],
)
def test_other_requests_are_refused_by_field(gantry: Gantry, body: Json, field: str) -> None:
    assert violated_field(refused(gantry.request("POST", "v2/entries:list", json=body), "INVALID_ARGUMENT")) == field


def test_a_token_fits_its_own_list_alone(gantry: Gantry, failed: tuple[Json, Json]) -> None:
    body: dict[str, Any] = {"resourceNames": [f"projects/{PROJECT}"], "pageSize": 1}
    token = gantry.call("POST", "v2/entries:list", json=body)["nextPageToken"]
    for changed in ({"filter": "severity=ERROR"}, {"orderBy": "timestamp desc"}, {"resourceNames": ["projects/q"]}):
        response = gantry.request("POST", "v2/entries:list", json=body | changed | {"pageToken": token})
        refused(response, "INVALID_ARGUMENT", "pageToken")


def test_projects_that_are_named_and_no_others(gantry: Gantry, failed: tuple[Json, Json]) -> None:
    other = f"other-{gantry.dataset_id}"
    store = gantry.server.create_store("d", "s", project=other)
    gantry.wait(gantry.server.import_(store, "gs://no-such-bucket-here/x"))
    body: dict[str, Any] = {"resourceNames": [f"projects/{other}"]}
    (entry,) = gantry.call("POST", "v2/entries:list", json=body)["entries"]
    assert entry["resource"]["labels"]["project_id"] == other
    both = body | {"resourceNames": [f"projects/{other}", f"projects/{PROJECT}"], "orderBy": "timestamp desc"}
    assert gantry.call("POST", "v2/entries:list", json=both | {"pageSize": 1})["entries"] == [entry]
    assert gantry.call("POST", "v2/entries:list", json={"resourceNames": ["projects/nobody"]}) == {}


def test_nothing_else_of_cloud_logging_is_there(gantry: Gantry) -> None:
    refused(gantry.request("GET", "v2/projects/p/logs"), "NOT_FOUND", "entries:list")
    refused(gantry.request("POST", "v2"), "NOT_FOUND", "entries:list")
