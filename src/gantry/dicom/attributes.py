"""What searches answer with and look for, by level (PS3.18 §10.6.3.3; Google's lists in docs/conformance.md).

UIDs, counts and what is the same for every instance are not here: the index has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gantry.dicom.dictionary import tag_of
from gantry.dicom.json_model import fragments
from gantry.dicom.skeleton import Skeleton
from gantry.resources import SeriesAttributes, StudyAttributes

MAX_TEXT = 1024


def _tags(keywords: str) -> tuple[int, ...]:
    found = tuple(tag_of(keyword) for keyword in keywords.split())
    return tuple(tag for tag in found if tag is not None)


STUDY_DEFAULT = _tags("""
    StudyDate StudyTime AccessionNumber ReferringPhysicianName TimezoneOffsetFromUTC PatientName PatientID
    PatientBirthDate PatientSex StudyID
""")
STUDY_MORE = _tags("""
    PersonIdentificationCodeSequence PersonAddress PersonTelephoneNumbers PersonTelecomInformation InstitutionName
    InstitutionAddress InstitutionCodeSequence ReferringPhysicianIdentificationSequence ConsultingPhysicianName
    ConsultingPhysicianIdentificationSequence IssuerOfAccessionNumberSequence LocalNamespaceEntityID UniversalEntityID
    UniversalEntityIDType StudyDescription PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence
    NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence RequestingServiceCodeSequence
    ReferencedStudySequence ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence
    IssuerOfPatientID OtherPatientIDs PatientAge PatientSize PatientWeight
""")
SERIES_DEFAULT = _tags("""
    Modality TimezoneOffsetFromUTC SeriesDescription SeriesNumber PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime RequestAttributesSequence
""")
SERIES_MORE = _tags("""
    Laterality SeriesDate SeriesTime BodyPartExamined ProtocolName OperatorsName PerformingPhysicianName Manufacturer
    ManufacturerModelName StationName
""")
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
    parsed: dict[str, Any] = json.loads("{" + ",".join(found.values()) + "}")
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
