"""What one query may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """``seconds`` from beginning to end; ``megabytes`` of memory; ``result_megabytes`` of a result as JSON;
    ``spill_megabytes`` of the disk, for what does not fit into memory."""

    seconds: int = 60
    megabytes: int = 1024
    result_megabytes: int = 1024
    threads: int = 2

    @property
    def spill_megabytes(self) -> int:
        return 4 * self.megabytes
