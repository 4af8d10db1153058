"""Who is calling, and what they may do: the one place where permissions are checked (spec §12, §1.19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from gantry.index_protocols import Index
from gantry.names import DatasetName, DicomStoreName
from gantry.seams import Seams

_MAX_NAME = 1000  # characters in a message: the longest names that can exist have some 700
Resource = str | DatasetName | DicomStoreName
"""A project by its id, a dataset, a DICOM store."""

_OF_OWNERS = "resourcemanager.projects.setIamPolicy"
_TYPES = {
    str: "cloudresourcemanager.googleapis.com/Project",
    DatasetName: "healthcare.googleapis.com/Dataset",
    DicomStoreName: "healthcare.googleapis.com/DicomStore",
}


class Verifier(Protocol):
    """One way to find out who holds a token."""

    def authenticate(self, token: str) -> Principal | None:
        """None for a token of another kind. Raises Unauthenticated for an invalid one of this kind."""
        ...

    def recheck(self, credential: str) -> Principal | None:
        """The principal of a credential as it is now; None if the credential was removed, or is of another kind."""
        ...


class SignIn(Protocol):
    """Signing in at an issuer with a browser."""

    def begin(self) -> tuple[str, tuple[str, ...]]:
        """The address to send the browser to, and what the browser must keep until it returns. Raises Unavailable."""
        ...

    def finish(self, request: Sequence[str], query: Mapping[str, str]) -> Principal:
        """The principal who has signed in. Raises Unauthenticated, Unavailable."""
        ...


class TokenEndpoint(Protocol):
    """Access tokens for what the fields of a form prove (RFC 6749 §3.2)."""

    def name_account(self, form: Mapping[str, str]) -> str:
        """The account that the form names, not verified; "" if it names none."""
        ...

    def issue(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises InvalidArgument, Unauthenticated, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """``attempts`` counts wrong credentials. ``above`` has the grants over all projects: without them nobody could
    write the first policy. ``sign_in`` is for browsers, if an issuer is set; ``session_hours`` is how long their
    sessions last. ``begin`` is to be called once the index is open, before the first request."""

    verifiers: Sequence[Verifier]
    sessions: Sessions
    attempts: FailedAttempts
    roles: Roles = field(default_factory=Roles)
    above: Grants = field(default_factory=dict)
    endpoint: TokenEndpoint | None = None
    sign_in: SignIn | None = None
    session_hours: int = 12
    grants: GrantCache = field(default_factory=GrantCache)
    begin: Callable[[Index], None] = lambda index: None

    def principal(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        for verifier in self.verifiers:
            if (found := verifier.authenticate(token)) is not None:
                return found
        raise Unauthenticated(
            "the credential of this request is not known here: the token is wrong, expired, or for another server"
        )

    def recheck(self, session: Session) -> Principal:
        """The principal of a session, as it is now. Raises Unauthenticated if its credential was removed."""
        if not session.who.credential:
            return session.who
        for verifier in self.verifiers:
            found = verifier.recheck(session.who.credential)
            if found is not None and found.name == session.who.name:
                return found
        raise Unauthenticated("the credential with which this session began is no longer valid; sign in again")


def _token(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The bearer token of a request, empty if it has none. Raises Unauthenticated."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme and (scheme.lower() != "bearer" or not token.strip()):
        raise Unauthenticated("the Authorization header is not of the form Bearer TOKEN")
    return token.strip() or next((query[name] for name in OAUTH if query.get(name)), "")


class Caller:
    """Any caller of a server without authentication: everything is allowed."""

    name = ""

    def has(self, permission: str, resource: Resource) -> bool:
        return True

    def has_by(self, policies: Sequence[str], permission: str, resource: Resource) -> bool:
        """As ``has``, by policies that were read before: those of the resource, and of all above it."""
        return True

    def require(self, permission: str, resource: Resource) -> None:
        """Raises PermissionDenied, with the same message for a resource that does not exist."""
        if not self.has(permission, resource):
            roles = [role for role, held in PREDEFINED.items() if permission in held and role.count(".")]
            name = full_name(resource)[:_MAX_NAME]
            raise PermissionDenied(
                f"Permission '{permission}' denied on resource '{name}' (or it may not exist) for {self.name}; it "
                f"is part of {', '.join(roles) or 'roles/owner'}"
            )

    @property
    def administers(self) -> bool:
        """Whether all of this server may be seen, not only resources of a project."""
        return True

    def require_administrator(self) -> None:
        """Raises PermissionDenied."""
        if not self.administers:
            raise PermissionDenied(
                f"only administrators of this server may see this, and {self.name} is none; the setting admins names "
                "them",
                advice="ask one of them to add you",
            )


ANYBODY = Caller()


class Known(Caller):
    """An authenticated caller: the policies of a resource and of those above it decide."""

    def __init__(self, seams: Seams, access: Access, principal: Principal) -> None:
        self.name = principal.name
        self._seams, self._access, self._principal = seams, access, principal

    def has(self, permission: str, resource: Resource) -> bool:
        if self.has_by((), permission, resource):
            return True  # without a query of the index
        return self.has_by(self._seams.index.access.list_policies(resource), permission, resource)

    def has_by(self, policies: Sequence[str], permission: str, resource: Resource) -> bool:
        facts = Facts(datetime.now(UTC), full_name(resource), _TYPES[type(resource)])
        grants = [self._access.above, *map(self._access.grants.read, policies)]
        return self._is_given(grants, permission, facts)

    @property
    def administers(self) -> bool:
        """By the setting ``admins``: no policy of a resource gives what is of the server as a whole."""
        facts = Facts(datetime.now(UTC), "", _TYPES[str])
        return self._is_given([self._access.above], _OF_OWNERS, facts)

    def _is_given(self, policies: Sequence[Grants], permission: str, facts: Facts) -> bool:
        return allows(policies, self._principal, permission, facts, self._access.roles)


def caller_of(
    access: Access | None, seams: Seams, verb: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> Caller:
    """The caller by the token, else by the browser's session. Raises Unauthenticated, PermissionDenied."""
    if access is None:
        return ANYBODY
    if token := _token(headers, query):
        return Known(seams, access, access.principal(token))
    if session := access.sessions.of(seams, verb, headers):
        return Known(seams, access, access.recheck(session))
    raise Unauthenticated(
        "this server needs to know who is calling, and the request does not say: send Authorization: Bearer TOKEN"
    )


def full_name(resource: Resource) -> str:
    return f"projects/{resource}" if isinstance(resource, str) else str(resource)


def resource_of(path: str, ids: Sequence[str]) -> Resource:
    """What a method's permission is checked on; ``path`` is that of the method table."""
    if "/dicomStores/*" in path:
        return DicomStoreName(*ids[:4])
    return DatasetName(*ids[:3]) if "/locations/*/datasets/*" in path else ids[0]
