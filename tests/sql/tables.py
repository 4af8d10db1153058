"""Tables in directories, written as exports write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gantry.storage.warehouse.directories import LocalWarehouse
from gantry.table_address import TableAddress
from gantry.table_schema import Column, TableRow

_UIDS = tuple(
    Column(n, name, "STRING") for n, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
)
_NAME = tuple(Column(n, name, "STRING") for n, name in enumerate(("FamilyName", "GivenName")))
_ITEM = (
    Column(0, "CodeValue", "STRING"),
    Column(1, "Codes", "STRING", True),
    Column(2, "Inner", "RECORD", True, (Column(0, "Deep", "STRING"),)),
)
COLUMNS = (
    *_UIDS,
    Column(10, "Modality", "STRING"),
    Column(11, "ImageType", "STRING", True),
    Column(12, "PatientName", "RECORD", fields=(Column(0, "Alphabetic", "RECORD", fields=_NAME),)),
    Column(13, "StudyDate", "DATE"),
    Column(14, "StudyTime", "TIME"),
    Column(15, "InstanceNumber", "STRING"),
    Column(16, "Rows", "INTEGER"),
    Column(17, "PixelSpacing", "FLOAT", True),
    Column(18, "LastUpdated", "TIMESTAMP"),
    Column(19, "Sequence", "RECORD", True, _ITEM),
    Column(20, "OtherElements", "RECORD", True, (Column(0, "Tag", "STRING"), Column(1, "Data", "STRING"))),
    Column(21, "Metadata", "JSON"),
)


def make_row(number: int) -> dict[str, Any]:
    modality = "CT" if number % 3 else "MR"
    return {
        "StudyInstanceUID": f"1.{number % 2}",
        "SeriesInstanceUID": f"1.{number % 2}.1",
        "SOPInstanceUID": f"1.9.{number}",
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY"] if number % 2 else ["DERIVED"],
        "PatientName": {"Alphabetic": {"FamilyName": f"Family{number}", "GivenName": "Ada" if number else None}},
        "StudyDate": f"2024-01-{number + 1:02}",
        "StudyTime": "10:30:00.5",
        "InstanceNumber": str(number),
        "Rows": 512 if number else None,
        "PixelSpacing": [0.5, 0.25],
        "LastUpdated": "2024-02-03T04:05:06.789Z",
        "Sequence": [{"CodeValue": f"c{number}", "Codes": ["a", "b"], "Inner": [{"Deep": f"deep{number}"}]}],
        "OtherElements": [{"Tag": "Tag_00431039", "Data": f"data{number}"}, {"Tag": "Tag_00091001", "Data": "GEMS"}],
        "Metadata": {"00100020": {"vr": "LO", "Value": [f"ID{number}"]}, "00280010": {"vr": "US", "Value": [512]}},
    }


def write_table(
    root: Path,
    name: str = "p.d.t",
    rows: Sequence[dict[str, Any]] | None = None,
    columns: Sequence[Column] = COLUMNS,
    key: str = "k",
) -> None:
    """``root`` stands for the project. Without ``rows`` there are six."""
    address = TableAddress(*name.split("."))
    table = LocalWarehouse({address.project: str(root)}, "index").open(address, key, "owner", 1)
    table.begin("")
    lines = [TableRow(json.dumps(row)) for row in (map(make_row, range(6)) if rows is None else rows)]
    table.keep(table.stage("0", lines), tuple(columns))
    plan = table.plan((), False)
    for file in plan.files:
        table.write_file(plan, file)
    assert table.publish(plan)
