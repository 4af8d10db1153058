"""The Native DICOM Model in XML (PS3.19 §A.1): whole documents, written by hand."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from gantry.dicom.xml_model import PrivateKeywords, native_xml

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
)


def inside(attributes: dict[str, Any], private: PrivateKeywords | None = None) -> str:
    """The document without its first and last line; it must be well-formed."""
    document = native_xml(attributes, private)
    ElementTree.fromstring(document)  # noqa: S314
    text = document.decode()
    assert text.startswith(HEAD) and text.endswith("</NativeDicomModel>")
    return text[len(HEAD) : -len("</NativeDicomModel>")]


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "values are numbered from 1": (
        {"00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]}},
        '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType">'
        '<Value number="1">ORIGINAL</Value><Value number="2">PRIMARY</Value></DicomAttribute>',
    ),
    "an empty value keeps the numbers of those behind it": (
        {"00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}},
        '<DicomAttribute tag="00080008" vr="CS" keyword="ImageType">'
        '<Value number="1">ORIGINAL</Value><Value number="3">AXIAL</Value></DicomAttribute>',
    ),
    "no value": (
        {"00100020": {"vr": "LO"}},
        '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"></DicomAttribute>',
    ),
    "in the order of tags": (
        {"00100020": {"vr": "LO", "Value": ["P1"]}, "00080060": {"vr": "CS", "Value": ["CT"]}},
        '<DicomAttribute tag="00080060" vr="CS" keyword="Modality"><Value number="1">CT</Value></DicomAttribute>'
        '<DicomAttribute tag="00100020" vr="LO" keyword="PatientID"><Value number="1">P1</Value></DicomAttribute>',
    ),
    "numbers": (
        {"00280010": {"vr": "US", "Value": [512]}, "00281050": {"vr": "DS", "Value": [40, -1.5]}},
        '<DicomAttribute tag="00280010" vr="US" keyword="Rows"><Value number="1">512</Value></DicomAttribute>'
        '<DicomAttribute tag="00281050" vr="DS" keyword="WindowCenter">'
        '<Value number="1">40</Value><Value number="2">-1.5</Value></DicomAttribute>',
    ),
    "a person name in its components and groups": (
        {"00100010": {"vr": "PN", "Value": [
            {"Alphabetic": "Yamada^Tarou^M^Dr^Jr", "Ideographic": "山田^太郎", "Phonetic": "やまだ"},
            {"Alphabetic": "Doe^^^Prof"},
        ]}},
        '<DicomAttribute tag="00100010" vr="PN" keyword="PatientName">'
        '<PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName><GivenName>Tarou</GivenName>'
        "<MiddleName>M</MiddleName><NamePrefix>Dr</NamePrefix><NameSuffix>Jr</NameSuffix></Alphabetic>"
        "<Ideographic><FamilyName>山田</FamilyName><GivenName>太郎</GivenName></Ideographic>"
        "<Phonetic><FamilyName>やまだ</FamilyName></Phonetic></PersonName>"
        '<PersonName number="2"><Alphabetic><FamilyName>Doe</FamilyName><NamePrefix>Prof</NamePrefix></Alphabetic>'
        "</PersonName></DicomAttribute>",
    ),
    "items": (
        {"00081140": {"vr": "SQ", "Value": [
            {"00081155": {"vr": "UI", "Value": ["1.2.3"]}},
            {},
            {"00081140": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}}]}},
        ]}},
        '<DicomAttribute tag="00081140" vr="SQ" keyword="ReferencedImageSequence">'
        '<Item number="1"><DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID">'
        '<Value number="1">1.2.3</Value></DicomAttribute></Item>'
        '<Item number="2"></Item>'
        '<Item number="3"><DicomAttribute tag="00081140" vr="SQ" keyword="ReferencedImageSequence">'
        '<Item number="1"><DicomAttribute tag="00081150" vr="UI" keyword="ReferencedSOPClassUID">'
        '<Value number="1">1.2</Value></DicomAttribute></Item></DicomAttribute></Item></DicomAttribute>',
    ),
    "bulk data and bytes": (
        {"00281201": {"vr": "OW", "InlineBinary": "AAEC"}, "7FE00010": {"vr": "OW", "BulkDataURI": "http://h/b?x=1&y"}},
        '<DicomAttribute tag="00281201" vr="OW" keyword="RedPaletteColorLookupTableData">'
        "<InlineBinary>AAEC</InlineBinary></DicomAttribute>"
        '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData"><BulkData uri="http://h/b?x=1&amp;y"/>'
        "</DicomAttribute>",
    ),
    "private attributes name the creator of their block": (
        {
            "00090010": {"vr": "LO", "Value": ["ACME & Co"]},
            "00090011": {"vr": "LO", "Value": ["OTHER"]},
            "00091001": {"vr": "LO", "Value": ["of ACME"]},
            "00091101": {"vr": "LO", "Value": ["of OTHER"]},
            "00091201": {"vr": "LO", "Value": ["of nobody"]},
            "000B1001": {"vr": "LO", "Value": ["of another group"]},
            "00091010": {"vr": "LO", "Value": ["no creator"]},
            "00090000": {"vr": "UL", "Value": [8]},
        },
        '<DicomAttribute tag="00090000" vr="UL"><Value number="1">8</Value></DicomAttribute>'
        '<DicomAttribute tag="00090010" vr="LO"><Value number="1">ACME &amp; Co</Value></DicomAttribute>'
        '<DicomAttribute tag="00090011" vr="LO"><Value number="1">OTHER</Value></DicomAttribute>'
        '<DicomAttribute tag="00090001" vr="LO" privateCreator="ACME &amp; Co"><Value number="1">of ACME</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00090010" vr="LO" privateCreator="ACME &amp; Co"><Value number="1">no creator</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00090001" vr="LO" privateCreator="OTHER"><Value number="1">of OTHER</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00091201" vr="LO"><Value number="1">of nobody</Value></DicomAttribute>'
        '<DicomAttribute tag="000B1001" vr="LO"><Value number="1">of another group</Value></DicomAttribute>',
    ),
    "a creator counts in its own item alone": (
        {
            "00090010": {"vr": "LO", "Value": ["OUTER"]},
            "00091002": {"vr": "SQ", "Value": [{"00091001": {"vr": "SH", "Value": ["x"]}}]},
        },
        '<DicomAttribute tag="00090010" vr="LO"><Value number="1">OUTER</Value></DicomAttribute>'
        '<DicomAttribute tag="00090002" vr="SQ" privateCreator="OUTER"><Item number="1">'
        '<DicomAttribute tag="00091001" vr="SH"><Value number="1">x</Value></DicomAttribute></Item></DicomAttribute>',
    ),
    "a creator without a value is none": (
        {"00090010": {"vr": "LO"}, "00091001": {"vr": "SH", "Value": ["x"]}},
        '<DicomAttribute tag="00090010" vr="LO"></DicomAttribute>'
        '<DicomAttribute tag="00091001" vr="SH"><Value number="1">x</Value></DicomAttribute>',
    ),
    "a creator whose first value is empty, or no text, is none": (
        {
            "00090010": {"vr": "LO", "Value": [None, "ACME"]},
            "00090011": {"vr": "SQ", "Value": [{}]},
            "00091001": {"vr": "SH", "Value": ["x"]},
            "00091101": {"vr": "SH", "Value": ["y"]},
        },
        '<DicomAttribute tag="00090010" vr="LO"><Value number="2">ACME</Value></DicomAttribute>'
        '<DicomAttribute tag="00090011" vr="SQ"><Item number="1"></Item></DicomAttribute>'
        '<DicomAttribute tag="00091001" vr="SH"><Value number="1">x</Value></DicomAttribute>'
        '<DicomAttribute tag="00091101" vr="SH"><Value number="1">y</Value></DicomAttribute>',
    ),
    "the public element of a number is no creator": (
        {"00080010": {"vr": "SH", "Value": ["ACR"]}, "00081030": {"vr": "LO", "Value": ["Knee"]}},
        '<DicomAttribute tag="00080010" vr="SH" keyword="RecognitionCode"><Value number="1">ACR</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00081030" vr="LO" keyword="StudyDescription"><Value number="1">Knee</Value>'
        "</DicomAttribute>",
    ),
    "what markup is made of": (
        {"00104000": {"vr": "LT", "Value": ["<a href=\"x\">&amp; 'b'</a>]]>\r\n\tend "]}},
        '<DicomAttribute tag="00104000" vr="LT" keyword="PatientComments">'
        '<Value number="1">&lt;a href="x"&gt;&amp;amp; \'b\'&lt;/a&gt;]]&gt;\r\n\tend </Value></DicomAttribute>',
    ),
    "what XML cannot hold": (
        {"00104000": {"vr": "LT", "Value": ["a\x00b\x1bc\x0bd\uffff\ufffee\ud800f\U0001f600"]}},
        '<DicomAttribute tag="00104000" vr="LT" keyword="PatientComments">'
        '<Value number="1">a\ufffdb\ufffdc\ufffdd\ufffd\ufffde\ufffdf\U0001f600</Value></DicomAttribute>',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_whole_documents(case: str) -> None:
    attributes, expected = CASES[case]
    assert inside(attributes) == expected


def test_private_attributes_with_keywords_have_no_element_for_their_creator() -> None:
    """At every depth; public elements of such a number stay, and so do private ones in a block."""
    block: dict[str, Any] = {
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "LO", "Value": ["named"]},
        "00091002": {"vr": "LO", "Value": ["without a name"]},
    }
    attributes = {
        **block,
        "00080010": {"vr": "SH", "Value": ["ACR"]},
        "00081140": {"vr": "SQ", "Value": [block]},
        "00090011": {"vr": "LO", "Value": ["OTHER"]},
        "00091101": {"vr": "LO", "Value": ["of OTHER"]},
        "00091010": {"vr": "LO", "Value": ["no creator"]},
    }
    inner = (
        '<DicomAttribute tag="00090001" vr="LO" keyword="Detail" privateCreator="ACME"><Value number="1">named</Value>'
        '</DicomAttribute><DicomAttribute tag="00090002" vr="LO" privateCreator="ACME"><Value number="1">without a name'
        "</Value></DicomAttribute>"
    )
    assert inside(attributes, {("ACME", "00090001"): "Detail", ("OTHER", "00090009"): "None"}) == (
        '<DicomAttribute tag="00080010" vr="SH" keyword="RecognitionCode"><Value number="1">ACR</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00081140" vr="SQ" keyword="ReferencedImageSequence"><Item number="1">'
        f"{inner}</Item></DicomAttribute>{inner}"
        '<DicomAttribute tag="00090010" vr="LO" privateCreator="ACME"><Value number="1">no creator</Value>'
        "</DicomAttribute>"
        '<DicomAttribute tag="00090001" vr="LO" privateCreator="OTHER"><Value number="1">of OTHER</Value>'
        "</DicomAttribute>"
    )


def test_a_creator_is_an_attribute_that_cannot_be_broken_out_of() -> None:
    creator = '"\'><x y="\x00'
    found = inside({"00090010": {"vr": "LO", "Value": [creator]}, "00091001": {"vr": "LO"}})
    root = ElementTree.fromstring(HEAD + found + "</NativeDicomModel>")  # noqa: S314
    assert [each.get("privateCreator") for each in root] == [None, '"\'><x y="\ufffd']
    assert len(list(root.iter())) == 4
