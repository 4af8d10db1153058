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
    assert "/datasets/" not in nothing
    assert "bob@example.org" in some and 'action="/sign-out"' in some


@pytest.mark.parametrize("path", [DATASET, STORE, f"{STORE}/import", f"{STORE}/studies", f"{DATASET}/operations"])
def test_a_page_without_the_permission_is_refused_in_words(guarded: Guarded, path: str) -> None:
    page = signed_in(guarded, "eve").get(f"/console/{path}")
    assert page.status_code == 403 and "Permission denied" in page.text and "roles/healthcare" in page.text
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


def test_what_a_page_does_stands_in_the_audit_log(guarded: Guarded) -> None:
    client = signed_in(guarded, "bob")
    answer = client.post(
        f"/console/{STORE}/import", data={"modify": "on", "uri": "gs://incoming/open/*.dcm"}, headers=OWN
    )
    assert answer.status_code == 303
    entries = [json.loads(line) for line in (guarded.server.data.parent / "audit.jsonl").read_text().splitlines()]
    (made,) = [entry for entry in entries if entry["resource"]["labels"]["method"] == "datasets.dicomStores.import"]
    payload = made["protoPayload"]
    assert payload["authenticationInfo"]["principalEmail"] == "bob@example.org"
    assert payload["resourceName"] == STORE and payload["authorizationInfo"][0]["granted"]


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
