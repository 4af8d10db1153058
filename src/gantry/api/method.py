"""One row of the method table: a method, its path, its permission and its handler."""

from __future__ import annotations

from typing import NamedTuple

from gantry.api.call import Handler
from gantry.api.web import WebHandler

BETA = ("v1beta1", "v1alpha2")


class ApiMethod(NamedTuple):
    """``id`` below ``healthcare.projects.locations.``; ``path`` below the version, ``*`` for an id, ``**`` for a path.

    A method without a handler answers UNIMPLEMENTED. ``permission`` is checked on the resource in the path.
    """

    id: str
    verb: str
    path: str
    permission: str
    handler: Handler | WebHandler | None = None
    versions: tuple[str, ...] = ("v1", *BETA)
