"""Values in the columns of ``schemaFlattened``, and what becomes of those that do not fit (decision 25)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from gantry.dicom.header_bytes import HeaderBytes
from gantry.tables import flattened
from tests.tables.row import header, make, make_row, nested, plain, sequence

FIXED = {
    "StudyInstanceUID": "1.2",
    "SeriesInstanceUID": "1.3",
    "SOPInstanceUID": "1.4",
    "StructuredStorageSize": 0,
    "StorageClass": "NEARLINE",
    "BlobStorageSize": 4000,
    "LastUpdated": "2023-11-14 22:13:20.123456+00",
    "Type": "INSERT",
}
DATE, TIME, MOMENT = 0x00080020, 0x00080030, 0x0008002A
NAME, SERIES_OF_NAMES = 0x00100010, 0x00081050
INFINITE = struct.pack("<ddd", float("inf"), float("-inf"), float("nan"))


def test_an_instance_without_elements_has_its_row() -> None:
    assert make_row() == FIXED


@pytest.mark.parametrize(
    ("tag", "vr", "value", "name", "expected"),
    [
        # strings
        (0x00080060, "CS", "CT ", "Modality", "CT"),
        (0x00080008, "CS", "ORIGINAL\\PRIMARY", "ImageType", ["ORIGINAL", "PRIMARY"]),
        (0x00080008, "CS", "A\\\\B", "ImageType", ["A", "", "B"]),
        (0x00101010, "AS", "064Y", "PatientAge", "064Y"),
        (0x00101020, "DS", " 1.750 ", "PatientSize", "1.750"),
        (0x00280030, "DS", "0.7\\0.70", "PixelSpacing", ["0.7", "0.70"]),
        (0x00200013, "IS", "+12", "InstanceNumber", "+12"),
        (0x00104000, "LT", "a\\b\r\n\"c\" ", "PatientComments", 'a\\b\r\n"c"'),
        (0x00080080, "LO", "A\\B", "InstitutionName", "A\\B"),  # VM 1 and two values: one text
        (0x00081155, "UI", "1.2.3", "ReferencedSOPInstanceUID", "1.2.3"),
        (0x00081190, "UR", "http://a/b ", "RetrieveURL", "http://a/b"),
        (0x00080119, "UC", " x", "LongCodeValue", " x"),
        (0x00080080, "LO", "a\0b", "InstitutionName", "a\ufffdb"),
        # dates and times
        (DATE, "DA", "20240229", "StudyDate", "2024-02-29"),
        (DATE, "DA", "1999.01.02", "StudyDate", "1999-01-02"),
        (DATE, "DA", "00010101", "StudyDate", "0001-01-01"),
        (TIME, "TM", "101112.123456", "StudyTime", "10:11:12.123456"),
        (TIME, "TM", "101112.5", "StudyTime", "10:11:12.500000"),
        (TIME, "TM", "101112.1234567", "StudyTime", "10:11:12.123456"),
        (TIME, "TM", "10:11:12", "StudyTime", "10:11:12"),
        (TIME, "TM", "1011", "StudyTime", "10:11:00"),
        (TIME, "TM", "10", "StudyTime", "10:00:00"),
        (MOMENT, "DT", "20240312101112.25+0130", "AcquisitionDateTime", "2024-03-12 08:41:12.250000+00"),
        (MOMENT, "DT", "20240312101112", "AcquisitionDateTime", "2024-03-12 10:11:12+00"),
        (MOMENT, "DT", "20240312-0500", "AcquisitionDateTime", "2024-03-12 05:00:00+00"),
        # numbers
        (0x00280010, "US", struct.pack("<H", 65535), "Rows", 65535),
        (0x00189327, "FD", struct.pack("<d", 0.1), "TablePosition", 0.1),
        (0x00186020, "SL", struct.pack("<i", -5), "ReferencePixelX0", -5),
        (0x00209167, "AT", struct.pack("<HH", 0x0020, 0x9056), "FunctionalGroupPointer", 0x00209056),
        (0x0008040C, "UV", struct.pack("<Q", (1 << 63) - 1), "FileOffsetInContainer", (1 << 63) - 1),
        (0x00720082, "SV", struct.pack("<q", -(1 << 63)), "SelectorSVValue", [-(1 << 63)]),
        (0x00720074, "FD", INFINITE, "SelectorFDValue", ["Infinity", "-Infinity", "NaN"]),
        # names
        (NAME, "PN", "Doe^John^Q^Dr^Jr", "PatientName", {"Alphabetic": {
            "FamilyName": "Doe", "GivenName": "John", "MiddleName": "Q", "NamePrefix": "Dr", "NameSuffix": "Jr"}}),
        (NAME, "PN", "Yamada^Tarou==", "PatientName", {"Alphabetic": {"FamilyName": "Yamada", "GivenName": "Tarou"}}),
        (NAME, "PN", "=X^Y=Z", "PatientName", {"Ideographic": {"FamilyName": "X", "GivenName": "Y"},
                                              "Phonetic": {"FamilyName": "Z"}}),
        (NAME, "PN", "a^^^^e^f^g", "PatientName", {"Alphabetic": {"FamilyName": "a", "NameSuffix": "e^f^g"}}),
        (SERIES_OF_NAMES, "PN", "A\\B", "PerformingPhysicianName",
         [{"Alphabetic": {"FamilyName": "A"}}, {"Alphabetic": {"FamilyName": "B"}}]),
    ],
)  # fmt: skip
def test_values(tag: int, vr: str, value: bytes | str, name: str, expected: Any) -> None:
    row = make_row(plain(tag, vr, value))
    assert row[name] == expected and "DroppedTags" not in row


@pytest.mark.parametrize(
    ("tag", "vr", "value", "name"),
    [
        (DATE, "DA", "20230229", "StudyDate"),
        (DATE, "DA", "19000000", "StudyDate"),
        (DATE, "DA", "00000101", "StudyDate"),  # no year 0
        (DATE, "DA", "2024", "StudyDate"),
        (DATE, "DA", "20240101\\20240102", "StudyDate"),  # VM 1
        (TIME, "TM", "250000", "StudyTime"),
        (TIME, "TM", "101160", "StudyTime"),  # a leap second has no TIME
        (TIME, "TM", "noon", "StudyTime"),
        (MOMENT, "DT", "2024", "AcquisitionDateTime"),  # neither month nor day
        (MOMENT, "DT", "20240312101112+9900", "AcquisitionDateTime"),
        (MOMENT, "DT", "00010101000000+1400", "AcquisitionDateTime"),  # before year 1 in UTC
        (0x0008040C, "UV", struct.pack("<Q", 1 << 63), "FileOffsetInContainer"),
        (0x00280010, "US", struct.pack("<HH", 1, 2), "Rows"),  # VM 1
        (0x00280010, "US", b"abc", "Rows"),  # no whole number
        (0x00280010, "IS", "512 ", "Rows"),  # another type
        (0x00080060, "US", b"CT", "Modality"),
        (0x00080060, "OB", b"CT", "Modality"),
        (0x00081110, "LO", "text", "ReferencedStudySequence"),
        (NAME, "LO", "Doe", "PatientName"),
        (NAME, "PN", "A\\B", "PatientName"),  # VM 1
        (NAME, "PN", "a=b=c=d", "PatientName"),
    ],
)
def test_values_that_do_not_fit_are_named(tag: int, vr: str, value: bytes | str, name: str) -> None:
    row, columns = make(header(plain(tag, vr, value)))
    assert row["DroppedTags"] == [name] and name not in row
    if tag != 0x00081110:  # a sequence without anything in it would be an empty RECORD
        assert name in {column.name for column in columns}


@pytest.mark.parametrize("vr", ["LO", "DA", "TM", "PN", "CS"])
def test_an_empty_value_is_null(vr: str) -> None:
    tag = {"LO": 0x00080080, "DA": DATE, "TM": TIME, "PN": NAME, "CS": 0x00080008}[vr]
    row, columns = make(header(plain(tag, vr, "")))
    assert row.keys() == FIXED.keys() and len(columns) == len(FIXED) + 2  # it, and DroppedTags


@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "OF", "OL", "OD", "OV"])
def test_bulk_data_is_left_out(vr: str) -> None:
    row = make_row(plain(0x7FE00010, "OW", b"\0\0"), plain(0x00091010, vr, b"\0" * 8))
    assert row.keys() == FIXED.keys()


def test_elements_without_a_column() -> None:
    row, columns = make(
        header(
            plain(0x00089998, "LO", "unknown"),
            plain(0x00090010, "LO", "ACME"),
            plain(0x00091001, "DS", "1\\2.50"),
            plain(0x00091002, "US", struct.pack("<HH", 3, 4)),
            plain(0x00091003, "PN", "a^b=c"),
            plain(0x00091004, "AT", struct.pack("<HH", 0x10, 0x20)),
            plain(0x00091005, "LO", ""),
            plain(0x60000010, "US", struct.pack("<H", 7)),
            plain(0x60020010, "US", struct.pack("<H", 8)),
        )
    )
    assert row["OverlayRows"] == 7
    assert row["OtherElements"] == [
        {"Tag": "Tag_00089998", "Data": ["unknown"]},
        {"Tag": "Tag_00090010", "Data": ["ACME"]},
        {"Tag": "Tag_00091001", "Data": ["1", "2.50"]},
        {"Tag": "Tag_00091002", "Data": ["3", "4"]},
        {"Tag": "Tag_00091003", "Data": ["a^b=c"]},
        {"Tag": "Tag_00091004", "Data": ["00100020"]},
        {"Tag": "Tag_00091005", "Data": []},
        {"Tag": "Tag_60020010", "Data": ["8"]},
    ]
    others = next(column for column in columns if column.name == "OtherElements")
    assert [(field.name, field.type, field.mode) for field in others.fields] == [
        ("Tag", "STRING", "NULLABLE"),
        ("Data", "STRING", "REPEATED"),
    ]


def test_a_private_sequence_is_named() -> None:
    row = make_row(sequence(0x00091010, plain(0x00081155, "UI", "1.2")))
    assert row["DroppedTags"] == ["Tag_00091010"]


def test_items() -> None:
    row = make_row(
        sequence(
            0x00400275,
            plain(0x00400007, "LO", "CHEST") + plain(0x00090010, "LO", "ACME") + plain(0x00400002, "DA", "1"),
            b"",
            sequence(0x00400008, plain(0x00080100, "SH", "C")),
        )
    )
    assert row["RequestAttributesSequence"] == [
        {"ScheduledProcedureStepDescription": "CHEST", "OtherElements": [{"Tag": "Tag_00090010", "Data": ["ACME"]}]},
        {},
        {"ScheduledProtocolCodeSequence": [{"CodeValue": "C"}]},
    ]
    assert row["DroppedTags"] == ["RequestAttributesSequence.ScheduledProcedureStepStartDate"]


CONTENT, CODE = 0x0040A730, plain(0x00080100, "SH", "C")


def test_fifteen_levels_of_records() -> None:
    row = make_row(nested(CONTENT, 15, CODE))
    for _ in range(15):
        (row,) = row["ContentSequence"]
    assert row == {"CodeValue": "C"}
    deep = make_row(nested(CONTENT, 16, CODE) + plain(0x00080060, "CS", "SR"))
    assert deep["DroppedTags"] == [".".join(["ContentSequence"] * 16)]
    assert deep["Modality"] == "SR"


@pytest.mark.parametrize(
    ("levels", "inner", "name"),
    [(13, plain(0x0040A123, "PN", "a^b"), "PersonName"), (14, plain(0x00091001, "LO", "x"), "Tag_00091001")],
)
def test_records_inside_of_items_count(levels: int, inner: bytes, name: str) -> None:
    assert "DroppedTags" not in make_row(nested(CONTENT, levels, inner))
    path = [*["ContentSequence"] * (levels + 1), name]
    assert make_row(nested(CONTENT, levels + 1, inner))["DroppedTags"] == [".".join(path)]


def test_a_thousand_levels_end() -> None:
    assert make_row(nested(CONTENT, 1000, CODE))["DroppedTags"] == [".".join(["ContentSequence"] * 16)]


def test_a_long_value_is_named() -> None:
    most = 1 << 20
    assert len(make_row(plain(0x0040A160, "UT", "x" * most))["TextValue"]) == most
    assert make_row(plain(0x0040A160, "UT", "x" * (most + 2)))["DroppedTags"] == ["TextValue"]
    cut = HeaderBytes(b"", plain(0x0040A160, "UT", ""), ((0, most + 2),), True, True)
    assert make(cut)[0]["DroppedTags"] == ["TextValue"]


def test_a_row_that_is_too_long_loses_its_longest_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flattened, "MAX_ROW", 1500)
    row = make_row(
        plain(0x00080060, "CS", "CT"), plain(0x00080080, "LO", "x" * 900), plain(0x00080081, "ST", "y" * 1000)
    )
    assert row["DroppedTags"] == ["InstitutionAddress"]
    assert row["Modality"] == "CT" and len(row["InstitutionName"]) == 900


@pytest.mark.parametrize(("explicit", "little"), [(True, True), (True, False), (False, True)])
def test_encodings(explicit: bool, little: bool) -> None:
    order = "<" if little else ">"
    rows = struct.pack(f"{order}HH", 0x0028, 0x0010)
    rows += b"US" + struct.pack(f"{order}H", 2) if explicit else struct.pack(f"{order}I", 2)
    found = HeaderBytes(b"", rows + struct.pack(f"{order}H", 513), (), explicit, little)
    assert make(found)[0]["Rows"] == 513


def test_elements_out_of_order_and_twice() -> None:
    row = make_row(
        plain(0x00100010, "PN", "\xc4"), plain(0x00080060, "CS", "CT"), plain(0x00080005, "CS", "ISO_IR 192"),
        plain(0x00080060, "CS", "MR"),
    )  # fmt: skip
    assert row["Modality"] == "CT" and row["PatientName"] == {"Alphabetic": {"FamilyName": "\xc4"}}


def test_meta_elements_are_columns() -> None:
    found = HeaderBytes(plain(0x00020010, "UI", "1.2.840.10008.1.2.1"), b"", (), True, True)
    assert make(found)[0]["TransferSyntaxUID"] == "1.2.840.10008.1.2.1"
