"""Series found in a store by when their procedure step began and by their requests, however many have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gantry.index import searching
from gantry.index.requests import has_value, list_requests, read_start_time
from gantry.index.sql import SqlIndex
from gantry.names import ResourcePath
from gantry.queries import Level, Match, Operator, Query
from gantry.resources import DicomStore, SeriesAttributes
from tests.index.test_sqlite import plans
from tests.index.test_sqlite_searching import grows
from tests.index.values import STORE, item, said

SERIES = 120
Pairs = list[tuple[str, str]]


def requests_of(number: int) -> Pairs:
    """None, one, or two items."""
    return [(f"S{number % 7}", f"R{number % 5}"), (f"S{number % 3}", "")][: number % 3]


def write_members(pairs: Pairs) -> str:
    tags = ("00400009", "00401001")
    items = [
        {tag: {"vr": "SH", "Value": [text]} for tag, text in zip(tags, pair, strict=True) if text} for pair in pairs
    ]
    return f'"00400275":{json.dumps({"vr": "SQ", "Value": items})}' if pairs else ""


def attributes(number: int) -> SeriesAttributes:
    date = f"202401{1 + number % 28:02d}" if number % 4 else ""
    time = f"{number % 24:02d}15" if number % 5 else ""
    return SeriesAttributes("CT", start_date=date, start_time=time, members=write_members(requests_of(number)))


@pytest.fixture
def filled(index: SqlIndex, store: DicomStore) -> SqlIndex:
    each = (said(item(number, "1.2", f"5.{number:03d}"), series=attributes(number)) for number in range(SERIES))
    index.uploads.store_instances(store.id, list(each))
    return index


sqlite_alone = pytest.mark.parametrize("index", ["sqlite"], indirect=True)
"""For its plans; those of PostgreSQL have tests of their own."""


def within(text: str, first: str, last: str) -> bool:
    return bool(text) and first <= text[: len(first)] and (not last or text[: len(last)] <= last)


RANGE, EQUALS, WILDCARD = Operator.RANGE, Operator.EQUALS, Operator.WILDCARD
DATE, TIME, STEP, PROCEDURE = "start_date", "start_time", "scheduled_step_id", "requested_procedure_id"
CASES: list[tuple[tuple[tuple[str, Operator, tuple[str, ...]], ...], Callable[[int], bool]]] = [
    (((DATE, RANGE, ("20240105", "20240107")),), lambda n: within(attributes(n).start_date, "20240105", "20240107")),
    (((DATE, RANGE, ("20240120", "")),), lambda n: within(attributes(n).start_date, "20240120", "")),
    (((TIME, RANGE, ("08", "10")),), lambda n: within(attributes(n).start_time, "08", "10")),
    (
        ((TIME, RANGE, ("0915", "0915")), (DATE, RANGE, ("", "20240120"))),
        lambda n: attributes(n).start_time == "0915" and within(attributes(n).start_date, "", "20240120"),
    ),
    (((STEP, EQUALS, ("S1",)),), lambda n: any(pair[0] == "S1" for pair in requests_of(n))),
    (((PROCEDURE, EQUALS, ("R3",)),), lambda n: any(pair[1] == "R3" for pair in requests_of(n))),
    (((STEP, WILDCARD, ("s?",)),), lambda n: bool(requests_of(n))),
    (((STEP, EQUALS, ("S1",)), (PROCEDURE, EQUALS, ("R1",))), lambda n: ("S1", "R1") in requests_of(n)),
    (
        ((STEP, WILDCARD, ("*2",)), (DATE, RANGE, ("20240101", "20240115"))),
        lambda n: any(pair[0] == "S2" for pair in requests_of(n)) and within(attributes(n).start_date, "", "20240115"),
    ),
]


def search(*matches: tuple[str, Operator, tuple[str, ...]], **how: Any) -> Query:
    made = tuple(Match(Level.SERIES, *match) for match in matches)
    return Query(how.pop("level", Level.SERIES), ResourcePath(""), made, **{"limit": 1000} | how)


def _name(value: Any) -> str:
    """A function has no name of its own: its address is another one in each process."""
    return "" if callable(value) else str(value)


@pytest.mark.parametrize("few", [-1, 5, 2000])
@pytest.mark.parametrize(("matches", "fits"), CASES, ids=_name)
def test_the_same_is_found_whether_few_have_it_or_many(
    filled: SqlIndex, monkeypatch: pytest.MonkeyPatch, few: int, matches: Any, fits: Callable[[int], bool]
) -> None:
    monkeypatch.setattr(searching, "FEW", dict.fromkeys(searching.FEW, few))
    wanted = [f"5.{number:03d}" for number in range(SERIES) if fits(number)]
    assert wanted
    assert [row.series_instance_uid for row in filled.search.search_series(STORE, search(*matches))] == wanted
    found = filled.search.search_instances(STORE, search(*matches, level=Level.INSTANCE))
    assert [row.series_instance_uid for row in found] == wanted
    page = filled.search.search_series(STORE, search(*matches, limit=2, offset=1))
    assert [row.series_instance_uid for row in page] == wanted[1:3]


INDEXES = {DATE: "series_start", TIME: "series_start", STEP: "request_scheduled_step", PROCEDURE: "request_procedure"}


@sqlite_alone
@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
@pytest.mark.parametrize("matches", [case[0] for case in CASES], ids=str)
def test_what_few_have_is_looked_up(filled: SqlIndex, level: Level, matches: Any) -> None:
    with plans(filled) as steps:
        _find(filled, level)(STORE, search(*matches, level=level))
    assert grows(steps) in ([], ["SCAN counted"], ["SCAN counted"] * 2)  # which has an end: FEW
    wanted = {"request_" if operator is WILDCARD else INDEXES[field] for field, operator, _ in matches}
    assert any(f" INDEX {index}" in step for step in steps for index in wanted)
    assert not [step for step in steps if "SEARCH series USING INDEX series_store_uid" in step]


@sqlite_alone
@pytest.mark.parametrize("level", [Level.SERIES, Level.INSTANCE])
@pytest.mark.parametrize("matches", [case[0] for case in CASES], ids=str)
def test_what_many_have_is_read_in_the_order_of_the_answer(
    filled: SqlIndex, monkeypatch: pytest.MonkeyPatch, level: Level, matches: Any
) -> None:
    monkeypatch.setattr(searching, "FEW", dict.fromkeys(searching.FEW, -1))
    with plans(filled) as steps:
        _find(filled, level)(STORE, search(*matches, level=level))
    assert grows(steps) in ([], ["SCAN counted"], ["SCAN counted"] * 2)  # which has an end: FEW
    assert [step for step in steps if "B-TREE" in step] == []


@sqlite_alone
def test_the_series_of_a_day_are_looked_up(index: SqlIndex, store: DicomStore) -> None:
    """Their UIDs may be the last ones of the store: read in the order of the answer, they would be found at its end."""
    days = [SeriesAttributes("CT", start_date=day) for day in ("20240101", "20240102")]
    each = [said(item(n, "1.2", f"5.{n:05d}"), series=days[n > 3000]) for n in range(6000)]
    index.uploads.store_instances(store.id, each)
    with plans(index) as steps:
        found = index.search.search_series(STORE, search((DATE, RANGE, ("20240102", "20240102")), limit=1))
    assert [row.series_instance_uid for row in found] == ["5.03001"]
    assert any(" INDEX series_start" in step for step in steps)
    assert not [step for step in steps if "SEARCH series USING INDEX series_store_uid" in step]


def test_counting_ends_where_many_have_it(filled: SqlIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a search costs the same whatever else is in the store."""
    monkeypatch.setitem(searching.FEW, "request", 3)
    query = searching.count_candidates(
        "request", (searching.read_match(search((STEP, EQUALS, ("S1",))).matches[0])[0],)
    )
    with filled.database.read() as connection:
        assert connection.execute(query, {"store": 1, "m0_0": "S1"}).scalar_one() == 4


def test_requests_that_cannot_be_read_cost_the_series_nothing_else(index: SqlIndex, store: DicomStore) -> None:
    strange = (
        '"00400275":{"vr":"SQ","Value":[3,null,{"00400009":{"vr":"SH","Value":[null,"\\ud800\\u0000X"]}}]}',
        '"00400275":{',
        "00400275",
    )
    for number, members in enumerate(strange):
        index.uploads.store_instances(
            store.id, [said(item(number, "1.2", f"5.{number}"), series=SeriesAttributes("CT", members=members))]
        )
    assert len(index.search.search_series(STORE, search())) == 3
    assert len(index.search.search_series(STORE, search((STEP, EQUALS, ("X",))))) == 1


def test_an_item_with_many_values_has_no_more_rows_than_a_key_is_worth(index: SqlIndex, store: DicomStore) -> None:
    ids = {tag: {"vr": "SH", "Value": list(map(str, range(500)))} for tag in ("00400009", "00401001")}
    members = f'"00400275":{json.dumps({"vr": "SQ", "Value": [ids]})}'
    index.uploads.store_instances(store.id, [said(item(1, "1.2", "5"), series=SeriesAttributes("CT", members=members))])
    with index.database.read() as read:
        assert read.exec_driver_sql("SELECT count(*) FROM series_request").scalar() == 1000


def test_an_id_that_is_too_long_is_found_by_its_whole_text(index: SqlIndex, store: DicomStore) -> None:
    members = write_members([("é" * 900, "R" * 900)])
    index.uploads.store_instances(store.id, [said(item(1, "1.2", "5"), series=SeriesAttributes("CT", members=members))])
    assert len(index.search.search_series(STORE, search((STEP, EQUALS, ("é" * 900,))))) == 1
    with index.database.read() as read:
        longest = "SELECT max(length(scheduled_step_id || requested_procedure_id)) FROM series_request"
        assert read.exec_driver_sql(longest).scalar() == 128


def test_what_a_later_instance_says_is_found(index: SqlIndex, store: DicomStore) -> None:
    """The first one says nothing of requests; the series is described again by the second."""
    members = write_members([("S1", "R1")])
    for number, each in enumerate((SeriesAttributes("CT"), SeriesAttributes("CT", members=members, start_time="09"))):
        index.uploads.store_instances(store.id, [said(item(number, "1.2", "5.1"), series=each)])
        assert len(index.search.search_series(STORE, search((STEP, EQUALS, ("S1",))))) == number
        assert len(index.search.search_series(STORE, search((TIME, RANGE, ("09", "09"))))) == number


def _find(index: SqlIndex, level: Level) -> Any:
    return index.search.search_series if level is Level.SERIES else index.search.search_instances


@pytest.mark.parametrize(
    "text",
    ['"00400275":{', '"00400275":[' + "[" * 100_000, '"00400244":1,"00400245":1,"00400275":'],
    ids=["open", "deep", "cut"],
)
def test_what_a_damaged_row_says_of_a_series_is_nothing(text: str) -> None:
    assert list_requests(text) == [] and read_start_time(text) == "" and not has_value(text, "00400275")
