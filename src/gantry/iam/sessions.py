"""Sessions of browsers that have signed in."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.iam.policies import Principal


@dataclass(frozen=True, slots=True)
class Session:
    """``ends`` is in seconds since 1970. Each use requires that ``who.credential`` is still valid."""

    who: Principal
    ends: int
