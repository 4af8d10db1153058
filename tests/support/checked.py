"""``gantry check`` as the oracle of tests: what is wrong with a data directory."""

from __future__ import annotations

from pathlib import Path

from gantry.checking.run import check
from gantry.config import open_checked
from gantry.findings import Finding


def findings(data: Path, reads: bool = True) -> list[Finding]:
    """All findings; a server may run on the directory."""
    with open_checked(data, reads) as checked:
        return list(check(checked))


def check_clean(data: Path) -> None:
    """Nothing is wrong with a data directory, and all of it could be checked."""
    assert findings(data) == []
