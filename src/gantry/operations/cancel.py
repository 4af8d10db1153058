"""Cancelling an operation."""

from __future__ import annotations

from gantry.names import OperationName
from gantry.operations.retention import report_failures
from gantry.seams import Seams


def cancel(seams: Seams, name: OperationName) -> None:
    """Cancel an operation. One that waits for a runner ends here; a running one stops soon. Raises NotFound."""
    written = seams.index.operations.request_cancel(name)
    if written:
        report_failures(seams, seams.index.operations.get_operation(name), written)
