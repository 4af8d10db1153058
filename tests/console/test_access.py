"""The console of a server that asks who is calling: the same permissions as the API, and the same log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded

DATASET = "projects/p/locations/us-central1/datasets/d"
STORE = f"{DATASET}/dicomStores/s"
OWN = {"sec-fetch-site": "same-origin"}
RULES = f"""
[[bucket_rules]]
name = "in*"
read = true
prefix = "open/"

[[bucket_rules]]
name = "out"
write = true
datasets = ["{DATASET}"]
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("console")
    (home / "gantry.toml").write_text(RULES)
    made = Guarded(
        home, "bob", "eve", GANTRY_CONFIG=str(home / "gantry.toml"), GANTRY_AUDIT_LOG=str(home / "audit.jsonl")
    )
    for dataset in ("d", "other"):
        made.call("POST", f"v1/{DATASET.rpartition('/')[0]}?datasetId={dataset}")
    made.call("POST", f"v1/{DATASET}/dicomStores?dicomStoreId=s")
    for bucket, keys in (("incoming", ("open/1.dcm", "closed/2.dcm")), ("out", ("3.dcm",)), ("secret", ("4.dcm",))):
        for key in keys:
            path = made.server.buckets / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(instance(("1.2.1", "1.2.1.1", "1.2.1.1.1")))
    made.grant(DATASET, ("roles/healthcare.dicomEditor", "bob"), ("roles/healthcare.datasetViewer", "bob"))
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def signed_in(guarded: Guarded, who: str) -> httpx.Client:
    client = httpx.Client(base_url=guarded.server.url, timeout=30)
    answer = client.post("/sign-in", data={"token": guarded.tokens[who]}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    return client


def test_nobody_is_sent_to_sign_in(guarded: Guarded) -> None:
    client = httpx.Client(base_url=guarded.server.url)
    page = client.get(f"/console/{STORE}?a=b")
    assert page.headers["location"] == f"/sign-in?next=%2Fconsole%2F{STORE.replace('/', '%2F')}%3Fa%3Db"
    part = client.get(f"/console/{STORE}", headers={"hx-request": "true"})
    assert part.headers["hx-redirect"] == "/sign-in" and part.text == ""


def test_only_what_one_may_see_is_listed(guarded: Guarded) -> None:
    everything, some, nothing = (signed_in(guarded, who).get("/console/").text for who in (ADMIN, "bob", "eve"))
    assert "/datasets/other" in everything and f"/console/{DATASET}" in everything
    assert "/datasets/other" not in some and f"/console/{DATASET}" in some
    assert "/datasets/" not in nothing and "No dataset that you may see" in nothing
    assert "bob@example.org" in some and 'action="/sign-out"' in some


def test_no_permission_is_said_and_no_empty_page(guarded: Guarded) -> None:
    client = signed_in(guarded, "eve")
    for path in ("", "/studies", "/export", "/storage-class?study=1.2.1", "/delete-studies?study=1.2.1", "/import"):
        page = client.get(f"/console/{STORE}{path}", headers={"accept": "text/html"})
        assert page.status_code == 403 and "does not mean that nothing is there" in page.text, path
        assert "signed in as eve@example.org" in page.text
    assert client.get(f"/console/{STORE}/download.zip?study=1.2.1").status_code == 403
    assert client.get(f"/console/find?q=1.2.1&at={STORE}").status_code == 403
    assert "Nothing found" in client.get(f"/console/find?q=a&at={STORE}").text
    running = client.get(f"/console/running?at={DATASET}")
    assert running.status_code == 200 and "running" not in running.text.replace('id="running"', "")
    for path, fields in (
        ("storage-class", {"studies": "1.2.1", "storage_class": "ARCHIVE", "bucket": "out"}),
        ("delete-studies", {"studies": "1.2.1", "confirm": "delete"}),
    ):
        assert client.post(f"/console/{STORE}/{path}", data=fields, headers=OWN).status_code == 403


@pytest.fixture
def many(guarded: Guarded) -> Iterator[None]:
    """More datasets than are looked at for one page, of projects that sort first; they go again, for other tests."""
    parents = [f"v1/projects/{'ab'[number % 2]}/locations/us-central1/datasets" for number in range(105)]
    for number, parent in enumerate(parents):
        assert guarded.request(ADMIN, "POST", f"{parent}?datasetId=d{number}").status_code == 200
    yield
    for number, parent in enumerate(parents):
        assert guarded.request(ADMIN, "DELETE", f"{parent}/d{number}").status_code == 200


@pytest.mark.usefixtures("many")
def test_datasets_that_one_may_not_see_hide_none_of_ones_own(guarded: Guarded) -> None:
    page = signed_in(guarded, "bob").get("/console/").text
    assert f"/console/{DATASET}" in page and "No dataset yet" not in page and "?after=" not in page
    assert "/datasets/d1/" not in page
    everything = signed_in(guarded, ADMIN).get("/console/").text
    assert "?after=" in everything


@pytest.mark.parametrize("path", [DATASET, STORE, f"{STORE}/import", f"{STORE}/studies", f"{DATASET}/operations"])
def test_a_page_without_the_permission_is_refused_in_words(guarded: Guarded, path: str) -> None:
    page = signed_in(guarded, "eve").get(f"/console/{path}")
    assert page.status_code == 403 and "Not allowed" in page.text and "roles/healthcare" in page.text
    missing = signed_in(guarded, "eve").get(f"/console/{path.replace('/datasets/d', '/datasets/none')}")
    assert missing.status_code == 403, "whether it exists is not told"


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
def test_forms_of_other_sites_are_refused(guarded: Guarded, headers: dict[str, str]) -> None:
    client = signed_in(guarded, ADMIN)
    fields = {"project": "p", "location": "us-central1", "dataset": "forged"}
    assert client.post("/console/create", data=fields, headers=headers).status_code == 403
    assert guarded.request(ADMIN, "GET", f"v1/{DATASET.removesuffix('/d')}/forged").status_code == 404


def test_only_buckets_that_the_dataset_may_use_are_listed(guarded: Guarded) -> None:
    client = signed_in(guarded, "bob")
    source, target = client.get(f"/console/{STORE}/import").text, client.get(f"/console/{STORE}/export").text
    assert 'value="incoming"' in source and "secret" not in source and 'value="out"' not in source
    assert "<option>out" in target and "incoming" not in target


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"bucket": "incoming", "prefix": "open/"}, 200),
        ({"bucket": "incoming", "prefix": ""}, 403),
        ({"bucket": "incoming", "prefix": "closed/"}, 403),
        ({"bucket": "incoming/open/", "prefix": ""}, 400),
        ({"bucket": "secret", "prefix": "open/"}, 403),
        ({"bucket": "out", "prefix": ""}, 403),
    ],
)
def test_no_name_is_shown_that_the_dataset_may_not_read(guarded: Guarded, query: dict[str, str], status: int) -> None:
    answer = signed_in(guarded, "bob").get(f"/console/{STORE}/import/folders", params=query)
    assert answer.status_code == status and not any(f"{n}.dcm" in answer.text for n in (2, 3, 4))
    if status == 200:
        assert "1.dcm" in answer.text


@pytest.mark.parametrize("uri", ["gs://incoming/**", "gs://incoming/closed/**", "gs://secret/**"])
def test_no_match_is_counted_that_the_dataset_may_not_read(guarded: Guarded, uri: str) -> None:
    answer = signed_in(guarded, "bob").get(f"/console/{STORE}/import/preview", params={"uri": uri, "modify": "on"})
    assert "match" not in answer.text and "bucket_rules" in answer.text


def test_names_of_objects_need_the_permission_to_import(guarded: Guarded) -> None:
    query = {"bucket": "incoming", "prefix": "open/"}
    answer = signed_in(guarded, "eve").get(f"/console/{STORE}/import/folders", params=query)
    assert answer.status_code == 403 and "1.dcm" not in answer.text
    preview = {"uri": "gs://incoming/open/*", "modify": "on"}
    assert "1.dcm" not in signed_in(guarded, "eve").get(f"/console/{STORE}/import/preview", params=preview).text


def new_lines(guarded: Guarded, before: int = 0) -> list[tuple[str, str, str, int]]:
    """Who, method, resource and code of the lines of the audit log after the first ``before``."""
    found = []
    for line in (guarded.server.data.parent / "audit.jsonl").read_text().splitlines()[before:]:
        entry = json.loads(line)
        payload = entry["protoPayload"]
        who = payload["authenticationInfo"].get("principalEmail", "").partition("@")[0]
        method = entry["resource"]["labels"]["method"]
        found.append((who, method, payload["resourceName"], payload["status"].get("code", 0)))
    return found


def test_what_a_page_does_stands_in_the_audit_log(guarded: Guarded) -> None:
    client, before = signed_in(guarded, "bob"), len(new_lines(guarded))
    answer = client.post(
        f"/console/{STORE}/import", data={"modify": "on", "uri": "gs://incoming/open/*.dcm"}, headers=OWN
    )
    assert answer.status_code == 303
    assert new_lines(guarded, before) == [("bob", "datasets.dicomStores.import", STORE, 0)]


STORES = "datasets.dicomStores"
LINES = {
    "console/": ("datasets.list", "datasets"),
    f"console/{DATASET}": (f"{STORES}.list", f"{DATASET}/dicomStores"),
    f"console/{DATASET}/operations": ("datasets.operations.list", f"{DATASET}/operations"),
    f"console/{STORE}": (f"{STORES}.get", STORE),
    f"console/{STORE}/studies": (f"{STORES}.searchForStudies", f"{STORE}/dicomWeb/studies"),
    f"console/{STORE}/import/folders?bucket=incoming&prefix=open/": (f"{STORES}.previewImport", STORE),
    f"console/{STORE}/import/preview?bucket=incoming&prefix=open/": (f"{STORES}.previewImport", STORE),
    f"console/{STORE}/studies/1.2.1": (f"{STORES}.studies.searchForSeries", f"{STORE}/dicomWeb/studies/1.2.1/series"),
    f"console/{STORE}/studies/1.2.1/series/1.2.1.1": (
        f"{STORES}.studies.series.searchForInstances",
        f"{STORE}/dicomWeb/studies/1.2.1/series/1.2.1.1/instances",
    ),
    f"console/{STORE}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1": (
        f"{STORES}.studies.series.instances.retrieveMetadata",
        f"{STORE}/dicomWeb/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1/metadata",
    ),
    f"console/{STORE}/studies/1.2.1/download.zip": (
        f"{STORES}.studies.retrieveStudy",
        f"{STORE}/dicomWeb/studies/1.2.1",
    ),
    f"console/{STORE}/studies/1.2.1/series/1.2.1.1/download.zip": (
        f"{STORES}.studies.series.retrieveSeries",
        f"{STORE}/dicomWeb/studies/1.2.1/series/1.2.1.1",
    ),
    f"viewer/{STORE}/": (f"{STORES}.get", STORE),
    f"viewer/{STORE}/app-config.js": (f"{STORES}.get", STORE),
    f"logs/{DATASET}/operations/1": ("datasets.operations.get", f"{DATASET}/operations/1"),
    f"console/{DATASET}/operations/1": ("datasets.operations.get", f"{DATASET}/operations/1"),
    f"console/{DATASET}/operations/1/errors": ("datasets.operations.get", f"{DATASET}/operations/1"),
    f"console/{DATASET}/operations/1/errors.csv": ("datasets.operations.get", f"{DATASET}/operations/1"),
    f"console/{DATASET}/operations/1/errors.ndjson": ("datasets.operations.get", f"{DATASET}/operations/1"),
}


@pytest.mark.parametrize("path", LINES)
def test_every_road_by_which_data_leaves_has_its_line(guarded: Guarded, path: str) -> None:
    guarded.grant(STORE, ("roles/healthcare.dicomViewer", "bob"))
    body = instance(("1.2.1", "1.2.1.1", "1.2.1.1.1"))
    kind = {"content-type": "application/dicom"}
    stored = guarded.request(ADMIN, "POST", f"v1/{STORE}/dicomWeb/studies", content=body, headers=kind)
    assert stored.status_code in (200, 409), "it may be there already"
    method, resource = LINES[path]
    client, before = signed_in(guarded, "bob"), len(new_lines(guarded))
    answer = client.get(f"/{path}")
    expected = ("bob", method, resource, {404: 5, 403: 7}.get(answer.status_code, 0))
    assert expected in new_lines(guarded, before), new_lines(guarded, before)
    client, before = signed_in(guarded, "eve"), len(new_lines(guarded))
    client.get(f"/{path}")
    assert [line[::3] for line in new_lines(guarded, before)] == [("eve", 0 if path == "console/" else 7)]


def test_a_download_of_what_is_not_there_has_its_line(guarded: Guarded) -> None:
    guarded.grant(STORE, ("roles/healthcare.dicomViewer", "bob"))
    client, before = signed_in(guarded, "bob"), len(new_lines(guarded))
    answer = client.get(f"/console/{STORE}/studies/1.9/download.zip")
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
    line = ("bob", f"{STORES}.studies.retrieveStudy", f"{STORE}/dicomWeb/studies/1.9", 5)
    assert new_lines(guarded, before) == [line]


def test_who_signs_in_and_who_is_refused_has_a_line(guarded: Guarded) -> None:
    before = len(new_lines(guarded))
    signed_in(guarded, "bob")
    client = httpx.Client(base_url=guarded.server.url)
    assert client.post("/sign-in", data={"token": "wrong-token"}, headers=OWN).status_code == 401
    foreign = client.post("/sign-in", data={"token": guarded.tokens["bob"]}, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403
    assert new_lines(guarded, before) == [
        ("bob", "gantry.signIn", "sign-in", 0),
        ("", "gantry.signIn", "sign-in", 16),
        ("", "gantry.signIn", "sign-in", 7),
    ]
    assert "wrong-token" not in (guarded.server.data.parent / "audit.jsonl").read_text()


def test_who_signs_out_has_a_line(guarded: Guarded) -> None:
    client, before = signed_in(guarded, "bob"), len(new_lines(guarded))
    assert client.post("/sign-out", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert new_lines(guarded, before) == [
        ("", "gantry.signOut", "sign-out", 7),
        ("bob", "gantry.signOut", "sign-out", 0),
        ("", "gantry.signOut", "sign-out", 0),
    ]


METRICS = pytest.param("metrics", marks=pytest.mark.one_process("a proxy shows no metrics: those of each are its own"))


@pytest.mark.parametrize("path", [METRICS, f"console/{STORE}", f"logs/{DATASET}/operations/1", f"viewer/{STORE}/"])
def test_a_token_that_is_refused_has_a_line(guarded: Guarded, path: str) -> None:
    before = len(new_lines(guarded))
    headers = {"authorization": "Bearer wrong", "accept": "*/*"}
    assert httpx.get(f"{guarded.server.url}/{path}", headers=headers).status_code in (303, 401)
    assert [line[::3] for line in new_lines(guarded, before)] == [("", 16)]


def test_a_token_endpoint_that_refuses_has_a_line(guarded: Guarded) -> None:
    before = len(new_lines(guarded))
    answer = httpx.post(f"{guarded.server.url}/token", data={"grant_type": "x", "assertion": "stolen"})
    assert answer.status_code == 400
    assert new_lines(guarded, before) == [("", "gantry.giveToken", "token", 3)]


def test_saved_searches_are_ones_own(guarded: Guarded) -> None:
    fields = {"name": "Mine", "PatientName": "x"}
    assert (
        signed_in(guarded, "eve").post(f"/console/{STORE}/searches/save", data=fields, headers=OWN).status_code == 403
    )
    assert (
        signed_in(guarded, "bob").post(f"/console/{STORE}/searches/save", data=fields, headers=OWN).status_code == 303
    )
    assert "Mine" in signed_in(guarded, "bob").get(f"/console/{STORE}/studies").text
    assert "Mine" not in signed_in(guarded, ADMIN).get(f"/console/{STORE}/studies").text


def test_nobody_deletes_without_the_permission(guarded: Guarded) -> None:
    answer = signed_in(guarded, "bob").post(f"/console/{DATASET}/delete", data={"confirm": "d"}, headers=OWN)
    assert answer.status_code == 403
    assert guarded.request(ADMIN, "GET", f"v1/{DATASET}").status_code == 200
