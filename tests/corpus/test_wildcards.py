"""Every pattern of the corpus's table matches what the table says, and what it matches is counted and stored."""

from __future__ import annotations

import pytest

from tests.corpus.conftest import Place, rows
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import counts

TABLE = rows("wildcards.csv") or [{"pattern": "", "validity": ""}]
VALID = [row for row in TABLE if not row["validity"].startswith("invalid")]
INVALID = [row for row in TABLE if row not in VALID] or TABLE


@pytest.mark.parametrize("row", VALID, ids=lambda row: row["pattern"])
def test_pattern(gantry: Gantry, place: Place, corpus_address: str, row: dict[str, str]) -> None:
    """§6.1; doubtful files may be stored or refused, but are counted."""
    operation = gantry.import_(f"{corpus_address}/{row['pattern']}")
    success, failure = counts(operation)
    doubtful = int(row["doubtful"])
    assert success + failure == int(row["matched_files"])
    assert int(row["expected_success"]) <= success <= int(row["expected_success"]) + doubtful
    assert int(row["expected_failure"]) <= failure <= int(row["expected_failure"]) + doubtful
    assert len(gantry.server.failures(operation["name"])) == max(failure, success + failure == 0)
    assert ("error" in operation) == (failure > 0 or success == 0)
    distinct = int(row["distinct_instances_stored"])
    assert distinct <= len(gantry.stored(buckets=place.buckets)) <= distinct + doubtful


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row["pattern"])
def test_pattern_that_is_refused(gantry: Gantry, corpus_address: str, row: dict[str, str]) -> None:
    """§6.1"""
    body = {"gcsSource": {"uri": f"{corpus_address}/{row['pattern']}"}}
    refused(gantry.request("POST", f"v1/{gantry.store}:import", json=body), "INVALID_ARGUMENT")
    assert gantry.operations() == []
