"""``dicomStores.export`` in other forms than as stored (§7.1). The pixels themselves: ``tests/pixels``."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames

from tests.support.answers import refused
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
RLE = "1.2.840.10008.1.2.5"


def shipped(gantry: Gantry, *names: str) -> list[pydicom.Dataset]:
    for name in names:
        gantry.put(gantry.bucket, name, (FILES / name).read_bytes())
    assert "error" not in gantry.import_("**")
    return [pydicom.dcmread(FILES / name) for name in names]


def path(dataset: pydicom.Dataset) -> str:
    return f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}"


def export(gantry: Gantry, mime_type: str) -> Json:
    return gantry.export("x", gcsDestination={"uriPrefix": f"gs://{gantry.out}/x", "mimeType": mime_type})


@pytest.mark.parametrize(
    ("mime_type", "extension", "format_name"), [("image/png", ".png", "PNG"), ("image/jpeg", ".jpg", "JPEG")]
)
def test_pictures(gantry: Gantry, mime_type: str, extension: str, format_name: str) -> None:
    (ct,) = shipped(gantry, "CT_small.dcm")
    assert counts(export(gantry, mime_type)) == (1, 0)
    ((key, data),) = gantry.objects(gantry.out).items()
    assert key == f"x/{path(ct)}{extension}"
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.size, picture.mode) == (format_name, (ct.Columns, ct.Rows), "L")


def test_a_multi_frame_instance_gives_a_file_per_frame(gantry: Gantry) -> None:
    """§7.1.2: frames are numbered from 1."""
    (dose,) = shipped(gantry, "rtdose.dcm")
    assert counts(export(gantry, "image/png")) == (1, 0)
    objects = gantry.objects(gantry.out)
    assert objects.keys() == {f"x/{path(dose)}/{frame}.png" for frame in range(1, 16)}


def test_octets_have_no_extension(gantry: Gantry) -> None:
    (ct,) = shipped(gantry, "CT_small.dcm")
    assert counts(export(gantry, "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1")) == (1, 0)
    assert gantry.objects(gantry.out) == {f"x/{path(ct)}": ct.PixelData}


def test_transcoding_keeps_pixels_and_uids(gantry: Gantry) -> None:
    (ct,) = shipped(gantry, "CT_small.dcm")
    assert counts(export(gantry, f"application/dicom; transfer-syntax={RLE}")) == (1, 0)
    ((key, data),) = gantry.objects(gantry.out).items()
    assert key == f"x/{path(ct)}.dcm"
    made = pydicom.dcmread(io.BytesIO(data))
    assert (made.file_meta.TransferSyntaxUID, path(made), made.PatientName) == (RLE, path(ct), ct.PatientName)
    assert (made.pixel_array == ct.pixel_array).all()


def test_the_stored_syntax_gives_the_stored_bytes(gantry: Gantry) -> None:
    shipped(gantry, "CT_small.dcm")
    assert counts(export(gantry, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")) == (1, 0)
    assert list(gantry.objects(gantry.out).values()) == [(FILES / "CT_small.dcm").read_bytes()]


def test_an_instance_that_has_no_such_form_fails_alone_and_leaves_nothing(gantry: Gantry) -> None:
    """§7.1.5: no pixels, and pixels that end after the first of two frames."""
    ct, report = shipped(gantry, "CT_small.dcm", "reportsi.dcm")
    operation = export(gantry, "image/png")
    assert counts(operation) == (1, 1)
    ((resource, status),) = gantry.failures(operation).items()
    assert resource.endswith(report.SOPInstanceUID)
    assert "has no pixel data" in status["message"]
    assert gantry.objects(gantry.out).keys() == {f"x/{path(ct)}.png"}


def test_damaged_pixels_fail_and_name_what_is_wrong(gantry: Gantry) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4", b"no JPEG", "1.2.840.10008.1.2.4.50"))
    assert counts(gantry.import_("**")) == (1, 0)
    operation = export(gantry, "image/png")
    assert counts(operation) == (0, 1)
    ((resource, status),) = gantry.failures(operation).items()
    assert resource.endswith("studies/1.2/series/1.3/instances/1.4")
    assert (status["code"], "no bitstream of its transfer syntax" in status["message"]) == (3, True), status
    assert gantry.objects(gantry.out) == {}


def test_an_instance_that_fails_at_its_last_frame_leaves_none_of_the_others(gantry: Gantry) -> None:
    scan = pydicom.dcmread(FILES / "SC_rgb_rle_2frame.dcm")
    first, second = generate_frames(scan.PixelData, number_of_frames=2)
    scan.PixelData = encapsulate([first, second[:64] + b"\x7f" * 40])
    damaged = io.BytesIO()
    scan.save_as(damaged)
    gantry.put(gantry.bucket, "a.dcm", damaged.getvalue())
    assert counts(gantry.import_("**")) == (1, 0)
    operation = export(gantry, "image/png")
    assert counts(operation) == (0, 1)
    ((resource, status),) = gantry.failures(operation).items()
    assert resource.endswith(f"/instances/{scan.SOPInstanceUID}")
    assert (status["code"], "frame 2" in status["message"]) == (3, True), status
    assert gantry.objects(gantry.out) == {}


@pytest.mark.parametrize(
    "mime_type",
    [
        *("text/plain", "image/gif", "application/dicom; transfer-syntax=1.2.3", "image/png; transfer-syntax=1.2.3"),
        *("application/dicom; charset=utf-8", "application/dicom; transfer-syntax=1.2.840.10008.1.2.2", "application"),
    ],
)
def test_a_form_that_cannot_be_made_is_refused_with_those_that_can(gantry: Gantry, mime_type: str) -> None:
    body = {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}", "mimeType": mime_type}}
    response = gantry.request("POST", f"v1/{gantry.store}:export", json=body)
    refused(response, "INVALID_ARGUMENT", "mimeType")
    assert gantry.operations() == []
