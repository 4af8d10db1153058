"""Rendered instances and frames (PS3.18 §10.4.1.1.3, §8.3.5; spec §10.3), thumbnails."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
RAMP = bytes(range(0, 256, 4)) * 64  # 64 columns from black to white


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(instance(A, Rows=64, Columns=64, PixelData=RAMP))
    return made


def picture(web: Web, path: str, accept: str = "image/png", **parameters: str) -> np.ndarray:
    response = web.get(path, accept, params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == accept
    return np.asarray(Image.open(BytesIO(response.content)))


def test_png_is_exact_and_jpeg_is_close(web: Web) -> None:
    exact = picture(web, f"{uid_path(*A)}/rendered")
    assert exact.tobytes() == RAMP
    close = picture(web, f"{uid_path(*A)}/rendered", "image/jpeg")
    assert np.abs(close.astype(int) - exact).max() < 8


@pytest.mark.parametrize("accept", ["", "*/*", "image/*", "image/jpeg, image/png;q=.9"])
def test_jpeg_is_the_default(web: Web, accept: str) -> None:
    response = web.get(f"{uid_path(*A)}/rendered", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")


def test_the_query_may_say_what_is_accepted(web: Web) -> None:
    """PS3.18 §8.3.3.1: for the addresses in web pages."""
    response = web.get(f"{uid_path(*A)}/rendered", "image/jpeg", params={"accept": "image/png"})
    assert response.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "viewport, size",
    [
        ("32,32", (32, 32)),
        ("200,100", (100, 100)),
        ("32,32,0,0,64,32", (32, 16)),
        ("10,10,32,,32,", (5, 10)),
        ("32,32,48", (8, 32)),
        ("32,32,,48", (32, 8)),
        ("32,32,,,16", (8, 32)),
        ("32,32, , ,16,16", (32, 32)),
        ("32,32,-48,-48", (32, 32)),
        ("32,32,0.25,0.75,31.5,15.25", (32, 16)),
    ],
)
def test_the_viewport_fits_what_it_shows(web: Web, viewport: str, size: tuple[int, int]) -> None:
    """PS3.18 §8.3.5.1.3: width, height, and the part of the picture, in decimals; what is left out has a default."""
    shown = picture(web, f"{uid_path(*A)}/rendered", viewport=viewport)
    assert shown.shape[::-1] == size


def test_a_part_of_the_picture_and_its_mirror(web: Web) -> None:
    part = picture(web, f"{uid_path(*A)}/rendered", viewport="16,16,48,0,16,16")
    assert part[0].tolist() == list(RAMP[48:64])
    for viewport in ("16,16,48,0,-16,16", "16,16,-48,-0,-16,16", "16,16,-48.5,0,-15.25,16"):
        mirrored = picture(web, f"{uid_path(*A)}/rendered", viewport=viewport)
        assert mirrored[0].tolist() == list(RAMP[48:64])[::-1]


def test_a_window(web: Web) -> None:
    """PS3.18 §8.3.5.1.4, PS3.3 §C.11.2.1.2: between 64 and 128 from black to white."""
    shown = picture(web, f"{uid_path(*A)}/rendered", window="96,64,linear-exact")[0]
    assert shown[:16].max() <= 2 and shown[33:].min() == 255
    assert abs(int(shown[24]) - 128) <= 2
    sigmoid = picture(web, f"{uid_path(*A)}/rendered", window="128,128,sigmoid")[0]
    assert abs(int(sigmoid[32]) - 128) <= 2 and 0 < sigmoid[0] < 10


def test_quality(web: Web) -> None:
    sizes = [
        len(web.get(f"{uid_path(*A)}/rendered", "image/jpeg", params={"quality": quality}).content)
        for quality in ("5", "90", "100")
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


BAD_VIEWPORTS = (
    *("", "1", "0,1", "1,0", "-1,1", "1.5,1", "a,b", "1,1,1,1,0,1", "1,1,1,1,1,-0.0", "1,1,1,1,1,1,1", "1,1,1e1"),
    *("99999,1", "1,1,x", "1,1,1,1,1,1,"),
)
BAD_WINDOWS = (
    *("", "1", "1,2,cubic", "1,0,linear", "1,-2,linear", "nan,1,linear", "x,y,linear", "100,50", "100,50,"),
    *("1,0.5,linear", "1,0,linear-exact", "1,-1,sigmoid", "1,2,linear,3", ",,linear"),
)


@pytest.mark.parametrize(
    "name, asked",
    [
        *(("viewport", text) for text in BAD_VIEWPORTS),
        *(("window", text) for text in BAD_WINDOWS),
        *(("quality", text) for text in ("", "0", "101", "x", "1.5")),
    ],
)
def test_bad_parameters_are_refused_by_name(web: Web, name: str, asked: str) -> None:
    refused(web.get(f"{uid_path(*A)}/rendered", params={name: asked}), "INVALID_ARGUMENT", name)


def test_a_viewport_beside_the_picture(web: Web) -> None:
    refused(web.get(f"{uid_path(*A)}/rendered", params={"viewport": "9,9,64,0,5,5"}), "INVALID_ARGUMENT", "viewport")


def test_what_the_client_has_is_not_sent_again(web: Web) -> None:
    """RFC 9110 §13.1.2"""
    path = f"{uid_path(*A)}/rendered"
    etag = web.get(path).headers["etag"]
    assert web.get(path, headers={"if-none-match": etag}).status_code == 304
    for other in ({"viewport": "9,9"}, {"quality": "50"}, {"window": "1,2,linear"}):
        response = web.get(path, headers={"if-none-match": etag}, params=other)
        assert response.status_code == 200 and response.headers["etag"] != etag
    assert web.get(path, "image/png").headers["etag"] != etag


def test_frames_of_a_clip(gantry: Gantry) -> None:
    """§10.3: one frame by itself, several in parts, all of an instance in parts."""
    web, data = Web(gantry), packaged("SC_rgb_rle_2frame.dcm")
    web.stored(data)
    path = uid_path(*uids_of(data))
    first, second = (web.get(f"{path}/frames/{number}/rendered", "image/png").content for number in (1, 2))
    assert first != second
    assert web.get(f"{path}/rendered", "image/png").content == first
    found = parts_of(web.get(f"{path}/frames/2,1/rendered", "image/png"))
    assert [part.data for part in found] == [second, first]
    assert [part.type for part in found] == ["image/png"] * 2
    found = parts_of(web.get(f"{path}/rendered", 'multipart/related; type="image/png"'))
    assert [part.data for part in found] == [first, second]
    refused(web.get(f"{path}/frames/3/rendered"), "NOT_FOUND", "frame 3 does not exist")


@pytest.mark.parametrize("name, below", [("rtplan.dcm", "/rendered"), ("test-SR.dcm", "/frames/1/rendered")])
def test_an_instance_that_is_no_picture(gantry: Gantry, name: str, below: str) -> None:
    """§10.1; a report has a page, and no frames."""
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    refused(web.get(f"{uid_path(*uids_of(data))}{below}"), "FAILED_PRECONDITION", "no pixel data")


def test_what_cannot_be_made(web: Web) -> None:
    assert web.get(f"{uid_path(*A)}/rendered", "image/gif").status_code == 406


# Thumbnails (PS3.18 §10.4.1.1.4), an addition of ours -----------------------------------------------------------------


def test_a_thumbnail_stands_for_what_it_is_of(gantry: Gantry) -> None:
    """The middle instance of a series, in the order of InstanceNumber."""
    web = Web(gantry)
    shades = [bytes([40 * number]) * 64 * 64 for number in range(5)]
    web.stored(
        *(
            instance(
                ("1.3", "1.3.1", f"1.3.1.{9 - number}"), Rows=64, Columns=64, InstanceNumber=number, PixelData=shade
            )
            for number, shade in enumerate(shades)
        )
    )
    for path in (uid_path("1.3"), uid_path("1.3", "1.3.1"), uid_path("1.3", "1.3.1", "1.3.1.7")):
        shown = picture(web, f"{path}/thumbnail")
        assert shown.shape == (128, 128) and set(shown.flat) == {80}
    assert picture(web, f"{uid_path('1.3')}/thumbnail", viewport="20,20").shape == (20, 20)
    assert web.get(f"{uid_path('1.3', '1.3.1', '1.3.1.7')}/frames/1/thumbnail").headers["content-type"] == "image/jpeg"
    refused(web.get(f"{uid_path('1.4')}/thumbnail"), "NOT_FOUND", "1.4")
    part = web.get(f"{uid_path('1.3')}/thumbnail", params={"viewport": "20,20,0,0,5,5"})
    refused(part, "INVALID_ARGUMENT", "viewport")


BROKEN = {
    "cut": {"PixelData": b"\0" * 10},
    "unknown": {"PhotometricInterpretation": "HSV"},
    "bits": {"BitsAllocated": 3},
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_without_a_picture_leaves_the_thumbnail_to_its_neighbours(gantry: Gantry, kind: str) -> None:
    web = Web(gantry)
    whole = {"Rows": 64, "Columns": 64, "PixelData": RAMP}
    for number in range(3):
        changes = BROKEN[kind] if number == 1 else {}
        web.stored(instance(("1.5", "1.5.1", f"1.5.1.{number}"), **whole | {"InstanceNumber": number} | changes))
    for path in (uid_path("1.5"), uid_path("1.5", "1.5.1")):
        assert picture(web, f"{path}/thumbnail").max() > 200
        refused(web.get(f"{path}/thumbnail", params={"viewport": "0,0"}), "INVALID_ARGUMENT", "viewport")
    assert web.get(f"{uid_path('1.5', '1.5.1', '1.5.1.1')}/thumbnail").status_code == 400


def test_what_has_no_picture_has_no_thumbnail(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("test-SR.dcm")
    web.stored(data)
    refused(web.get(f"{uid_path(uids_of(data)[0])}/thumbnail"), "NOT_FOUND", "no image")
