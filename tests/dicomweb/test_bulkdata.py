"""Bulk data (PS3.18 §10.4.1.1.5; spec §10.3.6, §10.3.7)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import Json
from tests.support.web import Web, parts_of, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
OCTETS = "application/octet-stream"


def addresses(dataset: Json) -> list[str]:
    """Of all bulk data, however deep."""
    found = []
    for element in dataset.values():
        if "BulkDataURI" in element:
            found.append(element["BulkDataURI"])
        if element["vr"] == "SQ":
            for item in element.get("Value", ()):
                found += addresses(item)
    return found


def expected(ds: Any, path: str) -> bytes:
    """The value at a path, as pydicom has it."""
    parts = path.split("/")
    for tag, number in zip(parts[:-1:2], parts[1::2], strict=True):
        ds = ds[int(tag, 16)].value[int(number)]
    raw = ds.get_item(int(parts[-1], 16))
    return bytes(raw.value or b"")


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "waveform_ecg.dcm", "examples_palette.dcm", "rtplan.dcm", "MR_small_implicit.dcm"]
)
def test_every_address_in_the_metadata_gives_the_value(gantry: Gantry, name: str) -> None:
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    path = uid_path(*uids_of(data))
    (metadata,) = web.metadata(path)
    prefix = f"{web.url}/{path}/bulkdata/"
    ds = pydicom.dcmread(BytesIO(data))
    found = addresses(metadata)
    assert found or name == "rtplan.dcm"
    for address in found:
        response = web.get(address.removeprefix(f"{web.url}/"), OCTETS)
        assert response.status_code == 200, (address, response.text)
        assert response.content == expected(ds, address.removeprefix(prefix)), address
        (part,) = parts_of(web.get(address.removeprefix(f"{web.url}/")))
        assert (part.data, part.type, part.location) == (response.content, OCTETS, address)


def test_nested_bulk_data_is_addressed_by_items_from_0(gantry: Gantry) -> None:
    """§10.3.7, conformance.md"""
    web, data = Web(gantry), packaged("waveform_ecg.dcm")
    web.stored(data)
    (metadata,) = web.metadata(uid_path(*uids_of(data)))
    assert any("/bulkdata/54000100/1/" in address for address in addresses(metadata))


@pytest.mark.parametrize("tail", ["7FE00010", "7FE00010/", "7fe00010"])
def test_pixels_with_and_without_a_slash(gantry: Gantry, tail: str) -> None:
    """§10.3.7: google-api-python-client insists on the slash."""
    web = Web(gantry)
    web.stored(instance(A))
    assert web.get(f"{uid_path(*A)}/bulkdata/{tail}", OCTETS).content == b"\0\x50\xa0\xf0"


def test_compressed_pixels_come_uncompressed(gantry: Gantry) -> None:
    """§10.3.7"""
    web, data = Web(gantry), packaged("MR_small_RLE.dcm")
    web.stored(data)
    response = web.get(f"{uid_path(*uids_of(data))}/bulkdata/7FE00010", OCTETS)
    assert response.content == pydicom.dcmread(BytesIO(data)).pixel_array.tobytes()


@pytest.mark.parametrize("number", ["2", "2.0", "2e0", "0000000000000002"])
def test_all_frames_come_however_their_number_is_written(gantry: Gantry, number: str) -> None:
    """The decoder reads more numbers than the index does, and frames must not be missing without a word."""
    web, data = Web(gantry), packaged("SC_rgb_rle_2frame.dcm")
    start = data.index(b"\x28\x00\x08\x00IS") + 6
    text = number.encode() + b" " * (len(number) % 2)
    changed = data[:start] + len(text).to_bytes(2, "little") + text + data[start + 4 :]
    web.stored(changed)
    response = web.get(f"{uid_path(*uids_of(data))}/bulkdata/7FE00010", OCTETS)
    assert response.content == pydicom.dcmread(BytesIO(data)).pixel_array.tobytes()


def test_big_endian_words_become_little(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("MR_small_bigendian.dcm")
    web.stored(data)
    response = web.get(f"{uid_path(*uids_of(data))}/bulkdata/7FE00010", OCTETS)
    ds = pydicom.dcmread(BytesIO(data))
    assert response.content == ds.pixel_array.astype("<i2").tobytes()


def test_deflated_values_are_inflated(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("image_dfl.dcm")
    web.stored(data)
    response = web.get(f"{uid_path(*uids_of(data))}/bulkdata/7FE00010", OCTETS)
    assert response.content == pydicom.dcmread(BytesIO(data)).PixelData


def test_a_range_and_a_tag(gantry: Gantry) -> None:
    """RFC 9110 §14, §13.1.2"""
    web = Web(gantry)
    web.stored(instance(A, PixelData=bytes(range(256)) * 40000))
    path = f"{uid_path(*A)}/bulkdata/7FE00010"
    response = web.get(path, OCTETS, headers={"range": "bytes=1000000-1000009"})
    assert (response.status_code, response.content) == (206, bytes((1000000 + n) % 256 for n in range(10)))
    whole = web.get(path, OCTETS)
    assert whole.headers["content-length"] == str(256 * 40000) and len(whole.content) == 256 * 40000
    assert web.get(path, OCTETS, headers={"if-none-match": whole.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["7FE00008", "00081140/0/7FE00010", "00200013", "7FE00010/0/00100010"])
def test_values_that_are_not_there(gantry: Gantry, path: str) -> None:
    web = Web(gantry)
    web.stored(instance(A))
    refused(web.get(f"{uid_path(*A)}/bulkdata/{path}", OCTETS), "NOT_FOUND", "bulk data")


def test_a_value_that_the_metadata_has_itself(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(instance(A))
    response = web.get(f"{uid_path(*A)}/bulkdata/00100010", OCTETS)
    assert (response.status_code, response.content) == (200, b"Doe^John")


@pytest.mark.parametrize("path", ["x", "7FE0001", "7FE00010/0", "7FE00010/x/7FE00010", "00081140/-1/7FE00010"])
def test_addresses_that_are_none(gantry: Gantry, path: str) -> None:
    web = Web(gantry)
    web.stored(instance(A))
    refused(web.get(f"{uid_path(*A)}/bulkdata/{path}", OCTETS), "INVALID_ARGUMENT", path.rpartition("/")[2])
