"""The filter language of ``entries:list``: what becomes of a text. What it finds: api/test_logs.py."""

from __future__ import annotations

import pytest

from gantry.api.log_filters import parse_log_filter
from gantry.errors import InvalidArgument
from gantry.log_entries import LogFilter

ONE, TWO, THREE = (LogFilter("=", "operation", number) for number in (1, 2, 3))
FIELDS = (
    "resource.type",
    "severity",
    "timestamp",
    "operation.id",
    "operation.producer",
    "logName",
    "resource.labels.project_id",
    "resource.labels.location",
    "resource.labels.dataset_id",
    "resource.labels.dicom_store_id",
    'jsonPayload."@type"',
    "jsonPayload.error.code",
    "jsonPayload.error.message",
    "jsonPayload.resourceName",
    "jsonPayload.source",
)
VALUES = {"severity": "ERROR", "timestamp": "2030-01-31T12:00:00Z"}


def every(*parts: LogFilter) -> LogFilter:
    return LogFilter("all", parts=parts)


def some(*parts: LogFilter) -> LogFilter:
    return LogFilter("any", parts=parts)


def none(part: LogFilter) -> LogFilter:
    return LogFilter("not", parts=(part,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", every()),
        ("1", every(ONE)),
        ("1 AND 2", every(ONE, TWO)),
        ("1 2 AND 3", every(ONE, TWO, THREE)),
        ("1 OR 2", every(some(ONE, TWO))),
        ("1 AND 2 OR 3", every(ONE, some(TWO, THREE))),
        ("(1 AND 2) OR 3", every(some(every(ONE, TWO), THREE))),
        ("NOT 1 2", every(none(ONE), TWO)),
        ("-1 OR NOT 2", every(some(none(ONE), none(TWO)))),
        ("NOT (1 OR 2)", every(none(every(some(ONE, TWO))))),
        ("-(1 2) 3", every(none(every(ONE, TWO)), THREE)),
    ],
)
def test_how_comparisons_are_joined(text: str, expected: LogFilter) -> None:
    """``OR`` binds tighter than ``AND``, and ``NOT`` tightest."""
    for number in "123":
        text = text.replace(number, f"operation.id={number}")
    assert parse_log_filter(text) == expected


@pytest.mark.parametrize("text", ["(1", "1)", "()", "1 AND", "AND 1", "1 OR", "NOT", "-", "(1))"])
def test_what_is_not_complete(text: str) -> None:
    with pytest.raises(InvalidArgument, match="filter"):
        parse_log_filter(text.replace("1", "operation.id=1"))


def test_the_answer_to_what_is_not_understood_names_all_that_can_be_compared() -> None:
    for text in ("nothing.like=it", "?"):
        with pytest.raises(InvalidArgument) as refused:
            parse_log_filter(text)
        assert [field for field in FIELDS if field not in refused.value.message] == []
    for field in FIELDS:
        parse_log_filter(f'{field}="{VALUES.get(field, "1")}"')


def test_a_text_is_compared_with_the_field_of_its_name() -> None:
    for field, name in (
        ("resource.labels.project_id", "project"),
        ("resource.labels.location", "location"),
        ("resource.labels.dataset_id", "dataset"),
        ("resource.labels.dicom_store_id", "store"),
        ("jsonPayload.error.message", "message"),
    ):
        for operator in (":", "=", "!="):
            assert parse_log_filter(f"{field}{operator}x") == every(LogFilter(operator, name, "x"))


def test_the_limits() -> None:
    """Of parentheses inside each other, of comparisons and of characters; beside each other they are as many as fit."""
    one = "operation.id=1"
    for fits, exceeds, words in (
        ("(" * 50 + one + ")" * 50, "(" * 51 + one + ")" * 51, "50 parentheses"),
        (f"({one}) " * 200, f"{one} " * 201, "200 comparisons"),
        (one + " " * (20_000 - len(one)), one + " " * (20_001 - len(one)), "20000 characters"),
    ):
        parse_log_filter(fits)
        with pytest.raises(InvalidArgument, match=words):
            parse_log_filter(exceeds)
