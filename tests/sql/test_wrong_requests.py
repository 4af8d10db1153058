"""Bodies of BigQuery's API that are JSON of another form, and values at the edges of what they may be."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.api.bigquery.wire import write_rows
from gantry.client.sql_rows import read_row
from gantry.query_seams import Field
from gantry.querying.text_rows import format_timestamp
from tests.support.server import GantryServer

QUERY = {"query": "SELECT 1", "useLegacySql": False}
ARRAY = {"type": "ARRAY", "arrayType": {"type": "INT64"}}


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("queries", {**QUERY, "defaultDataset": "x"}, "defaultDataset"),
        ("queries", {**QUERY, "queryParameters": 5}, "queryParameters"),
        ("queries", {**QUERY, "queryParameters": [1]}, "queryParameters"),
        ("queries", {**QUERY, "queryParameters": [{"parameterType": "x"}]}, "parameterType"),
        ("queries", {**QUERY, "queryParameters": [{"parameterType": {"type": "ARRAY", "arrayType": 3}}]}, "arrayType"),
        (
            "queries",
            {**QUERY, "queryParameters": [{"parameterType": ARRAY, "parameterValue": {"arrayValues": [1]}}]},
            "arrayValues",
        ),
        ("queries", {**QUERY, "formatOptions": "x"}, "formatOptions"),
        ("queries", {**QUERY, "destinationTable": [1]}, "destinationTable"),
        ("jobs", {"jobReference": "x", "configuration": {"query": QUERY}}, "jobReference"),
        ("jobs", {"configuration": {"extract": {"sourceTable": "x"}}}, "sourceTable"),
    ],
)
def test_what_is_no_object_is_named(server: GantryServer, path: str, body: Any, name: str) -> None:
    answer = server.request("POST", f"bigquery/v2/projects/p/{path}", json=body)
    assert answer.status_code == 400 and answer.json()["error"]["message"].startswith(f"{name}: must be ")


@pytest.mark.parametrize(
    ("micros", "seconds", "text"),
    [
        (-500_000, "-0.500000", "1969-12-31 23:59:59.5"),
        (-1_500_000, "-1.500000", "1969-12-31 23:59:58.5"),
        (1_500_000, "1.500000", "1970-01-01 00:00:01.5"),
        (0, "0.000000", "1970-01-01 00:00:00"),
        (-62_135_596_800_000_000, "-62135596800.000000", "0001-01-01 00:00:00"),
    ],
)
def test_a_timestamp(micros: int, seconds: str, text: str) -> None:
    (row,) = write_rows([Field("a", "TIMESTAMP")], [[micros]], {})
    assert row == {"f": [{"v": seconds}]} and format_timestamp(micros) == f"{text} UTC"
    field = {"name": "a", "type": "TIMESTAMP", "mode": "NULLABLE"}
    assert read_row([field], {"f": [{"v": str(micros)}]}) == [text.replace(" ", "T") + "Z"]
