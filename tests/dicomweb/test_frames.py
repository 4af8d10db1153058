"""Frames of instances (PS3.18 §10.4.1.1.6; spec §10.3)."""

from __future__ import annotations

import os
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest

from gantry.dicom import forms
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.blobs import find_blobs
from tests.support.gantry import Gantry
from tests.support.web import Web, parts_of, uid_path

UIDS = ("1.2.6", "1.2.6.1", "1.2.6.1.1")
OCTETS = 'multipart/related; type="application/octet-stream"'


def kept(gantry: Gantry, name: str) -> tuple[Web, str, pydicom.Dataset]:
    """A packaged file in a store, its address, and the file as pydicom reads it."""
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    return web, f"{uid_path(*uids_of(data))}/frames", pydicom.dcmread(BytesIO(data))


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"),
        *("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"),
    ],
)
def test_one_frame_as_little_endian_cells(gantry: Gantry, name: str) -> None:
    """The default: explicit little endian, decompressed."""
    web, path, ds = kept(gantry, name)
    for accept in ("", OCTETS, f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1"):
        (part,) = parts_of(web.get(f"{path}/1", accept))
        assert part.type == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        assert part.location == f"{web.url}/{path}/1"
        assert (
            part.data[: ds.pixel_array.nbytes]
            == ds.pixel_array.astype(ds.pixel_array.dtype.newbyteorder("<")).tobytes()
        )
    response = web.get(f"{path}/1", "application/octet-stream")
    assert response.content == part.data


def test_frames_in_the_order_of_the_list(gantry: Gantry) -> None:
    """Numbers begin at 1."""
    web, path, ds = kept(gantry, "rtdose.dcm")
    found = parts_of(web.get(f"{path}/15,1,2", OCTETS))
    assert [part.data for part in found] == [ds.pixel_array[number].tobytes() for number in (14, 0, 1)]
    assert [part.location for part in found] == [f"{web.url}/{path}/{number}" for number in (15, 1, 2)]


def test_frames_that_the_client_has_are_not_sent_again(gantry: Gantry) -> None:
    """Each list and each type has an entity tag of its own; caches ask with it each time."""
    web, path, _ = kept(gantry, "rtdose.dcm")
    first = web.get(f"{path}/1,2", OCTETS)
    assert first.headers["cache-control"] == "private, no-cache"
    again = web.get(f"{path}/1,2", OCTETS, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = web.get(f"{path}/2,1", OCTETS, headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200 and other.headers["etag"] != first.headers["etag"]


def test_colour_planes_are_left_as_the_metadata_says(gantry: Gantry) -> None:
    """PlanarConfiguration 1 in the metadata, planes in the frame."""
    web, path, ds = kept(gantry, "SC_rgb_small_odd.dcm")
    (part,) = parts_of(web.get(f"{path}/1"))
    assert ds.PixelData.startswith(part.data)
    assert len(part.data) == ds.Rows * ds.Columns * 3


@pytest.mark.parametrize(
    "name, media_type",
    [("JPEG-lossy.dcm", "image/jpeg"), ("JPEG2000.dcm", "image/jp2"), ("MR_small_RLE.dcm", "image/dicom-rle")],
)
def test_bitstreams_as_stored(gantry: Gantry, name: str, media_type: str) -> None:
    """``*``: not a bit is changed, and the type says what it is."""
    web, path, ds = kept(gantry, name)
    (part,) = parts_of(web.get(f"{path}/1", f"{OCTETS}; transfer-syntax=*"))
    assert part.type == f"{media_type}; transfer-syntax={ds.file_meta.TransferSyntaxUID}"
    assert part.data in ds.PixelData


@pytest.mark.parametrize("media_type, syntax, decode", [
    ("image/jp2", forms.J2K_LOSSLESS, imagecodecs.jpeg2k_decode),
    ("image/jls", forms.JPEG_LS, imagecodecs.jpegls_decode),
])  # fmt: skip
def test_frames_in_other_syntaxes(gantry: Gantry, media_type: str, syntax: str, decode: object) -> None:
    """PS3.18 §8.7.3.3"""
    web, path, ds = kept(gantry, "CT_small.dcm")
    for accept in (
        f'multipart/related; type="{media_type}"',
        f'multipart/related; type="{media_type}"; transfer-syntax={syntax}',
    ):
        (part,) = parts_of(web.get(f"{path}/1", accept))
        assert part.type == f"{media_type}; transfer-syntax={syntax}"
        assert callable(decode)
        pixels = np.asarray(decode(part.data)).astype(np.uint16)
        assert (pixels == ds.pixel_array.astype(np.uint16)).all()


@pytest.mark.parametrize("asked", ["0", "x", "1,", "-1", "1-2", "01", "99999999999999999999"])
def test_what_is_no_list_of_frames(gantry: Gantry, asked: str) -> None:
    web, path, _ = kept(gantry, "CT_small.dcm")
    refused(web.get(f"{path}/{asked}"), "INVALID_ARGUMENT", "frame")


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm"])
@pytest.mark.parametrize("asked", ["2", "1,2", "16", "2,1"])
@pytest.mark.parametrize("accept", ["", f"{OCTETS}; transfer-syntax=*", "application/octet-stream", "image/jls"])
def test_frames_that_are_not_there(gantry: Gantry, name: str, asked: str, accept: str) -> None:
    """PS3.18 §10.4.3.1: 404, whatever the form."""
    web, path, _ = kept(gantry, name)
    last = max(map(int, asked.split(",")))
    if "," in asked and accept and "multipart" not in accept:
        refused(web.get(f"{path}/{asked}", accept), "INVALID_ARGUMENT", "multipart", http=406)
    else:
        refused(web.get(f"{path}/{asked}", accept), "NOT_FOUND", f"frame {last} does not exist")


def test_several_frames_are_no_single_part(gantry: Gantry) -> None:
    web, path, _ = kept(gantry, "rtdose.dcm")
    refused(web.get(f"{path}/1,2", "application/octet-stream"), "INVALID_ARGUMENT", "multipart", http=406)


def test_an_instance_without_pixels(gantry: Gantry) -> None:
    """§10.1: missing pixel data is 400."""
    web, path, _ = kept(gantry, "test-SR.dcm")
    assert web.get(f"{path}/1").status_code == 400


def test_a_range_of_a_frame(gantry: Gantry) -> None:
    web, path, ds = kept(gantry, "CT_small.dcm")
    response = web.get(f"{path}/1", "application/octet-stream", headers={"range": "bytes=10-19"})
    assert (response.status_code, response.content) == (206, ds.PixelData[10:20])


@pytest.mark.slow
@pytest.mark.parametrize(
    "frames, suffix, words", [(1, ".seg", "lost: its file is gone"), (300, ".dcm", "2999546 of 3000546")]
)
@pytest.mark.one_process("looks into the data directory")
def test_a_file_that_was_cut_off_is_reported(gantry: Gantry, frames: int, suffix: str, words: str) -> None:
    """The index still says where its frames were; half a frame is not given as one."""
    pixels = os.urandom(10_000) * frames
    web, data = Web(gantry), instance(UIDS, Rows=100, Columns=100, NumberOfFrames=frames, PixelData=pixels)
    web.stored(data)
    path = f"{uid_path(*UIDS)}/frames/{frames}"
    assert web.get(path).status_code == 200
    (blob,) = (each for each in find_blobs(gantry.server.data / "blobs").values() if each.read() == data)
    assert blob.path.suffix == suffix
    blob.path.chmod(0o600)
    os.truncate(blob.path, blob.offset + len(data) - 1000)
    response = web.get(path)
    assert response.status_code >= 400
    assert words in response.json()["error"]["message"]
