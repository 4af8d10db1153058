"""Instances in Encapsulated Uncompressed Explicit VR Little Endian over DICOMweb (PS3.5 §A.4.11)."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms
from tests.pixels.instances import SOP_INSTANCE, image, read
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path, value

PATH = uid_path("1.2.826.1", "1.2.826.1.1", SOP_INSTANCE)
OCTETS = 'multipart/related; type="application/octet-stream"'
FRAMES = [bytes(range(start, start + 20)) for start in (0, 100)]


def stored(gantry: Gantry) -> Web:
    web = Web(gantry)
    web.stored(image(FRAMES, 4, 5, syntax=forms.ENCAPSULATED_LE, frames=2))
    return web


def test_frames(gantry: Gantry) -> None:
    web = stored(gantry)
    found = parts_of(web.get(f"{PATH}/frames/1,2", OCTETS))
    assert [part.data for part in found] == FRAMES
    as_stored = parts_of(web.get(f"{PATH}/frames/2", f"{OCTETS}; transfer-syntax=*"))
    assert [part.data for part in as_stored] == FRAMES[1:]


def test_pictures(gantry: Gantry) -> None:
    response = stored(gantry).get(f"{PATH}/frames/2/rendered", "image/png")
    assert response.status_code == 200, response.text
    assert np.asarray(Image.open(BytesIO(response.content))).tobytes() == FRAMES[1]


def test_bulk_data_are_the_frames(gantry: Gantry) -> None:
    web = stored(gantry)
    (part,) = parts_of(web.get(f"{PATH}/bulkdata/7FE00010", OCTETS))
    assert part.data == b"".join(FRAMES)


def test_the_instance_in_other_syntaxes(gantry: Gantry) -> None:
    web = stored(gantry)
    for syntax in (forms.EXPLICIT_LE, forms.RLE):
        (part,) = parts_of(web.get(PATH, f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'))
        ds = read(part.data)
        assert ds.file_meta.TransferSyntaxUID == syntax
        assert ds.pixel_array.tobytes() == b"".join(FRAMES)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [forms.ENCAPSULATED_LE, forms.RLE])
def test_colour_is_by_plane_where_the_metadata_says_so(gantry: Gantry, syntax: str, planar: int) -> None:
    """A reader has nothing but PlanarConfiguration to go by, also where a frame was decoded for it."""
    web, planes = Web(gantry), bytes(range(60))
    by_pixel = np.frombuffer(planes, np.uint8).reshape(3, 20).T.tobytes()
    wanted = planes if planar else by_pixel
    if syntax == forms.RLE:
        segments = [bytes([19]) + planes[start : start + 20] + b"\x80" for start in (0, 20, 40)]
        fragment = struct.pack("<16I", 3, 64, 86, 108, *bytes(12)) + b"".join(segments)
    else:
        fragment = wanted
    web.stored(image([fragment], 4, 5, syntax=syntax, photometric="RGB", planar=planar))
    assert value(web.metadata(PATH)[0], "00280006") == planar
    (frame,) = parts_of(web.get(f"{PATH}/frames/1", OCTETS))
    (bulk,) = parts_of(web.get(f"{PATH}/bulkdata/7FE00010", OCTETS))
    assert frame.data == bulk.data == wanted
    (part,) = parts_of(web.get(PATH))
    assert read(part.data).pixel_array.tobytes() == by_pixel
