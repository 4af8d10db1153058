"""How many wrong credentials are accepted per minute: a limit per address and per account (OWASP ASVS 2.2.1).

A failure counts less as time passes: with 30 a minute, 30 may come at once and then one every 2 seconds. Valid
credentials are never counted. An account with too many failures is refused only to addresses that have failed
lately themselves; its owner, who calls from another address, is served.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from threading import Lock

from starlette.types import Scope

from gantry.errors import ResourceExhausted, Unauthenticated, retry_later

MAX_KEYS = 10_000
"""Addresses and accounts that are remembered, in a few MB; those that failed longest ago are forgotten first."""
_NETWORK_BITS = 64  # of IPv6: one customer of a provider has at least such a network (RFC 6177)


class FailedAttempts:
    """``per_minute`` is 0 for no limit. ``client`` returns the address behind trusted proxies. Thread-safe."""

    def __init__(
        self, per_minute: int, client: Callable[[Scope], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._client, self._clock = per_minute, client, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key → failures, time of the last
        self._lock = Lock()

    @contextmanager
    def watch(self, scope: Scope, account: str = "") -> Iterator[None]:
        """Count the block if it raises Unauthenticated. Raises ResourceExhausted after too many failures."""
        keys = [_network(self._client(scope))] + ([_digest(account)] if account else [])
        if self._limit:
            self._require_few(keys)
        try:
            yield
        except Unauthenticated:
            self._count(keys)
            raise

    def _require_few(self, keys: list[str]) -> None:
        with self._lock:
            own, *others = map(self._level, keys)
        worst = max([own, *others]) if own else 0.0
        if worst > self._limit - 1:
            seconds = math.ceil((worst - self._limit + 1) * 60 / self._limit)
            error = ResourceExhausted(f"too many wrong credentials from this address; try again in {seconds} s")
            raise retry_later(error, seconds)

    def _count(self, keys: list[str]) -> None:
        with self._lock:
            for key in keys:
                self._levels[key] = (self._level(key) + 1, self._clock())
                self._levels.move_to_end(key)
            while len(self._levels) > MAX_KEYS:
                self._levels.popitem(last=False)

    def _level(self, key: str) -> float:
        failures, when = self._levels.get(key, (0.0, 0.0))
        return max(0.0, failures - (self._clock() - when) * self._limit / 60)


def _network(text: str) -> str:
    """An IPv4 address, also one that is written as IPv6; of an IPv6 address its network."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text[:100]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{int(address) >> (128 - _NETWORK_BITS):x}::"
        address = address.ipv4_mapped
    return str(address)


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode("utf-8", "surrogateescape")).hexdigest()
