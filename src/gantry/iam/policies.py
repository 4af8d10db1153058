"""Policies: who has which role on a resource (spec §12.2)."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from gantry.errors import InvalidArgument
from gantry.iam.conditions import parse_condition
from gantry.iam.roles import Roles

MAX_BINDINGS, MAX_MEMBERS = 1500, 1500
"""In all bindings of a policy together, as in Cloud IAM (its page "Quotas and limits")."""
MAX_CONDITIONS = 250
MAX_CHARACTERS = 256 * 1024
"""Of a policy as JSON, which every call below its resource reads. 1,500 addresses of 100 characters fit."""
_MAX_TEXTS = {"expression": 4096, "title": 100, "description": 256, "location": 256}
"""Characters in the parts of a condition."""
EVERYBODY = "allAuthenticatedUsers"
_MEMBER = re.compile(r"(?:deleted:)?(user|serviceAccount|group|domain|principal|principalSet):[^\s\x00-\x1f]{1,500}")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. ``name`` is for people and logs; ``members`` are all members of policies that include the caller.

    ``credential`` names the token or key that was used, if it can be withdrawn; ``ends`` is when it expires, in seconds
    since 1970.
    """

    name: str
    members: frozenset[str]
    credential: str = field(default="", compare=False)
    ends: float = field(default=math.inf, compare=False)


def principal(member: str, groups: Iterable[str] = (), credential: str = "", ends: float = math.inf) -> Principal:
    """The caller ``user:EMAIL`` or ``serviceAccount:EMAIL``, who is in ``groups``."""
    member = fold_member(member)
    domain = f"domain:{member.rpartition('@')[2]}"
    return Principal(member, frozenset((member, domain, EVERYBODY, *map(fold_member, groups))), credential, ends)


@dataclass(frozen=True, slots=True)
class Condition:
    expression: str
    title: str = ""
    description: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    role: str
    members: tuple[str, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """``audit_configs`` are kept as they were sent."""

    bindings: tuple[Binding, ...] = ()
    audit_configs: tuple[Any, ...] = field(default=(), hash=False)

    @property
    def version(self) -> int:
        return 3 if any(each.condition for each in self.bindings) else 1

    def to_json(self) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        if self.bindings:
            answer = {"version": self.version, "bindings": [_write_binding(each) for each in self.bindings]}
        if self.audit_configs:
            answer["auditConfigs"] = list(self.audit_configs)
        return answer

    def to_text(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Policy:
        """The inverse of ``to_text``; "" is the empty policy."""
        value = json.loads(text or "{}")
        return cls(tuple(map(_read_binding, value.get("bindings", ()))), tuple(value.get("auditConfigs", ())))


def etag_of(text: str) -> str:
    """Of a policy as it is stored: 8 bytes in base64, as clients expect."""
    return base64.b64encode(blake2b(text.encode(), digest_size=8).digest()).decode()


def _write_binding(binding: Binding) -> dict[str, Any]:
    found: dict[str, Any] = {"role": binding.role, "members": list(binding.members)}
    if (condition := binding.condition) is not None:
        parts = {name: getattr(condition, name) for name in ("expression", "title", "description", "location")}
        found["condition"] = {name: text for name, text in parts.items() if text}
    return found


def _read_binding(value: dict[str, Any]) -> Binding:
    condition = value.get("condition")
    return Binding(value["role"], tuple(value["members"]), None if condition is None else Condition(**condition))


def check_bindings(bindings: Iterable[Binding], roles: Roles) -> tuple[Binding, ...]:
    """The bindings that have members. Raises InvalidArgument, which names what is wrong."""
    given = [each for each in bindings if each.members]
    if len(given) > MAX_BINDINGS or sum(len(each.members) for each in given) > MAX_MEMBERS:
        raise InvalidArgument(f"policy: has more than {MAX_BINDINGS} bindings or {MAX_MEMBERS} members")
    if sum(each.condition is not None for each in given) > MAX_CONDITIONS:
        raise InvalidArgument(f"policy: has more than {MAX_CONDITIONS} bindings with conditions")
    for binding in given:
        if binding.role not in roles:
            raise InvalidArgument(f"policy: there is no role {binding.role[:200]!r} for this resource")
        for member in binding.members:
            check_member(member)
        if binding.condition is not None:
            _check_condition(binding.condition)
    return tuple(replace(each, members=tuple(map(fold_member, each.members))) for each in given)


def _check_condition(condition: Condition) -> None:
    for name, most in _MAX_TEXTS.items():
        if len(getattr(condition, name)) > most:
            raise InvalidArgument(f"policy: the {name} of a condition has more than {most} characters")
    parse_condition(condition.expression)


def write_policy(policy: Policy) -> str:
    """The text to store. Raises InvalidArgument for a policy that is too large."""
    text = policy.to_text()
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgument(f"policy: has more than {MAX_CHARACTERS} characters as JSON")
    return text


def fold_member(member: str) -> str:
    """Case does not count in addresses and names of groups."""
    kind, colon, name = member.partition(":")
    return f"{kind}{colon}{name.lower()}" if kind in ("user", "serviceAccount", "group", "domain") else member


def check_member(member: str) -> None:
    """Raises InvalidArgument for a member that a policy cannot have."""
    if member == "allUsers":
        raise InvalidArgument("policy: allUsers is refused: images of patients are never public")
    if member != EVERYBODY and not _MEMBER.fullmatch(member):
        raise InvalidArgument(
            f"policy: {member[:200]!r} is not a member; write user:EMAIL, serviceAccount:EMAIL, group:NAME, "
            f"domain:DOMAIN or {EVERYBODY}"
        )
