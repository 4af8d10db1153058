"""Checksums of stored bytes: a copy never gets a new one over bytes that were damaged before."""

from __future__ import annotations

from gantry.errors import DataLoss
from gantry.reasons import Reason

HEAL = "store or import the original again"
OTHER_SUM = "its bytes are damaged: their checksum (CRC32C) is not the one they were written with"


def require_sum(found: int, written: int | None) -> None:
    """Raises DataLoss where bytes do not have the CRC32C ``written`` (RFC 3720 §12.1); None: nobody knows it."""
    if written is not None and found != written:
        raise DataLoss(OTHER_SUM, advice=HEAL, kind=Reason.STORED_BYTES_DAMAGED)
