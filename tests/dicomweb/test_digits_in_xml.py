"""DS and IS in XML are the texts that are stored, without padding (PS3.19 §A.1); in JSON they are numbers (§F.2.3)."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from gantry.dicom.json_model import JsonWriter, dicom_json
from gantry.json_text import parse_with_digits
from tests.support.datasets import EXPLICIT_UID, SYNTAXES, dataset, element, part10, sequence
from tests.support.files import header_bytes_of
from tests.support.gantry import Gantry
from tests.support.web import JSON, Web, parts_of, uid_path

UIDS = ("1.2.826.0.9", "1.2.826.0.9.0", "1.2.826.0.9.1")
XML = 'multipart/related; type="application/dicom+xml"'
SPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
NUMBERS = {
    "7 ": ("7", "7"),
    "007 ": ("007", "7"),
    "+5": ("+5", "5"),
    " -0": ("-0", "-0"),
    "000 ": ("000", "0"),
    ".50 ": (".50", "0.50"),
    "-.5e3 ": ("-.5e3", "-0.5e3"),
    "5. ": ("5.", "5"),
    "1E+03 ": ("1E+03", "1E+03"),
    "+00012.3400 ": ("+00012.3400", "12.3400"),
    "+9007199254740993 ": ("+9007199254740993", "9007199254740993"),
}
"""As stored → in XML, in JSON."""


def made(values: list[str], uids: tuple[str, str, str] = UIDS) -> bytes:
    e = SYNTAXES[EXPLICIT_UID]
    text = "\\".join(values)
    text += " " * (len(text) % 2)
    inside = [element(0x00200013, "IS", text, e), element(0x00181041, "DS", text, e)]
    more = [*inside, sequence(0x00081140, [inside, inside], e), sequence(0x00081115, [inside], e, defined=False)]
    return part10(dataset(more, e, uids=uids), EXPLICIT_UID, sop=uids[2])


def values_in(document: ElementTree.Element, tag: str) -> list[list[str]]:
    found = document.iter(f"{SPACE}DicomAttribute")
    return [[each.text or "" for each in one.iter(f"{SPACE}Value")] for one in found if one.get("tag") == tag]


def values_of(attributes: dict[str, Any], tag: str) -> list[list[str]]:
    """At any depth, the digits of numbers."""
    found = []
    for key, member in attributes.items():
        if key == tag:
            found.append(member["Value"])
        for item in member.get("Value", ()) if member["vr"] == "SQ" else ():
            found += values_of(item, tag)
    return found


@pytest.mark.parametrize("tag", ["00200013", "00181041"])
def test_metadata(gantry: Gantry, tag: str) -> None:
    web = Web(gantry)
    web.stored(made(list(NUMBERS)))
    (part,) = parts_of(web.get(f"{uid_path(*UIDS)}/metadata", XML))
    in_xml, in_json = ([pair[place] for pair in NUMBERS.values()] for place in (0, 1))
    assert values_in(ElementTree.fromstring(part.data), tag) == [in_xml] * 4  # noqa: S314
    (attributes,) = parse_with_digits(web.get(f"{uid_path(*UIDS)}/metadata", JSON).text)
    assert values_of(attributes, tag) == [in_json] * 4


def test_a_search_for_all_that_headers_say(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(made(["007 "]))
    for included in ("all", "00181041"):
        (part,) = parts_of(web.get(f"{uid_path(*UIDS[:2])}/instances?includefield={included}", XML))
        assert values_in(ElementTree.fromstring(part.data), "00181041")[0] == ["007"]  # noqa: S314


@pytest.mark.parametrize("first", [True, False])
def test_one_form_never_comes_out_of_the_memory_of_the_other(first: bool) -> None:
    """What was written before is remembered by the bytes, of elements, of sequences and of whole headers."""
    headers = [header_bytes_of(made(["007 "], (*UIDS[:2], f"1.2.{number}"))) for number in range(4)]
    writers = {keeps: JsonWriter(keeps) for keeps in (True, False)}
    for header in headers:
        for keeps in (first, not first, first):
            attributes = parse_with_digits(writers[keeps].write(header, "u"))
            assert values_of(attributes, "00200013") == [["007" if keeps else "7"]] * 4


def test_without_padding_alone() -> None:
    """What is no number stays text in both."""
    header = header_bytes_of(made(["nan ", " 1_0 ", "", "1 2", "9" * 33]))
    for text in (dicom_json(header, "u"), JsonWriter(keeps_digits=True).write(header, "u")):
        attributes = parse_with_digits(text)
        assert attributes["00200013"]["Value"] == ["nan", "1_0", None, "1 2", "9" * 33]
