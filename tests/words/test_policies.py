"""Policies as values: bounds, members, conditions, their text; and the roles spelt out once more."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from gantry.errors import InvalidArgument
from gantry.iam.policies import (
    MAX_BINDINGS,
    MAX_CONDITIONS,
    Binding,
    Condition,
    Policy,
    check_bindings,
    check_member,
    etag_of,
    principal,
    write_policy,
)
from gantry.iam.roles import PERMISSIONS, Roles

VIEWER = "roles/viewer"
CUSTOM = "projects/p/roles/reader"


def check(*bindings: Binding) -> tuple[Binding, ...]:
    return check_bindings(bindings, Roles())


def people(count: int) -> tuple[str, ...]:
    return tuple(f"user:u{number}@example.org" for number in range(count))


def refuse(words: str, *bindings: Binding) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(words)):
        check(*bindings)


def test_members_of_all_bindings_together_are_counted() -> None:
    half = Binding(VIEWER, people(750))
    assert check(half, half) == (half, half)
    refuse("1500 members", half, half, Binding(VIEWER, ("user:one@example.org",)))
    assert len(check(*[Binding(VIEWER, people(1))] * MAX_BINDINGS)) == MAX_BINDINGS == 1500
    assert check(*[Binding(VIEWER, ())] * 2000) == ()


def test_conditions_are_counted() -> None:
    one = Binding(VIEWER, people(1), Condition("true"))
    assert len(check(*[one] * MAX_CONDITIONS, Binding(VIEWER, people(1)))) == 251
    refuse("more than 250 bindings with conditions", *[one] * (MAX_CONDITIONS + 1))


@pytest.mark.parametrize(
    ("part", "most"), [("expression", 4096), ("title", 100), ("description", 256), ("location", 256)]
)
def test_the_parts_of_a_condition_have_so_many_characters_at_most(part: str, most: int) -> None:
    def having(length: int) -> Binding:
        parts = {"expression": "true"} | {part: "true".ljust(length)}
        return Binding(VIEWER, people(1), Condition(**parts))

    assert len(check(having(most))) == 1
    refuse(f"the {part} of a condition has more than {most} characters", having(most + 1))


def test_roles_and_conditions_are_those_that_there_are() -> None:
    refuse("there is no role 'roles/nobody'", Binding("roles/nobody", people(1)))
    refuse("condition: ", Binding(VIEWER, people(1), Condition("perhaps")))
    refuse("is not a member", Binding(VIEWER, ("somebody",)))


@pytest.mark.parametrize(
    "member",
    [
        *("user:a@b.org", "serviceAccount:a@b", "group:g", "domain:b.org", "principal:x", "principalSet:x"),
        *("deleted:user:a@b.org?uid=1", "allAuthenticatedUsers", "user:" + "x" * 500),
    ],
)
def test_members_that_a_policy_can_have(member: str) -> None:
    check_member(member)  # raises nothing: what it refuses comes next


@pytest.mark.parametrize(
    "member",
    [
        *("allUsers", "", "user:", "user", "User:a@b.org", "robot:x", "user:a b", "user:a\tb", "user:a\n", "user:a\0"),
        *("deleted:allUsers", "deleted:deleted:user:a", "allauthenticatedusers", "x user:a", "user:" + "x" * 501),
    ],
)
def test_members_that_no_policy_can_have(member: str) -> None:
    with pytest.raises(InvalidArgument, match="policy: "):
        check_member(member)  # raises nothing: what it refuses comes next


def test_case_counts_in_principals_alone() -> None:
    given = ("user:A@B", "serviceAccount:A@B", "group:G", "domain:B", "principal:X", "deleted:user:A", "principalSet:X")
    (found,) = check(Binding(VIEWER, given))
    folded = ("user:a@b", "serviceAccount:a@b", "group:g", "domain:b")
    assert found.members == (*folded, "principal:X", "deleted:user:A", "principalSet:X")


def test_a_caller_is_also_its_domain_its_groups_and_everybody() -> None:
    found = principal("user:Ann@Example.ORG", ["group:Readers"], "token-1", 7.0)
    own = {"user:ann@example.org", "domain:example.org", "group:readers", "allAuthenticatedUsers"}
    assert (found.name, found.members) == ("user:ann@example.org", own)
    assert (found.credential, found.ends) == ("token-1", 7.0)


@pytest.mark.parametrize(
    ("policy", "version"),
    [
        (Policy((Binding(VIEWER, people(2)),)), 1),
        (Policy((Binding(VIEWER, people(1), Condition("true", "t", "d", "l")), Binding("roles/owner", people(1)))), 3),
        (Policy((Binding(VIEWER, ("user:é@b",)),), ({"service": "x", "auditLogConfigs": [1]},)), 1),
        (Policy(audit_configs=({"service": "x"},)), 1),
        (Policy(), 1),
    ],
)
def test_a_policy_is_its_text(policy: Policy, version: int) -> None:
    text = write_policy(policy)
    assert Policy.from_text(text) == policy and policy.version == version
    assert ("version" in policy.to_json()) is bool(policy.bindings)
    assert text.isascii() is ("é" not in str(policy))
    assert Policy.from_text("") == Policy()


def test_a_condition_is_written_without_its_empty_parts() -> None:
    answer: dict[str, Any] = Policy((Binding(VIEWER, people(1), Condition("true", description="d")),)).to_json()
    assert answer["bindings"][0]["condition"] == {"expression": "true", "description": "d"}


def test_etags_are_eight_bytes_that_follow_the_text() -> None:
    assert len(base64.b64decode(etag_of("{}"), validate=True)) == 8
    assert etag_of("a") != etag_of("b") and etag_of("a") == etag_of("a")


@pytest.mark.parametrize(
    ("role", "granted", "refused"),
    [
        ("roles/viewer", "datasets.getIamPolicy dicomStores.dicomWebRead", "dicomStores.export operations.cancel"),
        ("roles/editor", "dicomStores.import operations.cancel", "datasets.setIamPolicy dicomStores.setIamPolicy"),
        ("roles/owner", "datasets.setIamPolicy dicomStores.setIamPolicy", ""),
        ("roles/healthcare.dicomViewer", "dicomStores.dicomWebRead dicomStores.export", "dicomStores.dicomWebWrite"),
        ("roles/healthcare.dicomEditor", "dicomStores.dicomWebDelete dicomStores.import", "dicomStores.delete"),
        ("roles/healthcare.datasetViewer", "datasets.get operations.get", "dicomStores.get operations.list"),
        ("roles/healthcare.dicomStoreAdmin", "dicomStores.dicomWebDelete", "dicomStores.dicomWebRead"),
    ],
)
def test_roles_grant_what_their_table_says(role: str, granted: str, refused: str) -> None:
    roles = Roles()
    for names, may in ((granted, True), (refused, False)):
        for name in names.split():
            assert f"healthcare.{name}" in PERMISSIONS
            assert roles.grants(role, f"healthcare.{name}") is may, name
    assert roles.grants(role, "resourcemanager.projects.setIamPolicy") is (role == "roles/owner")
    assert roles.grants(role, "resourcemanager.projects.get") and roles.grants(role, "healthcare.locations.list")
    logs = role in ("roles/viewer", "roles/editor", "roles/owner")
    assert roles.grants(role, "logging.logEntries.list") is logs
    assert not roles.grants("roles/gone", "healthcare.datasets.get") and "roles/gone" not in roles


def test_roles_of_the_settings_have_permissions_that_there_are() -> None:
    roles = Roles({CUSTOM: ["healthcare.datasets.get"], "organizations/o/roles/x": []})
    assert CUSTOM in roles and roles.grants(CUSTOM, "healthcare.datasets.get")
    assert not roles.grants(CUSTOM, "healthcare.datasets.list")
    for name in ("roles/reader", "projects/p/reader", "folders/f/roles/x"):
        with pytest.raises(InvalidArgument, match="must be named"):
            Roles({name: []})
    with pytest.raises(InvalidArgument, match=re.escape("there is no permission 'healthcare.datasets.fly'")):
        Roles({CUSTOM: ["healthcare.datasets.get", "healthcare.datasets.fly"]})


def test_a_caller_is_the_same_with_whatever_token() -> None:
    assert principal("user:a@b", (), "one", 1.0) == principal("user:A@B", (), "two", 2.0)
    assert principal("user:a@b") != principal("user:a@b", ["group:g"])
