"""What finds a series in a whole store, read from its ``members``: the requests that it answers, the items of its
RequestAttributesSequence (PS3.3 §C.7.3.1), and when its procedure step began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from sqlalchemy import Connection, delete

from gantry.index.statements import inserting
from gantry.index.tables import series_request
from gantry.json_text import parse_json
from gantry.matching import MAX_CODE, join_element, join_values

_SEQUENCE, _STEP, _PROCEDURE = "00400275", "00400009", "00401001"
START_TIME = "00400245"
_REQUESTS = inserting(series_request, *series_request.columns.keys())
_MOST_REQUESTS = 1000
"""Of one series. Both ids of an item have one value (PS3.6); one with several has a row for each pair of them."""
ID_CHARACTERS = MAX_CODE
"""Of an id in a key of the table: SH has 16 (PS3.5 §6.2), and keys of databases are limited."""


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
    """ScheduledProcedureStepID and RequestedProcedureID of each item that has one of them, each pair once, in order.

    Of several values each makes a pair: one of them must match (PS3.4 §C.2.2.2.1).
    """
    items = _list_values(_read_elements(members, _SEQUENCE), _SEQUENCE)
    pairs = (pair for item in items for pair in product(_list_ids(item, _STEP), _list_ids(item, _PROCEDURE)))
    return list(dict.fromkeys(pair for pair in islice(pairs, _MOST_REQUESTS) if any(pair)))


def read_start_time(members: str) -> str:
    """PerformedProcedureStepStartTime as the column of its name has it; "" where there is none."""
    element = _read_elements(members, START_TIME).get(START_TIME)
    return join_element(element)[:MAX_CODE] if isinstance(element, dict) and element.get("vr") != "SQ" else ""


def has_value(members: str, tag: str) -> bool:
    """Whether an element of a series has one, be it without a text."""
    return bool(_list_values(_read_elements(members, tag), tag))


def _read_elements(members: str, tag: str) -> dict[str, Any]:
    """The elements of a series; none where ``tag`` is not there, as in nearly every series, or they are no JSON."""
    if tag not in members:
        return {}
    try:
        found: dict[str, Any] = parse_json(f"{{{members}}}")
    except (ValueError, RecursionError):
        return {}
    return found


def _list_values(elements: Any, tag: str) -> list[Any]:
    """Nothing where something else stands in the place of an element: a damaged row has what was never written."""
    element = elements.get(tag) if isinstance(elements, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _list_ids(item: Any, tag: str) -> Iterable[str]:
    """The values of an id, or "" for none; without objects, which a VR that is none of a text has."""
    return list(_clean(_list_values(item, tag))) or [""]


def _clean(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if not isinstance(value, dict | list) and value is not None:
            yield join_values([str(value)])[:ID_CHARACTERS]
