from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.gcloud import Gcloud, found
from tests.support.gantry import Gantry


@pytest.fixture
def gcloud(gantry: Gantry, tmp_path: Path) -> Gcloud:
    if not found():
        pytest.skip("NOT TESTED: gcloud is not installed, so nothing here shows that unmodified gcloud works")
    return Gcloud(gantry, tmp_path / "gcloud")
