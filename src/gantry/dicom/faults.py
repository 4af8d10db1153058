"""Errors of what a DICOM file is made of, each with its reason."""

from __future__ import annotations

from gantry.errors import InvalidArgument
from gantry.reasons import Reason


def malformed(what: str) -> InvalidArgument:
    """The structure is not that of a DICOM file."""
    return InvalidArgument(what, kind=Reason.MALFORMED)


def cut_off(what: str) -> InvalidArgument:
    """The file ends before what it says it has."""
    return InvalidArgument(what, kind=Reason.TRUNCATED)
