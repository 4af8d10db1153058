"""Instances that are a video: one stream, whatever its fragments are (PS3.5 §A.4; PS3.18 §8.7.3.3, §8.7.4)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.dicomweb.instances import instance
from tests.support.answers import refused
from tests.support.encapsulated import item
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

MP4 = (Path(__file__).parents[1] / "support" / "clip.mp4").read_bytes()
PROGRAM_STREAM = b"\0\0\1\xba" + bytes(range(200))
TRANSPORT_STREAM = (b"G" + bytes(187)) * 5
UNKNOWN = b"\0\0\0\1\x67" + bytes(300)
UIDS = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
PIXELS = f"{uid_path(*UIDS)}/bulkdata/7FE00010"
RENDERED = f"{uid_path(*UIDS)}/rendered"
HIGH = "1.2.840.10008.1.2.4.102"


def video(stream: bytes, syntax: str = HIGH, fragments: int = 1, uids: tuple[str, str, str] = UIDS) -> bytes:
    """Ten frames of 64 by 64, as a camera in an endoscope stores them."""
    size = -(-len(stream) // fragments)
    size += size % 2
    items = [stream[at : at + size] for at in range(0, len(stream), size)]
    return packed(b"".join(map(item, (b"", *items))), syntax, uids)


def packed(items: bytes, syntax: str = HIGH, uids: tuple[str, str, str] = UIDS) -> bytes:
    """pydicom wants well-formed pixel data; what is put in its place need not be."""
    marker = item(b"") + item(b"here")
    kind = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1.1", "Modality": "ES", "NumberOfFrames": "10"}
    pixel = {"Rows": 64, "Columns": 64, "SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_PARTIAL_420"}
    more = {"PlanarConfiguration": 0, "CineRate": "5", "FrameTime": "200"}
    return instance(uids, syntax, PixelData=marker, **kind, **pixel, **more).replace(marker, items)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


CASES = [
    (MP4, HIGH, 1, "video/mp4"),
    (MP4, "1.2.840.10008.1.2.4.106", 1, "video/mp4"),
    (MP4, f"{HIGH}.1", 7, "video/mp4"),
    (TRANSPORT_STREAM, "1.2.840.10008.1.2.4.103", 3, "video/mp2t"),
    (PROGRAM_STREAM, "1.2.840.10008.1.2.4.100", 1, "video/mpeg"),
    (UNKNOWN, "1.2.840.10008.1.2.4.107", 1, "video/h265"),
]


@pytest.mark.parametrize(("stream", "syntax", "fragments", "media_type"), CASES)
def test_the_stream_is_what_a_player_gets(
    web: Web, stream: bytes, syntax: str, fragments: int, media_type: str
) -> None:
    web.stored(video(stream, syntax, fragments))
    for response in (web.get(RENDERED, "*/*"), web.get(PIXELS, media_type), web.get(f"{RENDERED}?accept={media_type}")):
        assert (response.status_code, response.headers["content-type"]) == (200, media_type), response.text
        assert response.content.rstrip(b"\0") == stream.rstrip(b"\0")
    octets = web.get(PIXELS, "application/octet-stream")
    assert (octets.content, octets.headers["content-type"]) == (response.content, "application/octet-stream")
    for accept, part_type in (
        ("*/*", "application/octet-stream"),
        (f"multipart/related; type={media_type}", media_type),
    ):
        (part,) = parts_of(web.get(PIXELS, accept))
        assert (part.data, part.type) == (response.content, part_type)


def test_ranges_across_fragments(web: Web) -> None:
    """RFC 9110 §14: a player begins in the middle; each byte is in its place whatever fragment it is in."""
    web.stored(video(MP4, f"{HIGH}.1", 5))
    for first, last in ((0, 1), (370, 390), (377, 378), (0, len(MP4) - 1), (len(MP4) - 3, len(MP4) - 1), (1000, 1000)):
        response = web.get(RENDERED, "video/mp4", headers={"range": f"bytes={first}-{last}"})
        assert (response.status_code, response.content) == (206, MP4[first : last + 1])
    etag = response.headers["etag"]
    assert web.get(RENDERED, "video/mp4", headers={"if-none-match": etag}).status_code == 304
    assert web.get(RENDERED, "video/mp4", headers={"range": "bytes=9999999-"}).status_code == 416


def test_the_name_that_the_standard_has_for_the_syntax_is_understood(web: Web) -> None:
    web.stored(video(TRANSPORT_STREAM, HIGH))
    assert web.get(RENDERED, "video/mp4").headers["content-type"] == "video/mp4"


def unacceptable(response: httpx.Response, words: str) -> None:
    assert (response.status_code, words in response.json()["error"]["message"]) == (406, True), response.text


def test_nothing_is_decoded(web: Web) -> None:
    web.stored(video(MP4))
    unacceptable(web.get(RENDERED, "image/jpeg"), "video/mp4")
    refused(web.get(f"{RENDERED}?viewport=10,10", "*/*"), "INVALID_ARGUMENT", "viewport")
    for path in ("frames/1", "frames/1/rendered"):
        refused(web.get(f"{uid_path(*UIDS)}/{path}", "*/*"), "FAILED_PRECONDITION", "video")
    refused(web.get(f"{uid_path(*UIDS)}/thumbnail", "*/*"), "NOT_FOUND", "no image")
    whole = 'multipart/related; type="application/dicom"; transfer-syntax='
    unacceptable(web.get(uid_path(*UIDS), f"{whole}1.2.840.10008.1.2.1"), "transfer-syntax=*")
    (part,) = parts_of(web.get(uid_path(*UIDS), f"{whole}*"))
    assert part.data == video(MP4)


@pytest.mark.parametrize("items", [b"", item(b"")])
def test_a_video_without_a_stream(web: Web, items: bytes) -> None:
    """Not even an offset table, and nothing else."""
    web.stored(packed(items))
    refused(web.get(RENDERED, "*/*"), "INVALID_ARGUMENT", "pixel data")


def test_what_is_no_item_is_not_stored(web: Web) -> None:
    response = web.store(packed(item(b"") + bytes(8)))
    assert (response.status_code, "between items" in response.text) == (409, True), response.text


def test_a_fragment_longer_than_the_file_is_not_believed(web: Web) -> None:
    data = video(MP4, f"{HIGH}.1", 2)
    second = data.index(b"\xfe\xff\x00\xe0", data.index(b"ftyp"))
    response = web.store(data[: second + 4] + b"\xff\xff\xff\x7f" + data[second + 8 :])
    assert response.status_code == 409
    refused(web.get(RENDERED, "*/*"), "NOT_FOUND")
    assert web.search("instances") == []
