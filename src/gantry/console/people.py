"""Who may do what on a resource, by person: what all policies that hold there give to each member, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gantry.iam.policies import EVERYBODY
from gantry.iam.roles import Roles
from gantry.languages import N_, _

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    N_("see that it is there"): ("datasets.get", "dicomStores.get"),
    N_("look at studies and images"): ("dicomStores.dicomWebRead",),
    N_("import files"): ("dicomStores.import",),
    N_("export instances"): ("dicomStores.export",),
    N_("upload and change instances"): ("dicomStores.dicomWebWrite", "dicomStores.dicomWebUpdate"),
    N_("delete studies"): ("dicomStores.dicomWebDelete",),
    N_("see operations"): ("operations.get", "operations.list"),
    N_("create, change and delete DICOM stores"): (
        "dicomStores.create",
        "dicomStores.update",
        "dicomStores.delete",
    ),
    N_("change and delete the dataset"): ("datasets.update", "datasets.delete"),
    N_("see who has access"): ("datasets.getIamPolicy", "dicomStores.getIamPolicy"),
    N_("change who has access"): ("datasets.setIamPolicy", "dicomStores.setIamPolicy"),
}
"""Words → the permissions below ``healthcare.`` of which any one gives a part of it, on the resources that have it."""

MINOR = frozenset(("see that it is there", "see operations", "see who has access"))
"""Said where nothing else can be: who may do more may nearly always do these, too."""

KINDS = {
    "user": N_("Person"),
    "serviceAccount": N_("Service account"),
    "group": N_("Group"),
    "domain": N_("Domain"),
    EVERYBODY: N_("Everybody who signs in"),
}


class Given(NamedTuple):
    """A role that a member has. ``level`` is where, as an index of the policies; ``condition`` is that of the binding,
    as the API shows it. ``gives``: capabilities, not translated."""

    level: int
    role: str
    condition: Mapping[str, str] | None = None
    gives: tuple[str, ...] = ()


@dataclass(slots=True)
class Person:
    """``can`` are capabilities that hold now and always; ``given`` are the roles that they come from."""

    member: str
    given: list[Given] = field(default_factory=list)
    can: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return _(KINDS[EVERYBODY]) if self.member == EVERYBODY else self.member.partition(":")[2]

    @property
    def kind(self) -> str:
        if self.member == EVERYBODY:
            return ""
        kind = self.member.partition(":")[0]
        return _(KINDS[kind]) if kind in KINDS else kind


def list_people(policies: Sequence[Mapping[str, Any]], roles: Roles, kind: str) -> list[Person]:
    """Everybody whom a policy names, in the order of names. ``policies`` are JSON of the API, of the resource itself
    first, then of those above; ``kind`` is ``datasets`` or ``dicomStores``."""
    people: dict[str, Person] = {}
    for level, policy in enumerate(policies):
        for binding in policy.get("bindings", ()):
            gives = find_capabilities((binding["role"],), roles, kind)
            given = Given(level, binding["role"], binding.get("condition"), gives)
            for member in dict.fromkeys(binding.get("members", ())):
                people.setdefault(member, Person(member)).given.append(given)
    for person in people.values():
        person.can = find_capabilities((each.role for each in person.given if not each.condition), roles, kind)
    return sorted(people.values(), key=lambda each: (each.name, each.member))


def find_capabilities(held: Iterable[str], roles: Roles, kind: str) -> tuple[str, ...]:
    """What all these roles give together, in the order of ``CAPABILITIES``, not translated."""
    names = tuple(held)
    return tuple(
        words
        for words, permissions in CAPABILITIES.items()
        if any(roles.grants(role, f"healthcare.{each}") for each in _choose(permissions, kind) for role in names)
    )


def _choose(permissions: Sequence[str], kind: str) -> Sequence[str]:
    """Those about the resource itself where there are such: a role may give the dataset and not its stores. No store
    has those of datasets."""
    own = [each for each in permissions if each.startswith(f"{kind}.")]
    return own or [each for each in permissions if not (kind == "dicomStores" and each.startswith("datasets."))]


def say(capabilities: Iterable[str]) -> list[str]:
    """In the language of the call."""
    return [_(each) for each in capabilities]


def summarize(capabilities: Sequence[str]) -> str:
    """In the language of the call, without what goes without saying."""
    return ", ".join(say([each for each in capabilities if each not in MINOR] or capabilities))


def list_roles(roles: Roles, kind: str) -> list[tuple[str, tuple[str, ...]]]:
    """(role, what it gives) of the roles that give something, those with the least first."""
    found = [(role, find_capabilities((role,), roles, kind)) for role in roles.names]
    return sorted((each for each in found if set(each[1]) - MINOR), key=lambda each: (len(each[1]), each[0]))


# Changes --------------------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """``member`` gets a role, or loses it with exactly this ``condition`` (its expression, "" for none)."""

    adds: bool
    member: str
    role: str
    condition: str = ""


def apply(policy: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The policy with a change; other bindings stay as they are."""
    bindings = [dict(each, members=list(each.get("members", ()))) for each in policy.get("bindings", ())]
    same = [each for each in bindings if each["role"] == change.role and _expression(each) == change.condition]
    if change.adds:
        if not same:
            bindings.append({"role": change.role, "members": [change.member]})
        elif change.member not in same[0]["members"]:
            same[0]["members"].append(change.member)
    else:
        for each in same:
            each["members"] = [member for member in each["members"] if member != change.member]
    return {**policy, "bindings": [each for each in bindings if each["members"]]}


def _expression(binding: Mapping[str, Any]) -> str:
    return str((binding.get("condition") or {}).get("expression", ""))


class Effect(NamedTuple):
    """What a member ``gains`` and ``loses``, of capabilities; ``has`` are those afterwards."""

    gains: tuple[str, ...]
    loses: tuple[str, ...]
    has: tuple[str, ...]


def find_effect(
    policies: Sequence[Mapping[str, Any]], changed: Mapping[str, Any], member: str, roles: Roles, kind: str
) -> Effect:
    """What changes for a member where ``changed`` takes the place of the first of the policies."""
    before = _find(policies, member, roles, kind)
    after = _find([changed, *policies[1:]], member, roles, kind)
    gains = tuple(each for each in after if each not in before)
    return Effect(gains, tuple(each for each in before if each not in after), after)


def _find(policies: Sequence[Mapping[str, Any]], member: str, roles: Roles, kind: str) -> tuple[str, ...]:
    return next((each.can for each in list_people(policies, roles, kind) if each.member == member), ())
