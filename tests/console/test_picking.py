"""What an action is for: it is counted before the click, and nothing chosen never means everything."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.web import Web

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.2", "1.2.2.1", "1.2.2.1.1")
B2 = ("1.2.2", "1.2.2.1", "1.2.2.1.2")


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    Web(gantry).stored(
        *(instance(uids, PatientName="Doe^Jane" if uids[0] == "1.2.2" else "Roe^Ann") for uids in (A, B, B2))
    )
    return gantry


def text_of(gantry: Gantry, path: str, status: int = 200, **kw: Any) -> str:
    response = gantry.request(kw.pop("method", "GET"), f"console/{gantry.store}/{path}", **kw)
    assert response.status_code == status, response.text
    return re.sub(r"\s+", " ", response.text)


def test_nothing_ticked_is_not_everything(filled: Gantry) -> None:
    """Also without JavaScript, which switches the button off."""
    page = text_of(filled, "export?picked=1", 400)
    assert "no study is ticked" in page and 'value="all" checked' not in page and "Chosen:" not in page


def test_a_form_without_a_choice_exports_nothing(filled: Gantry) -> None:
    for fields in ({}, {"filter": ""}, {"filter": "studies"}, {"filter": "search"}, {"filter": "lines"}):
        answer = text_of(filled, "export", 400, method="POST", data={"bucket": filled.out} | fields)
        assert 'role="alert"' in answer
    assert filled.objects(filled.out) == {} and filled.operations() == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "Chosen: 2 studies, 3 instances"),
        ("study=1.2.2&study=1.2.9", "Chosen: 1 study, 2 instances"),
        ("PatientName=roe", "Chosen: 1 study, 1 instance<"),
    ],
)
def test_an_export_says_how_much_is_meant(filled: Gantry, query: str, words: str) -> None:
    assert words in text_of(filled, f"export?{query}")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("filter=all", "Chosen: 2 studies, 3 instances"),
        ("filter=studies&studies=1.2.1%0D%0A1.2.2", "Chosen: 2 studies, 3 instances"),
        ("filter=studies&studies=", "data-nothing"),
        ("filter=search&PatientName=nobody", "data-nothing"),
        ("filter=search", "data-nothing"),
        ("filter=search&StudyDate=nonsense", "data-nothing"),
        ("filter=lines&lines=/studies/1%0A/studies/2", "2 lines of a filter"),
        ("filter=lines", "data-nothing"),
        ("filter=file", "data-nothing"),
        ("", "data-nothing"),
    ],
)
def test_the_count_follows_the_form(filled: Gantry, query: str, words: str) -> None:
    assert words in text_of(filled, f"export/selection?{query}", headers={"hx-request": "true"})
