"""Names, types and modes of columns: the whole data dictionary, compared with the table of the API's schema page."""

from __future__ import annotations

import pytest
from pydicom._dicom_dict import DicomDictionary

from gantry.dicom.vr import TABLE
from gantry.errors import FailedPrecondition
from gantry.table_schema import Column, dump_columns, load_columns, merge_columns
from gantry.tables.columns import TYPES, find_column
from gantry.tables.rows import RowForm
from tests.tables.row import AS_JSON, header, make, plain, sequence

DOCUMENTED = {
    "STRING": "AE AS CS LO LT SH ST UC UI UR UT DS IS",
    "DATE": "DA",
    "TIME": "TM",
    "TIMESTAMP": "DT",
    "RECORD": "PN SQ",
    "FLOAT": "FL FD",
    "INTEGER": "AT SL SS UL US",
}
OURS = {"SV": "INTEGER", "UV": "INTEGER"}  # decision 25
BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def test_every_vr_has_the_documented_type() -> None:
    documented = {vr: kind for kind, vrs in DOCUMENTED.items() for vr in vrs.split()}
    assert documented | OURS == TYPES
    assert TYPES.keys() | BULK == TABLE.keys()


def test_every_element_of_the_dictionary() -> None:
    for tag, (vr, vm, _, _, keyword) in DicomDictionary.items():
        column = find_column(tag)
        vrs = [each for each in vr.split(" or ") if each in TYPES]
        if not keyword or not vrs or tag & 0xFFFF == 0:
            assert column is None or not tag & 0xFFFF
            continue
        assert column is not None
        assert (column.name, column.type) == (keyword, TYPES[vrs[0]])
        assert column.repeated == (vr == "SQ" or vm != "1")


def test_no_two_names_differ_by_case_alone() -> None:
    """Column names of BigQuery and DuckDB are the same in upper and lower case."""
    fixed = [column.name for form in (RowForm(), RowForm(True, "s")) for column in make_columns(form)]
    names = {column.name for tag in DicomDictionary if (column := find_column(tag))}
    assert len({name.lower() for name in names | set(fixed)}) == len(names | set(fixed))


def make_columns(form: RowForm) -> tuple[Column, ...]:
    return make(header(), form)[1]


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (RowForm(), "SOPInstanceUID StudyInstanceUID SeriesInstanceUID"),
        (RowForm(source="s"), "SOPInstanceUID StudyInstanceUID SeriesInstanceUID SourceDicomStore"),
        (AS_JSON, "SOPInstanceUID StudyInstanceUID SeriesInstanceUID Metadata"),
        (RowForm(True, "s"), "SOPInstanceUID StudyInstanceUID SeriesInstanceUID SourceDicomStore Metadata"),
    ],
)
def test_fixed_columns(form: RowForm, names: str) -> None:
    more = "StructuredStorageSize DroppedTags StorageClass LastUpdated BlobStorageSize Type"
    columns = make_columns(form)
    assert [column.name for column in columns] == [*names.split(), *more.split()]
    types = {column.name: (column.type, column.mode) for column in columns}
    assert types["DroppedTags"] == ("STRING", "REPEATED")
    assert types["LastUpdated"] == ("TIMESTAMP", "NULLABLE")
    assert types["BlobStorageSize"] == types["StructuredStorageSize"] == ("INTEGER", "NULLABLE")
    assert types.get("Metadata", ("JSON", "NULLABLE")) == ("JSON", "NULLABLE")


def test_a_name_has_all_its_parts_whatever_is_there() -> None:
    columns = {column.name: column for column in make(header(plain(0x00100010, "PN", "")))[1]}
    name = columns["PatientName"]
    assert (name.type, name.mode) == ("RECORD", "NULLABLE")
    assert [field.name for field in name.fields] == ["Alphabetic", "Ideographic", "Phonetic"]
    parts = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]
    assert all([part.name for part in field.fields] == parts for field in name.fields)


def test_what_occurs_in_items_only_is_below_their_column() -> None:
    found = make(header(sequence(0x00081110, plain(0x00081155, "UI", "1.2"), plain(0x00081150, "UI", "1.3"))))[1]
    column = next(each for each in found if each.name == "ReferencedStudySequence")
    assert (column.type, column.mode) == ("RECORD", "REPEATED")
    assert {field.name for field in column.fields} == {"ReferencedSOPClassUID", "ReferencedSOPInstanceUID"}


def test_columns_are_merged_in_their_order() -> None:
    one = (Column(1, "a", "STRING"), Column(3, "s", "RECORD", True, (Column(2, "y", "DATE"),)))
    other = (Column(2, "b", "STRING"), Column(3, "s", "RECORD", True, (Column(1, "x", "DATE"),)))
    merged = merge_columns(one, other)
    assert [column.name for column in merged] == ["a", "b", "s"]
    assert [field.name for field in merged[2].fields] == ["x", "y"]
    assert load_columns(dump_columns(merged)) == merged
    with pytest.raises(FailedPrecondition, match="column a is STRING NULLABLE in one place and STRING REPEATED"):
        merge_columns(one, (Column(1, "a", "STRING", True),))
