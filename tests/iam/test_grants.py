"""What policies give, and how many of them are kept in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.api import grants
from gantry.api.access import Access, Known
from gantry.api.attempts import FailedAttempts
from gantry.api.grants import GrantCache, allows, read_grants
from gantry.api.sessions import Sessions
from gantry.errors import InvalidArgument
from gantry.iam.conditions import Facts
from gantry.iam.policies import Binding, Condition, Policy, principal, write_policy
from gantry.iam.roles import Roles

FACTS = Facts(datetime(2026, 6, 1, tzinfo=UTC), "projects/p", "t")
ADA, GET = principal("user:ada@example.org", ["group:radiology"]), "healthcare.datasets.get"


def policy(*members: str, condition: str = "", role: str = "roles/viewer") -> Policy:
    return Policy((Binding(role, members, Condition(condition, "t") if condition else None),))


def may(*policies: Policy, permission: str = GET) -> bool:
    return allows([read_grants(each) for each in policies], ADA, permission, FACTS, Roles())


def test_what_a_policy_gives() -> None:
    for name in ("user:ada@example.org", "group:radiology", "domain:example.org", "allAuthenticatedUsers"):
        assert may(policy("user:bob@example.org", name))
        assert not may(policy(name), permission="healthcare.datasets.delete")
        assert not may(policy(name, condition="false")) and may(policy(name, condition="true"))
    assert not may(policy("user:bob@example.org")) and not may()
    assert may(policy("user:bob@example.org"), policy("group:radiology"))
    two = Policy((*policy("group:radiology", condition="false").bindings, *policy("group:radiology").bindings))
    assert may(two), "one binding that holds is enough"


def test_a_condition_that_is_not_understood_gives_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An older version may have taken it: the request is answered, and the log names the role."""
    assert not may(policy("group:radiology", condition='request.time < timestamp("0001-01-01T00:00:00+05:00")'))
    assert "roles/viewer grants nothing" in caplog.text


def test_a_policy_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, text = GrantCache(), policy("user:ada@example.org").to_text()
    read = []
    monkeypatch.setattr(grants, "read_grants", lambda policy: read.append(policy) or read_grants(policy))
    first = cache.read(text)
    assert cache.read(str(text.encode(), "utf-8")) is first and len(read) == 1
    assert cache.read(policy("user:bob@example.org").to_text()) is not first


def test_the_policies_that_are_kept_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert grants.MAX_CACHED_CHARACTERS == 16 << 20
    texts = [policy(f"user:{number:03}@example.org").to_text() for number in range(100)]
    monkeypatch.setattr(grants, "MAX_CACHED_CHARACTERS", 10 * len(texts[0]))
    cache = GrantCache()
    often = cache.read(texts[0])
    for text in texts:
        assert cache.read(texts[0]) is often, "the least recently used one goes first"
        cache.read(text)
    assert len(cache._held) == 10 and sum(map(len, cache._held)) == cache._characters
    assert texts[0] in cache._held and texts[1] not in cache._held
    assert cache.read(policy("user:" + "x" * 10_000).to_text()) and len(cache._held) == 10


@pytest.mark.parametrize("audits", [[{"service": "x" * 262_144}], [{}] * 90_000])
def test_what_a_policy_says_of_audits_counts_too(audits: list[Any]) -> None:
    with pytest.raises(InvalidArgument, match="more than 262144 characters"):
        write_policy(Policy(audit_configs=tuple(audits)))
    kept = Policy(audit_configs=({"service": "x" * 200_000},))
    assert Policy.from_text(write_policy(kept)) == kept


def test_what_is_given_above_all_needs_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of administrators' calls; for anybody else the policies are read, once per question."""
    asked: list[Any] = []

    def list_policies(name: Any) -> list[str]:
        asked.append(name)
        return [policy("group:radiology").to_text()]

    seams: Any = SimpleNamespace(index=SimpleNamespace(access=SimpleNamespace(list_policies=list_policies)))
    above = read_grants(policy("user:root@example.org", role="roles/owner"))
    access = Access([], Sessions("http://127.0.0.1"), FailedAttempts(30, lambda _: ""), above=above)
    admin = Known(seams, access, principal("user:root@example.org"))
    assert admin.has(GET, "p") and admin.has("healthcare.datasets.delete", "p") and asked == []
    ada = Known(seams, access, ADA)
    assert ada.has(GET, "p") and not ada.has("healthcare.datasets.delete", "p") and asked == ["p", "p"]
