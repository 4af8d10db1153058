"""Rendered studies and series (PS3.18 §10.4.1.1.3): every picture, in parts of one answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextvars import copy_context
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from gantry.errors import Cancelled, CrashingPixels, FailedPrecondition, StatusError
from gantry.names import DicomStoreName
from gantry.studies.departure import leave, watch
from gantry.studies.parts import Job, Part, gather_parts
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.dicomweb.test_video import MP4, video
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import Web, parts_of, uid_path

STUDY, FIRST, SECOND = "1.2.5", "1.2.5.1", "1.2.5.2"
A, B, C = (STUDY, FIRST, "1.2.5.1.1"), (STUDY, FIRST, "1.2.5.1.2"), (STUDY, SECOND, "1.2.5.2.1")
REPORT, BAD = (STUDY, FIRST, "1.2.5.1.3"), (STUDY, FIRST, "1.2.5.1.0")
PNG, JPEG = 'multipart/related; type="image/png"', 'multipart/related; type="image/jpeg"'


def shade(uids: tuple[str, str, str], grey: int) -> bytes:
    return instance(uids, Rows=8, Columns=8, PixelData=bytes([grey]) * 64, WindowCenter="128", WindowWidth="256")


def report(uids: tuple[str, str, str]) -> bytes:
    """No picture: it has no pixels."""
    return instance(uids, Rows=None, Columns=None, PixelData=None)


def broken(uids: tuple[str, str, str]) -> bytes:
    """A picture by its header, with too few pixels."""
    return instance(uids, Rows=64, Columns=64)


def greys(parts: list[bytes]) -> list[int]:
    return [int(np.asarray(Image.open(BytesIO(part)))[0, 0]) for part in parts]


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(shade(C, 200), shade(B, 100), shade(A, 50))
    return made


def test_every_picture_in_the_order_of_the_metadata(web: Web) -> None:
    found = parts_of(web.get(f"{uid_path(STUDY)}/rendered", PNG))
    assert [part.type for part in found] == ["image/png"] * 3
    uids = [each["00080018"]["Value"][0] for each in web.metadata(uid_path(STUDY))]
    assert uids == [A[2], B[2], C[2]]
    assert [part.location for part in found] == [f"{web.url}/{uid_path(*each)}/rendered" for each in (A, B, C)]
    assert greys([part.data for part in found]) == [50, 100, 200]


def test_a_series_has_its_own(web: Web) -> None:
    found = parts_of(web.get(f"{uid_path(STUDY, FIRST)}/rendered", PNG))
    assert [part.location.rpartition("/instances/")[2] for part in found] == [f"{A[2]}/rendered", f"{B[2]}/rendered"]


@pytest.mark.parametrize("accept", ["", "*/*", "multipart/related", "multipart/*", 'multipart/related; type="image/*"'])
def test_jpeg_in_parts_is_the_default(web: Web, accept: str) -> None:
    response = web.get(f"{uid_path(STUDY)}/rendered", accept)
    assert 'type="image/jpeg"' in response.headers["content-type"]
    assert [part.type for part in parts_of(response)] == ["image/jpeg"] * 3


def test_each_part_is_what_its_address_gives(gantry: Gantry) -> None:
    """Several frames have an address each (§10.4.1.1.3)."""
    web, clip = Web(gantry), packaged("SC_rgb_rle_2frame.dcm")
    web.stored(clip)
    found = parts_of(web.get(f"{uid_path(uids_of(clip)[0])}/rendered", PNG))
    assert [part.location.rpartition("/instances/")[2].partition("/")[2] for part in found] == [
        "frames/1/rendered",
        "frames/2/rendered",
    ]
    for part in found:
        assert web.get(part.location.removeprefix(f"{web.url}/"), "image/png").content == part.data


def test_viewport_window_and_quality_are_for_each(web: Web) -> None:
    path = f"{uid_path(STUDY)}/rendered"
    found = parts_of(web.get(path, PNG, params={"viewport": "4,2", "window": "100,1,linear"}))
    assert [Image.open(BytesIO(part.data)).size for part in found] == [(2, 2)] * 3
    assert greys([part.data for part in found]) == [0, 255, 255]
    for bad in ({"viewport": "x"}, {"window": "1"}, {"quality": "0"}):
        refused(web.get(path, params=bad), "INVALID_ARGUMENT", *bad)


@pytest.mark.parametrize("bad", [broken(BAD), report(REPORT)], ids=["broken", "no picture"])
def test_what_cannot_be_rendered_does_not_take_its_neighbours_away(web: Web, bad: bytes) -> None:
    web.stored(bad)
    response = web.get(f"{uid_path(STUDY)}/rendered", PNG)
    assert greys([part.data for part in parts_of(response)]) == [50, 100, 200]
    warning = response.headers["warning"]
    assert warning.startswith('299 gantry "1 part is left out: ') and uids_of(bad)[2] in warning


def test_nothing_that_can_be_rendered(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(broken(A), report(REPORT))
    response = web.get(f"{uid_path(STUDY)}/rendered", PNG)
    assert response.status_code == 406 and A[2] in response.text
    refused(web.get(f"{uid_path(STUDY)}/rendered", "image/png"), "INVALID_ARGUMENT", "pixel data")


def test_colour_that_is_no_jpeg_comes_as_png_where_that_is_accepted(web: Web) -> None:
    deep = instance(
        (STUDY, SECOND, "1.2.5.2.2"), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=16, BitsStored=16, HighBit=15, PixelData=bytes(24),
    )  # fmt: skip
    web.stored(deep)
    path = f"{uid_path(STUDY)}/rendered"
    assert [part.type for part in parts_of(web.get(path))] == ["image/jpeg"] * 3 + ["image/png"]
    response = web.get(path, JPEG)
    assert len(parts_of(response)) == 3 and "1.2.5.2.2" in response.headers["warning"]


def test_one_picture_without_parts(web: Web) -> None:
    """Of several instances one picture would be taken for all there is."""
    web.stored(report(REPORT), shade(("1.2.6", "1.2.6.1", "1.2.6.1.1"), 70), report(("1.2.6", "1.2.6.1", "1.2.6.1.2")))
    response = web.get(f"{uid_path('1.2.6')}/rendered", "image/png")
    assert response.headers["content-type"] == "image/png" and greys([response.content]) == [70]
    response = web.get(f"{uid_path(STUDY)}/rendered", "image/png")
    assert response.status_code == 406 and "thumbnail" in response.text
    assert len(parts_of(web.get(f"{uid_path(STUDY)}/rendered", "image/png, multipart/related;q=0.5"))) == 3
    assert web.get(f"{uid_path(STUDY)}/rendered", "image/gif").status_code == 406


@pytest.mark.parametrize("path", [uid_path("1.2.6"), uid_path("1.2.6", "1.2.6.1")])
def test_one_picture_is_never_one_of_several_frames(gantry: Gantry, path: str) -> None:
    web = Web(gantry)
    uids = ("1.2.6", "1.2.6.1", "1.2.6.1.1")
    web.stored(instance(uids, NumberOfFrames=3, PixelData=bytes(12)))
    for accept in ("image/png", "image/jpeg", "image/*"):
        response = web.get(f"{path}/rendered", accept)
        assert response.status_code == 406 and "multipart/related" in response.text
    assert len(parts_of(web.get(f"{path}/rendered", PNG))) == 3
    assert web.get(f"{uid_path(*uids)}/rendered", "image/png").status_code == 200


def test_one_picture_beside_instances_without_any_has_a_warning(gantry: Gantry) -> None:
    web = Web(gantry)
    path = f"{uid_path('1.2.6')}/rendered"
    web.stored(shade(("1.2.6", "1.2.6.1", "1.2.6.1.1"), 70))
    assert "warning" not in web.get(path, "image/png").headers
    web.stored(report(("1.2.6", "1.2.6.1", "1.2.6.1.0")), report(("1.2.6", "1.2.6.2", "1.2.6.2.2")))
    response = web.get(path, "image/png", params={"annotation": "tides"})
    warning = response.headers["warning"]
    assert greys([response.content]) == [70] and "tides" in warning
    assert '299 gantry "2 instances are left out: instance 1.2.6.1.0: it has no image"' in warning
    unchanged = web.get(path, "image/png", headers={"if-none-match": response.headers["etag"]})
    assert "2 instances" in unchanged.headers["warning"]


@pytest.mark.parametrize("tail", ["rendered", "pixeldata", "bulkdata"])
def test_a_series_of_reports_has_nothing_of_it(web: Web, tail: str) -> None:
    only = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    web.stored(report(only))
    for path in (uid_path("1.2.7"), uid_path("1.2.7", "1.2.7.1")):
        refused(web.get(f"{path}/{tail}"), "NOT_FOUND", "has no")


def test_many_reports_are_one_line_of_the_log(web: Web) -> None:
    """They are counted before anything is sent, wherever they stand."""
    big = np.random.default_rng(1).integers(0, 256, 1100 * 1100, np.uint8).tobytes()
    web.stored(instance(("1.2.8", "1.2.8.1", "1.2.8.1.0"), Rows=1100, Columns=1100, PixelData=big))
    web.stored(*(report(("1.2.8", "1.2.8.2", f"1.2.8.2.{number}")) for number in range(40)))
    before = web.gantry.server.log_text()
    response = web.get(f"{uid_path('1.2.8')}/rendered", PNG)
    assert len(parts_of(response)) == 1 and "40 parts are left out" in response.headers["warning"]
    log = web.gantry.server.log_text().removeprefix(before)
    assert log.count("left out of an answer") == 1 and "1.2.8.2." not in log


@pytest.mark.parametrize("bad", [broken(BAD), report(REPORT)], ids=["broken", "no picture"])
def test_an_answer_that_lacks_something_has_no_entity_tag(web: Web, bad: bytes) -> None:
    """It would be confirmed although more can be read now."""
    path = f"{uid_path(STUDY)}/rendered"
    before = web.get(path, PNG).headers["etag"]
    web.stored(bad)
    response = web.get(path, PNG, headers={"if-none-match": before})
    assert "warning" in response.headers and "etag" not in response.headers


@pytest.mark.parametrize(("error", "is_lasting"), [(FailedPrecondition, True), (CrashingPixels, False)])
def test_a_worker_that_died_may_not_die_again(error: type[StatusError], is_lasting: bool) -> None:
    row: Any = SimpleNamespace(uids=A, sop_instance_uid=A[2])

    def make() -> Generator[Part | StatusError, None, None]:
        yield error("it")

    seams: Any = None
    found = gather_parts(
        seams, DicomStoreName("p", "l", "d", "s"), lambda rows: (Job(row, make) for row in rows), iter([row])
    )
    assert found.left_out.count == 1 and (found.unread == []) == is_lasting


def test_a_client_that_has_left_ends_the_search_for_parts() -> None:
    """Also where no instance has a part."""
    looked_at = 0

    def rows() -> Iterator[Any]:
        nonlocal looked_at
        for _ in range(9):
            looked_at += 1
            leave()
            yield SimpleNamespace(uids=A, sop_instance_uid=A[2])

    def make() -> Generator[Part | StatusError, None, None]:
        yield from ()

    def gather() -> None:
        watch()
        seams: Any = None
        gather_parts(seams, DicomStoreName("p", "l", "d", "s"), lambda found: (Job(row, make) for row in found), rows())

    with pytest.raises(Cancelled):
        copy_context().run(gather)
    assert looked_at == 1


def test_a_video_is_a_part_for_those_who_take_videos(web: Web) -> None:
    uids = (STUDY, SECOND, "1.2.5.2.9")
    web.stored(video(MP4, uids=uids))
    path = f"{uid_path(STUDY)}/rendered"
    (*_, last) = parts_of(web.get(path))
    assert (last.data, last.type) == (MP4 + bytes(len(MP4) % 2), "video/mp4") and last.location.endswith(
        f"{uids[2]}/rendered"
    )
    response = web.get(path, PNG)
    assert len(parts_of(response)) == 3 and uids[2] in response.headers["warning"]
    (only,) = parts_of(web.get(path, 'multipart/related; type="video/mp4"'))
    assert only.data == last.data


def test_what_the_client_has_is_not_sent_again(web: Web) -> None:
    """RFC 9110 §13.1.2"""
    path = f"{uid_path(STUDY)}/rendered"
    etag = web.get(path).headers["etag"]
    unchanged = web.get(path, headers={"if-none-match": etag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    others = [
        web.get(path, PNG),
        web.get(path, params={"viewport": "9,9"}),
        web.get(uid_path(STUDY, FIRST) + "/rendered"),
    ]
    assert len({etag, *(other.headers["etag"] for other in others)}) == 4
    web.stored(shade((STUDY, FIRST, "1.2.5.1.9"), 1))
    changed = web.get(path, headers={"if-none-match": etag})
    assert changed.status_code == 200 and changed.headers["etag"] != etag


def test_an_error_behind_the_first_pictures_ends_the_answer_after_all_others(gantry: Gantry) -> None:
    """Noise of 1.2 MB comes first, so that the answer has begun."""
    web = Web(gantry)
    noise = np.random.default_rng(1).integers(0, 256, 1100 * 1100, np.uint8).tobytes()
    bad = (STUDY, FIRST, "1.2.5.1.1.5")
    web.stored(instance(A, Rows=1100, Columns=1100, PixelData=noise), broken(bad), shade(B, 100))
    seen = b""
    with httpx.stream("GET", f"{web.url}/{uid_path(STUDY)}/rendered", headers={"accept": PNG}) as response:
        with pytest.raises(httpx.RemoteProtocolError):
            for data in response.iter_raw():
                seen += data
        boundary = response.headers["content-type"].partition("boundary=")[2].encode()
    assert response.status_code == 200 and "warning" not in response.headers
    assert seen.count(b"Content-Location") == 2 and f"{B[2]}/rendered".encode() in seen
    assert b"--" + boundary + b"--" not in seen


def test_head_post_and_what_is_not_there(web: Web) -> None:
    path = f"{web.root}/{uid_path(STUDY)}/rendered"
    head = web.gantry.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("multipart/related")
    post = web.gantry.request("POST", path)
    assert post.status_code == 405 and post.headers["allow"] == "GET, HEAD, OPTIONS"
    for missing in (uid_path("1.9"), uid_path(STUDY, "1.9")):
        refused(web.get(f"{missing}/rendered"), "NOT_FOUND", "1.9")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home: Path = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": "1"})
    try:
        web = Web(Gantry(server))
        web.stored(shade(A, 50))
        yield web
    finally:
        server.stop()


@pytest.mark.parametrize("path", [uid_path(STUDY), uid_path(STUDY, FIRST)])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_strict_server_has_no_such_path(strict: Web, path: str, method: str) -> None:
    answers = [strict.gantry.request(method, f"{strict.root}/{path}/{tail}") for tail in ("rendered", "unheard")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("rendered", "unheard") == answers[1].text
