"""A file of a patched DICOM JSON object: what is not patched keeps its bytes."""

from __future__ import annotations

import json

import pytest
from tests.pixels.instances import Opened
from tests.support.datasets import EXPLICIT_UID, IMPLICIT_UID, PROCEDURES, SYNTAXES, dataset, element, part10, sequence
from tests.support.files import header_bytes_of
from tests.support.plain_reader import find, read_file

from gantry.dicom.json_model import dicom_json
from gantry.dicom.part10 import read_header
from gantry.dicom.updating import rebuild

COMMENTS = "00104000"


@pytest.mark.parametrize("syntax", [EXPLICIT_UID, IMPLICIT_UID])
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00280103, "US", b"\1"),
        (0x00280009, "AT", b"\x18\0\x63"),
        (0x00091001, "OB", b"abc"),
        (0x00091001, "UN", b"a"),
    ],
)
def test_bulk_values_of_odd_length_stay_where_their_sequence_changes(
    syntax: str, tag: int, vr: str, value: bytes
) -> None:
    """A byte more would make a number of what is none."""
    encoding = SYNTAXES[syntax]
    odd = element(tag, vr, value, encoding)
    data = part10(dataset([sequence(PROCEDURES, [[odd], [odd, odd]], encoding)], encoding), syntax)
    wanted = json.loads(dicom_json(header_bytes_of(data), "u"))
    wanted[f"{PROCEDURES:08X}"]["Value"][0][COMMENTS] = {"vr": "LT", "Value": ["odd"]}
    opened = Opened(data)
    made = b"".join(rebuild(opened, read_header(opened.read_at, len(data)), header_bytes_of(data), "u", wanted))
    found = json.loads(dicom_json(header_bytes_of(made), "u"))
    assert found[f"{PROCEDURES:08X}"] == wanted[f"{PROCEDURES:08X}"]
    for number in (0, 1):
        assert [each.value for each in find(read_file(made).elements, (PROCEDURES, number, tag))] == [value]
