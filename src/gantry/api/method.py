"""What a method of the API is: its place, its permission, and the function that answers it."""

from __future__ import annotations

from typing import NamedTuple

from gantry.api.call import Handler
from gantry.api.web import WebHandler

BETA = ("v1beta1", "v1alpha2")


class ApiMethod(NamedTuple):
    """``id`` below ``healthcare.projects.locations.``; ``path`` below the version, ``*`` for an id, ``**`` for a path.

    Without a handler the method is known and answers UNIMPLEMENTED. ``permission`` is checked on the resource named.
    """

    id: str
    verb: str
    path: str
    permission: str
    handler: Handler | WebHandler | None = None
    versions: tuple[str, ...] = ("v1", *BETA)
