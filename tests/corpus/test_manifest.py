"""Every file of the corpus is stored or refused as its manifest says, and what is stored is what was there."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest

from tests.corpus.conftest import Place, files, rows
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

Row = dict[str, str]


class Round(NamedTuple):
    """One import of files with different UIDs into an empty store: each is judged as if it were alone."""

    store: str
    address: str
    files: list[Row]
    operation: Json
    failures: dict[str, Json]


def triple(row: Row) -> str:
    return "/".join((row["study_uid"], row["series_uid"], row["sop_uid"]))


def certain(row: Row) -> bool:
    return row["confidence"] != "doubtful"


@pytest.fixture(scope="module")
def rounds(world: Gantry, place: Place) -> list[Round]:
    """All files, those that share UIDs in different rounds."""
    parts: list[dict[str, Row]] = []
    for row in rows("manifest.csv"):
        identity = triple(row) if row["sop_uid"] else row["file"]
        part = next((part for part in parts if identity not in part), None)
        if part is None:
            parts.append(part := {})
        part[identity] = row
    return [run(world, place, f"round{number}", list(part.values())) for number, part in enumerate(parts)]


def run(world: Gantry, place: Place, name: str, found: list[Row]) -> Round:
    address, store = place.buckets.make_bucket(), world.new_store(name)
    place.buckets.put(address, {row["file"]: files()[row["file"]] for row in found})
    return Round(store, address, found, *import_all(world, address, store))


def import_all(world: Gantry, address: str, store: str) -> tuple[Json, dict[str, Json]]:
    """The operation, and its failures by key."""
    operation = world.import_(f"{address}/**", store=store)
    failures = {uri.removeprefix(f"{address}/"): status for uri, status in world.server.failures(operation["name"])}
    return operation, failures


def test_every_file_is_judged_as_the_manifest_says(rounds: list[Round]) -> None:
    wrong = {}
    for done in rounds:
        for row in filter(certain, done.files):
            outcome = "reject" if row["file"] in done.failures else "ok"
            if outcome != row["expected"]:
                message = done.failures.get(row["file"], {}).get("message", "stored")
                wrong[row["file"]] = f"{row['expected']} ({row['confidence']}, {row['rule']}: {row['why']}); {message}"
    assert wrong == {}


def test_every_file_is_counted_once(rounds: list[Round]) -> None:
    assert sum(len(done.files) for done in rounds) == len(rows("manifest.csv"))
    for done in rounds:
        success, failure = counts(done.operation)
        assert (success + failure, failure) == (len(done.files), len(done.failures))
        assert done.failures.keys() <= {row["file"] for row in done.files}


def test_refusals_are_invalid_arguments_that_say_why(rounds: list[Round]) -> None:
    """§6.2.4, §6.2.6"""
    for done in rounds:
        for row in filter(certain, done.files):
            status = done.failures.get(row["file"])
            assert status is None or (status["code"] == 3 and len(status["message"]) > 10), (row["file"], status)


@pytest.mark.slow
def test_what_comes_out_is_what_went_in(rounds: list[Round], world: Gantry, place: Place) -> None:
    """Byte for byte, under the UIDs of the dataset."""
    for done in rounds:
        found = world.stored(done.store, place.buckets)
        stored = {key: hashlib.sha256(data).hexdigest() for key, data in found.items()}
        expected = {triple(row): row["sha256"] for row in done.files if row["file"] not in done.failures}
        sure = {triple(row) for row in filter(certain, done.files)}
        assert len(stored) == len(expected)
        assert {key: stored.get(key) for key in expected if key in sure} == {
            key: digest for key, digest in expected.items() if key in sure
        }
        assert sorted(stored.values()) == sorted(expected.values())


@pytest.mark.slow
def test_a_second_import_of_everything_changes_nothing(rounds: list[Round], world: Gantry, place: Place) -> None:
    """§6.2.2: the same answer for every file, the doubtful ones too, and the same bytes in the store."""
    first = rounds[0]
    before = world.stored(first.store, place.buckets)
    again, failures = import_all(world, first.address, first.store)
    assert (counts(again), failures) == (counts(first.operation), first.failures)
    assert world.stored(first.store, place.buckets) == before
