"""One row of the method table: a method, its path, its permission and its handler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gantry.api.call import Handler
from gantry.api.web import WebHandler

BETA = ("v1beta1", "v1alpha2")


class ApiMethod(NamedTuple):
    """``id`` below ``healthcare.projects.locations.``; ``path`` below the version, ``*`` for an id, ``**`` for a path.

    A method without a handler answers UNIMPLEMENTED. ``permission`` is checked on the resource in the path. What
    ``is_added`` to the API is not there with ``strict_search``. ``query_ids`` are parameters that hold further ids, and
    ``audited`` is the path that has them, for the audit log.
    """

    id: str
    verb: str
    path: str
    permission: str
    handler: Handler | WebHandler | None = None
    versions: tuple[str, ...] = ("v1", *BETA)
    is_added: bool = False
    query_ids: tuple[str, ...] = ()
    audited: str = ""


def list_allowed(verbs: Sequence[str]) -> tuple[str, ...]:
    """What the header Allow has: HEAD comes with GET, and OPTIONS is always there (RFC 9110 §10.2.1)."""
    found = {*verbs, "OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())
    return tuple(verb for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") if verb in found)
