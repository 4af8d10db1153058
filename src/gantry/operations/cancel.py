"""Cancelling an operation."""

from __future__ import annotations

from gantry.names import OperationName
from gantry.operations.retention import tell_failures
from gantry.seams import Seams


def cancel(seams: Seams, name: OperationName) -> None:
    """One that waits for a runner is done when this returns; one that runs stops soon. Raises NotFound."""
    written = seams.index.operations.request_cancel(name)
    if written:
        tell_failures(seams, seams.index.operations.get_operation(name), written)
