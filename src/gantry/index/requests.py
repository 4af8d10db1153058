"""The requests that a series answers: the items of its RequestAttributesSequence (PS3.3 §C.7.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, delete

from gantry.index.statements import inserting
from gantry.index.tables import series_request
from gantry.json_text import parse_json
from gantry.matching import join_values

_SEQUENCE, _STEP, _PROCEDURE = "00400275", "00400009", "00401001"
_REQUESTS = inserting(series_request, *series_request.columns.keys())


def insert_requests(connection: Connection, store_id: int, members: Mapping[int, str]) -> None:
    """Rows for series that have none. ``members``: of ``SeriesAttributes``, by the number of the series."""
    _REQUESTS.run(
        connection,
        [(number, *each, store_id) for number, text in members.items() for each in list_requests(text)],
    )


def replace_requests(connection: Connection, store_id: int, series_id: int, before: str, after: str) -> None:
    """The rows of a series whose ``members`` were ``before``, and are ``after`` now."""
    if before != after and (_SEQUENCE in before or _SEQUENCE in after):
        connection.execute(delete(series_request).where(series_request.c.series_id == series_id))
        insert_requests(connection, store_id, {series_id: after})


def list_requests(members: str) -> list[tuple[str, str]]:
    """ScheduledProcedureStepID and RequestedProcedureID of each item that has one of them, each pair once, in order."""
    if _SEQUENCE not in members:  # nearly every series: it is not parsed
        return []
    try:
        items = parse_json(f"{{{members}}}").get(_SEQUENCE, {}).get("Value", ())
    except (ValueError, RecursionError):
        return []
    pairs = ((_join(item, _STEP), _join(item, _PROCEDURE)) for item in items if isinstance(item, dict))
    return list(dict.fromkeys(pair for pair in pairs if any(pair)))


def _join(item: Mapping[str, Any], tag: str) -> str:
    values: Iterable[Any] = item.get(tag, {}).get("Value", ())
    return join_values("" if value is None else str(value) for value in values)
