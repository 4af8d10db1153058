"""Who may do what, by person; and a change of it, which says first what it will do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.support.access import ADMIN, Guarded

PROJECT = "projects/p"
DATASET = f"{PROJECT}/locations/us-central1/datasets/d"
STORE = f"{DATASET}/dicomStores/s"
OWN = {"sec-fetch-site": "same-origin"}
VIEWER, EDITOR = "roles/healthcare.dicomViewer", "roles/healthcare.dicomEditor"
STORE_ADMIN, DATASET_ADMIN = "roles/healthcare.dicomStoreAdmin", "roles/healthcare.datasetAdmin"
UNTIL = {"title": "until 2040", "expression": 'request.time < timestamp("2040-01-01T00:00:00Z")'}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("access"), "vera", "sam", "dora", "nobody")
    made.call("POST", f"v1/{DATASET.rpartition('/')[0]}?datasetId=d")
    made.call("POST", f"v1/{DATASET}/dicomStores?dicomStoreId=s")
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


@pytest.fixture
def guarded(world: Guarded) -> Guarded:
    """Vera looks, Sam rules the store, Dora the dataset."""
    world.grant(STORE, (VIEWER, "vera"), (STORE_ADMIN, "sam"))
    world.grant(DATASET, (DATASET_ADMIN, "dora"), ("roles/healthcare.dicomStoreViewer", "dora"))
    return world


def read(guarded: Guarded, who: str, path: str) -> str:
    page = guarded.request(who, "GET", f"console/{path}", headers={"accept": "text/html"})
    assert page.status_code == 200, page.text
    return page.text


def said_of(page: str, name: str) -> str:
    """The row of a person as text."""
    found = [
        each
        for each in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
        if f'<strong translate="no">{name}</strong>' in each
    ]
    (row,) = found
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", row).split()))


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the form that saves."""
    form = re.findall(r'<form class="buttons" method="post".*?</form>', page, re.DOTALL)[0]
    return {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}


def give(guarded: Guarded, who: str, path: str, **asked: str) -> str:
    """The page that says what giving a role would do."""
    return read(guarded, who, f"{path}/access/change?{httpx.QueryParams(asked)}")


def save(guarded: Guarded, who: str, path: str, given: dict[str, str]) -> httpx.Response:
    return guarded.request(who, "POST", f"console/{path}/access/change", data=given, headers=OWN)


def test_each_person_has_what_they_may_do_in_words(guarded: Guarded) -> None:
    page = read(guarded, "sam", f"{STORE}/access")
    vera = said_of(page, "vera@example.org")
    assert "look at studies and images, export instances" in vera and "delete" not in vera and VIEWER in vera
    sam = said_of(page, "sam@example.org")
    assert "delete studies" in sam and "change who has access" in sam and "look at studies" not in sam


def test_what_comes_from_above_is_there_or_is_said_to_be_hidden(guarded: Guarded) -> None:
    assert "dora@example.org" not in (page := read(guarded, "sam", f"{STORE}/access"))
    assert "You may not see who has access through the dataset d" in page
    everything = read(guarded, ADMIN, f"{STORE}/access")
    assert "dataset d" in said_of(everything, "dora@example.org")
    assert "the setting admins" in said_of(everything, "ada@example.org")
    assert "delete studies" in said_of(everything, "ada@example.org")


def test_a_role_on_the_dataset_gives_what_it_gives_there(guarded: Guarded) -> None:
    page = read(guarded, "dora", f"{DATASET}/access")
    assert "change and delete the dataset" in said_of(page, "dora@example.org")
    assert "vera@example.org" not in page, "a role on a store is none on its dataset"


@pytest.mark.parametrize(("who", "role"), [("vera", STORE_ADMIN), ("nobody", STORE_ADMIN), ("", "")])
def test_who_may_not_see_it_is_told_which_role_to_ask_for(guarded: Guarded, who: str, role: str) -> None:
    page = guarded.request(who, "GET", f"console/{STORE}/access", headers={"accept": "text/html"})
    assert page.status_code == (403 if who else 303)
    assert role in page.text and "sam@example.org" not in page.text


def test_who_may_see_and_not_change_is_told(guarded: Guarded) -> None:
    guarded.grant(STORE, (VIEWER, "vera"), ("roles/viewer", "vera"))
    page = read(guarded, "vera", f"{STORE}/access")
    assert f"You may see who has access and not change it. That needs one of: {STORE_ADMIN}." in page
    assert "Give access" not in page and "Remove" not in page
    asked = guarded.request("vera", "GET", f"console/{STORE}/access/change?kind=user&name=x@y&role={EDITOR}")
    assert asked.status_code == 403
    given = {"do": "add", "member": "user:x@y", "role": EDITOR, "etag": ""}
    assert save(guarded, "vera", STORE, given).status_code == 403


def test_giving_says_first_what_it_does_and_then_does_it(guarded: Guarded) -> None:
    page = give(guarded, "sam", STORE, kind="user", name="Vera@Example.org", role=EDITOR)
    assert "vera@example.org will be able to:" in page
    gains = re.findall(r"<li>([^<]+)</li>", page.partition("will be able to:")[2])
    assert gains == ["import files", "upload and change instances", "delete studies"]
    assert "import" not in said_of(read(guarded, "sam", f"{STORE}/access"), "vera@example.org"), "not saved yet"
    answer = save(guarded, "sam", STORE, fields(page))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{STORE}/access")
    assert "import" in said_of(read(guarded, "sam", f"{STORE}/access"), "vera@example.org")
    policy = guarded.call("GET", f"v1/{STORE}:getIamPolicy")
    assert {"role": EDITOR, "members": ["user:vera@example.org"]} in policy["bindings"]
    assert guarded.request("vera", "GET", f"console/{STORE}/import").status_code == 200


def test_taking_says_what_is_lost_and_what_remains(guarded: Guarded) -> None:
    guarded.grant(STORE, (VIEWER, "vera"), (EDITOR, "vera"), (STORE_ADMIN, "sam"))
    page = give(guarded, "sam", STORE, do="remove", member="user:vera@example.org", role=EDITOR)
    assert "will no longer be able to:" in page and "What remains:" in page
    loses = re.findall(r"<li>([^<]+)</li>", page.partition("no longer be able to:")[2])
    assert loses == ["import files", "upload and change instances", "delete studies"]
    assert save(guarded, "sam", STORE, fields(page)).status_code == 303
    policy = guarded.call("GET", f"v1/{STORE}:getIamPolicy")
    assert EDITOR not in str(policy) and VIEWER in str(policy)


def test_what_another_binding_gives_as_well_changes_nothing(guarded: Guarded) -> None:
    page = give(guarded, "sam", STORE, kind="user", name="vera@example.org", role=VIEWER)
    assert "it is so already" in page and "disabled" in page
    page = give(guarded, "sam", STORE, kind="user", name="vera@example.org", role="roles/viewer")
    assert "will be able to:" in page and "see who has access" in page


def test_nobody_changes_a_policy_that_was_changed_meanwhile(guarded: Guarded) -> None:
    page = give(guarded, "sam", STORE, kind="user", name="new@example.org", role=EDITOR)
    guarded.grant(STORE, (VIEWER, "nobody"), (STORE_ADMIN, "sam"))
    answer = save(guarded, "sam", STORE, fields(page))
    assert answer.status_code == 409 and "the policy was changed since" in answer.text
    assert "new@example.org" not in str(guarded.call("GET", f"v1/{STORE}:getIamPolicy"))
    assert save(guarded, "sam", STORE, fields(answer.text)).status_code == 303, "once it was looked at again"


def test_who_takes_the_right_from_oneself_is_warned(guarded: Guarded) -> None:
    page = give(guarded, "sam", STORE, do="remove", member="user:sam@example.org", role=STORE_ADMIN)
    assert "You take the right to change access from yourself." in page
    page = give(guarded, ADMIN, STORE, do="remove", member="user:sam@example.org", role=STORE_ADMIN)
    assert "from yourself" not in page


def test_a_condition_stays_as_it_is_and_is_said(guarded: Guarded) -> None:
    bindings = [
        {"role": EDITOR, "members": ["user:vera@example.org", "user:guest@example.org"], "condition": UNTIL},
        {"role": EDITOR, "members": ["user:guest@example.org"]},
    ]
    guarded.call("POST", f"v1/{STORE}:setIamPolicy", json={"policy": {"version": 3, "bindings": bindings}})
    assert "Under the condition “until 2040”: look at" in said_of(
        read(guarded, ADMIN, f"{STORE}/access"), "vera@example.org"
    )
    asked = {"do": "remove", "member": "user:guest@example.org", "role": EDITOR}
    page = give(guarded, ADMIN, STORE, **asked, condition=UNTIL["expression"])
    assert "other roles give the same, or the role has a condition" in page
    assert save(guarded, ADMIN, STORE, fields(page)).status_code == 303
    found = guarded.call("GET", f"v1/{STORE}:getIamPolicy")["bindings"]
    assert found == [bindings[0] | {"members": ["user:vera@example.org"]}, bindings[1]]
    page = give(guarded, ADMIN, STORE, kind="user", name="new@example.org", role=EDITOR)
    assert save(guarded, ADMIN, STORE, fields(page)).status_code == 303
    found = guarded.call("GET", f"v1/{STORE}:getIamPolicy")["bindings"]
    assert found[1]["members"] == ["user:guest@example.org", "user:new@example.org"] and "condition" not in found[1]


@pytest.mark.parametrize(
    ("kind", "name", "role", "words"),
    [
        ("user", "", EDITOR, "is not a member"),
        ("user", "a b", EDITOR, "is not a member"),
        ("user", "x@example.org", "", "choose what the person may do"),
        ("user", "x@example.org", "roles/none", "choose what the person may do"),
        ("", "", EDITOR, "is not a member"),
    ],
)
def test_what_cannot_be_given_is_said_beside_the_form(
    guarded: Guarded, kind: str, name: str, role: str, words: str
) -> None:
    asked = httpx.QueryParams({"kind": kind, "name": name, "role": role})
    page = guarded.request("sam", "GET", f"console/{STORE}/access/change?{asked}")
    assert page.status_code == 400 and words in unescape(page.text) and 'id="give"' in page.text


def test_everybody_who_signs_in_and_a_project(guarded: Guarded) -> None:
    page = give(guarded, ADMIN, PROJECT, kind="allAuthenticatedUsers", name="", role="roles/healthcare.datasetViewer")
    assert "It holds for everything in the project p." in page
    assert save(guarded, ADMIN, PROJECT, fields(page)).status_code == 303
    assert "Everybody who signs in" in read(guarded, ADMIN, f"{PROJECT}/access")
    assert guarded.request("sam", "GET", f"console/{PROJECT}/access").status_code == 403
    guarded.grant(PROJECT)


def test_many_people_are_searched_and_shown_by_pages(guarded: Guarded) -> None:
    members = [f"user:p{number:04d}@example.org" for number in range(1200)]
    binding = {"role": VIEWER, "members": members}
    guarded.call("POST", f"v1/{STORE}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    page = read(guarded, ADMIN, f"{STORE}/access")
    assert len(page) < 100_000 and "p0000@" in page and "p0500@" not in page
    assert "p0500@" in read(guarded, ADMIN, f"{STORE}/access?q=P05") and "Nobody found" in read(
        guarded, ADMIN, f"{STORE}/access?q=none-of-them"
    )
    seen = re.findall(r'<strong translate="no">(p\d+)@', read(guarded, ADMIN, f"{STORE}/access?page=2"))
    assert seen[0] == "p0048", "behind 48 others, Dora and the administrator"


def test_all_places_and_who_administers(guarded: Guarded) -> None:
    page = read(guarded, ADMIN, "access")
    assert f"/console/{DATASET}/access" in page and "ada@example.org" in page and f"/console/{PROJECT}/access" in page
    some = read(guarded, "dora", "access")
    assert f"/console/{DATASET}/access" in some and "Only they may see who they are." in some
    assert "ada@example.org" not in some and f"/console/{PROJECT}/access" not in some
    none = read(guarded, "nobody", "access")
    assert "There is no dataset that you may see." in none and "roles/healthcare.datasetViewer" in none


def test_another_site_changes_nothing(guarded: Guarded) -> None:
    client = httpx.Client(base_url=guarded.server.url, timeout=30)
    client.post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=OWN)
    given = fields(give(guarded, ADMIN, STORE, kind="user", name="evil@example.org", role=EDITOR))
    path = f"/console/{STORE}/access/change"
    assert client.post(path, data=given, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert "evil" not in str(guarded.call("GET", f"v1/{STORE}:getIamPolicy"))
