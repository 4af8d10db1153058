"""What goes wrong, how often, and for which requests."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

STATUS = {
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "too many": (429, "TooManyRequests", "Slow down."),
    "internal": (500, "InternalError", "We encountered an internal error."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "expired": (403, "ExpiredToken", "The provided token has expired."),
    "skewed": (
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "gone": (404, "NoSuchKey", "The specified key does not exist."),
    "elsewhere": (301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint."),
    "not there": (501, "NotImplemented", "A header you provided implies functionality that is not implemented"),
    "locked": (403, "AccessDenied", "Object is WORM protected and cannot be overwritten"),
}
"""Answers with an error."""
BREAKS = ("reset", "cut", "flip", "lost answer", "stall")
"""No answer; half of a body; one wrong bit in a body; the request is carried out and not answered; a long silence."""
LISTINGS = ("unsorted", "repeated", "from the start", "partly failed", "partly slow", "replaced")


@dataclass(slots=True)
class Fault:
    """``kind`` is a key of STATUS, or one of BREAKS and LISTINGS. ``match``: a pattern for the start of "METHOD key".
    ``times``: how often in all, 0 for ever; ``share``: of the requests that match; ``once``: once a key."""

    kind: str
    match: str = ""
    times: int = 0
    share: float = 1.0
    seed: int = 0
    once: bool = False


class Faults:
    def __init__(self) -> None:
        self._active: list[tuple[Fault, re.Pattern[str], random.Random, set[str]]] = []
        self.met: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        assert fault.kind in (*STATUS, *BREAKS, *LISTINGS), fault.kind
        self._active.append((fault, re.compile(fault.match, re.DOTALL), random.Random(fault.seed), set()))

    def clear(self) -> None:
        self._active.clear()
        self.met.clear()

    def find(self, request: str) -> str:
        """The kind of fault that a request meets; "" for none."""
        for item in self._active:
            fault, pattern, chance, seen = item
            if not pattern.match(request) or chance.random() >= fault.share or (fault.once and request in seen):
                continue
            seen.add(request)
            if fault.times == 1:
                self._active.remove(item)
            fault.times -= fault.times > 0
            self.met[fault.kind] = self.met.get(fault.kind, 0) + 1
            return fault.kind
        return ""
