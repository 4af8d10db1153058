"""Which of several acceptable forms is sent: the stored one, never a lossy one that nobody has named, and the next one
where one cannot be made (PS3.18 §8.7.3.5.2, §8.7.8.1)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from gantry.api.accept import Offer, parse_accept, rank
from gantry.api.retrieving import FRAMES
from gantry.dicom import forms
from tests.dicomweb.instances import instance, packaged, uids_of
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
