"""Structured reports as pages and text for people (PS3.18 §8.7.4)."""

from __future__ import annotations

from gantry.containment import contain
from gantry.dicom.json_model import JsonWriter
from gantry.dicom.report_pages import HTML, TEXT, write_html, write_text
from gantry.dicom.reports import read_report
from gantry.json_text import parse_with_digits
from gantry.names import DicomStoreName, ResourcePath
from gantry.resources import StoredInstance
from gantry.seams import Seams
from gantry.studies.headers import read_one_header

__all__ = ["HTML", "TEXT", "is_report", "write_report"]

_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
"""All SR storage classes begin so (PS3.4 §B.5): text and comprehensive reports, key objects, CAD, dose, logs."""

_OTHER_CLASSES = ("1.2.840.10008.5.1.4.1.1.79.1",)  # Macular Grid Thickness and Volume Report


def is_report(row: StoredInstance) -> bool:
    return row.sop_class_uid.startswith(_CLASSES) or row.sop_class_uid in _OTHER_CLASSES


def write_report(seams: Seams, store: DicomStoreName, row: StoredInstance, media_type: str, web_url: str) -> bytes:
    """The report as HTML, with links below ``web_url``, or TEXT, in UTF-8. Raises only StatusError."""
    header = read_one_header(seams, store, row)
    with contain(ResourcePath(*row.uids), "while its report was written"):
        report = read_report(
            parse_with_digits(JsonWriter().write(header, f"{web_url}/{ResourcePath(*row.uids)}/bulkdata"))
        )
        return write_html(report, web_url) if media_type == HTML else write_text(report)
