"""What clients send in any place of any method: a slash behind it, a number that is none, a text of any length."""

from __future__ import annotations

import httpx
import pytest

from gantry.api.methods import METHODS
from tests.support.gantry import Gantry
from tests.support.raw import exchange

LONG = "x" * 40_000
NO_NUMBERS = ("1_0", " 10", "10 ", "\t1", "1\n", "٣", "１", "+1", "-1", "1e3", "0x10", "1.0", "9" * 30, "9" * 5000)


def path_of(gantry: Gantry, template: str) -> str:
    """The path of a method with the names of this test."""
    ids = iter([*gantry.store.split("/")[1::2], "1.2", "1.3", "1.4"])
    parts = template.split("/")
    return "/".join(part.replace("**", "*").replace("*", next(ids, "1")) if "*" in part else part for part in parts)


@pytest.mark.parametrize("behind", ["/", "//", "/.", "/..", "/x/..", "/%2e%2e", "/%2E.", "%2F"])
def test_no_method_has_a_slash_behind_its_path(gantry: Gantry, behind: str) -> None:
    """Clients shorten ``D/dicomStores/..`` to ``D/``, which must not mean D."""
    for method in METHODS:
        for version in method.versions:
            head = f"{method.verb} /{version}/{path_of(gantry, method.path)}{behind} HTTP/1.1\nContent-Length: 0"
            code, body = exchange(gantry.server, head)
            assert code in (400, 404), f"{head}: {code} {body[:200]!r}"
    assert gantry.call("GET", f"v1/{gantry.store}")["name"] == gantry.store


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_none_in_every_parameter(gantry: Gantry, text: str) -> None:
    web, dataset = f"v1/{gantry.store}/dicomWeb", f"v1/{gantry.dataset}"
    sized = (
        f"v1/{gantry.location}/datasets",
        f"{dataset}/dicomStores",
        f"{dataset}/operations",
        "v1/projects/p/locations",
    )
    asked = [(path, {"pageSize": text}) for path in sized]
    levels = ("studies", "series", "instances", "studies/1.2/series", "studies/1.2/instances")
    asked += [(f"{web}/{level}", {name: text}) for level in levels for name in ("limit", "offset")]
    answers = [gantry.request("GET", path, params=query) for path, query in asked]
    body = {"resourceNames": ["projects/p"], "pageSize": text}
    for answer in (*answers, gantry.request("POST", "v2/entries:list", json=body)):
        refused_shortly(answer)


@pytest.mark.parametrize("name", ["updateMask", "pageToken", "filter", "fields", "pageSize", "datasetId", "x" * 9000])
def test_no_answer_repeats_a_long_parameter(gantry: Gantry, name: str) -> None:
    for method in METHODS:
        path = f"v1/{path_of(gantry, method.path)}"
        if "v1" in method.versions and method.verb != "DELETE":
            answer = gantry.request(
                method.verb, path, params={name: LONG}, content=b"{}" if method.verb != "GET" else b""
            )
            is_short = answer.status_code == 200 or len(answer.content) < 5000  # lists hold what other tests made
            assert answer.status_code != 500 and is_short, f"{method.id}: {answer.text[:200]}"


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Type", "Range", "If-Match", "X-HTTP-Method-Override", "Authorization"]
)
def test_no_answer_repeats_a_long_header(gantry: Gantry, name: str) -> None:
    for verb, below in (
        ("GET", "studies/1.2"),
        ("POST", "studies"),
        ("GET", "studies"),
        ("GET", "studies/1.2/rendered"),
    ):
        answer = gantry.request(verb, f"v1/{gantry.store}/dicomWeb/{below}", headers={name: LONG})
        assert answer.status_code != 500 and len(answer.content) < 4000, answer.text[:200]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        (":import", {LONG: 1}),
        (":import", {"gcsSource": {LONG: 1}}),
        (":import", {"gcsSource": {"uri": LONG}}),
        (":import", {"gcsSource": {"uri": f"gs://{LONG}"}}),
        (":export", {"gcsDestination": {"uriPrefix": "gs://b/x", "mimeType": LONG}}),
        (":setIamPolicy", {"policy": {"bindings": [{"role": LONG, "members": [LONG]}]}}),
        (":setBlobStorageSettings", {"blobStorageSettings": {"blobStorageClass": LONG}}),
    ],
)
def test_no_refusal_repeats_a_long_field(gantry: Gantry, method: str, body: dict[str, object]) -> None:
    refused_shortly(gantry.request("POST", f"v1/{gantry.store}{method}", json=body))


@pytest.mark.parametrize(
    "uid", ["1.2%0D%0AX:%20y", "1.2%0D", "%C3%A9", "1.2%22", "%E6%97%A5", "1.2%00", "1.2%E2%80%AE", "a%20b"]
)
@pytest.mark.parametrize("below", ["", "/metadata", "/rendered", "/thumbnail", "/series", "/instances"])
def test_no_answer_breaks_by_the_letters_of_a_uid(gantry: Gantry, uid: str, below: str) -> None:
    """Names of files and addresses in heads of answers are made of it."""
    for accept in ("application/zip", "*/*", 'multipart/related; type="application/dicom"'):
        head = f"GET /v1/{gantry.store}/dicomWeb/studies/{uid}{below} HTTP/1.1\nAccept: {accept}"
        code, _ = exchange(gantry.server, head)
        assert code in (200, 204, 400, 404, 406), head


def refused_shortly(answer: httpx.Response) -> None:
    assert answer.status_code == 400 and answer.json()["error"]["status"] == "INVALID_ARGUMENT", answer.text[:200]
    assert len(answer.content) < 4000
