"""Pages of the console over HTTP: what they show, what they refuse, and that nothing shown is more than text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from gantry.console.app import FORMS, PAGES
from gantry.console.operation_errors import _cells, as_text
from gantry.errors import Code, Status
from gantry.log_entries import LogEntry
from gantry.resources import Failure
from gantry.sizes import format_size
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.raw import exchange
from tests.support.server import Json, counts
from tests.support.web import Web

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.2", "1.2.2.1", "1.2.2.1.1")
EVIL = '<script>alert("1")</script>'


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    """Two studies in the store, one of a patient with a dangerous name; a bucket with two objects and a bad one."""
    first = instance(A, PatientName=f"{EVIL}^x", StudyDescription=EVIL, StudyDate="20240131", Modality="CT")
    second = instance(B, PatientName="Doe^Jane", StudyDate="20230201", Modality="MR")
    Web(gantry).stored(first, second)
    for key, data in (("in/1.dcm", first), ("in/2.dcm", second), (f"in/{EVIL.replace('/', '_')}.dcm", b"x")):
        gantry.put(gantry.bucket, key, data)
    return gantry


def get(gantry: Gantry, path: str, **kw: Any) -> httpx.Response:
    return gantry.request("GET", f"console/{path}", **kw)


def post(gantry: Gantry, path: str, **fields: str) -> httpx.Response:
    return gantry.request("POST", f"console/{path}", data=fields)


def text_of(gantry: Gantry, path: str, **kw: Any) -> str:
    response = get(gantry, path, **kw)
    assert response.status_code == 200, response.text
    return response.text


def addresses(gantry: Gantry, operation: str) -> list[str]:
    """Every page there is, of what the store holds."""
    ids = iter(())
    found = []
    values = {
        "projects": gantry.store.split("/")[1],
        "locations": gantry.store.split("/")[3],
        "datasets": gantry.dataset_id,
        "dicomStores": gantry.store_id,
        "operations": operation.rpartition("/")[2],
        "studies": A[0],
        "series": A[1],
        "instances": A[2],
    }
    for path in PAGES:
        if "/query/" in path or path == "audit.csv":
            continue  # they need tables (test_query.py), and an audit log (test_server_pages.py)
        parts = path.split("/")
        for at, part in enumerate(parts):
            if part == "*":
                parts[at] = values[parts[at - 1]]
        found.append("/".join(parts))
    assert not list(ids)
    return found


@pytest.mark.slow
def test_every_page(filled: Gantry) -> None:
    operation = filled.import_("in/*")
    pages = 0
    for address in addresses(filled, operation["name"]):
        wanted = f"bucket={filled.bucket}&uri=gs://{filled.bucket}/**&modify=on&study={A[0]}"
        response = get(filled, f"{address}?{wanted}&kind=user&name=ana@example.org&role=roles/viewer")
        assert response.status_code == 200, (address, response.text[:500])
        if response.headers["content-type"].startswith("text/html"):
            pages += 1
            policy = response.headers["content-security-policy"]
            assert "script-src 'self';" in policy and "unsafe" not in policy
            assert ("<script>" not in response.text and "alert(&#34;1" in response.text) or EVIL not in response.text
            assert not re.search(r"\son\w+=|style=|javascript:|https?://(?!127)", response.text), address
    assert pages > 20


def test_what_is_shown_is_text(filled: Gantry) -> None:
    listed = text_of(filled, f"{filled.store}/studies")
    assert EVIL not in listed and "&lt;script&gt;" in listed
    study = text_of(filled, f"{filled.store}/studies/{A[0]}")
    assert EVIL not in study and "&lt;script&gt;" in study
    operation = filled.import_("in/*")
    errors = text_of(filled, f"{operation['name']}/errors")
    assert EVIL.split("/")[0] not in errors and "&lt;script&gt;" in errors
    search = text_of(filled, f"{filled.store}/studies?PatientName={quote(EVIL)}")
    assert EVIL not in search
    tags = text_of(filled, f"{filled.store}/studies/{A[0]}/series/{A[1]}/instances/{A[2]}?q={quote(EVIL)}")
    assert EVIL not in tags


@pytest.mark.parametrize("path", ["nothing", "projects/p", "projects/p/locations/us-central1/datasets/none", "x/../y"])
def test_what_is_not_there(gantry: Gantry, path: str) -> None:
    response = get(gantry, path)
    assert response.status_code == 404 and "Not found" in response.text


def test_home_is_the_console(gantry: Gantry) -> None:
    assert gantry.request("GET", "").headers["location"] == "/console/"


def test_a_dataset_is_made_changed_and_deleted(gantry: Gantry) -> None:
    fields = {
        "project": "p",
        "location": "us-central1",
        "dataset": f"{gantry.dataset_id}-new",
        "time_zone": "Europe/Paris",
    }
    made = post(gantry, "create", **fields)
    address = made.headers["location"].removeprefix("/console/")
    assert made.status_code == 303 and "Europe/Paris" in text_of(gantry, address)
    assert gantry.call("GET", f"v1/{address}")["timeZone"] == "Europe/Paris"
    again = post(gantry, "create", **fields)
    assert again.status_code == 409 and "already exists" in again.text and f'value="{fields["dataset"]}"' in again.text
    assert post(gantry, f"{address}/edit", time_zone="Asia/Tokyo").status_code == 303
    assert gantry.call("GET", f"v1/{address}")["timeZone"] == "Asia/Tokyo"
    slip = post(gantry, f"{address}/delete", confirm="other")
    assert slip.status_code == 400 and "nothing was deleted" in slip.text
    assert post(gantry, f"{address}/delete", confirm=fields["dataset"]).headers["location"] == "/console/"
    assert gantry.request("GET", f"v1/{address}").status_code == 404


def test_a_project_cannot_lead_elsewhere(gantry: Gantry) -> None:
    fields = {"project": f"{gantry.dataset[9:]}:setIamPolicy?", "location": "us-central1", "dataset": "x"}
    response = post(gantry, "create", **fields)
    assert response.status_code == 400 and "slash" in response.text


def test_names_that_are_refused_are_told_of(gantry: Gantry) -> None:
    response = post(gantry, "create", project="p", location="us-central1", dataset="a b")
    assert response.status_code == 400 and "datasetId" in response.text and 'value="a b"' in response.text


def test_a_store_is_made_changed_and_deleted(gantry: Gantry) -> None:
    made = post(gantry, f"{gantry.dataset}/create", store="new", labels="team=ct\nsite = a")
    assert made.status_code == 303
    address = made.headers["location"].removeprefix("/console/")
    assert gantry.call("GET", f"v1/{address}")["labels"] == {"team": "ct", "site": "a"}
    assert post(gantry, f"{address}/edit", labels="team=mr").status_code == 303
    assert gantry.call("GET", f"v1/{address}")["labels"] == {"team": "mr"}
    assert "KEY=VALUE" in post(gantry, f"{address}/edit", labels="nonsense").text
    assert post(gantry, f"{address}/delete", confirm="").status_code == 400
    assert post(gantry, f"{address}/delete", confirm="new").status_code == 303
    assert gantry.request("GET", f"v1/{address}").status_code == 404


def test_metrics_of_a_store(filled: Gantry) -> None:
    page = text_of(filled, filled.store)
    for words in ("<dt>Studies</dt><dd>2</dd>", "<dt>Instances</dt><dd>2</dd>", ">CT</a>", ">MR</a>", "Standard"):
        assert words in page
    assert '<td class="num">+2</td><td class="num">2</td>' in page and '<svg class="chart"' not in page
    rows = text_of(filled, filled.dataset)
    assert '<td class="num" data-label="Instances">2</td>' in rows


# Import ---------------------------------------------------------------------------------------------------------------


def test_folders_of_a_bucket(filled: Gantry) -> None:
    filled.put(filled.bucket, "in/deeper/3.dcm", b"x")
    top = text_of(filled, f"{filled.store}/import/folders?bucket={filled.bucket}")
    assert "in/</a>" in top and "1.dcm" not in top
    below = text_of(filled, f"{filled.store}/import/folders?bucket={filled.bucket}&prefix=in/")
    assert "deeper/</a>" in below and "1.dcm" in below and "3.dcm" not in below


def test_names_are_shown_in_all_their_scripts(gantry: Gantry) -> None:
    """In the list, in the study and in the instance, as those read them who wrote them."""
    uids, name = ("1.2.8", "1.2.8.1", "1.2.8.1.1"), "Yamada^Tarou=山田^太郎=やまだ^たろう"
    Web(gantry).stored(instance(uids, SpecificCharacterSet="ISO_IR 192", PatientName=name))
    for path in ("studies", "studies/{}", "studies/{}/series/{}/instances/{}"):
        shown = text_of(gantry, f"{gantry.store}/{path.format(*uids)}")
        assert "Yamada, Tarou · 山田, 太郎 · やまだ, たろう" in shown, path


def test_names_that_are_no_text(gantry: Gantry) -> None:
    root = os.fsencode(gantry.server.buckets / gantry.bucket)
    os.mkdir(root + b"/\xff\xfe")
    (gantry.server.buckets / gantry.bucket / os.fsdecode(b"\xe9.dcm")).write_bytes(b"x")
    shown = text_of(gantry, f"{gantry.store}/import/folders?bucket={gantry.bucket}")
    assert "not Unicode text" in shown and "?.dcm" in shown
    assert "1 object matches" in text_of(gantry, f"{gantry.store}/import/preview?bucket={gantry.bucket}")
    operation = gantry.import_("**")
    assert counts(operation) == (0, 1)
    assert get(gantry, f"{operation['name']}/errors").status_code == 200
    assert get(gantry, f"{operation['name']}/errors.csv").status_code == 200


@pytest.mark.parametrize("prefix", ["../", "../../", "/etc/", "in/../../", "%2e%2e/", "\\..\\", "link/", "C:\\"])
def test_no_folder_outside_is_shown(filled: Gantry, prefix: str) -> None:
    (filled.server.buckets / filled.bucket / "link").symlink_to("/etc")
    response = get(filled, f"{filled.store}/import/folders", params={"bucket": filled.bucket, "prefix": prefix})
    assert "passwd" not in response.text and "lock" not in response.text and response.status_code < 500
    response = get(filled, f"{filled.store}/import/folders", params={"bucket": f"{filled.bucket}/{prefix}"})
    assert response.status_code in (400, 404) and "passwd" not in response.text


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gs://BUCKET/in/*.dcm", "3 objects match"),
        ("gs://BUCKET/in/?.dcm", "2 objects match"),
        ("gs://BUCKET/in/1.dcm", "1 object matches"),
        ("gs://BUCKET/none/**", "No object matches"),
        ("gs://none-of-these/**", "does not exist"),
        ("gs://BUCKET/**/x", "must stand at the end"),
        ("/etc/passwd", "not a Cloud Storage address"),
        ("file:///etc/passwd", "not a Cloud Storage address"),
    ],
)
def test_what_a_path_matches_is_told_before(filled: Gantry, uri: str, words: str) -> None:
    uri = uri.replace("BUCKET", filled.bucket)
    found = text_of(filled, f"{filled.store}/import/preview", params={"uri": uri, "modify": "on"})
    assert words in found


def test_the_first_objects_are_shown(gantry: Gantry) -> None:
    for number in range(30):
        gantry.put(gantry.bucket, f"{number:02}.dcm", b"x")
    found = text_of(gantry, f"{gantry.store}/import/preview", params={"bucket": gantry.bucket, "prefix": ""})
    assert "30 objects match" in found and "the first 20" in found
    assert "19.dcm" in found and "20.dcm" not in found


def begun(gantry: Gantry, response: httpx.Response) -> Json:
    assert response.status_code == 303, response.text
    return gantry.wait(response.headers["location"].removeprefix("/console/"))


def test_importing_a_folder(filled: Gantry) -> None:
    new = filled.new_store("new")
    response = post(filled, f"{new}/import", bucket=filled.bucket, prefix="in/", storage_class="ARCHIVE")
    assert counts(begun(filled, response)) == (2, 1)
    info = filled.call("GET", f"v1/{new}/dicomWeb/studies/{A[0]}/series/{A[1]}/instances/{A[2]}:getStorageInfo")
    assert info["blobStorageInfo"]["storageClass"] == "ARCHIVE"


def test_importing_by_a_path(filled: Gantry) -> None:
    new = filled.new_store("new")
    uri = f"gs://{filled.bucket}/in/?.dcm"
    assert counts(begun(filled, post(filled, f"{new}/import", modify="on", uri=uri, bucket="other"))) == (2, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "choose a bucket"),
        ({"modify": "on", "uri": "x"}, "gcsSource.uri"),
        ({"modify": "on", "uri": ""}, "is required"),
    ],
)
def test_an_import_that_cannot_begin(gantry: Gantry, fields: dict[str, str], words: str) -> None:
    response = post(gantry, f"{gantry.store}/import", **fields)
    assert response.status_code == 400 and words in response.text
    assert gantry.operations() == []


# Operations -----------------------------------------------------------------------------------------------------------


def test_an_operation_and_its_errors(filled: Gantry) -> None:
    operation = filled.import_("in/*")
    name = operation["name"]
    listed = text_of(filled, f"{filled.dataset}/operations")
    assert "Finished with errors" in listed and name.rpartition("/")[2] in listed
    page = text_of(filled, name)
    assert page.count("Finished with errors") == 2 and "Not a DICOM file" in page
    read = sum(map(len, filled.objects(filled.bucket).values()))
    assert f"<dt>Read</dt><dd>{format_size(read)}</dd>" in page and "Read unchecked" not in page
    errors = text_of(filled, f"{name}/errors")
    assert "Not a DICOM file" in errors and "Import again" not in errors
    assert "No entry matches" in text_of(filled, f"{name}/errors?q=none-of-these")
    assert "Not a DICOM file" in text_of(filled, f"{name}/errors?q={filled.bucket.upper()}")
    assert "No entry matches" in text_of(filled, f"{name}/errors?reason=DATA_LOSS")
    part = get(filled, f"{name}/progress", headers={"hx-request": "true"})
    assert part.headers["hx-trigger"] == "ended" and "<html" not in part.text and "hx-trigger=" not in part.text


def test_an_operation_without_errors_is_ok(filled: Gantry) -> None:
    operation = filled.export()
    page = text_of(filled, operation["name"])
    written = sum(map(len, filled.objects(filled.out).values()))
    assert page.count("</svg> OK") == 2 and f"<dt>Written</dt><dd>{format_size(written)}</dd>" in page
    assert "No errors and no warnings." in text_of(filled, f"{operation['name']}/errors")


def test_errors_as_files(filled: Gantry) -> None:
    filled.put(filled.bucket, "=cmd.dcm", b"x")
    operation = filled.import_("**")
    answer = get(filled, f"{operation['name']}/errors.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["code"] for row in rows} == {"INVALID_ARGUMENT"} and len(rows) == 2
    lines = get(filled, f"{operation['name']}/errors.ndjson").text.splitlines()
    assert [json.loads(line)["jsonPayload"]["source"] for line in lines] == [row["object"] for row in rows]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(name: str) -> None:
    entry = LogEntry(1, datetime.now(UTC), Failure(name, Status(Code.NOT_FOUND, name)))
    assert _cells(entry)[3:] == (f"'{name}", f"'{name}", "NOT_FOUND")
    assert as_text("gs://b/x") == "gs://b/x"


def test_cancelling(gantry: Gantry, big_bucket: str) -> None:
    name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
    assert post(gantry, f"{name}/cancel").headers["location"] == f"/console/{name}"
    operation = gantry.wait(name)
    assert operation["error"]["code"] == 1 and len(gantry.stored()) < 3000
    assert "Cancelled" in text_of(gantry, name)


# Export ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exporting_all_as_pictures(filled: Gantry) -> None:
    fields = {"bucket": filled.out, "prefix": "a/b", "mime_type": "image/jpeg", "syntax": "1.2.840.10008.1.2.4.50"}
    operation = begun(filled, post(filled, f"{filled.store}/export", filter="all", **fields))
    assert counts(operation)[0] + counts(operation)[1] == 2
    assert all(key.startswith("a/b/") for key in filled.objects(filled.out))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"filter": "studies", "studies": f"{A[0]}\n"}, {A[0]}),
        ({"filter": "search", "PatientName": "doe"}, {B[0]}),
        ({"filter": "lines", "lines": f"/studies/{A[0]}\r\n/studies/{B[0]}/series/{B[1]}"}, {A[0], B[0]}),
    ],
)
def test_exporting_some(filled: Gantry, fields: dict[str, str], expected: set[str]) -> None:
    operation = begun(filled, post(filled, f"{filled.store}/export", bucket=filled.out, **fields))
    assert counts(operation) == (len(expected), 0)
    found = filled.objects(filled.out)
    (record,) = (key for key in found if key.startswith("filter-"))
    assert {key.partition("/")[0] for key in found if key != record} == expected
    assert found[record].decode().count("/studies/") == len(expected)


def test_exporting_by_a_filter_file(filled: Gantry) -> None:
    uri = filled.put(filled.bucket, "filter.txt", f"/studies/{A[0]}\n".encode())
    response = post(filled, f"{filled.store}/export", bucket=filled.out, filter="file", filter_uri=uri)
    assert counts(begun(filled, response)) == (1, 0)
    assert not any(key.startswith("filter-") for key in filled.objects(filled.out))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "choose a bucket"),
        ({"bucket": "OUT", "filter": "studies", "studies": " \n"}, "no study is ticked"),
        ({"bucket": "OUT", "filter": "search", "PatientName": "nobody"}, "names no study"),
        ({"bucket": "OUT", "mime_type": "image/png", "syntax": "1.2.3"}, "mimeType"),
        ({"bucket": "OUT", "mime_type": "x/y", "filter": "lines", "lines": "/studies/1.2"}, "mimeType"),
        ({"bucket": "OUT", "prefix": "a*"}, "wildcards"),
        ({"bucket": "../etc"}, "not a bucket name"),
    ],
)
def test_an_export_that_cannot_begin(filled: Gantry, fields: dict[str, str], words: str) -> None:
    fields = {name: value.replace("OUT", filled.out) for name, value in fields.items()}
    response = post(filled, f"{filled.store}/export", **fields)
    assert response.status_code == 400 and words in response.text
    assert filled.objects(filled.out) == {}


# Studies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=jane", {B[0]}),
        ("StudyDate=2024-01-31", {A[0]}),
        ("StudyDate=2023-01-01 to 2023-12-31", {B[0]}),
        ("ModalitiesInStudy=CT", {A[0]}),
        ("", {A[0], B[0]}),
        ("PatientID=none", set()),
    ],
)
def test_searching(filled: Gantry, query: str, expected: set[str]) -> None:
    page = text_of(filled, f"{filled.store}/studies?{query}")
    assert set(re.findall(r'name="study" value="([\d.]+)"', page)) == expected
    assert expected or "No study matches" in page


def test_searches_are_saved_and_forgotten(filled: Gantry) -> None:
    name = 'Jane "<b>"'
    answer = post(filled, f"{filled.store}/searches/save", name=name, PatientName="jane", Other="x")
    assert answer.headers["location"] == f"/console/{filled.store}/studies?PatientName=jane"
    post(filled, f"{filled.store}/searches/save", name="CT", ModalitiesInStudy="MR")
    post(filled, f"{filled.store}/searches/save", name="CT", ModalitiesInStudy="CT")
    for page in (text_of(filled, f"{filled.store}/studies"), text_of(filled, f"{filled.store}/export")):
        assert 'href="?PatientName=jane"' in page or "export?PatientName=jane" in page
        assert "<b>" not in page and "ModalitiesInStudy=CT" in page and "ModalitiesInStudy=MR" not in page
    given = text_of(filled, f"{filled.store}/export?PatientName=jane")
    assert 'value="jane"' in given and 'value="search" checked' in given
    post(filled, f"{filled.store}/searches/forget", name=name)
    assert "PatientName=jane" not in text_of(filled, f"{filled.store}/studies")
    for fields in ({"name": "", "PatientName": "x"}, {"name": "x"}, {"name": "x" * 101, "PatientName": "x"}):
        assert post(filled, f"{filled.store}/searches/save", **fields).status_code == 400


def test_a_search_that_cannot_be(filled: Gantry) -> None:
    page = text_of(filled, f"{filled.store}/studies?StudyDate=soon")
    assert 'role="alert"' in page and "Study date" in page


def test_pages_of_studies(gantry: Gantry) -> None:
    Web(gantry).stored(*(instance((f"1.2.{n}", f"1.2.{n}.1", f"1.2.{n}.1.1")) for n in range(1, 61)))
    first = text_of(gantry, f"{gantry.store}/studies")
    second = text_of(gantry, f"{gantry.store}/studies?offset=50")
    uids = [set(re.findall(r'name="study" value="([\d.]+)"', page)) for page in (first, second)]
    assert [len(found) for found in uids] == [50, 10] and not uids[0] & uids[1]
    assert "offset=50" in first and "offset=0" in second


def test_tags_are_searched(filled: Gantry) -> None:
    path = f"{filled.store}/studies/{B[0]}/series/{B[1]}/instances/{B[2]}"
    assert "Doe^Jane" in text_of(filled, path)
    for query, there in (
        ("patientname", True),
        ("(0010,0010)", True),
        ("00100010", True),
        ("jane", True),
        ("none", False),
    ):
        part = text_of(filled, f"{path}?q={query}", headers={"hx-request": "true"})
        assert ("Doe^Jane" in part) == there and "<html" not in part


def test_a_study_as_a_zip(filled: Gantry) -> None:
    answer = get(filled, f"{filled.store}/studies/{A[0]}/download.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{A[0]}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{'/'.join(A)}.dcm"]
        assert archive.read(archive.namelist()[0]) == filled.stored()["/".join(A)]


@pytest.mark.parametrize("tail", ["", "/series/1.2.1.1"])
def test_a_zip_has_a_name_that_ends_nothing(filled: Gantry, tail: str) -> None:
    answer = get(filled, f"{filled.store}/studies/1.2.1{tail}/download.zip")
    name = tail.rpartition("/")[2] or "1.2.1"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.zip"'


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("studies/1.9", "NOT_FOUND", 404),
        ("studies/1.2.1/series/1.9", "NOT_FOUND", 404),
        ("studies/1.2.2/series/1.2.1.1", "NOT_FOUND", 404),
        ("studies/1.2%22%3B%20x=%22", "INVALID_ARGUMENT", 400),
        ("studies/abc", "INVALID_ARGUMENT", 400),
        ("studies/%C3%A9", "INVALID_ARGUMENT", 400),
        ("studies/1.2%0D%0Aset-cookie:%20a=b", "INVALID_ARGUMENT", 400),
        ("studies/1.2.1/series/x%0Ay", "INVALID_ARGUMENT", 400),
        ("studies/%F0%9F%98%80", "INVALID_ARGUMENT", 400),
        ("studies/" + "1" * 65, "INVALID_ARGUMENT", 400),
    ],
)
def test_a_zip_of_what_is_not_there(filled: Gantry, path: str, status: str, code: int) -> None:
    """Programs are answered in the shape of the API, people by a page."""
    found, body = exchange(filled.server, f"GET /console/{filled.store}/{path}/download.zip HTTP/1.1")
    error = json.loads(body)["error"]
    assert (found, error["code"], error["status"]) == (code, code, status)
    if "%0" not in path:
        page = filled.request("GET", f"console/{filled.store}/{path}/download.zip", headers={"accept": "text/html"})
        assert page.status_code == code and page.headers["content-type"].startswith("text/html")


@pytest.mark.slow
def test_a_series_of_many_pages_has_one_order(gantry: Gantry) -> None:
    """UIDs of instances are in another order than their numbers."""
    many = [
        instance(("1.5", "1.5.1", f"1.5.1.{(number * 7) % 450 + 1000}"), InstanceNumber=number) for number in range(450)
    ]
    Web(gantry).stored(*many)
    numbers: list[str] = []
    query = ""
    for _ in range(3):
        text = text_of(gantry, f"{gantry.store}/studies/1.5/series/1.5.1{query}")
        numbers += re.findall(r"<strong>(\d+)</strong>", text)
        query = next(iter(re.findall(r'href="(\?offset=\d+)">Next', text)), "")
    assert (numbers, query) == ([str(number) for number in range(450)], "")


@pytest.mark.slow
def test_datasets_of_others_hide_nothing(gantry: Gantry) -> None:
    """More of them than one page looks at sort first."""
    for number in range(101):
        gantry.call("POST", f"v1/projects/a-{gantry.dataset_id}/locations/us-central1/datasets?datasetId=d{number}")
    first = text_of(gantry, "")
    assert first.count("/edit") == 100 and "No dataset" not in first
    seen, query = 100, re.findall(r'href="/console/(\?after=[^"]*)"', first)
    while query:
        page = text_of(gantry, query[0])
        seen += page.count("/edit")
        query = re.findall(r'href="/console/(\?after=[^"]*)"', page)
    assert seen > 101


def test_a_study_is_deleted(filled: Gantry) -> None:
    address = f"{filled.store}/studies/{A[0]}"
    assert post(filled, f"{address}/delete", confirm="1.2").status_code == 400
    assert post(filled, f"{address}/delete", confirm=A[0]).headers["location"] == f"/console/{filled.store}/studies"
    assert get(filled, address).status_code in (403, 404)


def test_an_instance_and_a_series_are_deleted(filled: Gantry) -> None:
    second = (A[0], A[1], "1.2.1.1.2")
    other = (A[0], "1.2.1.2", "1.2.1.2.1")
    Web(filled).stored(instance(second), instance(other))
    series = f"{filled.store}/studies/{A[0]}/series/{A[1]}"
    address = f"{series}/instances/{second[2]}"
    assert "<strong>1 instance</strong>" in text_of(filled, f"{address}/delete")
    assert post(filled, f"{address}/delete", confirm=A[0]).status_code == 400
    assert post(filled, f"{address}/delete", confirm=second[2]).headers["location"] == f"/console/{series}"
    assert set(filled.stored()) == {"/".join(uids) for uids in (A, B, other)}
    gone = post(filled, f"{series}/delete", confirm=A[1]).headers["location"]
    assert gone == f"/console/{filled.store}/studies/{A[0]}"
    last = f"{filled.store}/studies/{A[0]}/series/{other[1]}"
    assert post(filled, f"{last}/delete", confirm=other[1]).headers["location"] == f"/console/{filled.store}/studies"
    assert set(filled.stored()) == {"/".join(B)}


# Files ----------------------------------------------------------------------------------------------------------------


def test_static_files_are_kept_by_browsers(gantry: Gantry) -> None:
    page = text_of(gantry, "")
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        answer = gantry.request("GET", address)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]


def test_a_static_file_of_another_version_is_not_kept(gantry: Gantry) -> None:
    """Its page is by another server behind the same address, which is being upgraded."""
    address = re.findall(r'(?:src|href)="/static/[^/"]+/([^"]+)"', text_of(gantry, ""))[0]
    answer = gantry.request("GET", f"/static/{'0' * 12}/{address}")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        *("../rendering.py", "..%2Frendering.py", "x/../../app.py", "../templates/base.html"),
        *("none.css", "", "%2e%2e/app.py"),
    ],
)
def test_no_other_file_is_static(gantry: Gantry, name: str) -> None:
    status, body = exchange(gantry.server, f"GET /static/0/{name} HTTP/1.1")
    assert status in (400, 404) and b"import" not in body and b"<html" not in body


def test_the_first_page_is_small(gantry: Gantry) -> None:
    page = get(gantry, "")
    sizes = [len(page.content)]
    for address in set(re.findall(r'"(/static/[^"]+)"', page.text)):
        answer = gantry.request("GET", address)
        plain = gantry.request("GET", address, headers={"accept-encoding": "identity"})
        assert answer.headers["content-encoding"] == "gzip" and answer.content == plain.content
        sizes.append(int(answer.headers["content-length"]))
    assert sum(sizes) < 100_000


def test_every_form_has_its_page() -> None:
    of_other_pages = ("/cancel", "/save", "/forget", "/again", "/import-failed", "/filter")
    assert {path for path in FORMS if not path.endswith(of_other_pages)} <= PAGES.keys()
