"""Uploads in parts to the bucket of stored instances: each is on its way, or was left and will be ended."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.checking.directory import Checked
from gantry.errors import StatusError
from gantry.findings import Finding, Kind
from gantry.seams import MAIN


def check_uploads(checked: Checked) -> Iterator[Finding]:
    if checked.is_away(MAIN):
        return
    try:
        left = checked.list_left_uploads()
        if left and checked.is_used:
            checked.wait()
            left &= checked.list_left_uploads()  # one that has just ended, or begun, is not in both
    except StatusError as error:
        if error.waits_for is None:
            raise
        yield checked.note_away(MAIN, error)
        return
    for key, upload in sorted(left):
        yield Finding(
            Kind.BYTES_UNKNOWN, key, f"parts of the upload {upload[:100]}, which nobody continues, take room here"
        )
