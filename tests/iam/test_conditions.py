"""Conditions of bindings (spec §12.2): what is understood, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.errors import InvalidArgument
from gantry.iam.conditions import MAX_CHARACTERS, MAX_DEPTH, Facts, parse_condition

STORE = "projects/p/locations/l/datasets/d/dicomStores/s"
FACTS = Facts(datetime(2026, 6, 1, 12, tzinfo=UTC), STORE, "healthcare.googleapis.com/DicomStore")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('request.time < timestamp("2030-01-01T00:00:00Z")', True),
        ('request.time < timestamp("2026-06-01T12:00:00Z")', False),
        ('request.time <= timestamp("2026-06-01T12:00:00Z")', True),
        ('request.time >= timestamp("2026-06-01T14:00:00+02:00")', True),
        ('timestamp("2026-01-01T00:00:00Z") < request.time', True),
        (f'resource.name == "{STORE}"', True),
        (f"resource.name == '{STORE}'", True),
        ('resource.name.startsWith("projects/p/locations/l/datasets/d")', True),
        ('resource.name.startsWith("projects/q")', False),
        ('resource.name.endsWith("/dicomStores/s")', True),
        ('!resource.name.endsWith("/s")', False),
        ('resource.type == "healthcare.googleapis.com/DicomStore"', True),
        ('resource.service != "healthcare.googleapis.com"', False),
        ("true", True),
        ("true && false || true", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("!!true", True),
        ('"a" < "b"', True),
        ('"\\u0041" == "A"', True),
    ],
)
def test_what_is_true(expression: str, expected: bool) -> None:
    assert parse_condition(expression)(FACTS) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "request.time",
        '"yes"',
        "1 == 1",
        "request.time < 3",
        'request.time < "2030"',
        'request.time < timestamp("tomorrow")',
        'request.time < timestamp("2030-01-01T00:00:00")',
        'request.time.getHours("Europe/Berlin") < 17',
        "request.auth.claims == true",
        'resource.name.matches(".*")',
        "resource.name.startsWith(resource.type)",
        "true &&",
        "&& true",
        "(true",
        "true)",
        "true true",
        "true < false",
        'true && "x"',
        '!"x"',
        'resource.name == "unfinished',
        "resource.name = 'x'",
        'api.getAttribute("a", [])',
        "(" * (MAX_DEPTH + 2) + "true" + ")" * (MAX_DEPTH + 2),
        "!" * (MAX_DEPTH + 2) + "true",
        "true || " * 1000 + "true",
    ],
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(InvalidArgument, match="condition: "):
        parse_condition(expression)


WORDS = ["request.time", "resource.name", "true", "(", ")", "!", "&&", "||", "<", "==", '"a"', ".startsWith"]
WORDS += ["timestamp"]


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12).map(" ".join))
def test_anything_is_true_or_false_or_refused(expression: str) -> None:
    try:
        check = parse_condition(expression)
    except InvalidArgument:
        return
    assert check(FACTS) in (True, False)


@pytest.mark.parametrize(
    "expression",
    [
        'request.time < timestamp("0001-01-01T00:00:00+05:00")',
        'request.time < timestamp("9999-12-31T23:59:59-00:01")',
        'request.time < timestamp("9999-12-31T24:00:00Z")',
        'request.time < timestamp("10000-01-01T00:00:00Z")',
        'request.time < timestamp("-0001-01-01T00:00:00Z")',
        'request.time < timestamp("0000-01-01T00:00:00Z")',
        'request.time < timestamp("2030-02-30T00:00:00Z")',
        'request.time < timestamp("2030-01-01T00:00:00+99:99")',
        'request.time < timestamp("2030-01-01T00:00:60Z")',
        'request.time < timestamp("")',
        'request.time < timestamp("\\ud800")',
        'request.time < timestamp("٢٠٣٠-٠١-٠١T00:00:00Z")',
        'request.time < timestamp("' + "9" * 4000 + '")',
        "request.time < timestamp(" + "9" * 4000 + ")",
        "request.time - duration('9999999999999999999s') < request.time",
        f"{'9' * 4000} == 1",
        'resource.name == "\\u12"',
        'resource.name == "\\x41"',
        "resource.name == '\\'",
        'resource.name == "line\nbreak"',
        'resource.name.matches("(a+)+$")',
        'resource.name == "' + "x" * 5000 + '"',
    ],
)
def test_extreme_values_are_refused(expression: str) -> None:
    with pytest.raises(InvalidArgument, match="condition: ") as refused:
        parse_condition(expression)
    assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it\\'s'", "it's"),
        ('"it\\\'s"', "it's"),
        ('"it\'s"', "it's"),
        ("'say \"x\"'", 'say "x"'),
        ("'say \\\"x\\\"'", 'say "x"'),
        ('"say \\"x\\""', 'say "x"'),
        ("'a\\\\'", "a\\"),
        ('"a\\\\"', "a\\"),
        ("'\\\\\\''", "\\'"),
        ("''", ""),
        ("'\\n'", "\n"),
    ],
)
def test_quotes(text: str, value: str) -> None:
    assert parse_condition(f"resource.name == {text}")(FACTS._replace(name=value)) is True
    assert parse_condition(f"resource.name == {text}")(FACTS) is False


YEARS = st.integers(0, 10_000).map(lambda year: f"{year:04}")
OFFSETS = st.sampled_from(["Z", "", "+05:00", "-05:00", "+23:59", "-23:59", "+24:00", "+23:59:59.999999"])
DAYS = st.sampled_from(["-01-01T00:00:00", "-12-31T23:59:59.999999999", "-12-31T24:00:00", "-06-31", "-W53-7T00"])
MOMENTS = st.tuples(YEARS, DAYS, OFFSETS).map(lambda parts: f'request.time < timestamp("{"".join(parts)}")')


@pytest.mark.slow
@settings(max_examples=500)
@given(MOMENTS)
def test_any_moment_is_before_or_after_or_refused(expression: str) -> None:
    try:
        check = parse_condition(expression)
    except InvalidArgument:
        return
    for time in (datetime.min, datetime.max, FACTS.time):
        assert check(FACTS._replace(time=time.replace(tzinfo=UTC))) in (True, False)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("true && request.size", "'request.size' is not supported here"),
        ("resource.name.matches('a')", "'resource.name.matches' is not supported here"),
        ("resource.name.startsWith(true)", "'true' is not supported here"),
        ("resource.name.startsWith('a' true)", "'true' is not supported here"),
        ("timestamp('2030-01-01T00:00:00Z'", "the end is not supported here"),
        ("true true", "'true' is not supported here"),
        ("(true", "the end is not supported here"),
        ("", "the end is not supported here"),
        ("true && ", "the end is not supported here"),
        ("true @ false", "'@ false' is not understood"),
        ("resource.name", "is not true or false"),
        ("resource.name < request.time", "their types differ"),
        ("!resource.name", "need operands that are true or false"),
        ("request.time < timestamp('soon')", "'soon' is not a time"),
        ("request.time < timestamp('2030-01-01T00:00:00')", "is not a time"),
    ],
)
def test_the_part_that_is_not_understood_is_named(expression: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_condition(expression)
    assert words in refused.value.message, refused.value.message


def test_what_is_supported_is_named_where_something_else_stands() -> None:
    """``true`` and ``false`` are no facts."""
    with pytest.raises(InvalidArgument) as refused:
        parse_condition("resource.kind == 'x'")
    listed = refused.value.message.partition("supported are ")[2].partition(", timestamp()")[0].split(", ")
    assert listed == ["request.time", "resource.name", "resource.service", "resource.type"]


def test_the_limits_are_those_of_cloud_iam_and_far_from_those_of_the_stack() -> None:
    assert (MAX_CHARACTERS, MAX_DEPTH) == (4096, 50)


@pytest.mark.parametrize(("sign", "depth"), [("(", MAX_DEPTH), ("!", MAX_DEPTH)])
def test_conditions_may_be_as_deep_as_they_are_allowed_to_be(sign: str, depth: int) -> None:
    end = ")" if sign == "(" else ""
    assert parse_condition(sign * depth + "true" + end * depth)(FACTS) is (sign == "(" or depth % 2 == 0)
    with pytest.raises(InvalidArgument, match=f"deeper than {MAX_DEPTH} levels"):
        parse_condition(sign * (depth + 1) + "true" + end * (depth + 1))


def test_conditions_may_be_as_long_as_they_are_allowed_to_be() -> None:
    longest = "true" + " " * (MAX_CHARACTERS - 4)
    assert parse_condition(longest)(FACTS) is True
    with pytest.raises(InvalidArgument, match=f"longer than {MAX_CHARACTERS} characters"):
        parse_condition(longest + " ")


@pytest.mark.parametrize(
    ("expression", "value"),
    [("true == true", True), ("true == false", False), ("true != false", True), ("true != true", False)],
)
def test_truth_can_be_compared_for_equality(expression: str, value: bool) -> None:
    assert parse_condition(expression)(FACTS) is value


@pytest.mark.parametrize(
    ("sign", "before", "same", "after"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_times_and_texts_are_compared(sign: str, before: bool, same: bool, after: bool) -> None:
    """As CEL orders them: moments in time, and characters."""
    now = FACTS.time
    moments = [(now - timedelta(seconds=1), after), (now, same), (now + timedelta(seconds=1), before)]
    for moment, holds in moments:
        assert parse_condition(f'request.time {sign} timestamp("{moment.isoformat()}")')(FACTS) is holds
    for text, holds in ((FACTS.name[:-1], after), (FACTS.name, same), (FACTS.name + "x", before)):
        assert parse_condition(f'resource.name {sign} "{text}"')(FACTS) is holds


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_truth_has_no_order(sign: str) -> None:
    with pytest.raises(InvalidArgument, match="cannot compare"):
        parse_condition(f"true {sign} false")
    assert parse_condition("true != false")(FACTS) is True and parse_condition("true == false")(FACTS) is False
