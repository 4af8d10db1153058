"""Conditions of requests that change something (RFC 9110 §13.1.1)."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.errors import PreconditionFailed

_SAFE = ("GET", "HEAD", "OPTIONS")


def require_unconditional(verb: str, headers: Mapping[str, str]) -> None:
    """A change that depends on an entity tag is not made, as nothing that can be changed has one.

    Raises PreconditionFailed.
    """
    if verb not in _SAFE and headers.get("if-match", "*").strip() != "*":
        raise PreconditionFailed(
            "If-Match names an entity tag, but changes cannot depend on one here; leave the header out, or send *"
        )
