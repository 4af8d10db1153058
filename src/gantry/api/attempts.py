"""How many wrong credentials are accepted per minute: a limit per address and per account (OWASP ASVS 2.2.1).

A failure counts less as time passes: with 30 a minute, 30 may come at once and then one every 2 seconds. Valid
credentials are never counted. An account with too many failures is refused only to addresses that have failed
lately themselves; its owner, who calls from another address, is served.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from threading import Condition

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
        self._running: Counter[str] = Counter()  # key → blocks that have not ended
        self._changed = Condition()

    @contextmanager
    def watch(self, scope: Scope, account: str = "") -> Iterator[None]:
        """Count the block if it raises Unauthenticated. Raises ResourceExhausted after too many failures.

        Where blocks that run could still use up the limit, one more waits for them: many guesses at the same moment
        are no more than the limit, and none that may be right is refused because others are not finished.
        """
        if not self._limit:
            yield
            return
        keys = [_network(self._client(scope))] + ([_digest(account)] if account else [])
        self._begin(keys)
        is_wrong = False
        try:
            yield
        except Unauthenticated:
            is_wrong = True
            raise
        finally:
            self._end(keys, is_wrong)

    def _begin(self, keys: list[str]) -> None:
        with self._changed:
            self._require_few(keys)
            while self._worst([self._level(key) + self._running[key] for key in keys]) > self._limit - 1:
                self._changed.wait()
                self._require_few(keys)
            self._running.update(keys)

    def _end(self, keys: list[str], is_wrong: bool) -> None:
        with self._changed:
            if is_wrong:
                self._count(keys)
            self._running -= Counter(keys)  # this drops what is zero
            self._changed.notify_all()

    def _require_few(self, keys: list[str]) -> None:
        worst = self._worst([self._level(key) for key in keys])
        if worst > self._limit - 1:
            seconds = math.ceil((worst - self._limit + 1) * 60 / self._limit)
            error = ResourceExhausted(f"too many wrong credentials from this address; try again in {seconds} s")
            raise retry_later(error, seconds)

    @staticmethod
    def _worst(failures: list[float]) -> float:
        """Of an address and an account. The account counts only where the address has failures, too."""
        return max(failures) if failures[0] else 0.0

    def _count(self, keys: list[str]) -> None:
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
