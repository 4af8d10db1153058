"""Uploads of very many things that are no instance: answered at once, and others are served meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import ClassVar

import httpx
import pytest

from gantry.studies import store_json
from gantry.studies.store import MAX_UNREADABLE
from tests.dicomweb.test_store_json import A, attributes
from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.web import JSON, Web, uid_path, values

MANY = 100_000
UIDS = "1.2.3", "1.2.3.4", "1.2.3.4.5"


def send(gantry: Gantry, root: str, body: bytes | Iterator[bytes]) -> httpx.Response:
    headers = {"content-type": f'multipart/related; type="{root}"; boundary=b', "accept": JSON}
    return gantry.request("POST", f"v1/{gantry.store}/dicomWeb/studies", content=body, headers=headers)


def json_part(text: bytes) -> bytes:
    return b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + text + b"\r\n"


@pytest.mark.parametrize(
    "part",
    [
        b"--b\r\n\r\n\r\n",
        b"--b\r\n\r\n",
        b"--b\r\nContent-Type: application/dicom\r\n\r\nx\r\n",
        b"--b\r\nContent-Type: text/plain\r\n\r\n\r\n",
    ],
)
def test_parts(gantry: Gantry, part: bytes) -> None:
    refused(send(gantry, "application/dicom", part * MANY + b"--b--"), "INVALID_ARGUMENT", str(MAX_UNREADABLE))
    assert Web(gantry).search("instances") == []


@pytest.mark.parametrize("item", [b"{}", b"null", b"[]", b"1", b'{"00080018":{"vr":"UI"}}'])
def test_objects(gantry: Gantry, item: bytes) -> None:
    body = json_part(b"[" + b",".join([item] * MANY) + b"]") + b"--b--"
    refused(send(gantry, JSON, body), "INVALID_ARGUMENT", str(MAX_UNREADABLE))


def test_more_values_than_memory_should_hold(gantry: Gantry) -> None:
    body = json_part(b"[" + b"{}," * 10_000_000 + b"{}]") + b"--b--"
    refused(send(gantry, JSON, body), "INVALID_ARGUMENT", "values")


def test_parts_of_bulk_data_that_belong_to_nothing(gantry: Gantry) -> None:
    bulk = b"--b\r\nContent-Location: x\r\nContent-Type: application/octet-stream\r\n\r\n\r\n"
    refused(send(gantry, JSON, json_part(b"[{}]") + bulk * MANY + b"--b--"), "INVALID_ARGUMENT", str(MAX_UNREADABLE))


def test_what_was_stored_before_is_named(gantry: Gantry) -> None:
    whole = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + make_instance(*UIDS) + b"\r\n"
    response = send(gantry, "application/dicom", whole + b"--b\r\n\r\n\r\n" * MANY + b"--b--")
    assert response.status_code == 409
    assert len(values(response.json(), "00081199")) == 1
    assert len(values(response.json(), "00081198")) == MAX_UNREADABLE + 1
    assert Web(gantry).get(uid_path(*UIDS)).status_code == 200


@pytest.mark.slow
def test_instances_that_are_there_already_do_not_count(gantry: Gantry) -> None:
    """An upload that is sent once more is refused one by one, however many there are."""
    web = Web(gantry)
    instances = [make_instance("1.2.3", "1.2.3.4", f"1.2.3.4.{number}") for number in range(MAX_UNREADABLE + 5)]
    assert web.store(*instances).status_code == 200
    again = web.store(*instances)
    assert again.status_code == 409
    assert len(values(again.json(), "00081198")) == len(instances)


def test_a_fault_behind_the_objects_is_found_before_any_is_stored(gantry: Gantry) -> None:
    text = json.dumps([attributes(A, _7FE00010=None)]).encode()
    refused(send(gantry, JSON, json_part(text + b"]") + b"--b--"), "INVALID_ARGUMENT", "column")
    assert Web(gantry).search("instances") == []


def test_objects_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first instance is made before the second one has been read a second time."""
    read: list[object] = []
    original: Callable[[str], Iterator[object]] = store_json.parse_items

    def count(text: str) -> Iterator[object]:
        for item in original(text):
            read.append(item)
            yield item

    monkeypatch.setattr(store_json, "parse_items", count)

    class Part:
        headers: ClassVar[dict[str, str]] = {}
        content_type = "application/dicom+json"

        def chunks(self) -> Iterator[bytes]:
            yield b"[{},{},{}]"

    found = store_json.read_json_parts(iter([Part()]))
    assert next(found).problem is not None
    assert len(read) == 3 + 1
