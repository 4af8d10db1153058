"""Instances in Encapsulated Uncompressed Explicit VR Little Endian over DICOMweb (PS3.5 §A.4.11)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from gantry.dicom import forms
from tests.pixels.instances import SOP_INSTANCE, image, read
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

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
