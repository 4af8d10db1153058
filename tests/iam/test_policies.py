"""getIamPolicy, setIamPolicy, testIamPermissions of projects, datasets and DICOM stores (spec §12.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry

READER = {"role": "roles/healthcare.dicomViewer", "members": ["user:bob@example.org"]}
URL_SAFE = str.maketrans("+/", "-_")
UNTIL = {"title": "until 2030", "expression": 'request.time < timestamp("2030-01-01T00:00:00Z")'}


@pytest.fixture(params=["project", "dataset", "store"])
def place(request: pytest.FixtureRequest, gantry: Gantry) -> str:
    """The resource, below the version; every test has a project of its own."""
    if request.param == "project":
        return f"projects/{gantry.dataset_id}"
    return str(getattr(gantry, request.param))


def read(gantry: Gantry, place: str) -> Any:
    verb = "GET" if "/" in place.removeprefix("projects/") else "POST"  # Resource Manager's is a POST
    return gantry.call(verb, f"v1/{place}:getIamPolicy")


def write(gantry: Gantry, place: str, policy: Any, **more: Any) -> Any:
    return gantry.request("POST", f"v1/{place}:setIamPolicy", json={"policy": policy} | more)


def test_no_policy_is_an_etag_alone(gantry: Gantry, place: str) -> None:
    assert read(gantry, place).keys() == {"etag"}


def test_a_policy_is_read_as_it_was_set(gantry: Gantry, place: str) -> None:
    made = write(gantry, place, {"bindings": [READER]}).json()
    assert made["bindings"] == [READER] and made["version"] == 1
    assert read(gantry, place) == made


def test_gcloud_sets_bindings_alone(gantry: Gantry, place: str) -> None:
    """§12.2: updateMask bindings; without an etag the last one wins."""
    write(gantry, place, {"bindings": [READER]})
    other = READER | {"members": ["serviceAccount:pacs@example.org"]}
    assert write(gantry, place, {"bindings": [other]}, updateMask="bindings").json()["bindings"] == [other]


def test_an_etag_that_is_old_is_told(gantry: Gantry, place: str) -> None:
    etag = read(gantry, place)["etag"]
    made = write(gantry, place, {"bindings": [READER], "etag": etag})
    assert made.status_code == 200 and made.json()["etag"] != etag
    refused = write(gantry, place, {"bindings": [], "etag": etag})
    assert (refused.status_code, refused.json()["error"]["status"]) == (409, "ABORTED")
    assert read(gantry, place) == made.json()


def test_an_etag_in_either_alphabet(gantry: Gantry) -> None:
    """gcloud sends back the URL-safe form of what it was given."""
    for number in range(40):
        etag = read(gantry, gantry.store)["etag"]
        policy = {"bindings": [READER | {"members": [f"user:n{number}@b.c"]}], "etag": etag.translate(URL_SAFE)}
        assert write(gantry, gantry.store, policy).status_code == 200, etag


def test_conditions_are_kept_and_shown(gantry: Gantry, place: str) -> None:
    """gcloud sends version 1 with them, and asks for no version."""
    bound = READER | {"condition": UNTIL}
    made = write(gantry, place, {"version": 1, "bindings": [READER, bound]}).json()
    assert (made["version"], made["bindings"]) == (3, [READER, bound])
    assert read(gantry, place) == made


def test_members_are_folded_and_empty_bindings_go(gantry: Gantry, place: str) -> None:
    nobody = {"role": "roles/healthcare.dicomEditor", "members": []}
    made = write(gantry, place, {"bindings": [READER | {"members": ["user:Bob@Example.ORG"]}, nobody]}).json()
    assert made["bindings"] == [READER]


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (READER | {"role": "roles/healthcare.surgeon"}, "no role 'roles/healthcare.surgeon'"),
        (READER | {"members": ["bob"]}, "'bob' is not a member"),
        (READER | {"members": ["user:"]}, "is not a member"),
        (READER | {"members": ["allUsers"]}, "allUsers is refused"),
        (READER | {"condition": {"title": "t", "expression": "request.auth.x == 1"}}, "condition:"),
        (READER | {"condition": {"expression": "true"}}, "title"),
        ({"role": "roles/viewer", "members": ["user:a@b.c"], "x": 1}, "x"),
    ],
)
def test_bindings_that_are_refused(gantry: Gantry, binding: Any, words: str) -> None:
    refused(write(gantry, gantry.store, {"bindings": [binding]}), "INVALID_ARGUMENT", words)
    assert read(gantry, gantry.store).keys() == {"etag"}


def members(count: int, length: int = 30) -> list[str]:
    return [f"user:{number:0{length - 17}}@example.org" for number in range(count)]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"bindings": [READER | {"members": members(1501)}]}, "1500 members"),
        ({"bindings": [READER | {"members": [name]} for name in members(1501)]}, "1500 bindings"),
        ({"bindings": [READER | {"members": members(751)}] * 2}, "1500 members"),
        ({"bindings": [READER | {"condition": UNTIL}] * 251}, "250 bindings with conditions"),
        ({"bindings": [READER | {"condition": UNTIL | {"title": "x" * 101}}]}, "title"),
        ({"bindings": [READER | {"condition": UNTIL | {"description": "x" * 257}}]}, "description"),
        ({"bindings": [READER | {"condition": UNTIL | {"location": "x" * 257}}]}, "location"),
        ({"bindings": [READER | {"condition": {"title": "t", "expression": "true" + " " * 4093}}]}, "expression"),
        ({"bindings": [READER | {"members": members(1500, 300)}]}, "262144 characters"),
    ],
)
def test_policies_that_are_too_large(gantry: Gantry, place: str, policy: Any, words: str) -> None:
    """Every call below a resource reads its policy."""
    answer = write(gantry, place, policy)
    refused(answer, "INVALID_ARGUMENT", words)
    assert len(answer.content) < 1000
    assert read(gantry, place).keys() == {"etag"}


def test_the_largest_policy_is_taken(gantry: Gantry, place: str) -> None:
    policy = {"bindings": [READER | {"members": members(1500, 100)}]}
    assert write(gantry, place, policy).json()["bindings"] == policy["bindings"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2030-13-01T00:00:00Z"])
def test_moments_that_are_none(gantry: Gantry, place: str, moment: str) -> None:
    bound = READER | {"condition": {"title": "t", "expression": f'request.time < timestamp("{moment}")'}}
    refused(write(gantry, place, {"version": 3, "bindings": [bound]}), "INVALID_ARGUMENT", "is not a time like")


@pytest.mark.parametrize("version", ["0", "1", "3"])
def test_versions_that_may_be_asked_for(gantry: Gantry, version: str) -> None:
    found = gantry.call("GET", f"v1/{gantry.store}:getIamPolicy?options.requestedPolicyVersion={version}")
    assert found.keys() == {"etag"}


def test_requests_that_are_refused(gantry: Gantry) -> None:
    path = f"v1/{gantry.store}"
    refused(gantry.request("POST", f"{path}:setIamPolicy", json={}), "INVALID_ARGUMENT", "policy: is required")
    refused(write(gantry, gantry.store, {}, updateMask="members"), "INVALID_ARGUMENT", "updateMask")
    for version in ("9", "2", "-1", "x", ""):
        asked_for = f"{path}:getIamPolicy?options.requestedPolicyVersion={version}"
        refused(gantry.request("GET", asked_for), "INVALID_ARGUMENT", "0, 1")
    asked = {"permissions": ["healthcare.*"]}
    refused(gantry.request("POST", f"{path}:testIamPermissions", json=asked), "INVALID_ARGUMENT", "wildcards")


@pytest.mark.parametrize("version", [2, 4, "2", 2**40])
def test_versions_that_no_policy_has(gantry: Gantry, place: str, version: object) -> None:
    refused(write(gantry, place, {"bindings": [READER], "version": version}), "INVALID_ARGUMENT", "policy.version")
    assert read(gantry, place).keys() == {"etag"}


@pytest.mark.parametrize("version", [0, 1, 3, "3", 1.0, None])
def test_versions_that_a_policy_may_have(gantry: Gantry, place: str, version: object) -> None:
    assert write(gantry, place, {"bindings": [READER], "version": version}).json()["bindings"] == [READER]


def test_an_etag_is_bytes_in_any_base64(gantry: Gantry, place: str) -> None:
    """proto3 JSON: in either alphabet, with or without padding."""
    for number in range(8):
        policy = {"bindings": [READER | {"members": [f"user:u{number}@example.org"]}]}
        etag = read(gantry, place)["etag"]
        url_safe = etag.translate(str.maketrans("+/", "-_"))
        spelling = (etag, etag.rstrip("="), url_safe, url_safe.rstrip("="))[number % 4]
        assert write(gantry, place, policy | {"etag": spelling}).status_code == 200
        refused(write(gantry, place, policy | {"etag": etag.rstrip("=")}), "ABORTED", "changed", http=409)


@pytest.mark.parametrize("etag", ["a", "!!!!", "é", "ab c", "YQ==YQ=="])
def test_an_etag_that_is_no_base64(gantry: Gantry, place: str, etag: str) -> None:
    refused(write(gantry, place, {"bindings": [READER], "etag": etag}), "INVALID_ARGUMENT", "policy.etag")


def test_nobody_has_a_permission_on_what_is_not_there(gantry: Gantry) -> None:
    asked = {"permissions": ["healthcare.dicomStores.get"]}
    for place in (f"{gantry.dataset}x", f"{gantry.store}x", f"{gantry.dataset}x/dicomStores/store"):
        assert gantry.call("POST", f"v1/{place}:testIamPermissions", json=asked) == {}


def test_a_resource_that_is_not_there(gantry: Gantry) -> None:
    for place in (f"{gantry.dataset}x", f"{gantry.store}x"):
        refused(gantry.request("GET", f"v1/{place}:getIamPolicy"), "NOT_FOUND", "does not exist")
        refused(write(gantry, place, {"bindings": [READER]}), "NOT_FOUND", "does not exist")


def test_a_policy_goes_with_its_store(gantry: Gantry) -> None:
    write(gantry, gantry.store, {"bindings": [READER]})
    gantry.call("DELETE", f"v1/{gantry.store}")
    gantry.new_store("store")
    assert read(gantry, gantry.store).keys() == {"etag"}


def test_where_nobody_is_asked_everybody_has_every_permission(gantry: Gantry, place: str) -> None:
    asked = {"permissions": ["healthcare.dicomStores.get", "healthcare.dicomStores.import"]}
    assert gantry.call("POST", f"v1/{place}:testIamPermissions", json=asked) == asked
    assert gantry.call("POST", f"v1/{place}:testIamPermissions", json={}) == {}
