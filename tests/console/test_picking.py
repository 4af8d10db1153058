"""What an action is for: it is counted before the click, and nothing chosen never means everything."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest

from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.server import counts
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


def started(gantry: Gantry, path: str, **fields: str) -> Any:
    answer = gantry.request("POST", f"console/{gantry.store}/{path}", data=fields)
    assert answer.status_code == 303, answer.text
    return gantry.wait(answer.headers["location"].removeprefix("/console/"))


def class_of(gantry: Gantry, uids: tuple[str, str, str]) -> str:
    study, series, sop = uids
    path = f"studies/{study}/series/{series}/instances/{sop}"
    info = gantry.call("GET", f"v1/{gantry.store}/dicomWeb/{path}:getStorageInfo")
    return info["blobStorageInfo"]["storageClass"]


@pytest.mark.parametrize(
    ("path", "words", "changed"),
    [
        ("studies/1.2.2", "1 study, 2 instances", {B, B2}),
        ("studies/1.2.2/series/1.2.2.1", "Chosen: 2 instances", {B, B2}),
        ("studies/1.2.2/series/1.2.2.1/instances/1.2.2.1.1", "Chosen: 1 instance<", {B}),
    ],
)
def test_the_class_below_a_study(filled: Gantry, path: str, words: str, changed: set[Any]) -> None:
    assert "Standard" in text_of(filled, path) and words in text_of(filled, f"{path}/storage-class")
    assert counts(started(filled, f"{path}/storage-class", storage_class="ARCHIVE")) == (len(changed), 0)
    assert {uids for uids in (A, B, B2) if class_of(filled, uids) == "ARCHIVE"} == changed
    assert "Archive" in text_of(filled, path)
    assert 'role="alert"' in text_of(filled, f"{path}/storage-class", 400, method="POST", data={"storage_class": ""})


@pytest.mark.parametrize("fields", [{"studies": "1.2.1 1.2.2"}, {"PatientName": "doe"}])
def test_the_class_of_what_is_ticked_or_found(filled: Gantry, fields: dict[str, str]) -> None:
    query = "&".join(f"study={uid}" for uid in fields.get("studies", "").split()) or "PatientName=doe"
    page = text_of(filled, f"storage-class?{query}")
    expected = 3 if "studies" in fields else 2
    assert f"{expected} instances" in page
    operation = started(filled, "storage-class", storage_class="COLDLINE", bucket=filled.out, **fields)
    assert counts(operation) == (expected, 0) and class_of(filled, B2) == "COLDLINE"
    assert (class_of(filled, A) == "COLDLINE") == (expected == 3)
    assert [key for key in filled.objects(filled.out) if key.startswith("filter-")]


@pytest.mark.parametrize("path", ["storage-class", "delete-studies", "download.zip"])
def test_no_action_begins_with_nothing(filled: Gantry, path: str) -> None:
    assert "no study is ticked" in text_of(filled, f"{path}?picked=1", 400, headers={"accept": "text/html"})
    if not path.endswith(".zip"):
        fields = {"confirm": "delete", "storage_class": "ARCHIVE", "bucket": filled.out}
        assert "no study is ticked" in text_of(filled, path, 400, method="POST", data=fields)
    assert len(filled.stored()) == 3


def test_ticked_studies_are_deleted(filled: Gantry) -> None:
    assert "2 studies, 3 instances" in text_of(filled, "delete-studies?study=1.2.1&study=1.2.2")
    slip = text_of(filled, "delete-studies", 400, method="POST", data={"studies": "1.2.2", "confirm": "no"})
    assert "nothing was deleted" in slip and len(filled.stored()) == 3
    answer = filled.request(
        "POST", f"console/{filled.store}/delete-studies", data={"studies": "1.2.2", "confirm": "Delete"}
    )
    assert "Deleted%3A%201%20study%2C%202%20instances" in answer.headers["set-cookie"]
    assert set(filled.stored()) == {"/".join(A)}


def test_ticked_studies_are_one_archive(filled: Gantry) -> None:
    answer = filled.request("GET", f"console/{filled.store}/download.zip?study=1.2.1&study=1.2.2")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == sorted(f"{'/'.join(uids)}.dcm" for uids in (A, B, B2))
    assert filled.request("GET", f"console/{filled.store}/download.zip?study=1.9").status_code == 404


@pytest.mark.parametrize("typed", ["delete", "Doe, Jane", "1.2.2"])
def test_a_study_is_deleted_by_a_word_and_what_went_is_said(filled: Gantry, typed: str) -> None:
    answer = filled.request("POST", f"console/{filled.store}/studies/1.2.2/delete", data={"confirm": typed})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and "HttpOnly" in cookie
    page = text_of(filled, "studies", headers={"cookie": cookie.partition(";")[0]})
    assert "Deleted: study Doe, Jane (2 instances" in page
