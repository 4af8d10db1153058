"""What a picture says of the patient and of its technique (PS3.18 §8.3.5.1.1): what its data set says, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.containment import contain
from gantry.dicom.character_sets import names_letters
from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import fragments
from gantry.errors import NotAcceptable
from gantry.json_text import parse_json
from gantry.names import DicomStoreName
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import read_one_header

PATIENT, TECHNIQUE = "patient", "technique"
KINDS = (PATIENT, TECHNIQUE)

_PATIENT = {
    "00100010": "{}",  # PatientName
    "00100020": "ID: {}",  # PatientID
    "00100030": "Born: {}",  # PatientBirthDate
    "00100040": "Sex: {}",  # PatientSex
}
_TECHNIQUE = {
    "00080060": "{}",  # Modality
    "00080020": "Study: {}",  # StudyDate
    "0008103E": "{}",  # SeriesDescription
    "00200011": "Series: {}",  # SeriesNumber
    "00200013": "Image: {}",  # InstanceNumber
    "00200060": "Side: {}",  # Laterality
    "00200062": "Side: {}",  # ImageLaterality
    "00185101": "View: {}",  # ViewPosition
    "00201041": "Location: {} mm",  # SliceLocation
    "00200032": "Position: {} mm",  # ImagePositionPatient
    "00180050": "Thickness: {} mm",  # SliceThickness
    "00180060": "{} kVp",  # KVP
    "00181151": "{} mA",  # XRayTubeCurrent
    "00181152": "{} mAs",  # Exposure
    "00180080": "TR: {} ms",  # RepetitionTime
    "00180081": "TE: {} ms",  # EchoTime
    "00180087": "{} T",  # MagneticFieldStrength
}
_LINES = {PATIENT: _PATIENT, TECHNIQUE: _TECHNIQUE}
_CHARACTER_SET = "00080005"
_IDENTITY = ("00100010", "00100020")
_WANTED = frozenset(int(tag, 16) for tag in (_CHARACTER_SET, *_PATIENT, *_TECHNIQUE))
_MOST_VALUES = 3


def read_annotations(
    seams: Seams, store: DicomStoreName, row: StoredInstance, kinds: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines of text about the patient and about the technique; those that are not among ``kinds`` are empty.

    Raises StatusError for a header that cannot be read, and NotAcceptable where it does not say who the patient is: a
    picture without the name that was asked for is not sent.
    """
    header = read_one_header(seams, store, row)
    with contain(row.path, "while its annotations were read"):
        found = _read_members(header)
        if PATIENT in kinds:
            _require_identity(found)
        patient, technique = (_write_lines(kind, found) if kind in kinds else () for kind in KINDS)
        return patient, technique


def _read_members(header: HeaderBytes) -> Mapping[str, Any]:
    members = (member for member in fragments(header, _WANTED).values() if member)
    found: Mapping[str, Any] = parse_json(f"{{{','.join(members)}}}")
    return found


def _require_identity(found: Mapping[str, Any]) -> None:
    """Raises NotAcceptable where the patient has neither name nor ID, or one that cannot be read for certain."""
    advice = "ask without this annotation"
    for tag in _PATIENT:
        if found.get(tag, {}).keys() - {"vr", "Value"}:  # bytes, or an address of them
            raise NotAcceptable(f"annotation=patient: the element {tag} is no text", advice=advice)
    lines = _write_lines(PATIENT, found)
    character_set = "\\".join(term or "" for term in found.get(_CHARACTER_SET, {}).get("Value", ()))
    if not all(map(str.isascii, lines)) and not names_letters(character_set):
        raise NotAcceptable(
            "annotation=patient: SpecificCharacterSet does not say what letters these are", advice=advice
        )
    if not any(_write_value(PATIENT, found.get(tag, {})) for tag in _IDENTITY):
        raise NotAcceptable("annotation=patient: the instance has neither PatientName nor PatientID", advice=advice)


def _write_lines(kind: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    texts = ((line, _write_value(kind, found.get(tag, {}))) for tag, line in _LINES[kind].items())
    return tuple(line.format(text) for line, text in texts if text)


def _write_value(kind: str, member: Mapping[str, Any]) -> str:
    """All values of the patient as they are stored: a part of an ID is another ID. Of others the first ones."""
    texts = [_write_one(str(member["vr"]), value) for value in member.get("Value", ())]
    if kind == PATIENT:
        return "\\".join(texts) if any(texts) else ""
    return " ".join(filter(None, texts[:_MOST_VALUES]))


def _write_one(vr: str, value: Any) -> str:
    if value is None:
        return ""
    if vr == "PN":
        return _write_name(value)
    return _write_date(str(value)) if vr == "DA" else str(value).strip()


def _write_name(groups: Mapping[str, str]) -> str:
    """``Family, Given Middle`` (PS3.5 §6.2.1.2), of the first group that there is: the alphabetic one comes first."""
    name = next((groups[group] for group in ("Alphabetic", "Ideographic", "Phonetic") if groups.get(group)), "")
    parts = [part.strip() for part in name.split("^")]
    family, given, middle, prefix, *suffixes = parts + [""] * 4
    others = " ".join(filter(None, (prefix, given, middle, *suffixes)))
    return ", ".join(filter(None, (family, others)))


def _write_date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text
