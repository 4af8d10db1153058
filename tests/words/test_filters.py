"""The filter languages of the API's lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.api.filters import parse_label_filter, parse_terms
from gantry.errors import InvalidArgument

AB = {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("  ", True),
        ("labels.a=1", True),
        (" labels.a = 1 ", True),
        ('labels.a="1"', True),
        ("labels.a=2", False),
        ("labels.c=1", False),
        ("NOT labels.a=2", True),
        ("NOT labels.a=1", False),
        ("NOT labels.c=1", True),
        ("NOT NOT labels.a=1", True),
        ("labels.a=1 AND labels.b=2", True),
        ("labels.a=1 AND labels.b=1", False),
        ("labels.a=1 AND NOT labels.b=2", False),
        ("labels.a=2 OR labels.b=2", True),
        ("labels.a=2 OR labels.b=1", False),
        ("labels.a=2 AND labels.b=2 OR labels.a=1", True),
        ("labels.a=1 OR labels.a=2 AND labels.b=1", True),
        ("NOT labels.a=1 OR labels.b=2", True),
    ],
)
def test_labels(text: str, expected: bool) -> None:
    assert parse_label_filter(text)(AB) is expected


@pytest.mark.parametrize(
    ("text", "value"),
    [(r'labels.a="x y"', "x y"), (r'labels.a="\""', '"'), (r'labels.a="\\"', "\\"), ('labels.a=""', "")],
)
def test_quoted_values(text: str, value: str) -> None:
    assert parse_label_filter(text)({"a": value})
    assert not parse_label_filter(text)({"a": "other"})


def test_an_operators_name_may_begin_a_value_or_a_key() -> None:
    assert parse_label_filter("labels.ORder=ANDy")({"ORder": "ANDy"})


@pytest.mark.parametrize(
    "text",
    [
        "a=1",
        "labels.a",
        "labels.a=",
        "labels.=1",
        "name=1",
        "AND",
        "NOT",
        "AND labels.a=1",
        "labels.a=1 AND",
        "labels.a=1 OR",
        "labels.a=1 AND OR labels.b=2",
        "labels.a=1 NOT",
        "labels.a=1 labels.b=2",
        "NOT AND labels.a=1",
        "(labels.a=1)",
        'labels.a="1',
        'labels.a="1"2',
        "labels.a=1 XOR labels.b=2",
        "labels.a:1",
        "labels.a!=1",
        "or labels.a=1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="filter"):
        parse_label_filter(text)


FIELDS = ("done", "metadata.apiMethodName")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" ", {}),
        ("done=true", {"done": "true"}),
        (' done = "true" ', {"done": "true"}),
        ("done=true AND metadata.apiMethodName=x.y", {"done": "true", "metadata.apiMethodName": "x.y"}),
        ('metadata.apiMethodName="a b"', {"metadata.apiMethodName": "a b"}),
        ("done=ANDROID", {"done": "ANDROID"}),
    ],
)
def test_terms(text: str, expected: dict[str, str]) -> None:
    assert parse_terms(text, FIELDS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "done",
        "done=",
        "name=x",
        "done=true OR done=false",
        "done=true done=false",
        "done=true AND done=false",
        "AND done=true",
        "done=true AND",
        "done=true AND AND metadata.apiMethodName=x",
        "NOT done=true",
        'done="true',
        "(done=true)",
    ],
)
def test_other_terms_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="filter"):
        parse_terms(text, FIELDS)


@given(st.text('labels.a=1 "ANDORNOT\\()\n', max_size=40))
def test_no_filter_leads_to_anything_but_an_answer_or_a_refusal(text: str) -> None:
    for read in (parse_label_filter, lambda text: parse_terms(text, FIELDS)):
        try:
            read(text)
        except InvalidArgument:
            pass
