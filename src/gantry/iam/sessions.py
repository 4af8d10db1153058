"""Sessions of browsers: somebody who has signed in, for some hours."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.iam.policies import Principal


@dataclass(frozen=True, slots=True)
class Session:
    """``ends`` is in seconds since 1970. What ``who.credential`` names must still be good whenever it is used."""

    who: Principal
    ends: int
