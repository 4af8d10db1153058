"""Encapsulated documents (PS3.3 §A.45, §A.85): PDF, CDA, and models for printers, with the type that they declare.

A declared type is not believed: the first bytes must be of that type, and types that a browser runs are never sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from gantry.containment import contain
from gantry.dicom.json_model import fragments
from gantry.errors import NotAcceptable
from gantry.json_text import parse_json
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import name_instance, read_one_header
from gantry.studies.retrieve import Value, read_bulk

PDF, CDA = "application/pdf", "text/xml"
_CLASSES = "1.2.840.10008.5.1.4.1.1.104."  # Encapsulated PDF, CDA, STL, OBJ, MTL Storage (PS3.4 §B.5)
_DOCUMENT, _MIME_TYPE, _LENGTH = 0x00420011, 0x00420012, 0x00420015
_LOOKED_AT = 64 << 10  # bytes: the prolog of an XML document comes before its first element
_STL_HEAD, _STL_FACET = 84, 50  # bytes of a binary STL file: head with the number of facets, each facet
_PROLOG = re.compile(r"(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*>)*", re.S)
_CDA_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?ClinicalDocument[\s>]")
_DECLARATIONS = re.compile(r"<!DOCTYPE[^<>\[]*\[")
_OBJ_LINE = re.compile(r"(?:#|(?:v|vt|vn|vp|f|l|p|g|o|s|mtllib|usemtl)\s)")
_MTL_LINE = re.compile(r"(?:#|newmtl\s)")


class DocumentType(NamedTuple):
    """``names``: media types, the one that is sent by default first. ``fits`` says whether first bytes, and the length
    of all, are of it. ``is_text``: it has no NUL, so one at its end is padding."""

    names: tuple[str, ...]
    extension: str
    fits: Callable[[bytes, int], bool]
    is_text: bool = False


class Document(NamedTuple):
    """``length`` is what EncapsulatedDocumentLength says, -1 for nothing."""

    type: DocumentType
    length: int


def _read_lines(start: bytes) -> list[str]:
    """The first lines that are not blank; none of what is no text."""
    if b"\0" in start[:-1]:
        return []
    return [line.strip() for line in start[:4096].decode("utf-8-sig", "replace").splitlines() if line.strip()]


def _begins_with(line: re.Pattern[str]) -> Callable[[bytes, int], bool]:
    return lambda start, _: any(line.match(f"{first} ") for first in _read_lines(start)[:1])


def _is_pdf(start: bytes, _: int) -> bool:
    return start.startswith(b"%PDF-")  # ISO 32000-1 §7.5.2


def _is_cda(start: bytes, _: int) -> bool:
    """Its first element is a ClinicalDocument, so it is neither XHTML nor SVG (HL7 CDA R2 §4.1)."""
    return _follows_prolog(start, _CDA_ROOT)


def _follows_prolog(start: bytes, wanted: re.Pattern[str]) -> bool:
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, "replace")
    prolog = _PROLOG.match(text)
    return bool(prolog and wanted.match(text, prolog.end()))


def _is_stl(start: bytes, size: int) -> bool:
    """ASCII, or binary: the number of facets is that of the bytes, padded or not."""
    facets = int.from_bytes(start[_STL_HEAD - 4 : _STL_HEAD], "little")
    is_binary = size >= _STL_HEAD and 0 <= size - (_STL_HEAD + _STL_FACET * facets) <= 1
    return is_binary or any(re.match("solid(?:\\s|$)", line) for line in _read_lines(start)[:1])


_PDF = DocumentType((PDF,), "pdf", _is_pdf)
_CDA = DocumentType((CDA, "application/xml"), "xml", _is_cda, True)
_STL = DocumentType(("model/stl",), "stl", _is_stl)
_OBJ = DocumentType(("model/obj",), "obj", _begins_with(_OBJ_LINE), True)
_MTL = DocumentType(("model/mtl",), "mtl", _begins_with(_MTL_LINE), True)
TYPES = (_PDF, _CDA, _STL, _OBJ, _MTL)
_BY_NAME = {name: kind for kind in TYPES for name in kind.names} | {"application/sla": _STL}
_BY_CLASS = {f"{_CLASSES}{number}": kind for number, kind in enumerate(TYPES, 1)}


def is_document(row: StoredInstance) -> bool:
    return row.sop_class_uid.startswith(_CLASSES)


def read_document(seams: Seams, store: DicomStoreName, row: StoredInstance) -> Document:
    """The type that an instance declares, else that of its SOP class. Raises NotAcceptable for one not sent as such."""
    header = read_one_header(seams, store, row)
    with contain(ResourcePath(*row.uids), "while its attributes were read"):
        members = parse_json(f"{{{','.join(filter(None, fragments(header, _TAGS).values()))}}}")
    declared = str(_first(members, _MIME_TYPE) or "").partition(";")[0].strip().lower()
    kind = _BY_NAME.get(declared) if declared else _BY_CLASS.get(row.sop_class_uid)
    if kind is None:
        raise name_instance(row, _refuse(f"its document declares the type {declared[:100]!r}, which is not rendered"))
    length = _first(members, _LENGTH)
    return Document(kind, length if isinstance(length, int) else -1)


_TAGS = frozenset((_MIME_TYPE, _LENGTH))


def _first(members: dict[str, dict[str, list[object]]], tag: int) -> object:
    return next(iter(members.get(f"{tag:08X}", {}).get("Value", ())), None)


def open_document(seams: Seams, store: DicomStoreName, row: StoredInstance, document: Document) -> Value:
    """The bytes of a document, without its padding. Raises NotAcceptable where they are of another type."""
    value = read_bulk(seams, store, row, (_DOCUMENT,))
    try:
        value = value._replace(size=_measure(value, document))
        _require_type(value, document.type, row)
    except BaseException:
        value.close()
        raise
    return value


def _require_type(value: Value, kind: DocumentType, row: StoredInstance) -> None:
    start = value.read(0, _LOOKED_AT)
    if kind.fits(start, value.size):
        return
    if kind is _CDA and _follows_prolog(start, _DECLARATIONS):  # entities can make gigabytes, or read other files
        raise name_instance(row, _refuse("its document has declarations in its DOCTYPE, with which it is not rendered"))
    raise name_instance(row, _refuse(f"its document is not of the type {kind.names[0]} it declares"))


def _measure(value: Value, document: Document) -> int:
    """Bytes of the document: one less than of the value where its last byte is padding (PS3.3 §C.24.2)."""
    if document.length in (value.size, value.size - 1):
        return document.length
    is_padded = document.type.is_text and value.size % 2 == 0 and value.read(value.size - 1, 1) == b"\0"
    return value.size - is_padded


def _refuse(what: str) -> NotAcceptable:
    return NotAcceptable(what, advice="ask for its bytes, which are bulk data at …/bulkdata/00420011")
