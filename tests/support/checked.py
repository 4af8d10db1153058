"""``gantry check`` as the oracle of tests: what is wrong with a data directory."""

from __future__ import annotations

from pathlib import Path

from gantry.checking.run import check
from gantry.config import open_checked
from gantry.findings import Finding
from gantry.settings.loading import Settings
from tests.support.databases import make_settings


def findings(data: Path, reads: bool = True, settings: Settings | None = None) -> list[Finding]:
    """All findings; a server may run on the directory. ``settings`` name the bucket of its blobs, if any."""
    with open_checked(data, reads, settings or make_settings(data)) as checked:
        return list(check(checked))


def check_clean(data: Path) -> None:
    """Nothing is wrong with a data directory, and all of it could be checked."""
    assert findings(data) == []
