"""The grants of policies, cached after reading: every call needs those of its resource and of all above it."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from gantry.errors import InvalidArgument
from gantry.iam.conditions import Facts, parse_condition
from gantry.iam.policies import Binding, Policy, Principal
from gantry.iam.roles import Roles

logger = logging.getLogger(__name__)

MAX_CACHED_CHARACTERS = 16 << 20
"""Of the texts of the cached policies; their grants take some five times as much memory."""


class Grant(NamedTuple):
    """``holds`` is the condition, None if there is none."""

    role: str
    holds: Callable[[Facts], bool] | None


Grants = dict[str, tuple[Grant, ...]]
"""Member of policies → the grants of that member."""


def read_grants(policy: Policy) -> Grants:
    grants: dict[str, list[Grant]] = {}
    for binding in policy.bindings:
        grant = Grant(binding.role, _condition(binding))
        for member in dict.fromkeys(binding.members):
            grants.setdefault(member, []).append(grant)
    return {member: tuple(granted) for member, granted in grants.items()}


def _condition(binding: Binding) -> Callable[[Facts], bool] | None:
    """A condition that cannot be read, which an older version may have stored, is never true; the log reports it."""
    if binding.condition is None:
        return None
    try:
        return parse_condition(binding.condition.expression)
    except InvalidArgument as error:
        logger.error("a binding of role %s grants nothing: %s", binding.role[:200], error.message)
        return lambda facts: False


def allows(policies: Sequence[Grants], who: Principal, permission: str, facts: Facts, roles: Roles) -> bool:
    """Whether a binding of a resource's own policy, or of one above it, gives the permission."""
    return any(
        roles.grants(grant.role, permission) and (grant.holds is None or grant.holds(facts))
        for grants in policies
        for member in who.members & grants.keys()
        for grant in grants[member]
    )


class GrantCache:
    """Texts of policies → their grants; the least recently used are removed first. Thread-safe."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Grants] = OrderedDict()
        self._characters = 0
        self._lock = Lock()

    def read(self, text: str) -> Grants:
        with self._lock:
            if (found := self._held.get(text)) is not None:
                self._held.move_to_end(text)
                return found
        found = read_grants(Policy.from_text(text))
        with self._lock:
            self._keep(text, found)
        return found

    def _keep(self, text: str, grants: Grants) -> None:
        if text in self._held or len(text) > MAX_CACHED_CHARACTERS:
            return
        self._held[text] = grants
        self._characters += len(text)
        while self._characters > MAX_CACHED_CHARACTERS:
            self._characters -= len(self._held.popitem(last=False)[0])
