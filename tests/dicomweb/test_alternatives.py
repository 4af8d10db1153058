"""Which of several acceptable forms is sent: the stored one, never a lossy one that nobody has named, and the next one
where one cannot be made (PS3.18 §8.7.3.5.2, §8.7.8.1)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from gantry.api.accept import Choice, Offer, parse_accept, rank
from gantry.api.alternatives import make_first
from gantry.api.retrieving import FRAMES
from gantry.dicom import forms, frames, views
from gantry.errors import (
    CrashingPixels,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NoSuchFrame,
    NotAcceptable,
    Replaced,
    StatusError,
    UnsuitableForm,
)
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.pixels.instances import Opened
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

ALL_LOSSLESS = {uid for syntaxes in forms.UNNAMED.values() for uid in syntaxes} | {forms.EXPLICIT_LE, "*"}
COMPRESSED = [(media_type, uid) for media_type, syntaxes in forms.FRAME_TYPES for uid in syntaxes]
STORED = [uid for _, uid in COMPRESSED] + [forms.EXPLICIT_LE, forms.IMPLICIT_LE, "1.2.840.10008.1.2.4.102"]
RELATED = 'multipart/related; type="{}"'
VIEWER = ", ".join(
    f'{RELATED.format(media_type)}; transfer-syntax={uid}'
    for media_type, uid in [
        ("image/jls", forms.JPEG_LS), ("image/jls", forms.JPEG_LS_NEAR), ("image/jp2", forms.J2K_LOSSLESS),
        ("image/jp2", forms.J2K), ("image/jpeg", forms.JPEG_BASELINE), ("image/jpeg", forms.JPEG_EXTENDED),
        ("image/jpeg", forms.JPEG_LOSSLESS), ("image/jpeg", forms.JPEG_LOSSLESS_SV1),
        ("application/octet-stream", forms.EXPLICIT_LE),
    ]
)  # fmt: skip
"""What viewers of slides send: all equal, lossless first."""


def ranked(accept: str, stored: str) -> list[tuple[str, str]]:
    native = (forms.EXPLICIT_LE,) if stored in forms.NATIVE_TARGETS else ()
    choices = rank(parse_accept([accept]), FRAMES, ("*", stored, *native))
    return [(choice.offer.type, choice.syntax) for choice in choices]


@pytest.mark.parametrize("stored", STORED)
def test_the_stored_syntax_comes_first_among_equals(stored: str) -> None:
    first, *_ = ranked(VIEWER, stored)
    held = {uid: media_type for media_type, uid in COMPRESSED if media_type in ("image/jls", "image/jp2", "image/jpeg")}
    if stored in held:
        assert first == (held[stored], stored)
    elif stored in forms.NATIVE_TARGETS:
        assert first == ("application/octet-stream", forms.EXPLICIT_LE)
    else:
        assert first == ("image/jls", forms.JPEG_LS), "as written"


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("media_type", [*(kind for kind, _ in forms.FRAME_TYPES), "image/*", "*/*", "application/*"])
@pytest.mark.parametrize("syntax", ["", "; transfer-syntax=*"])
@pytest.mark.parametrize("kind", ["{}", RELATED])
def test_nothing_lossy_is_made_unless_it_is_named(stored: str, media_type: str, syntax: str, kind: str) -> None:
    found = ranked(kind.format(media_type) + syntax, stored)
    assert found and {uid for _, uid in found} <= ALL_LOSSLESS | {stored}
    types = dict(forms.FRAME_TYPES)
    if media_type in types and stored in types[media_type]:
        assert found[0] == (media_type, stored), "its bytes are there"
    elif media_type in types:
        assert found[0] == (media_type, forms.UNNAMED[media_type][0])


@pytest.mark.parametrize("accept", ["", "*/*", "multipart/related", "multipart/*", 'multipart/related; type="*/*"'])
@pytest.mark.parametrize("stored", STORED)
def test_the_default_is_decompressed_and_then_what_is_stored(accept: str, stored: str) -> None:
    found = ranked(accept, stored)
    assert found[:2] == [("application/octet-stream", forms.EXPLICIT_LE), ("application/octet-stream", "*")] or (
        found[0] == ("application/octet-stream", forms.EXPLICIT_LE) and stored == forms.EXPLICIT_LE
    )


@pytest.mark.parametrize("named", [uid for _, uid in COMPRESSED])
@pytest.mark.parametrize("stored", STORED)
def test_what_is_named_is_sent_and_nothing_else(named: str, stored: str) -> None:
    media_type = next(kind for kind, uid in COMPRESSED if uid == named)
    assert ranked(f"{RELATED.format(media_type)}; transfer-syntax={named}", stored) == [(media_type, named)]
    assert ranked(f"{RELATED.format('image/gif')}; transfer-syntax={named}", stored) == []


def test_q_comes_before_what_is_stored() -> None:
    accept = f"{RELATED.format('image/jls')}, {RELATED.format('image/jpeg')};q=0.9"
    assert ranked(accept, forms.JPEG_BASELINE) == [("image/jls", forms.JPEG_LS), ("image/jpeg", forms.JPEG_BASELINE),
                                                   ("image/jpeg", forms.JPEG_LOSSLESS_SV1)]  # fmt: skip
    assert ranked(f"image/*, image/jpeg; transfer-syntax={forms.JPEG_BASELINE};q=0", forms.JPEG_BASELINE)[0][1] != "*"
    forbidden = ranked(f"image/*, image/jpeg; transfer-syntax={forms.JPEG_BASELINE};q=0", forms.JPEG_BASELINE)
    assert ("image/jpeg", forms.JPEG_BASELINE) not in forbidden and ("image/jls", forms.JPEG_LS) in forbidden


def test_each_offer_is_ranked_once() -> None:
    offers = (Offer("image/jpeg", False), Offer("image/png", False))
    found = rank(parse_accept(["image/png, image/*;q=0.5, */*;q=0.1"]), offers)
    assert [choice.offer.type for choice in found] == ["image/png", "image/jpeg"]


# --- over HTTP


@pytest.mark.parametrize(
    ("name", "accept", "expected"),
    [
        ("MR_small_jp2klossless.dcm", "image/jp2; transfer-syntax=*", forms.J2K_LOSSLESS),
        ("JPEG2000.dcm", "image/jp2; transfer-syntax=*", forms.J2K),
        ("JPEG-lossy.dcm", "image/jpeg; transfer-syntax=*", forms.JPEG_EXTENDED),
        ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg; transfer-syntax=*", forms.JPEG_LOSSLESS_SV1),
        ("SC_rgb_jpeg_gdcm.dcm", "image/*; transfer-syntax=*", forms.JPEG_LOSSLESS_SV1),
        ("MR_small_RLE.dcm", "image/*; transfer-syntax=*", forms.RLE),
        ("MR_small_RLE.dcm", VIEWER, forms.JPEG_LS),
        ("SC_rgb_small_odd.dcm", "image/jpeg", forms.JPEG_LOSSLESS_SV1),
        ("SC_rgb_small_odd.dcm", "image/jpeg; transfer-syntax=*", forms.JPEG_LOSSLESS_SV1),
        ("CT_small.dcm", "image/*; transfer-syntax=*", forms.JPEG_LOSSLESS_SV1),
        ("CT_small.dcm", f"image/jpeg; transfer-syntax={forms.JPEG_BASELINE}, image/jls;q=0.1", forms.JPEG_LS),
        ("CT_small.dcm", "foo, image/jls;q=high, image/jp2", forms.J2K_LOSSLESS),
    ],
)
def test_frames_as_real_files_have_them(gantry: Gantry, name: str, accept: str, expected: str) -> None:
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    response = web.get(f"{uid_path(*uids_of(data))}/frames/1", accept)
    assert response.status_code == 200, response.text
    found = response.headers["content-type"] if "multipart" not in accept else parts_of(response)[0].type
    assert found.endswith(f"; transfer-syntax={expected}")
    ds = pydicom.dcmread(BytesIO(data))
    if ds.file_meta.TransferSyntaxUID == expected:
        assert response.content in ds.PixelData, "not a bit is changed"


def test_where_no_form_can_be_made(gantry: Gantry) -> None:
    """16-bit colour is no JPEG Baseline; the picture comes as PNG where that is acceptable, too."""
    web, uids = Web(gantry), ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    pixels = np.arange(8 * 8 * 3, dtype="<u2").tobytes()
    kind = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    bits = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "Rows": 8, "Columns": 8}
    web.stored(instance(uids, **kind, **bits, PixelData=pixels))
    for accept in ("image/jpeg, image/png", "image/jpeg, image/png;q=0.1", "*/*", "", "image/*"):
        for path in ("rendered", "frames/1/rendered", "thumbnail"):
            response = web.get(f"{uid_path(*uids)}/{path}", accept)
            assert response.headers.get("content-type") == "image/png", (accept, path, response.text)
    for path, accept in [
        ("rendered", "image/jpeg"),
        ("frames/1", f"image/jpeg; transfer-syntax={forms.JPEG_BASELINE}"),
        ("rendered", 'multipart/related; type="image/jpeg"'),
    ]:
        response = web.get(f"{uid_path(*uids)}/{path}", accept)
        assert response.status_code == 406 and "cannot" in response.json()["error"]["message"], response.text


@pytest.mark.parametrize("kind", ["{}", RELATED, "multipart/related; type={}"])
@pytest.mark.parametrize(("old", "new"), [("image/x-dicom-rle", "image/dicom-rle"), ("Image/X-JLS", "image/jls")])
def test_media_types_by_their_earlier_names(kind: str, old: str, new: str) -> None:
    """Those of PS3.18 before 2016, which dicomweb-client and wsidicom still send. The answer has the present name."""
    for stored in STORED:
        assert ranked(kind.format(old), stored) == ranked(kind.format(new), stored) != []
    assert ranked(f"{kind.format(old)};q=0, */*", forms.RLE) == ranked(f"{kind.format(new)};q=0, */*", forms.RLE)


def test_a_frame_by_an_earlier_name(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("MR_small_RLE.dcm")
    web.stored(data)
    path = f"{uid_path(*uids_of(data))}/frames/1"
    accept = f'multipart/related; type="image/x-dicom-rle"; transfer-syntax={forms.RLE}'
    (part,) = parts_of(web.get(path, accept))
    (expected,) = parts_of(web.get(path, accept.replace("x-dicom-rle", "dicom-rle")))
    assert (part.type, part.data) == (expected.type, expected.data)
    assert part.type.startswith("image/dicom-rle")


BIT = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "Rows": 8, "Columns": 8, "PixelData": bytes(8)}
BITS = ("1.2.8", "1.2.8.1", "1.2.8.1.1")
DICOM_PARTS, ONE, SV1 = RELATED.format("application/dicom"), "application/dicom", forms.JPEG_LOSSLESS_SV1


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{DICOM_PARTS}; transfer-syntax={SV1}, {ONE}; transfer-syntax=*;q=0.5", "application/dicom"),
        (f"{ONE}; transfer-syntax={SV1}, {DICOM_PARTS}; transfer-syntax=*;q=0.5", "multipart/related"),
        (f"{ONE}; transfer-syntax={SV1}, {DICOM_PARTS}; transfer-syntax={SV1}, {ONE};q=0.1", "application/dicom"),
        (f"{DICOM_PARTS}; transfer-syntax={SV1}, {ONE}; transfer-syntax={forms.JPEG_LS};q=0.5", ""),
    ],
)
def test_parts_and_a_single_part_follow_each_other(gantry: Gantry, accept: str, expected: str) -> None:
    """One bit per pixel is no JPEG of any kind."""
    web = Web(gantry)
    web.stored(instance(BITS, **BIT))
    response = web.get(uid_path(*BITS), accept)
    assert response.status_code == (200 if expected else 406), response.text
    assert response.headers["content-type"].partition(";")[0] == (expected or "application/json")


@pytest.mark.parametrize("level", [1, 2])
def test_an_archive_follows_parts_that_cannot_be_made(gantry: Gantry, level: int) -> None:
    web = Web(gantry)
    web.stored(instance(BITS, **BIT))
    path = uid_path(*BITS[:level])
    response = web.get(path, f"{DICOM_PARTS}; transfer-syntax={SV1}, application/zip;q=0.5")
    assert response.headers["content-type"] == "application/zip"
    assert web.get(path, f"{DICOM_PARTS}; transfer-syntax={SV1}").status_code == 406


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_form_that_is_forbidden_is_not_sent_at_any_level(gantry: Gantry, level: int) -> None:
    """RFC 9110 §12.4.2"""
    web, data = Web(gantry), packaged("SC_rgb_jpeg_dcmtk.dcm")
    stored = str(pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta.TransferSyntaxUID)
    web.stored(data)
    path = uid_path(*uids_of(data)[:level])
    for forbidden in (f"{DICOM_PARTS}; transfer-syntax={stored};q=0", f"{DICOM_PARTS}; transfer-syntax={stored};q=0.0"):
        assert web.get(path, f"{DICOM_PARTS}; transfer-syntax=*, {forbidden}").status_code == 406
        (part,) = parts_of(web.get(path, f"{DICOM_PARTS}; transfer-syntax=*, {forbidden}, {DICOM_PARTS};q=0.1"))
        assert part.type == f"application/dicom; transfer-syntax={forms.EXPLICIT_LE}"
    other = f"{DICOM_PARTS}; transfer-syntax={forms.J2K};q=0"
    assert [part.data for part in parts_of(web.get(path, f"{DICOM_PARTS}; transfer-syntax=*, {other}"))] == [data]


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("q", ["", ";q=0.3"])
def test_the_stored_syntax_can_be_named_at_every_level(gantry: Gantry, level: int, q: str) -> None:
    """Also one that nobody can make: a video."""
    web, uids, syntax = Web(gantry), ("1.2.7", "1.2.7.1", "1.2.7.1.1"), "1.2.840.10008.1.2.4.102"
    clip = make_instance(*uids, pixel_bytes=4, transfer_syntax=syntax)
    web.stored(clip)
    (part,) = parts_of(web.get(uid_path(*uids[:level]), f"{DICOM_PARTS}; transfer-syntax={syntax}{q}"))
    assert (part.data, part.type) == (clip, f"application/dicom; transfer-syntax={syntax}")
    assert web.get(uid_path(*uids[:level]), f"{DICOM_PARTS}; transfer-syntax={syntax}0").status_code == 406


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm"])
@pytest.mark.parametrize("form", ["{}", RELATED])
def test_octets_are_no_name_for_a_picture_that_is_forbidden(gantry: Gantry, name: str, form: str) -> None:
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    path = f"{uid_path(*uids_of(data))}/frames/1"
    octets = form.format("application/octet-stream") + "; transfer-syntax=*"
    forbidden = f"{form.format('image/jpeg')};q=0, {form.format('image/jp2')};q=0"
    for accept in (f"{octets}, {forbidden}", f"{octets}, {form.format('image/*')};q=0"):
        response = web.get(path, accept)
        assert response.status_code == 406 and "image/" in response.text, (accept, response.headers)
    assert web.get(path, octets).status_code == 200
    assert web.get(path, f"{octets}, {form.format('image/jxl')};q=0").status_code == 200
    for accept in (f"{octets}, {forbidden}, {form.format('application/octet-stream')};q=0.1", f"{octets}, */*;q=0"):
        response = web.get(path, accept)
        found = parts_of(response)[0].type if "multipart" in form else response.headers["content-type"]
        assert found == f"application/octet-stream; transfer-syntax={forms.EXPLICIT_LE}"


@pytest.mark.parametrize("accept", ["application/octet-stream", "image/*", "application/octet-stream, image/jls"])
def test_several_frames_are_not_acceptable_without_parts(gantry: Gantry, accept: str) -> None:
    """PS3.18 §8.7.8.1: nothing else is wrong with the request."""
    web, data = Web(gantry), packaged("CT_small.dcm")
    web.stored(data)
    path = f"{uid_path(*uids_of(data))}/frames/1,1"
    response = web.get(path, accept)
    assert response.status_code == 406 and "multipart" in response.text
    assert len(parts_of(web.get(path, f"{accept}, {RELATED.format('application/octet-stream')};q=0.1"))) == 2


# --- how many are tried


def choices_of(*forms_: tuple[str, bool, str]) -> list[Choice]:
    return [Choice(Offer(media_type, multipart, (syntax,), syntax), syntax) for media_type, multipart, syntax in forms_]


EVERY_FORM = choices_of(
    *((media_type, multipart, uid) for multipart in (True, False) for media_type, uid in COMPRESSED)
)  # fmt: skip


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (UnsuitableForm("too many bits"), len(COMPRESSED)),
        (NotAcceptable("no such form"), len(COMPRESSED)),
        (CrashingPixels("the worker process died"), 1),
        (InvalidArgument("a frame does not decode"), 1),
        (FailedPrecondition("a frame is too large"), 1),
    ],
)
def test_only_what_may_succeed_is_tried_after_an_error(error: StatusError, most: int) -> None:
    """A form is tried once, in parts or alone; what is wrong with the instance is wrong in every form."""
    tried: list[str] = []

    def make(_: Offer, syntax: str) -> str:
        tried.append(syntax)
        raise error

    with pytest.raises(NotAcceptable if most > 1 else type(error)):
        make_first(EVERY_FORM, make, ("*", forms.EXPLICIT_LE))
    assert len(tried) == len(set(tried)) == most


@pytest.mark.parametrize("error", [CrashingPixels("the worker process died"), InvalidArgument("damaged")])
def test_what_is_stored_is_sent_where_it_does_not_decode(error: StatusError) -> None:
    tried: list[str] = []

    def make(_: Offer, syntax: str) -> str:
        tried.append(syntax)
        if syntax != forms.RLE:
            raise error
        return syntax

    assert make_first(EVERY_FORM, make, ("*", forms.RLE)) == forms.RLE
    assert len(tried) == 2


@pytest.mark.parametrize("exception", [DataLoss("gone"), Replaced("another one"), NoSuchFrame("frame 9")])
def test_other_errors_end_the_request(exception: StatusError) -> None:
    tried: list[str] = []

    def make(_: Offer, syntax: str) -> str:
        tried.append(syntax)
        raise exception

    with pytest.raises(type(exception)):
        make_first(EVERY_FORM, make)
    assert len(tried) == 1


DEEP = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "Rows": 4, "Columns": 4, "PixelData": bytes(64)}
COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Rows": 4, "Columns": 4}
WORDS = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelData": bytes(96)}


@pytest.mark.parametrize("syntax", [uid for _, uid in COMPRESSED if uid not in (forms.RLE, forms.DEFLATED_FRAME)])
def test_a_frame_is_not_decoded_for_a_form_that_cannot_hold_it(monkeypatch: pytest.MonkeyPatch, syntax: str) -> None:
    """A large one takes a second, for each form that is tried."""
    monkeypatch.setattr(frames, "decode_frames", lambda *_: pytest.fail("decoded"))
    opened = Opened(instance(BITS, **DEEP))
    with pytest.raises(UnsuitableForm, match=r"BitsAllocated 32|JPEG Baseline"):
        next(views.frame_bitstreams(opened, syntax, [0], lambda: None))


def test_a_picture_is_not_decoded_for_a_media_type_that_cannot_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "decode_frames", lambda *_: pytest.fail("decoded"))
    opened = Opened(instance(BITS, **COLOUR, **WORDS))
    with pytest.raises(UnsuitableForm, match="cannot become JPEG"):
        next(views.rendered(opened, views.View("image/jpeg"), [0], lambda: None))
