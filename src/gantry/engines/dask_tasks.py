"""What the workers of Dask are asked to do. They are found by name, so they are the same in each version of Gantry."""

from __future__ import annotations

from gantry.engines.links import Report
from gantry.engines.local_calls import LocalCalls, hear_refusal

_kept: list[LocalCalls] = []  # those of this process; empty in one that `gantry worker` has not started


def keep(calls: LocalCalls) -> None:
    """This process is a worker of Gantry's from now on."""
    _kept[:] = [calls]


def run(number: str, message: bytes) -> bytes | Exception:
    return _kept[0].run(number, message)


def report() -> Report | None:
    return _kept[0].report() if _kept else None


def end(number: str) -> None:
    for calls in _kept:
        calls.end(number)


def refuse(version: str) -> None:
    hear_refusal(version)
