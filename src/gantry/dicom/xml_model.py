"""The Native DICOM Model in XML (PS3.19 §A.1), out of a DICOM JSON object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from gantry.dicom.dictionary import keyword_of

PrivateKeywords = Mapping[tuple[str, str], str]
"""(creator, tag with 00 for the block) → keyword."""

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
)
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def native_xml(attributes: dict[str, Any], private: PrivateKeywords | None = None) -> bytes:
    """One document. What XML cannot hold becomes U+FFFD.

    With ``private`` the elements it names have keywords, and creators stand in ``privateCreator`` alone.
    """
    return (_HEAD + "".join(_write_dataset(attributes, private)) + "</NativeDicomModel>").encode()


def _write_dataset(attributes: dict[str, Any], private: PrivateKeywords | None) -> Iterator[str]:
    creators = {
        tag[:4] + tag[6:]: creator
        for tag, element in attributes.items()
        if int(tag[:4], 16) & 1 and tag.startswith("00", 4)
        for creator in element.get("Value", ())[:1]
        if isinstance(creator, str)
    }
    for tag, element in sorted(attributes.items()):
        if private is None or tag[:4] + tag[6:] not in creators or not tag.startswith("00", 4):
            yield from _write_attribute(tag, element, creators, private)


def _write_attribute(
    tag: str, element: dict[str, Any], creators: dict[str, str], private: PrivateKeywords | None
) -> Iterator[str]:
    creator = ""
    if int(tag[:4], 16) & 1 and tag[4:6] != "00":
        creator = creators.get(tag[:4] + tag[4:6], "")
        tag = f"{tag[:4]}00{tag[6:]}" if creator else tag
    keyword = (private or {}).get((creator, tag), "") if creator else keyword_of(int(tag, 16))
    yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}"'
    yield f" keyword={_quote(keyword)}" if keyword else ""
    yield f" privateCreator={_quote(creator)}>" if creator else ">"
    if "BulkDataURI" in element:
        yield f"<BulkData uri={_quote(element['BulkDataURI'])}/>"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(element.get("Value", ()), 1):
        if value is not None:
            yield from _write_value(number, value, element["vr"], private)
    yield "</DicomAttribute>"


def _write_value(number: int, value: Any, vr: str, private: PrivateKeywords | None) -> Iterator[str]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        yield from _write_dataset(value, private)
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">'
        for group, name in value.items():
            parts = zip(_NAME_PARTS, name.split("^"), strict=False)
            inner = "".join(f"<{part}>{_escape(text)}</{part}>" for part, text in parts if text)
            yield f"<{group}>{inner}</{group}>"
        yield "</PersonName>"
    else:
        yield f'<Value number="{number}">{_escape(value)}</Value>'


def _escape(value: Any) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", str(value)))


def _quote(value: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", value))
