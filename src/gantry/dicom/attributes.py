"""What searches answer with and look for, by level (PS3.18 §10.6.3.3).

UIDs, counts and what is the same for every instance are not here: the index has them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from gantry.dicom.header_bytes import HeaderBytes
from gantry.dicom.json_model import fragments
from gantry.dicom.part10 import MAX_HEADER
from gantry.dicom.tags import (
    ACCESSION_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PROCEDURE_STEP_START_DATE,
    PROCEDURE_STEP_START_TIME,
    REFERRING_PHYSICIAN_NAME,
    SERIES_DESCRIPTION,
    SERIES_NUMBER,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_ID,
    STUDY_TIME,
)
from gantry.errors import StatusError
from gantry.json_text import parse_json
from gantry.matching import MAX_CODE, MAX_TEXT, join_element
from gantry.resources import HeaderAttributes, SeriesAttributes, StudyAttributes

logger = logging.getLogger(__name__)

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
_LOOKED_FOR = frozenset(
    (
        *(PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER, REFERRING_PHYSICIAN_NAME, STUDY_DATE, STUDY_TIME),
        *(STUDY_DESCRIPTION, STUDY_ID, MODALITY, SERIES_NUMBER, SERIES_DESCRIPTION, PROCEDURE_STEP_START_DATE),
        PROCEDURE_STEP_START_TIME,
    )
)
_CODES = frozenset((STUDY_DATE, STUDY_TIME, MODALITY, PROCEDURE_STEP_START_DATE, PROCEDURE_STEP_START_TIME))
_MAX_MEMBER = 16 << 10


def read_attributes(header_bytes: HeaderBytes, study: StudyAttributes | None = None) -> HeaderAttributes:
    """What a header says of its study and series. An attribute that cannot be read is left out, and no other.

    A ``study`` that another header has described is taken as it is.
    """
    found, whole = _read_members(header_bytes, _STUDY | _SERIES if study is None else _SERIES)
    elements = _parse_members(found)
    members = {tag: found[tag] for tag in elements}
    texts = {
        tag: join_element(element)[: MAX_CODE if tag in _CODES else MAX_TEXT]
        for tag, element in elements.items()
        if tag in _LOOKED_FOR and element["vr"] != "SQ"
    }
    return HeaderAttributes(
        study or _describe_study(members, texts),
        _describe_series(members, texts),
        whole and len(elements) == len(found),
    )


def _describe_study(members: dict[int, str], texts: dict[int, str]) -> StudyAttributes:
    return StudyAttributes(
        patient_name=texts.get(PATIENT_NAME, ""),
        patient_id=texts.get(PATIENT_ID, ""),
        accession_number=texts.get(ACCESSION_NUMBER, ""),
        referring_physician_name=texts.get(REFERRING_PHYSICIAN_NAME, ""),
        study_date=texts.get(STUDY_DATE, ""),
        study_time=texts.get(STUDY_TIME, ""),
        study_description=texts.get(STUDY_DESCRIPTION, ""),
        study_id=texts.get(STUDY_ID, ""),
        members=_join_members(members, STUDY_DEFAULT),
        more_members=_join_members(members, STUDY_MORE),
    )


def _describe_series(members: dict[int, str], texts: dict[int, str]) -> SeriesAttributes:
    return SeriesAttributes(
        modality=texts.get(MODALITY, ""),
        series_number=texts.get(SERIES_NUMBER, ""),
        series_description=texts.get(SERIES_DESCRIPTION, ""),
        start_date=texts.get(PROCEDURE_STEP_START_DATE, ""),
        members=_join_members(members, SERIES_DEFAULT),
        more_members=_join_members(members, SERIES_MORE),
        start_time=texts.get(PROCEDURE_STEP_START_TIME, ""),
    )


def _read_members(header_bytes: HeaderBytes, wanted: frozenset[int]) -> tuple[dict[int, str], bool]:
    """Members by tag, and whether all that are there could be read.

    Members longer than ``_MAX_MEMBER`` are left to the metadata: every search would carry them.
    """
    try:
        members, whole = fragments(header_bytes, wanted), True
    except Exception as error:
        # An instance whose structure is complete is stored, and is found by the attributes that can be read.
        if not isinstance(error, StatusError):
            logger.exception("a header cannot be read in one go")
        members, whole = _read_one_by_one(header_bytes, wanted), False
    short = {tag: member for tag, member in members.items() if 0 < len(member) <= _MAX_MEMBER}
    return short, whole and all(members.values())


def _read_one_by_one(header_bytes: HeaderBytes, wanted: frozenset[int]) -> dict[int, str]:
    """Without those that cannot be read. Every one costs a walk, so a header too long to be kept is not worth it."""
    found: dict[int, str] = {}
    if len(header_bytes.body) <= MAX_HEADER:
        for tag in wanted:
            with suppress(Exception):  # told by the caller, once for all of them
                found |= fragments(header_bytes, frozenset((tag,)))
    return found


def _join_members(members: dict[int, str], tags: Iterable[int]) -> str:
    return ",".join(members[tag] for tag in sorted(tags) if tag in members)


def _parse_members(found: dict[int, str]) -> dict[int, dict[str, Any]]:
    """Elements by tag, without those that are no values: JSON that is nested too deep, an address of bulk data."""
    try:
        every = parse_json(f"{{{','.join(found.values())}}}")
    except (ValueError, RecursionError):
        every = _parse_one_by_one(found.values())
    return {int(tag, 16): element for tag, element in every.items() if "BulkDataURI" not in element}


def _parse_one_by_one(members: Iterable[str]) -> dict[str, Any]:
    every: dict[str, Any] = {}
    for member in members:
        with suppress(ValueError, RecursionError):
            every |= parse_json(f"{{{member}}}")
    return every
