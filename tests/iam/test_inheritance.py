"""Policies in force: from above, for groups, for a time; what does not follow from them (spec §12.1, §12.2)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import Guarded, member
from tests.support.raw import RawConnection

READER, STORES = "roles/healthcare.dicomViewer", "roles/healthcare.dicomStoreViewer"


NESTED = f"{urlsafe_b64encode(b'[' * 15_000).decode()}.e30.x"
"""A token whose header is nested deeper than any stack."""


class World(Guarded):
    def __init__(self, home: Path) -> None:
        super().__init__(home, "bob", GANTRY_CONFIG=str(home / "gantry.toml"))
        self.made = 0

    def places(self) -> tuple[str, str, str]:
        """A new project, with a dataset and a store in it."""
        self.made += 1
        project = f"projects/p{self.made}"
        datasets = f"{project}/locations/us-central1/datasets"
        self.call("POST", f"v1/{datasets}?datasetId=d")
        store = self.call("POST", f"v1/{datasets}/d/dicomStores?dicomStoreId=s")["name"]
        return project, f"{datasets}/d", store

    def status(self, verb: str, path: str, **kw: Any) -> int:
        return self.request("bob", verb, f"v1/{path}", **kw).status_code


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("iam")
    roles = (
        '[custom_roles]\n"projects/p/roles/importer" = ["healthcare.dicomStores.import", "healthcare.operations.get"]\n'
    )
    (home / "gantry.toml").write_text(roles)
    made = World(home)
    yield made
    assert "Traceback" not in made.server.log_text()
    assert not any(token in made.server.log_text() for token in made.tokens.values())
    made.server.stop()


def test_from_the_project_to_what_lies_in_it(world: World) -> None:
    project, dataset, store = world.places()
    assert world.status("GET", store) == 403
    world.grant(project, (STORES, "bob"))
    assert [world.status("GET", path) for path in (store, dataset, f"{dataset}/dicomStores")] == [200] * 3


def test_from_the_dataset_to_its_stores_and_not_up(world: World) -> None:
    project, dataset, store = world.places()
    world.grant(dataset, (STORES, "bob"))
    assert [world.status("GET", path) for path in (store, dataset)] == [200, 200]
    assert world.status("GET", f"{project}/locations/us-central1/datasets") == 403


def test_a_store_alone(world: World) -> None:
    """§12.1: a role on a store does not let one see the dataset, nor its operations."""
    _, dataset, store = world.places()
    world.grant(store, (READER, "bob"))
    assert world.status("GET", f"{store}/dicomWeb/studies") == 204
    assert [world.status("GET", path) for path in (dataset, f"{dataset}/operations/1")] == [403, 403]


def test_what_is_not_there_is_told_to_those_who_may_know(world: World) -> None:
    """§1.19: 404 with the permission from above, else 403."""
    _, dataset, store = world.places()
    assert world.status("GET", f"{dataset}/dicomStores/none") == 403
    world.grant(dataset, (STORES, "bob"))
    assert world.status("GET", f"{dataset}/dicomStores/none") == 404
    assert world.status("GET", f"{store}/dicomWeb/studies/1.2.3/metadata") == 403


def test_a_policy_that_is_taken_back_counts_no_more(world: World) -> None:
    _, _, store = world.places()
    world.grant(store, (STORES, "bob"))
    assert world.status("GET", store) == 200
    world.grant(store)
    assert world.status("GET", store) == 403


@pytest.mark.parametrize(
    ("expression", "status"),
    [
        ('request.time < timestamp("2999-01-01T00:00:00Z")', 200),
        ('request.time < timestamp("2020-01-01T00:00:00Z")', 403),
        ('resource.type == "healthcare.googleapis.com/DicomStore"', 200),
        ('resource.name.endsWith("/dicomStores/other")', 403),
    ],
)
def test_conditions(world: World, expression: str, status: int) -> None:
    _, dataset, store = world.places()
    binding = {"role": STORES, "members": [member("bob")], "condition": {"title": "t", "expression": expression}}
    world.call("POST", f"v1/{dataset}:setIamPolicy", json={"policy": {"version": 3, "bindings": [binding]}})
    assert world.status("GET", store) == status


@pytest.mark.parametrize("name", ["allAuthenticatedUsers", "domain:example.org", "user:BOB@example.org"])
def test_members_that_mean_many(world: World, name: str) -> None:
    _, _, store = world.places()
    policy = {"bindings": [{"role": STORES, "members": [name]}]}
    world.call("POST", f"v1/{store}:setIamPolicy", json={"policy": policy})
    assert world.status("GET", store) == 200
    assert world.request("", "GET", f"v1/{store}").status_code == 401


def test_custom_roles(world: World) -> None:
    _, dataset, store = world.places()
    world.grant(dataset, ("projects/p/roles/importer", "bob"))
    body = {"gcsSource": {"uri": "gs://none/*"}}
    name = world.request("bob", "POST", f"v1/{store}:import", json=body).json()["name"]
    assert world.status("GET", name) == 200
    assert world.status("GET", store) == 403


def test_nobody_gives_what_he_has_not(world: World) -> None:
    """setIamPolicy is a permission like the others."""
    _, _, store = world.places()
    world.grant(store, (READER, "bob"))
    policy = {"policy": {"bindings": [{"role": "roles/owner", "members": [member("bob")]}]}}
    assert world.status("POST", f"{store}:setIamPolicy", json=policy) == 403
    assert world.status("GET", f"{store}:getIamPolicy") == 403


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"authorization": "Bearer the-token-of-bob"}, "", 200),
        ({"authorization": "bearer  the-token-of-bob"}, "", 200),
        ({}, "?access_token=the-token-of-bob", 200),
        ({}, "?oauth_token=the-token-of-bob", 200),
        ({}, "?access_token=&oauth_token=the-token-of-bob", 200),
        ({}, "?oauth_token=wrong", 401),
        ({}, "", 401),
        ({"authorization": "Bearer the-token-of-carl"}, "", 401),
        ({"authorization": "Bearer"}, "?access_token=the-token-of-bob", 401),
        ({"authorization": "Basic Ym9iOmJvYg=="}, "", 401),
        ({"authorization": "the-token-of-bob"}, "", 401),
        ({"authorization": f"Bearer {NESTED}"}, "", 401),
        ({"authorization": "Bearer ..."}, "", 401),
        ({}, f"?access_token={NESTED}", 401),
    ],
)
def test_credentials(world: World, headers: dict[str, str], query: str, status: int) -> None:
    _, _, store = world.places()
    world.grant(store, (STORES, "bob"))
    response = world.request("", "GET", f"v1/{store}{query}", headers=headers)
    assert response.status_code == status, response.text
    if status == 401:
        assert response.json()["error"]["status"] == "UNAUTHENTICATED"
        assert response.headers["www-authenticate"] == 'Bearer realm="gantry"'
        assert "the-token" not in response.text


@pytest.mark.one_process("nginx gives nobody the metrics")
def test_pages_beside_the_api(world: World) -> None:
    """Health is for load balancers; error logs name patients' files."""
    _, dataset, _ = world.places()
    assert [world.request("", "GET", path).status_code for path in ("healthz", "readyz")] == [200, 200]
    assert world.request("", "GET", "$discovery/rest?version=v1").status_code == 200
    log = f"logs/{dataset}/operations/1"
    assert [world.request("", "GET", path).status_code for path in ("metrics", log)] == [401, 401]
    assert [world.request("bob", "GET", path).status_code for path in ("metrics", log)] == [200, 403]
    world.grant(dataset, (READER, "bob"))
    assert world.request("bob", "GET", log).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("bob", 403), ("", 401), ("carl", 401)])
@pytest.mark.parametrize("tail", ["dicomWeb/studies", ":import", ":setIamPolicy"])
def test_bodies_are_refused_before_they_are_read(world: World, tail: str, who: str, status: int) -> None:
    """The answer comes although the client has sent nothing of the body that it has declared."""
    _, _, store = world.places()
    world.grant(store, (READER, "bob"))
    lines = [f"POST /v1/{store}{'' if tail[0] == ':' else '/'}{tail} HTTP/1.1", "Host: localhost"]
    lines += ["Content-Type: application/dicom", "Content-Length: 1000000"]
    lines += [f"Authorization: Bearer the-token-of-{who}"] if who else []
    with RawConnection(world.server) as connection:
        connection.send("\r\n".join([*lines, "", ""]).encode())
        answer = connection.receive(b"\n}\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"roles/healthcare.dicom" in answer or b"roles/owner" in answer) is (status == 403)
