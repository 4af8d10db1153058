"""STOW-RS of DICOM JSON with bulk data (PS3.18 §10.5.2, §F.2; spec §10.2.8)."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.dicom.elements import MAX_DEPTH
from gantry.dicom.from_json import encode_instance, file_chunks
from gantry.dicom.part10 import read_header
from gantry.errors import InvalidArgument
from tests.dicomweb.instances import instance, packaged
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import Json
from tests.support.web import JSON, ONE_AS_STORED, Web, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")
PIXELS = b"\0\x50\xa0\xf0"
Bulk = tuple[str, str, bytes]  # location, type, content


def attributes(uids: tuple[str, str, str] = A, **changes: Any) -> Json:
    """Of an instance with pixels at ``bulk/SOPInstanceUID``; ``changes`` by tag, None takes one out."""
    ds = pydicom.dcmread(BytesIO(instance(uids, PatientName="Müller^Jürgen=山田")))
    found: Json = ds.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _: f"bulk/{uids[2]}")
    found["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}
    for tag, element in changes.items():
        found.pop(tag[1:], None)
        if element is not None:
            found[tag[1:]] = element
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def store(web: Web, metadata: Any, *bulk: Bulk, first: str = JSON) -> httpx.Response:
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    pieces = [f"--b\r\nContent-Type: {first}; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n".encode() + text]
    for location, kind, content in bulk:
        pieces.append(f"\r\n--b\r\nContent-Type: {kind}\r\nContent-Location: {location}\r\n\r\n".encode() + content)
    headers = {"content-type": f'multipart/related; type="{JSON}"; boundary=b', "accept": JSON}
    return web.gantry.request("POST", f"{web.root}/studies", content=b"".join(pieces) + b"\r\n--b--", headers=headers)


def bulk(uids: tuple[str, str, str] = A, content: bytes = PIXELS) -> Bulk:
    return f"bulk/{uids[2]}", "application/octet-stream", content


def stored(web: Web, uids: tuple[str, str, str] = A) -> Any:
    data = web.get(uid_path(*uids), ONE_AS_STORED).content
    return pydicom.dcmread(BytesIO(data))


def reasons(response: httpx.Response) -> list[str]:
    assert response.status_code == 409, response.text
    return [value(item, "00091097") for item in values(response.json(), "00081198")]


def test_an_instance_becomes_a_file(gantry: Gantry) -> None:
    web = Web(gantry)
    response = store(web, [attributes()], bulk())
    assert response.status_code == 200, response.text
    ds, sent = stored(web), pydicom.dcmread(BytesIO(instance(A, PatientName="Müller^Jürgen=山田")))
    assert ds == sent
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert value(web.search("studies", PatientName="muller*")[0], "00100010")["Ideographic"] == "山田"


def test_several_instances_whose_parts_come_in_any_order(gantry: Gantry) -> None:
    web = Web(gantry)
    response = store(web, [attributes(A), attributes(B)], bulk(B, b"BBBB"), bulk(A, b"AAAA"))
    assert response.status_code == 200, response.text
    assert (stored(web, A).PixelData, stored(web, B).PixelData) == (b"AAAA", b"BBBB")


def test_one_object_and_no_bulk_data(gantry: Gantry) -> None:
    web = Web(gantry)
    assert store(web, attributes(_7FE00010=None)).status_code == 200
    assert "PixelData" not in stored(web)


@pytest.mark.parametrize("levels", [99, 101, MAX_DEPTH])
def test_sequences_as_deep_as_metadata_has_them(gantry: Gantry, levels: int) -> None:
    """What the server shows can be stored again."""
    web, nested = Web(gantry), {"00080100": {"vr": "SH", "Value": ["C1"]}}
    for _ in range(levels):
        nested = {"00400275": {"vr": "SQ", "Value": [nested]}}
    response = store(web, [attributes() | nested], bulk())
    assert response.status_code == 200, response.text
    assert web.metadata(uid_path(*A))[0]["00400275"] == nested["00400275"]


def test_compressed_pixels_become_a_fragment(gantry: Gantry) -> None:
    web = Web(gantry)
    ds = pydicom.dcmread(BytesIO(packaged("JPEG2000.dcm")))
    (frame,) = pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=1)
    found: Json = ds.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "pixels")
    kept = {tag: element for tag, element in found.items() if "BulkDataURI" not in element or tag == "7FE00010"}
    kept["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    kept["00020010"] = {"vr": "UI", "Value": [str(ds.file_meta.TransferSyntaxUID)]}
    response = store(web, [json.loads(json.dumps(kept))], ("pixels", "image/jp2", frame))
    assert response.status_code == 200, response.text
    uids = str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)
    assert (stored(web, uids).pixel_array == ds.pixel_array).all()


@pytest.mark.parametrize(
    "tag, element, words",
    [
        ("00080005", None, "SpecificCharacterSet"),
        ("00080005", {"vr": "CS", "Value": ["ISO_IR 100"]}, "ISO_IR 192"),
        ("00080016", None, "SOPClassUID"),
        ("00080018", None, "SOPInstanceUID"),
        ("0020000D", None, "StudyInstanceUID"),
        ("0020000E", {"vr": "UI", "Value": ["x"]}, "SeriesInstanceUID"),
        ("00020010", None, "TransferSyntaxUID"),
        ("00020010", {"vr": "UI", "Value": ["1.2.840.10008.1.2.2"]}, "1.2.840.10008.1.2.2"),
        ("00280010", {"vr": "US", "Value": [70000]}, "cannot be"),
        ("00280010", {"vr": "US", "Value": ["x"]}, "cannot be"),
        ("00280010", {"vr": "ZZ", "Value": [1]}, "cannot be"),
        ("00280010", {"Value": [1]}, "00280010"),
        ("00281201", {"vr": "OW", "BulkDataURI": "other"}, "one attribute can"),
        ("7FE00010", {"vr": "OB", "InlineBinary": "AAAA"}, "PixelData"),
        ("00204000", {"vr": "LT", "BulkDataURI": "x"}, "BulkDataURI"),
        ("00420011", {"vr": "OB", "InlineBinary": "?"}, "cannot be"),
        ("00081140", {"vr": "SQ", "Value": [{"00420011": {"vr": "OB", "BulkDataURI": "x"}}]}, "sequence"),
    ],
)
def test_what_is_wrong_with_one_is_told_of_that_one(gantry: Gantry, tag: str, element: Any, words: str) -> None:
    web = Web(gantry)
    response = store(web, [attributes(A, **{f"_{tag}": element}), attributes(B)], bulk(A), bulk(B))
    found = reasons(response)
    assert words in found[0], found
    assert [value(item, "00081155") for item in values(response.json(), "00081199")] == [B[2]]


def test_parts_that_are_missing_or_belong_to_nobody(gantry: Gantry) -> None:
    web = Web(gantry)
    found = reasons(store(web, [attributes(A)], ("bulk/other", "application/octet-stream", b"x")))
    assert "'bulk/other' belongs to no instance" in found[0] and "'bulk/1.2.1.1.1'" in found[1]
    wrong = ("bulk/1.2.1.1.1", "image/jpeg", b"x")
    assert "image/jpeg" in reasons(store(web, [attributes(A)], wrong))[0]
    same = attributes(B)
    same["7FE00010"]["BulkDataURI"] = "bulk/1.2.1.1.1"
    assert "another instance" in reasons(store(web, [attributes(A), same], bulk(A)))[0]


@pytest.mark.parametrize("metadata", [b"", b"[", b"\xff", b"[" * 5000])
def test_what_is_no_json(gantry: Gantry, metadata: bytes) -> None:
    response = store(Web(gantry), metadata)
    refused(response, "INVALID_ARGUMENT", "JSON")


@pytest.mark.parametrize("metadata", [b"null", b"3", b'["x"]', b'"x"'])
def test_json_that_is_no_instance(gantry: Gantry, metadata: bytes) -> None:
    (reason,) = reasons(store(Web(gantry), metadata))
    assert reason == "instance 1: an instance is no JSON object of attributes"


def test_the_first_part_must_be_json(gantry: Gantry) -> None:
    refused(store(Web(gantry), [], first="text/plain"), "INVALID_ARGUMENT", "first part")


@pytest.mark.parametrize("named", ["text/xml;charset=UTF-8", "Text/XML", "text/xml ; charset=utf-8"])
@pytest.mark.parametrize(
    "sent", ["text/xml;charset=UTF-8", "text/xml", 'TEXT/xml; charset="utf-8"', "application/octet-stream"]
)
def test_a_document_comes_in_its_type_whatever_the_parameters(gantry: Gantry, named: str, sent: str) -> None:
    web = Web(gantry)
    said = {"_00420012": {"vr": "LO", "Value": [named]}, "_00420011": {"vr": "OB", "BulkDataURI": "doc"}}
    response = store(web, [attributes(A, _7FE00010=None, **said)], ("doc", sent, b"<a>1</a>"))
    assert response.status_code == 200, response.text
    assert stored(web).EncapsulatedDocument == b"<a>1</a>"
    assert stored(web).MIMETypeOfEncapsulatedDocument == named
    (reason,) = reasons(store(web, [attributes(B, _7FE00010=None, **said)], ("doc", "text/html", b"<a>1</a>")))
    assert "send application/octet-stream or text/xml" in reason


def test_a_body_of_json_alone_is_not_said_to_have_parts(gantry: Gantry) -> None:
    web = Web(gantry)
    headers = {"content-type": JSON, "accept": JSON}
    response = web.gantry.request("POST", f"{web.root}/studies", content=b"[{", headers=headers)
    assert response.status_code == 400 and "part" not in response.json()["error"]["message"]
    assert "cannot be read as JSON at line 1" in response.text


def test_large_bulk_data(gantry: Gantry) -> None:
    web, pixels = Web(gantry), bytes(range(256)) * 40_000
    assert store(web, [attributes()], bulk(content=pixels)).status_code == 200
    assert stored(web).PixelData == pixels


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "test-SR.dcm", "MR_small.dcm"])
def test_packaged_files_come_back_as_they_were(name: str, syntax: str, tmp_path: Path) -> None:
    """Sequences, numbers, private elements; dcmtk reads them as well."""
    ds = pydicom.dcmread(BytesIO(packaged(name)))
    found: Json = ds.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda _: "x")
    kept = {tag: element for tag, element in found.items() if "BulkDataURI" not in element or tag == "7FE00010"}
    kept["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    kept["00020010"] = {"vr": "UI", "Value": [syntax]}
    pixels = bytes(ds.get("PixelData", b""))
    data = b"".join(file_chunks(encode_instance(json.loads(json.dumps(kept))), [pixels], len(pixels)))
    assert read_header(lambda at, length: data[at : at + length], len(data)).transfer_syntax_uid == syntax
    again = pydicom.dcmread(BytesIO(data))
    expected = copy.deepcopy(ds)
    for element in ds:
        if f"{int(element.tag):08X}" not in kept:
            del expected[element.tag]
    expected.SpecificCharacterSet = "ISO_IR 192"
    assert {element.tag for element in again} == {element.tag for element in expected}
    assert again.to_json() == expected.to_json()
    if shutil.which("dcmftest"):
        path = tmp_path / "x.dcm"
        path.write_bytes(data)
        assert subprocess.run(["dcmftest", str(path)], capture_output=True, check=False).returncode == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("vr", "Value", "InlineBinary", "00100010")), inner)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.dictionaries(st.sampled_from(("00100010", "00280010", "00081140", "0040A730", "00089215", "xyz")), JSON_VALUES)
)
def test_any_json_is_written_or_refused(more: dict[str, Any]) -> None:
    try:
        found = encode_instance(attributes() | more)
    except InvalidArgument:
        return
    b"".join(file_chunks(found, [PIXELS], 4))
