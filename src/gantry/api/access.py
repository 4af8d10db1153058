"""Who is calling, and whether they may: the one place where permissions are checked (spec §12, §1.19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gantry.api.attempts import FailedAttempts
from gantry.api.grants import GrantCache, Grants, allows
from gantry.api.parameters import OAUTH
from gantry.api.sessions import Sessions
from gantry.errors import PermissionDenied, Unauthenticated
from gantry.iam.conditions import Facts
from gantry.iam.policies import Principal
from gantry.iam.roles import PREDEFINED, Roles
from gantry.iam.sessions import Session
from gantry.names import DatasetName, DicomStoreName
from gantry.seams import Seams

_MAX_NAME = 1000  # characters in a message: the longest names that can exist have some 700
Resource = str | DatasetName | DicomStoreName
"""A project by its id, a dataset, a DICOM store."""

_TYPES = {
    str: "cloudresourcemanager.googleapis.com/Project",
    DatasetName: "healthcare.googleapis.com/Dataset",
    DicomStoreName: "healthcare.googleapis.com/DicomStore",
}


class Verifier(Protocol):
    """One way to tell who holds a token."""

    def authenticate(self, token: str) -> Principal | None:
        """None for a token of another kind. Raises Unauthenticated for one of this kind that is not good."""
        ...

    def recheck(self, credential: str) -> Principal | None:
        """Whom the credential of a principal stands for by now; None where it is gone, or of another kind."""
        ...


class SignIn(Protocol):
    """Signing in at somebody else's, by way of the browser."""

    def begin(self) -> tuple[str, tuple[str, ...]]:
        """The address to send the browser to, and what it keeps meanwhile. Raises Unavailable."""
        ...

    def finish(self, request: Sequence[str], query: Mapping[str, str]) -> Principal:
        """Who has come back. Raises Unauthenticated, Unavailable."""
        ...


class TokenEndpoint(Protocol):
    """Access tokens for what the fields of a form prove (RFC 6749 §3.2)."""

    def name_account(self, form: Mapping[str, str]) -> str:
        """Whom the form says that it is of, without proof; "" where it does not say."""
        ...

    def issue(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises InvalidArgument, Unauthenticated, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """``attempts`` counts wrong credentials. ``above`` is what a policy over all projects gives: somebody has to write
    the first one. ``sign_in`` is for browsers, where an issuer is set, and ``session_hours`` how long they are known
    then."""

    verifiers: Sequence[Verifier]
    sessions: Sessions
    attempts: FailedAttempts
    roles: Roles = field(default_factory=Roles)
    above: Grants = field(default_factory=dict)
    endpoint: TokenEndpoint | None = None
    sign_in: SignIn | None = None
    session_hours: int = 12
    grants: GrantCache = field(default_factory=GrantCache)

    def principal(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        for verifier in self.verifiers:
            if (found := verifier.authenticate(token)) is not None:
                return found
        raise Unauthenticated(
            "the credential of this request is not known here: the token is wrong, too old, or for somebody else"
        )

    def still(self, session: Session) -> Principal:
        """Who has begun a session, as they are now. Raises Unauthenticated where what they have shown is gone."""
        if not session.who.credential:
            return session.who
        for verifier in self.verifiers:
            found = verifier.recheck(session.who.credential)
            if found is not None and found.name == session.who.name:
                return found
        raise Unauthenticated("what this session was begun with is not good any more; sign in again")


def _token(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Empty where there is none. Raises Unauthenticated."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme and (scheme.lower() != "bearer" or not token.strip()):
        raise Unauthenticated("the Authorization header is not of the form Bearer TOKEN")
    return token.strip() or next((query[name] for name in OAUTH if query.get(name)), "")


class Caller:
    """Anybody, where nobody is asked: all is allowed."""

    name = ""

    def has(self, permission: str, resource: Resource) -> bool:
        return True

    def require(self, permission: str, resource: Resource) -> None:
        """Raises PermissionDenied, in the same words for what is not there."""
        if not self.has(permission, resource):
            roles = [role for role, held in PREDEFINED.items() if permission in held and role.count(".")]
            name = full_name(resource)[:_MAX_NAME]
            raise PermissionDenied(
                f"Permission '{permission}' denied on resource '{name}' (or it may not exist) for {self.name}; it "
                f"is part of {', '.join(roles) or 'roles/owner'}"
            )


ANYBODY = Caller()


class Known(Caller):
    """Somebody, with what the policies of a resource and of those above it allow."""

    def __init__(self, seams: Seams, access: Access, principal: Principal) -> None:
        self.name = principal.name
        self._seams, self._access, self._principal = seams, access, principal

    def has(self, permission: str, resource: Resource) -> bool:
        facts = Facts(datetime.now(UTC), full_name(resource), _TYPES[type(resource)])
        if self._is_given([self._access.above], permission, facts):
            return True  # without a query of the index
        policies = map(self._access.grants.read, self._seams.index.access.list_policies(resource))
        return self._is_given(list(policies), permission, facts)

    def _is_given(self, policies: Sequence[Grants], permission: str, facts: Facts) -> bool:
        return allows(policies, self._principal, permission, facts, self._access.roles)


def caller_of(
    access: Access | None, seams: Seams, verb: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> Caller:
    """By their token, else by the session of their browser. Raises Unauthenticated, PermissionDenied."""
    if access is None:
        return ANYBODY
    if token := _token(headers, query):
        return Known(seams, access, access.principal(token))
    if session := access.sessions.of(seams, verb, headers):
        return Known(seams, access, access.still(session))
    raise Unauthenticated(
        "this server asks who is calling, and the request does not say: send Authorization: Bearer TOKEN"
    )


def full_name(resource: Resource) -> str:
    return f"projects/{resource}" if isinstance(resource, str) else str(resource)


def resource_of(path: str, ids: Sequence[str]) -> Resource:
    """What a method's permission is checked on; ``path`` is that of the method table."""
    if "/dicomStores/*" in path:
        return DicomStoreName(*ids[:4])
    return DatasetName(*ids[:3]) if "/datasets/*" in path else ids[0]
