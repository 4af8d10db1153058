"""Paths that mean one thing to a client and another to a server: nothing is found under them, made or deleted.

Requests are written to the socket as they are: client libraries would shorten their paths.
"""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import quote

import pytest

from gantry.names import url_path
from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.raw import exchange
from tests.support.web import Web, multipart

OF_PROXY = pytest.mark.one_process("nginx answers that itself")

DOTS = [".", "..", "%2e", "%2E%2e", ".%2e", "%2e%2E", "..;", "..;a=b", "%2e%3Bx"]
UNSEEN = {
    "line end": "a%0D%0Ab",
    "line feed": "%0A",
    "NUL": "a%00",
    "escape": "%1B%5B31m",
    "delete": "%7F",
    "C1": "%C2%85",
    "bidi override": "a%E2%80%AEb",
    "bidi isolate": "%E2%81%A6",
    "zero width": "a%E2%80%8Bb",
    "line separator": "%E2%80%A8",
    "unassigned": "%CD%B8",
    "no character": "%EF%BF%BF",
    "private": "%EE%80%80",
    "overlong": "%C0%AE%C0%AE",
    "surrogate": "%ED%A0%80",
}


def ask(gantry: Gantry, verb: str, path: str) -> tuple[int, bytes]:
    return exchange(gantry.server, f"{verb} /{path} HTTP/1.1\nContent-Length: 0")


def is_there(gantry: Gantry) -> bool:
    return gantry.call("GET", f"v1/{gantry.store}")["name"] == gantry.store


@pytest.mark.parametrize("verb", ["GET", "DELETE", "PATCH", "POST", "HEAD"])
@pytest.mark.parametrize(
    "tail", ["/", "//", *(f"/dicomStores/{dots}" for dots in DOTS), *(f"/dicomStores/{dots}/" for dots in DOTS[:3])]
)
def test_no_path_leads_up_to_the_dataset(gantry: Gantry, verb: str, tail: str) -> None:
    status, _ = ask(gantry, verb, f"v1/{gantry.dataset}{tail}")
    assert status == 404
    assert is_there(gantry)


@pytest.mark.parametrize("colon", [":", "/:", "%3A", "/%3A"])
def test_a_colon_with_nothing_behind_it_is_of_the_name(gantry: Gantry, colon: str) -> None:
    """The store ``store:`` does not exist, and its deletion does not delete ``store``."""
    for verb in ("GET", "DELETE"):
        status, _ = ask(gantry, verb, f"v1/{gantry.store}{colon}")
        assert status == 404
    assert is_there(gantry)


@pytest.mark.parametrize("dots", DOTS)
def test_no_path_leads_up_to_the_store_or_the_study(gantry: Gantry, dots: str) -> None:
    uids = ("1.2", "1.3", "1.4")
    Web(gantry).stored(instance(uids))
    web = f"v1/{gantry.store}/dicomWeb/studies"
    for path in (f"{web}/{dots}", f"{web}/1.2/series/{dots}", f"{web}/1.2/series/1.3/instances/{dots}", f"{web}/1.2/"):
        assert ask(gantry, "DELETE", path)[0] == 404
    assert len(Web(gantry).search("instances")) == 1


@pytest.mark.parametrize("override", ["DELETE", "PATCH", "GET"])
@pytest.mark.parametrize("dots", DOTS)
def test_another_verb_in_a_header_changes_nothing_about_it(gantry: Gantry, override: str, dots: str) -> None:
    head = (
        f"POST /v1/{gantry.dataset}/dicomStores/{dots} HTTP/1.1\nContent-Length: 0\nX-HTTP-Method-Override: {override}"
    )
    assert exchange(gantry.server, head)[0] == 404
    assert is_there(gantry)


@pytest.mark.parametrize("dots", DOTS)
@pytest.mark.parametrize("verb", ["import", "export", "setIamPolicy", "setBlobStorageSettings", "getIamPolicy"])
def test_a_method_behind_the_dots_changes_nothing_about_it(gantry: Gantry, verb: str, dots: str) -> None:
    for path in (f"{gantry.dataset}/dicomStores/{dots}:{verb}", f"projects/{dots}:{verb}"):
        assert {ask(gantry, method, f"v1/{path}")[0] for method in ("GET", "POST")} == {404}


@pytest.mark.parametrize("dots", [".", ".."])
def test_nothing_is_made_with_such_a_name(gantry: Gantry, dots: str) -> None:
    refused(gantry.request("POST", f"v1/{gantry.location}/datasets?datasetId={dots}"), "INVALID_ARGUMENT", "datasetId")
    made = gantry.request("POST", f"v1/{gantry.dataset}/dicomStores?dicomStoreId={dots}")
    refused(made, "INVALID_ARGUMENT", "dicomStoreId")
    for path in (f"projects/{dots}/locations/us-central1/datasets", f"projects/p/locations/{dots}/datasets"):
        assert ask(gantry, "POST", f"v1/{path}?datasetId=d")[0] == 404
        assert ask(gantry, "GET", f"v1/{path}")[0] == 404
    assert ask(gantry, "POST", f"v1/projects/{dots}:setIamPolicy")[0] == 404


@pytest.mark.parametrize("path", ["/v1/{store}", "v1//{store}", "v1/{store}/", "v1/{parent}//store", "v1/{store}//"])
def test_empty_segments_are_not_skipped(gantry: Gantry, path: str) -> None:
    path = path.format(store=gantry.store, parent=f"{gantry.dataset}/dicomStores")
    status, body = ask(gantry, "GET", path)
    assert (status, json.loads(body)["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name, marks=[OF_PROXY] * (name == "NUL")) for name, text in UNSEEN.items()]
)
@pytest.mark.parametrize(
    "path",
    [
        "v1/projects/{}/locations/us-central1/datasets?datasetId=d",
        "v1/projects/p/locations/{}/datasets?datasetId=d",
        "v1beta1/{dataset}/dicomStores/{}",
        "v1/{store}/dicomWeb/studies/{}/metadata",
        "console/projects/{}/locations/us-central1/datasets/d",
        "console/{store}/studies/{}/download.zip",
        "viewer/projects/{}/locations/us-central1/datasets/d/dicomStores/s/",
        "logs/projects/{}/locations/us-central1/datasets/d/operations/1",
        "static/{}/gantry.css",
        "{}",
    ],
)
def test_characters_that_are_not_shown_are_in_no_path(gantry: Gantry, path: str, text: str) -> None:
    path = path.replace("{}", text).replace("{dataset}", gantry.dataset).replace("{store}", gantry.store)
    before = len(gantry.server.log_text())
    for verb in ("GET", "POST"):
        status, body = ask(gantry, verb, path)
        error = json.loads(body)["error"]
        assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
        assert error["message"].isprintable(), "the message can be logged"
    assert gantry.server.log_text()[before:] == ""


@pytest.mark.parametrize("text", ["%2F", "..%2f", "%2f%2e%2e", "a%2Fb"])
@pytest.mark.parametrize("path", ["v1/projects/{}/locations", "console/{}", "viewer/{}", "logs/{}", "static/{}/x"])
def test_an_encoded_slash_begins_no_segment(gantry: Gantry, path: str, text: str) -> None:
    assert ask(gantry, "GET", path.format(text))[0] == 400


NAMES = ["名前-é.é", "Ünï_٣Ⅷ", "a..b", "...", "-", "_", "д" * 256]


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize("project", ["p", "a b?c#d%25&'\"<é>", "domain.example:p", "100%", "a;b=c", "😀"])
def test_every_allowed_name_works_everywhere(gantry: Gantry, project: str, dataset: str) -> None:
    """Answers name it by addresses that are ASCII, and whatever is at these addresses can be fetched."""
    dataset = dataset[: 256 - len(gantry.dataset_id)] + gantry.dataset_id
    store = make_store(gantry, project, dataset)
    web = f"v1/{store}/dicomWeb/studies"
    accept = {"accept": "application/dicom+json"}
    kind, body = multipart([instance(("1.2", "1.3", "1.4"), EncapsulatedDocument=b"x" * 4096)])
    made = gantry.request("POST", web, content=body, headers=accept | {"content-type": kind})
    assert made.status_code == 200, made.text
    found = made.text + gantry.request("GET", f"{web}/1.2/metadata").text
    addresses = set(re.findall(r'"(http[^"]*)"', found))
    assert len(addresses) > 2
    for address in addresses:
        assert address.isascii() and not set("?#<>\"'& ") & set(address)
        assert gantry.server.client.get(address, headers={"accept": "*/*"}).status_code == 200, address
    parts = {"accept": 'multipart/related; type="application/octet-stream"'}
    for tail in ("frames/1", "bulkdata/00420011"):
        answer = gantry.request("GET", f"{web}/1.2/series/1.3/instances/1.4/{tail}", headers=parts)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("dataset", NAMES)
def test_operations_logs_and_pages_of_every_allowed_name(gantry: Gantry, dataset: str) -> None:
    dataset = dataset[: 256 - len(gantry.dataset_id)] + gantry.dataset_id
    store = make_store(gantry, "a b?c#d%25&'\"<é>", dataset)
    started = gantry.call("POST", f"v1/{store}:import", json={"gcsSource": {"uri": f"gs://{gantry.bucket}/x"}})
    logs = gantry.wait(url_path(started["name"]))["metadata"]["logsUrl"]
    assert logs.isascii() and gantry.server.client.get(logs).json()["entries"]
    for page in (store, store.rpartition("/dicomStores")[0], url_path(started["name"])):
        text = gantry.request("GET", f"console/{page}").text
        for link in set(re.findall(r'href="(/console/projects[^"]*)"', text)):
            assert gantry.server.client.get(unescape(link)).status_code == 200, link


def make_store(gantry: Gantry, project: str, dataset: str) -> str:
    """Its name, percent-encoded."""
    parent = f"projects/{quote(project, safe='')}/locations/us-central1/datasets"
    gantry.call("POST", f"v1/{parent}", params={"datasetId": dataset})
    stores = f"{parent}/{quote(dataset)}/dicomStores"
    assert gantry.call("POST", f"v1/{stores}?dicomStoreId=s")["name"].split("/")[1:6:4] == [project, dataset]
    assert gantry.call("GET", f"v1/{stores}")["dicomStores"]
    return f"{stores}/s"
