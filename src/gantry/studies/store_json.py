"""STOW-RS of DICOM JSON and bulk data (PS3.18 §10.5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gantry.errors import Unimplemented
from gantry.studies.store import Incoming


def incoming_of_json(parts: Iterator[Any]) -> Iterator[Incoming]:
    raise Unimplemented("storing DICOM JSON is not there yet; send application/dicom")
