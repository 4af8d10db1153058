"""An instance that is replaced after its row was read: the answer is wholly about the old one or the new one, never the
bytes of one under the transfer syntax or entity tag of the other (RFC 9110 §8.8.1, §13.1.5)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx
import pydicom
import pytest

from gantry import server
from gantry.dicom import forms
from gantry.index.instances import Instances as Instances
from gantry.names import DicomStoreName, ResourcePath
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import StoredInstance
from gantry.studies import parts as parts_module
from tests.dicomweb.instances import IMPLICIT_LE, instance, packaged
from tests.support.databases import make_settings
from tests.support.web import cut_parts, multipart, uid_path

DATASETS = "/v1/projects/p/locations/us-central1/datasets"
WEB = f"{DATASETS}/d/dicomStores/s/dicomWeb"
A, B = ("1.2.7", "1.2.7.1", "1.2.7.1.1"), ("1.2.7", "1.2.7.1", "1.2.7.1.2")
ONE, OCTETS = "application/dicom; transfer-syntax={}", "application/octet-stream"
EXPLICIT = f'multipart/related; type="application/dicom"; transfer-syntax={forms.EXPLICIT_LE}'


class House:
    """The application without a socket. ``replace_next`` is stored, by PUT, as soon as rows of the index are read, and
    the bytes before it are deleted."""

    def __init__(self, gantry: server.Gantry, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gantry = gantry
        self.replace_next: list[bytes] = []
        read = Instances.list_below

        def read_and_replace(index: Instances, store: DicomStoreName, path: ResourcePath) -> Iterator[StoredInstance]:
            rows = read(index, store, path)
            if not self.replace_next:
                return rows
            found = list(rows)
            self.put(self.replace_next.pop(0))
            return iter(found)

        monkeypatch.setattr(Instances, "list_below", read_and_replace)

    def put(self, data: bytes) -> None:
        answers: list[httpx.Response] = []
        content_type, body = multipart([data])
        address, headers = f"{WEB.replace('/v1/', '/v1beta1/')}/studies", {"content-type": content_type}

        def send() -> None:
            answers.append(self.request("PUT", address, content=body, headers=headers))

        thread = threading.Thread(target=send)  # the thread of the request that waits has an event loop of its own
        thread.start()
        thread.join()
        assert answers and answers[0].status_code == 200
        sweep_garbage(self.gantry.seams)

    def request(self, verb: str, address: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.gantry.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(verb, address, **more)

        return asyncio.run(ask())

    def get(self, path: str, accept: str, **headers: str) -> httpx.Response:
        return self.request("GET", f"{WEB}/{path}", headers={"accept": accept} | headers)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = make_settings(tmp_path_factory.mktemp("replaced") / "data", auth="none", workers=1)
    with server.open_server(settings, server.Edge(settings)) as gantry, pytest.MonkeyPatch.context() as monkeypatch:
        made = House(gantry, monkeypatch)
        made.request("POST", f"{DATASETS}?datasetId=d")
        made.request("POST", f"{DATASETS}/d/dicomStores?dicomStoreId=s")
        yield made


def native(uids: tuple[str, str, str] = A) -> bytes:
    return instance(uids)


def larger(uids: tuple[str, str, str] = A) -> bytes:
    return instance(uids, Rows=4, Columns=4, PixelData=b"\x11" * 16, PatientComments="x" * 100)


def implicit(uids: tuple[str, str, str] = A) -> bytes:
    return instance(uids, IMPLICIT_LE, Rows=4, Columns=4, PixelData=b"\x11" * 16)


def jpeg(uids: tuple[str, str, str] = A) -> bytes:
    ds = pydicom.dcmread(BytesIO(packaged("SC_rgb_jpeg_dcmtk.dcm")))
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.file_meta.MediaStorageSOPInstanceUID = uids[2]
    out = BytesIO()
    ds.save_as(out)
    return out.getvalue()


CHANGES = [(native, larger), (native, implicit), (native, jpeg), (jpeg, larger), (jpeg, implicit)]
RESOURCES = [
    ("", ONE.format("*")),
    ("", ONE.format(forms.EXPLICIT_LE)),
    ("", ONE.format(forms.J2K_LOSSLESS)),
    ("/frames/1", OCTETS),
    ("/frames/1", f"{OCTETS}; transfer-syntax=*"),
    ("/frames/1", f"{OCTETS}; transfer-syntax={forms.EXPLICIT_LE}"),
    ("/frames/1", "image/jpeg"),
    ("/frames/1", "image/jls"),
    ("/rendered", "image/png"),
    ("/rendered", "image/jpeg"),
    ("/frames/1/rendered", "image/png"),
    ("/thumbnail", "image/png"),
    ("/bulkdata/7FE00010", OCTETS),
    ("/metadata", "application/dicom+json"),
]


@pytest.mark.parametrize("path, accept", RESOURCES)
@pytest.mark.parametrize("change", CHANGES, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_an_answer_is_that_before_or_that_after(house: House, change: Any, path: str, accept: str) -> None:
    old, new = change
    house.put(old())
    address = f"{uid_path(*A)}{path}"
    before = house.get(address, accept)
    house.replace_next.append(new())
    racing = house.get(address, accept)
    assert not house.replace_next
    after = house.get(address, accept)
    said = [(each.status_code, each.headers.get("etag"), each.headers["content-type"], each.content)
            for each in (before, racing, after)]  # fmt: skip
    assert said[0] != said[2], "the replacement makes a difference"
    assert said[1] in (said[0], said[2])


@pytest.mark.parametrize("path, accept", [each for each in RESOURCES if each[0] != "/metadata"])
def test_no_range_of_the_new_one_is_added_to_what_a_client_has_of_the_old_one(
    house: House, path: str, accept: str
) -> None:
    """RFC 9110 §13.1.5"""
    house.put(native())
    address = f"{uid_path(*A)}{path}"
    etag = house.get(address, accept).headers["etag"]
    house.replace_next.append(larger())
    racing = house.get(address, accept, **{"if-range": etag, "range": "bytes=1-"})
    after = house.get(address, accept)
    assert (racing.status_code, racing.headers["etag"], racing.content) == (200, after.headers["etag"], after.content)


PARTS = [
    ("/frames/1", f'multipart/related; type="{OCTETS}"; transfer-syntax=*'),
    ("/frames/1", f'multipart/related; type="{OCTETS}"'),
    ("/rendered", 'multipart/related; type="image/png"'),
    ("/bulkdata/7FE00010", f'multipart/related; type="{OCTETS}"'),
    ("", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
    ("", EXPLICIT),
]


@pytest.mark.parametrize("path, accept", PARTS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_parts_are_those_before_or_those_after(house: House, change: Any, path: str, accept: str) -> None:
    old, new = change
    house.put(old())
    address = f"{uid_path(*A)}{path}"
    answers = [house.get(address, accept)]
    house.replace_next.append(new())
    answers += [house.get(address, accept), house.get(address, accept)]
    before, racing, after = (
        (each.headers.get("etag"), cut_parts(each.headers["content-type"], each.content)) for each in answers
    )
    assert racing in (before, after)


@pytest.mark.parametrize("accept", [EXPLICIT, EXPLICIT.replace(forms.EXPLICIT_LE, "*"), EXPLICIT.replace(
    forms.EXPLICIT_LE, forms.J2K_LOSSLESS)], ids=["explicit", "stored", "j2k"])  # fmt: skip
@pytest.mark.parametrize("change", CHANGES, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_each_part_of_a_study_says_what_it_is(house: House, change: Any, accept: str) -> None:
    """What another request replaces meanwhile is sent in the form that it is now asked for."""
    old, new = change
    house.put(native(A))
    house.put(old(B))
    house.replace_next.append(new(B))
    racing = house.get(uid_path(A[0]), accept)
    parts = cut_parts(racing.headers["content-type"], racing.content)
    assert [part.location.rpartition("/")[2] for part in parts] == [A[2], B[2]]
    for part in parts:
        ds = pydicom.dcmread(BytesIO(part.data))
        assert part.type == f"application/dicom; transfer-syntax={ds.file_meta.TransferSyntaxUID}"
    asked = accept.rpartition("=")[2]
    if asked == "*":
        assert parts[1].data in (old(B), new(B))
    else:
        assert parts[1].type.endswith(f"={asked}")


LEVELS = [
    ("/rendered", 'multipart/related; type="image/png"'),
    ("/bulkdata", f'multipart/related; type="{OCTETS}"'),
    ("/pixeldata", f'multipart/related; type="{OCTETS}"'),
    ("/pixeldata", 'multipart/related; type="image/jls", multipart/related; type="image/*"'),
]


@pytest.mark.parametrize("held_back", [1, 1 << 20], ids=["begun", "held back"])
@pytest.mark.parametrize("path, accept", LEVELS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_parts_of_a_study_are_those_of_one_instance_or_the_other(
    house: House, monkeypatch: pytest.MonkeyPatch, change: Any, path: str, accept: str, held_back: int
) -> None:
    """Also once others are sent; nothing is missing then."""
    monkeypatch.setattr(parts_module, "HELD_BACK", held_back)
    old, new = change
    house.put(native(A))
    house.put(old(B))
    address, answers = f"{uid_path(A[0])}{path}", []
    answers.append(house.get(address, accept))
    house.replace_next.append(new(B))
    answers += [house.get(address, accept), house.get(address, accept)]
    before, racing, after = (cut_parts(each.headers["content-type"], each.content) for each in answers)
    assert before != after and racing in (before, after)
    if held_back > 1 and path != "/bulkdata":  # its headers are looked up one by one, as in metadata
        assert (answers[1].headers["etag"] == answers[2].headers["etag"]) == (racing == after)
    assert "warning" not in answers[1].headers
