"""Bulk data (PS3.18 §10.4.1.1.5; spec §10.3.6, §10.3.7)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
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


# Range ----------------------------------------------------------------------------------------------------------------

PIXELS = f"{uid_path(*A)}/bulkdata/7FE00010"
VALUE = bytes(range(64))
PARTS = f'multipart/related; type="{OCTETS}"'


def long_value(gantry: Gantry) -> Web:
    web = Web(gantry)
    web.stored(instance(A, Rows=8, Columns=8, PixelData=VALUE))
    return web


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=60-", 60, 64),
        ("bytes=-4", 60, 64),
        ("bytes=0-999", 0, 64),
        ("bytes=63-63", 63, 64),
    ],
)
def test_a_range_of_a_value_in_a_part(gantry: Gantry, wanted: str, start: int, stop: int) -> None:
    """PS3.18 2018b §6.5.5.2.1: only the specified bytes of the bulk data object."""
    web = long_value(gantry)
    response = web.get(PIXELS, PARTS, headers={"range": wanted})
    assert response.status_code == 206 and "content-range" not in response.headers
    head, _, rest = response.content.partition(b"\r\n\r\n")
    assert f"Content-Range: bytes {start}-{stop - 1}/64".encode() in head
    assert f"Content-Location: {web.url}/{PIXELS}".encode() in head
    assert rest.startswith(VALUE[start:stop] + b"\r\n--")
    alone = web.get(PIXELS, OCTETS, headers={"range": wanted})
    assert (alone.status_code, alone.content) == (206, VALUE[start:stop])
    assert alone.headers["content-range"] == f"bytes {start}-{stop - 1}/64"


@pytest.mark.parametrize("accept", [PARTS, OCTETS])
def test_a_range_that_is_not_there_or_not_one(gantry: Gantry, accept: str) -> None:
    web = long_value(gantry)
    beyond = web.get(PIXELS, accept, headers={"range": "bytes=64-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */64")
    for ignored in ("bytes=1-2,5-6", "lines=1-2", "bytes=x"):
        response = web.get(PIXELS, accept, headers={"range": ignored})
        assert response.status_code == 200 and VALUE in response.content


@pytest.mark.parametrize("accept", [PARTS, OCTETS])
def test_conditions_of_a_range(gantry: Gantry, accept: str) -> None:
    """RFC 9110 §13.1.2, §13.1.5"""
    web = long_value(gantry)
    whole = web.get(PIXELS, accept)
    etag = whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    assert web.get(PIXELS, accept, headers={"if-none-match": etag}).status_code == 304
    expected = 200 if accept == PARTS else 206  # parts have a weak entity tag, which If-Range never matches
    assert web.get(PIXELS, accept, headers={"range": "bytes=0-1", "if-range": etag}).status_code == expected
    assert web.get(PIXELS, accept, headers={"range": "bytes=0-1", "if-range": '"other"'}).status_code == 200


def test_a_range_of_a_picture(gantry: Gantry) -> None:
    web = long_value(gantry)
    whole = web.get(f"{uid_path(*A)}/rendered", "image/png").content
    part = web.get(f"{uid_path(*A)}/rendered", "image/png", headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, whole[1:4])


@pytest.mark.slow
def test_a_strict_server_sends_the_whole_value_in_a_part(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": "1"})
    try:
        web = long_value(Gantry(server))
        (part,) = parts_of(web.get(PIXELS, PARTS, headers={"range": "bytes=0-9"}))
        assert part.data == VALUE
        assert web.get(PIXELS, OCTETS, headers={"range": "bytes=0-9"}).status_code == 206
    finally:
        server.stop()
