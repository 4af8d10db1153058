"""A job as a value: what was asked for, and what has become of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from gantry.errors import Internal, StatusError
from gantry.query_seams import Field

QUERY, EXTRACT = "query", "extract"
_ERRORS = {error.code.name: error for error in StatusError.__subclasses__()}


@dataclass(frozen=True, slots=True)
class Job:
    """``id`` is the client's or ours; ``caller`` is who made it, "" where nobody is known. ``config`` is what the
    client has asked for. Moments are seconds since 1970, 0 where they are to come. ``server`` runs it.

    Of a query that is done: ``fields``, ``rows``, the ``size`` of its result and what it has ``read`` in bytes, and the
    ``tables`` in it. Of an extract: ``rows``.
    """

    project: str
    id: str
    caller: str
    kind: str
    config: dict[str, Any]
    location: str = "US"
    server: str = ""
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    error: tuple[str, str, str] | None = None
    fields: tuple[Field, ...] = ()
    rows: int = 0
    size: int = 0
    read: int = 0
    tables: tuple[tuple[str, str, str], ...] = ()

    @property
    def state(self) -> str:
        return "DONE" if self.ended else "RUNNING" if self.started else "PENDING"

    def find_error(self) -> StatusError | None:
        """Why it failed."""
        if self.error is None:
            return None
        code, what, advice = self.error
        return _ERRORS.get(code, Internal)(what, advice=advice)


def dump(job: Job) -> bytes:
    return json.dumps(asdict(job)).encode()


def load(text: bytes) -> Job:
    """Raises ValueError for what is no job: nothing of them is synced, and another version has made it."""
    try:
        found = json.loads(text)
        found["fields"] = _load_fields(found["fields"])
        found["tables"] = tuple(map(tuple, found["tables"]))
        found["error"] = tuple(found["error"]) if found["error"] else None
        return Job(**found)
    except (KeyError, TypeError):
        raise ValueError("no job") from None


def _load_fields(fields: Any) -> tuple[Field, ...]:
    return tuple(Field(name, kind, mode, _load_fields(below)) for name, kind, mode, below in fields)


def tell(error: StatusError) -> tuple[str, str, str]:
    """What ``find_error`` makes an error of again."""
    return error.code.name, error.what, error.advice
