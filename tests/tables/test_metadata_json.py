"""``schemaJson``: the column Metadata."""

from __future__ import annotations

import struct

from gantry.dicom.header_bytes import HeaderBytes
from gantry.tables.rows import RowForm
from tests.tables.row import AS_JSON, header, make, make_row, nested, plain, sequence


def test_metadata_is_dicom_json_without_bulk_data() -> None:
    row = make_row(
        plain(0x00080060, "CS", "CT"),
        sequence(0x00081110, plain(0x00081155, "UI", "1.2") + plain(0x00420011, "OB", b"\0\0")),
        sequence(0x00881200, plain(0x00420011, "OB", b"\0\0")),
        plain(0x00104000, "LT", 'a "BulkDataURI": b'),
        plain(0x7FE00010, "OW", b"\0\0"),
        form=AS_JSON,
    )
    assert row["Metadata"] == {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00081110": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
        "00881200": {"vr": "SQ", "Value": [{}]},
        "00104000": {"vr": "LT", "Value": ['a "BulkDataURI": b']},
    }
    assert "DroppedTags" not in row and row["StorageClass"] == "NEARLINE"


def test_bulk_data_alone_and_first() -> None:
    bulk = plain(0x00420011, "OB", b"\0\0")
    assert make_row(bulk, form=AS_JSON)["Metadata"] == {}
    assert make_row(bulk, plain(0x00880140, "UI", "1.2"), form=AS_JSON)["Metadata"].keys() == {"00880140"}


def test_several_bulk_data_first_in_a_data_set_and_in_an_item() -> None:
    bulk = [plain(tag, "OB", b"\0\0") for tag in (0x00420011, 0x00420012, 0x00420013)]
    code = plain(0x00880140, "UI", "1.2")
    for count in range(4):
        item = sequence(0x00880200, b"".join(bulk[:count]) + code)
        row = make_row(*bulk[:count], code, item, form=AS_JSON)
        found = {"00880140": {"vr": "UI", "Value": ["1.2"]}}
        assert row["Metadata"] == {"00880200": {"vr": "SQ", "Value": [found]}, **found}


def test_depth_is_no_limit() -> None:
    row = make_row(nested(0x0040A730, 40, plain(0x00080100, "SH", "C")), form=AS_JSON)
    found = row["Metadata"]
    for _ in range(40):
        (found,) = found["0040A730"]["Value"]
    assert found == {"00080100": {"vr": "SH", "Value": ["C"]}} and "DroppedTags" not in row


def test_what_is_too_long_is_named() -> None:
    text = plain(0x0040A160, "UT", "")
    pixels = struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", 2 << 20)
    found = HeaderBytes(b"", text + pixels, ((0, 2 << 20), (len(text), 2 << 20)), True, True)
    assert make(found, AS_JSON)[0]["DroppedTags"] == ["TextValue"]


def test_the_source() -> None:
    row = make(header(), RowForm(True, "projects/p/locations/l/datasets/d/dicomStores/s"))[0]
    assert row["SourceDicomStore"] == "projects/p/locations/l/datasets/d/dicomStores/s"
