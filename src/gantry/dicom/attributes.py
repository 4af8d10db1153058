"""What searches answer with and look for, by level (PS3.18 §10.6.3.3).

UIDs, counts and what is the same for every instance are not here: the index has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gantry.dicom.json_model import fragments
from gantry.dicom.skeleton import Skeleton
from gantry.json_text import parse_json
from gantry.resources import SeriesAttributes, StudyAttributes

MAX_TEXT = 1024


STUDY_DEFAULT = (
    0x00080020,  # StudyDate
    0x00080030,  # StudyTime
    0x00080050,  # AccessionNumber
    0x00080090,  # ReferringPhysicianName
    0x00080201,  # TimezoneOffsetFromUTC
    0x00100010,  # PatientName
    0x00100020,  # PatientID
    0x00100030,  # PatientBirthDate
    0x00100040,  # PatientSex
    0x00200010,  # StudyID
)
STUDY_MORE = (
    0x00401101,  # PersonIdentificationCodeSequence
    0x00401102,  # PersonAddress
    0x00401103,  # PersonTelephoneNumbers
    0x00401104,  # PersonTelecomInformation
    0x00080080,  # InstitutionName
    0x00080081,  # InstitutionAddress
    0x00080082,  # InstitutionCodeSequence
    0x00080096,  # ReferringPhysicianIdentificationSequence
    0x0008009C,  # ConsultingPhysicianName
    0x0008009D,  # ConsultingPhysicianIdentificationSequence
    0x00080051,  # IssuerOfAccessionNumberSequence
    0x00400031,  # LocalNamespaceEntityID
    0x00400032,  # UniversalEntityID
    0x00400033,  # UniversalEntityIDType
    0x00081030,  # StudyDescription
    0x00081048,  # PhysiciansOfRecord
    0x00081049,  # PhysiciansOfRecordIdentificationSequence
    0x00081060,  # NameOfPhysiciansReadingStudy
    0x00081062,  # PhysiciansReadingStudyIdentificationSequence
    0x00321034,  # RequestingServiceCodeSequence
    0x00081110,  # ReferencedStudySequence
    0x00081032,  # ProcedureCodeSequence
    0x00401012,  # ReasonForPerformedProcedureCodeSequence
    0x00100021,  # IssuerOfPatientID
    0x00101000,  # OtherPatientIDs
    0x00101010,  # PatientAge
    0x00101020,  # PatientSize
    0x00101030,  # PatientWeight
)
SERIES_DEFAULT = (
    0x00080060,  # Modality
    0x00080201,  # TimezoneOffsetFromUTC
    0x0008103E,  # SeriesDescription
    0x00200011,  # SeriesNumber
    0x00400244,  # PerformedProcedureStepStartDate
    0x00400245,  # PerformedProcedureStepStartTime
    0x00400275,  # RequestAttributesSequence
)
SERIES_MORE = (
    0x00200060,  # Laterality
    0x00080021,  # SeriesDate
    0x00080031,  # SeriesTime
    0x00180015,  # BodyPartExamined
    0x00181030,  # ProtocolName
    0x00081070,  # OperatorsName
    0x00081050,  # PerformingPhysicianName
    0x00080070,  # Manufacturer
    0x00081090,  # ManufacturerModelName
    0x00081010,  # StationName
)
_STUDY, _SERIES = frozenset(STUDY_DEFAULT + STUDY_MORE), frozenset(SERIES_DEFAULT + SERIES_MORE)
_MAX_MEMBER = 16 << 10


def study_attributes(skeleton: Skeleton) -> StudyAttributes:
    """Raises InvalidArgument where the header cannot be read."""
    found = _found(skeleton, _STUDY)
    values = _values(found)
    return StudyAttributes(
        patient_name=values.get(0x00100010, ""),
        patient_id=values.get(0x00100020, ""),
        accession_number=values.get(0x00080050, ""),
        referring_physician_name=values.get(0x00080090, ""),
        study_date=values.get(0x00080020, ""),
        study_time=values.get(0x00080030, ""),
        study_description=values.get(0x00081030, ""),
        study_id=values.get(0x00200010, ""),
        members=_members(found, STUDY_DEFAULT),
        more_members=_members(found, STUDY_MORE),
    )


def series_attributes(skeleton: Skeleton) -> SeriesAttributes:
    """Raises InvalidArgument where the header cannot be read."""
    found = _found(skeleton, _SERIES)
    values = _values(found)
    return SeriesAttributes(
        modality=values.get(0x00080060, ""),
        series_number=values.get(0x00200011, ""),
        series_description=values.get(0x0008103E, ""),
        start_date=values.get(0x00400244, ""),
        members=_members(found, SERIES_DEFAULT),
        more_members=_members(found, SERIES_MORE),
    )


def _found(skeleton: Skeleton, wanted: frozenset[int]) -> dict[int, str]:
    """Members longer than ``_MAX_MEMBER`` are left to the metadata: every search would carry them."""
    return {tag: member for tag, member in fragments(skeleton, wanted).items() if len(member) <= _MAX_MEMBER}


def _members(found: dict[int, str], tags: Iterable[int]) -> str:
    return ",".join(found[tag] for tag in sorted(tags) if tag in found)


def _values(found: dict[int, str]) -> dict[int, str]:
    """Texts as they are looked for: several values joined by a backslash, component groups by ``=``."""
    parsed: dict[str, Any] = parse_json("{" + ",".join(found.values()) + "}")
    return {
        int(tag, 16): "\\".join(_text(value) for value in element.get("Value", ()))[:MAX_TEXT]
        for tag, element in parsed.items()
        if element["vr"] != "SQ"
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        groups = (value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value)
