"""Calls that are made again where PostgreSQL has ended their transaction because of another one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from gantry.index.refusals import Conflict

Given = ParamSpec("Given")
Result = TypeVar("Result")

MOST = 3
"""Times: the other transaction goes on at once, and is seldom met twice. After that the caller waits."""


def repeated(call: Callable[Given, Result]) -> Callable[Given, Result]:
    """For what reads in its transaction all that it depends on, and changes nothing else: each time it begins anew."""

    @wraps(call)
    def run(*args: Given.args, **kw: Given.kwargs) -> Result:
        for _ in range(MOST - 1):
            try:
                return call(*args, **kw)
            except Conflict:
                pass
        return call(*args, **kw)

    return run
