"""All bulk data (PS3.18 §10.4.1.1.5) and all pixel data (§10.4.1.1.6) of a study, a series or an instance."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicomweb.instances import EXPLICIT_BE, IMPLICIT_LE, instance, packaged, uids_of
from tests.dicomweb.test_bulkdata import addresses
from tests.dicomweb.test_rendered_parts import FIRST, SECOND, STUDY, A, B, C, broken, report, strict
from tests.dicomweb.test_video import MP4, video
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Part, Web, parts_of, uid_path

__all__ = ["strict"]

OCTETS = 'multipart/related; type="application/octet-stream"'
AS_STORED = f"{OCTETS}; transfer-syntax=*"
NATIVE = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
LEVELS = [uid_path(STUDY), uid_path(STUDY, FIRST), uid_path(*A)]
PIXELS = "bulkdata/7FE00010"


def pixels(uids: tuple[str, str, str], grey: int, **more: object) -> bytes:
    return instance(uids, PixelData=bytes([grey]) * 4, **more)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(pixels(A, 1), pixels(B, 2), pixels(C, 3), report((STUDY, SECOND, "1.2.5.2.9")))
    return made


def by_address(web: Web, found: list[Part]) -> dict[str, bytes]:
    return {part.location.removeprefix(f"{web.url}/"): part.data for part in found}


@pytest.mark.parametrize("tail", ["bulkdata", "pixeldata"])
@pytest.mark.parametrize(("path", "uids"), [*zip(LEVELS, ((A, B, C), (A, B), (A,)), strict=True)])
def test_each_part_has_the_address_of_the_metadata(
    web: Web, path: str, uids: tuple[tuple[str, str, str], ...], tail: str
) -> None:
    response = web.get(f"{path}/{tail}")
    found = parts_of(response)
    assert 'type="application/octet-stream"' in response.headers["content-type"]
    assert [part.data for part in found] == [bytes([number]) * 4 for number, _ in enumerate(uids, 1)]
    assert [part.location for part in found] == [address for each in web.metadata(path) for address in addresses(each)]
    assert {part.type for part in found} == {"application/octet-stream" if tail == "bulkdata" else NATIVE}
    assert "warning" not in response.headers


@pytest.mark.parametrize(
    "name",
    [
        *(
            "CT_small.dcm",
            "waveform_ecg.dcm",
            "examples_palette.dcm",
            "MR_small_implicit.dcm",
            "MR_small_bigendian.dcm",
        ),
        *("SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"),
    ],
)
def test_every_address_of_the_metadata_once_and_with_its_value(gantry: Gantry, name: str) -> None:
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    path = uid_path(*uids_of(data))
    (metadata,) = web.metadata(path)
    found = parts_of(web.get(f"{path}/bulkdata", AS_STORED))
    assert [part.location for part in found] == addresses(metadata)
    for place, value in by_address(web, found).items():
        assert web.get(place, "application/octet-stream").content == value, place


def many(count: int, syntax: str) -> bytes:
    """Items with two values each, out of which some are 16-bit words, and one below them."""
    frames = []
    for number in range(count):
        inner, item = Dataset(), Dataset()
        inner.add_new(0x00091001, "OB", bytes([number % 256, 7]))
        item.add_new(0x00091002, "OW", number.to_bytes(2, "little") * 2)
        item.add_new(0x00091003, "SQ", Sequence([inner, inner]))
        item.add_new(0x00091004, "UN", b"ab")
        frames.append(item)
    return instance(A, syntax, PerFrameFunctionalGroupsSequence=Sequence(frames))


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_BE, "1.2.840.10008.1.2.1"])
def test_values_in_many_items(gantry: Gantry, syntax: str) -> None:
    web = Web(gantry)
    web.stored(many(300, syntax))
    path = uid_path(*A)
    (metadata,) = web.metadata(path)
    found = parts_of(web.get(f"{path}/bulkdata"))
    assert [part.location for part in found] == addresses(metadata)
    assert len(found) > 900
    values = by_address(web, found)
    for place in list(values)[::97]:
        assert web.get(place, "application/octet-stream").content == values[place], place


@pytest.mark.parametrize("tail", ["bulkdata", "pixeldata"])
def test_one_bad_instance_takes_no_other_away(web: Web, tail: str) -> None:
    """Encapsulated pixels without a single fragment."""
    bad = (STUDY, FIRST, "1.2.5.1.0")
    web.stored(video(MP4, "1.2.840.10008.1.2.5", uids=bad))
    response = web.get(f"{uid_path(STUDY)}/{tail}")
    assert [part.data for part in parts_of(response)] == [bytes([number]) * 4 for number in (1, 2, 3)]
    assert bad[2] in response.headers["warning"] and response.headers["warning"].startswith("299 ")


@pytest.mark.parametrize("tail", ["bulkdata", "pixeldata"])
def test_what_the_client_has_is_not_sent_again(web: Web, tail: str) -> None:
    """RFC 9110 §13.1.2"""
    path = f"{uid_path(STUDY)}/{tail}"
    etag = web.get(path).headers["etag"]
    unchanged = web.get(path, headers={"if-none-match": f'"x", {etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    web.stored(pixels((STUDY, FIRST, "1.2.5.1.9"), 9))
    assert web.get(path, headers={"if-none-match": etag}).headers["etag"] != etag


@pytest.mark.parametrize("tail", ["bulkdata", "pixeldata"])
def test_head_post_and_what_is_not_there(web: Web, tail: str) -> None:
    for path in LEVELS:
        head = web.gantry.request("HEAD", f"{web.root}/{path}/{tail}")
        assert (head.status_code, head.content) == (200, b"")
        post = web.gantry.request("POST", f"{web.root}/{path}/{tail}")
        assert post.status_code == 405 and post.headers["allow"] == "GET, HEAD, OPTIONS"
    for missing in (uid_path("1.9"), uid_path(STUDY, "1.9"), uid_path(STUDY, FIRST, "1.9")):
        refused(web.get(f"{missing}/{tail}"), "NOT_FOUND", "1.9")
    only = uid_path(STUDY, SECOND, "1.2.5.2.9")
    refused(web.get(f"{only}/{tail}"), "NOT_FOUND", "has no")
    for accept in ("application/dicom", "application/octet-stream", 'multipart/related; type="text/plain"'):
        assert web.get(f"{LEVELS[0]}/{tail}", accept).status_code == 406


@pytest.mark.parametrize("path", LEVELS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("tail", ["bulkdata", "pixeldata"])
def test_a_strict_server_has_no_such_path(strict: Web, path: str, method: str, tail: str) -> None:
    answers = [strict.gantry.request(method, f"{strict.root}/{path}/{each}") for each in (tail, "unheard")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace(tail, "unheard") == answers[1].text


# Pixel data alone -----------------------------------------------------------------------------------------------------


def test_compressed_frames_are_a_part_each(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("SC_rgb_rle_2frame.dcm")
    web.stored(data)
    path = uid_path(*uids_of(data))
    found = parts_of(web.get(f"{path}/pixeldata", AS_STORED))
    assert [part.type for part in found] == ["image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"] * 2
    assert [part.location for part in found] == [f"{web.url}/{path}/frames/{number}" for number in (1, 2)]
    frames = parts_of(web.get(f"{path}/frames/1,2", AS_STORED))
    assert [part.data for part in found] == [part.data for part in frames]
    (whole,) = parts_of(web.get(f"{path}/pixeldata"))
    assert whole.location == f"{web.url}/{path}/{PIXELS}"
    assert whole.data == web.get(f"{path}/{PIXELS}", "application/octet-stream").content


def test_one_compressed_frame_has_the_address_of_the_element(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("MR_small_RLE.dcm")
    web.stored(data)
    path = uid_path(*uids_of(data))
    (part,) = parts_of(web.get(f"{path}/pixeldata", 'multipart/related; type="image/jls"'))
    assert part.type == "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"
    assert part.location == f"{web.url}/{path}/{PIXELS}"
    frame = web.get(f"{path}/frames/1", 'image/jls; transfer-syntax="1.2.840.10008.1.2.4.80"')
    assert part.data == frame.content


def test_the_next_form_where_the_first_cannot_be_made(web: Web) -> None:
    deep = (STUDY, FIRST, "1.2.5.1.7")
    web.stored(instance(deep, BitsAllocated=32, BitsStored=32, HighBit=31, PixelData=bytes(range(16))))
    accept = 'multipart/related; type="image/jls", multipart/related; type="application/octet-stream"; q=0.5'
    found = parts_of(web.get(f"{uid_path(STUDY, FIRST)}/pixeldata", accept))
    assert [part.type.partition(";")[0] for part in found] == ["image/jls"] * 2 + ["application/octet-stream"]
    response = web.get(f"{uid_path(STUDY, FIRST)}/pixeldata", 'multipart/related; type="image/jls"')
    assert len(parts_of(response)) == 2 and deep[2] in response.headers["warning"]
    assert web.get(f"{uid_path(*deep)}/pixeldata", 'multipart/related; type="image/jls"').status_code == 406


def test_float_pixels(web: Web) -> None:
    for number, (keyword, kind) in enumerate((("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8"))):
        uids, data = (STUDY, SECOND, f"1.2.5.2.{number + 3}"), np.array([1, 2, 3, 4], kind).tobytes()
        bits = {"BitsAllocated": len(data) * 2}
        web.stored(instance(uids, PixelData=None, **{keyword: data}, **bits))
        (part,) = parts_of(web.get(f"{uid_path(*uids)}/pixeldata"))
        tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
        assert (part.data, part.location) == (data, f"{web.url}/{uid_path(*uids)}/bulkdata/{tag}")
        assert web.get(f"{uid_path(*uids)}/pixeldata", 'multipart/related; type="image/jls"').status_code == 406


def test_a_video(web: Web) -> None:
    uids = ("1.2.8", "1.2.8.1", "1.2.8.1.1")
    web.stored(video(MP4, uids=uids))
    path = f"{uid_path(*uids)}/pixeldata"
    for accept, media_type in (
        ("*/*", "application/octet-stream"), (AS_STORED, "application/octet-stream"),
        ('multipart/related; type="video/mp4"', "video/mp4"), ('multipart/related; type="video/*"', "video/mp4"),
    ):  # fmt: skip
        (part,) = parts_of(web.get(path, accept))
        assert (part.type, part.data.rstrip(b"\0")) == (media_type, MP4.rstrip(b"\0"))
        assert part.location == f"{web.url}/{uid_path(*uids)}/{PIXELS}"
    assert web.get(path, 'multipart/related; type="image/jls"').status_code == 406


def test_an_icon_is_not_among_the_pixels(web: Web) -> None:
    icon = Dataset()
    icon.add_new(0x7FE00010, "OB", b"abcd")
    web.stored(instance((STUDY, FIRST, "1.2.5.1.8"), PixelData=None, IconImageSequence=Sequence([icon])))
    path = uid_path(STUDY, FIRST, "1.2.5.1.8")
    refused(web.get(f"{path}/pixeldata"), "NOT_FOUND", "no pixel data")
    assert [part.data for part in parts_of(web.get(f"{path}/bulkdata"))] == [b"abcd"]


def test_pixels_that_are_not_as_many_as_the_header_says(web: Web) -> None:
    """The value is what it is."""
    uids = (STUDY, SECOND, "1.2.5.2.8")
    web.stored(broken(uids))
    (part,) = parts_of(web.get(f"{uid_path(*uids)}/pixeldata"))
    assert part.data == b"\0\x50\xa0\xf0"
