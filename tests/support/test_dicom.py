"""The files that tests build are what another reader takes for DICOM."""

from __future__ import annotations

from io import BytesIO

import pytest

from tests.support.dicom import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE, make_instance


@pytest.mark.parametrize("transfer_syntax", [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE])
def test_pydicom_reads_a_made_instance(transfer_syntax: str) -> None:
    pydicom = pytest.importorskip("pydicom")
    data = make_instance("1.2", "1.2.3", "1.2.3.4", pixel_bytes=b"odd", transfer_syntax=transfer_syntax)
    read = pydicom.dcmread(BytesIO(data))
    assert (read.StudyInstanceUID, read.SeriesInstanceUID, read.SOPInstanceUID) == ("1.2", "1.2.3", "1.2.3.4")
    assert read.file_meta.TransferSyntaxUID == transfer_syntax
    assert b"odd\0" in read.PixelData
    written = BytesIO()
    read.save_as(written, enforce_file_format=True)
    assert len(written.getvalue()) >= len(data) - 20


def test_the_same_arguments_give_the_same_bytes_and_a_new_uid_is_new() -> None:
    assert make_instance(sop="1.2") == make_instance(sop="1.2")
    assert make_instance() != make_instance()
