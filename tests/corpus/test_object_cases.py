"""Every key that only an object store can hold is imported as the corpus's table says, under exactly its name."""

from __future__ import annotations

import gzip
import posixpath
import re

import pytest

from tests.corpus.conftest import PROVIDERS, Place, files, rows
from tests.support.gantry import Gantry
from tests.support.server import counts

Row = dict[str, str]
CASES = rows("object-cases.csv") or [{"case": "", "object_key": "", "expected": ""}]
SURE = [row for row in CASES if row["expected"] == "ok"] or CASES
ODD = [row for row in SURE if row["object_key"] != posixpath.normpath(row["object_key"]).lstrip("/")] or CASES
GZIPPED = re.compile(r"\(gzip of (.*)\)")
pytestmark = pytest.mark.parametrize("place", PROVIDERS, indirect=True, scope="package")


def name_case(row: Row) -> str:
    return row["case"]


def content_key(row: Row) -> str:
    """The key in data/ of what is under the key of this row; nothing for an object without bytes."""
    found = GZIPPED.fullmatch(row["content_from"])
    return found[1] if found else row["content_from"]


def put(place: Place, address: str, row: Row) -> None:
    key, source = row["object_key"], content_key(row)
    data = files()[source] if source else b""
    if GZIPPED.fullmatch(row["content_from"]):
        place.buckets.put(address, {key: gzip.compress(data, mtime=0)}, "gzip")
    else:
        place.buckets.put(address, {key: data})


def put_alone(place: Place, row: Row) -> str:
    """The address of a bucket with this object only."""
    address = place.buckets.make_bucket()
    put(place, address, row)
    return address


def test_all_of_them_beside_the_files_that_they_are_made_of(gantry: Gantry, place: Place) -> None:
    """What is sure is a success without a second instance; what is doubtful is counted once at most."""
    address = place.buckets.make_bucket()
    contents = {content_key(row): files()[content_key(row)] for row in CASES if content_key(row)}
    place.buckets.put(address, contents)
    for row in CASES:
        put(place, address, row)
    done = gantry.import_(f"{address}/**")
    success, failure = counts(done)
    doubtful = {f"{address}/{row['object_key']}" for row in CASES if row["expected"] == "doubtful"}
    sure = len(contents) + len(SURE)
    assert sure <= success <= success + failure <= sure + len(doubtful)
    failed = [uri for uri, _ in gantry.server.failures(done["name"])]
    assert len(failed) == failure and set(failed) <= doubtful
    assert sorted(gantry.stored(buckets=place.buckets).values()) == sorted(contents.values())


@pytest.mark.parametrize("row", CASES, ids=name_case)
def test_one_alone_by_its_exact_address(gantry: Gantry, place: Place, row: Row) -> None:
    done = gantry.import_(f"{put_alone(place, row)}/{row['object_key']}")
    success, failure = counts(done)
    assert (success, failure) == (1, 0) if row["expected"] == "ok" else success + failure <= 1, done
    found = list(gantry.stored(buckets=place.buckets).values())
    assert found == ([files()[content_key(row)]] if success else [])


@pytest.mark.parametrize("row", SURE, ids=name_case)
def test_one_that_is_no_instance_is_a_failure_of_exactly_this_name(gantry: Gantry, place: Place, row: Row) -> None:
    address = place.buckets.make_bucket()
    place.buckets.put(address, {row["object_key"]: b"no DICOM"})
    done = gantry.import_(f"{address}/**")
    assert counts(done) == (0, 1)
    assert [uri for uri, _ in gantry.server.failures(done["name"])] == [f"{address}/{row['object_key']}"]


@pytest.mark.parametrize("row", ODD, ids=name_case)
def test_a_name_is_never_normalised(gantry: Gantry, place: Place, row: Row) -> None:
    """The name that a file system would make of it is the name of another object, which is not there."""
    other = posixpath.normpath(row["object_key"]).lstrip("/")
    done = gantry.import_(f"{put_alone(place, row)}/{other}")
    assert counts(done) == (0, 0) and done["error"]["code"] == 5


@pytest.mark.parametrize("row", SURE, ids=name_case)
def test_a_star_stands_for_one_segment_and_crosses_no_slash(gantry: Gantry, place: Place, row: Row) -> None:
    """A segment may be empty, or dots."""
    address, parts = put_alone(place, row), row["object_key"].split("/")
    for at in range(len(parts)):
        one = "/".join([*parts[:at], "*", *parts[at + 1 :]])
        assert counts(gantry.import_(f"{address}/{one}")) == (1, 0), one
        two = "/".join([*parts[:at], "*", *parts[at + 2 :]])
        if at + 1 < len(parts):
            assert counts(gantry.import_(f"{address}/{two}")) == (0, 0), two
