"""Who may call which method of what: every method × every role × a resource of one's own, another's, and none.

Roles and the permissions of methods are spelt out once more, as the tables of spec §12.1 have them, so that the tables
of the program are not compared with themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gantry.api.logging import LIST_ENTRIES
from gantry.api.methods import METHODS, OWN, ApiMethod
from tests.iam.permissions import PERMISSIONS
from tests.support.access import Guarded

PLACES = "locations.get locations.list"
TABLE = {
    "datasetViewer": "datasets.get datasets.list operations.get",
    "datasetAdmin": "datasets.create datasets.deidentify datasets.delete datasets.get datasets.getIamPolicy "
    "datasets.list datasets.setIamPolicy datasets.update operations.cancel operations.get operations.list",
    "dicomStoreViewer": "datasets.get datasets.list dicomStores.get dicomStores.list operations.get",
    "dicomStoreAdmin": "datasets.get datasets.list dicomStores.create dicomStores.deidentify dicomStores.delete "
    "dicomStores.dicomWebDelete dicomStores.get dicomStores.getIamPolicy dicomStores.list dicomStores.setIamPolicy "
    "dicomStores.update operations.cancel operations.get",
    "dicomViewer": "datasets.get datasets.list dicomStores.dicomWebRead dicomStores.export dicomStores.get "
    "dicomStores.list operations.get",
    "dicomEditor": "datasets.get datasets.list dicomStores.dicomWebDelete dicomStores.dicomWebRead "
    "dicomStores.dicomWebUpdate dicomStores.dicomWebWrite dicomStores.export dicomStores.get dicomStores.import "
    "dicomStores.list operations.cancel operations.get",
}
ROLES = {
    f"roles/healthcare.{name}": {f"healthcare.{one}" for one in f"{PLACES} {held}".split()}
    for name, held in TABLE.items()
}
EVERY = [method for method in METHODS + OWN if PERMISSIONS.get((method.verb, method.path))]
OF_VIEWERS = ("get", "list", "getIamPolicy", "dicomWebRead")
RULING = {
    *("healthcare.datasets.setIamPolicy", "healthcare.dicomStores.setIamPolicy"),
    "resourcemanager.projects.setIamPolicy",
}
NEEDED = set(filter(None, PERMISSIONS.values()))
ROLES["roles/viewer"] = {name for name in NEEDED if name.rpartition(".")[2] in OF_VIEWERS}
ROLES["roles/editor"] = NEEDED - RULING
ROLES["roles/owner"] = NEEDED
PEOPLE = {role: role.rpartition("/")[2].replace(".", "-").lower() for role in ROLES}


class World(Guarded):
    """Projects ``own`` and ``other`` with dataset ``d`` and stores ``s``; everybody has a role on ``own``."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "stranger", *PEOPLE.values())
        for project in ("own", "other"):
            place = f"projects/{project}/locations/us-central1/datasets"
            self.call("POST", f"v1/{place}?datasetId=d")
            self.call("POST", f"v1/{place}/d/dicomStores?dicomStoreId=s")
        self.grant("projects/own", *PEOPLE.items())

    def answer(self, who: str, method: ApiMethod, project: str, store: str = "s") -> httpx.Response:
        """To a request that changes nothing, whoever makes it: what it is about is not there, or it says nothing."""
        version = method.versions[0]
        ids = iter((project, "us-central1", "d" if store == "s" else "none", store, "1.9", "1.9", "1.9", "1"))
        path = re.sub(r"\*+", lambda _: next(ids), method.path)
        if "/operations/*" in method.path:
            path = path.replace(f"/operations/{store}", "/operations/1")
        if method.verb == "DELETE" and "dicomWeb" not in method.path:
            path = path.rstrip("ds") + "-none"
        body: dict[str, Any] = {"json": {}} if method.verb in ("POST", "PATCH") else {}
        return self.request(who, method.verb, f"{version}/{path}", **body)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("matrix"))
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


@pytest.mark.parametrize("method", EVERY, ids=lambda method: f"{method.id} {method.path.count('*')}")
def test_a_method_is_for_those_who_have_its_permission(world: World, method: ApiMethod) -> None:
    """§1.19: 401 for nobody, 403 in the same words for what is another's and what is not there."""
    for role, person in PEOPLE.items():
        own = world.answer(person, method, "own")
        may = PERMISSIONS[method.verb, method.path] in ROLES[role]
        assert (own.status_code != 403) is may, f"{role}: {own.status_code} {own.text}"
        assert (own.status_code != 401 and own.status_code < 500) or own.status_code == 501, own.text
        missing = world.answer(person, method, "own", store="none")
        assert (missing.status_code != 403) is may, f"{role}, missing: {missing.status_code} {missing.text}"
        for project, store in (("other", "s"), ("other", "none"), ("nowhere", "s")):
            assert_denied(world.answer(person, method, project, store), method)
    assert_denied(world.answer("stranger", method, "own"), method)
    nobody = world.answer("", method, "own")
    assert (nobody.status_code, nobody.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert nobody.headers["www-authenticate"].startswith("Bearer")


def assert_denied(response: httpx.Response, method: ApiMethod) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (403, "PERMISSION_DENIED"), response.text
    assert error["message"].startswith(f"Permission '{PERMISSIONS[method.verb, method.path]}' denied on")
    assert "(or it may not exist)" in error["message"]


def test_every_method_has_the_permission_of_the_table() -> None:
    assert {(method.verb, method.path): method.permission for method in METHODS + OWN} == PERMISSIONS
    assert LIST_ENTRIES.permission == "logging.logEntries.list"


def test_a_viewer_does_not_become_owner(world: World) -> None:
    """Nobody but owners sets policies: of projects, datasets and stores."""
    place = "projects/own/locations/us-central1/datasets/d"
    for name in ("projects/own", place, f"{place}/dicomStores/s"):
        before = world.call("POST" if name == "projects/own" else "GET", f"v1/{name}:getIamPolicy")
        for role, person in PEOPLE.items():
            if role in ("roles/viewer", "roles/editor", "roles/healthcare.dicomEditor"):
                policy = {"bindings": [{"role": "roles/owner", "members": [f"user:{person}@example.org"]}]}
                asked = world.request(person, "POST", f"v1/{name}:setIamPolicy", json={"policy": policy})
                assert asked.status_code == 403, f"{role} on {name}"
        assert world.call("POST" if name == "projects/own" else "GET", f"v1/{name}:getIamPolicy") == before


@pytest.mark.parametrize("role", ROLES)
def test_permissions_can_be_asked_for(world: World, role: str) -> None:
    """testIamPermissions needs none; what is another's has none."""
    asked = {"permissions": sorted(NEEDED)}
    place = "locations/us-central1/datasets/d/dicomStores/s"
    found = world.call("POST", f"v1/projects/own/{place}:testIamPermissions", who=PEOPLE[role], json=asked)
    assert set(found["permissions"]) == ROLES[role] & NEEDED
    assert world.call("POST", f"v1/projects/other/{place}:testIamPermissions", who=PEOPLE[role], json=asked) == {}
    assert world.request("", "POST", f"v1/projects/own/{place}:testIamPermissions", json=asked).status_code == 401


@pytest.mark.parametrize("role", ROLES)
def test_error_logs_of_a_project(world: World, role: str) -> None:
    body = {"resourceNames": ["projects/own"]}
    may = role in ("roles/viewer", "roles/editor", "roles/owner")
    path = f"v2/{LIST_ENTRIES.path}"
    assert (world.request(PEOPLE[role], "POST", path, json=body).status_code == 200) is may
    both = {"resourceNames": ["projects/own", "projects/other"]}
    assert world.request(PEOPLE[role], "POST", path, json=both).status_code == 403
    assert world.request("", "POST", path, json=body).status_code == 401
