from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.gcloud import Gcloud, found
from tests.clients.ohif import install
from tests.support.gantry import Gantry


@pytest.fixture(scope="session")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of OHIF, installed once."""
    data = tmp_path_factory.mktemp("viewer") / "data"
    install(data)
    return data / "viewer"


@pytest.fixture
def gcloud(gantry: Gantry, tmp_path: Path) -> Gcloud:
    return _started(gantry, tmp_path)


@pytest.fixture
def accepting_gcloud(accepting: Gantry, tmp_path: Path) -> Gcloud:
    return _started(accepting, tmp_path)


def _started(gantry: Gantry, tmp_path: Path) -> Gcloud:
    if not found():
        pytest.skip("NOT TESTED: gcloud is not installed, so nothing here shows that unmodified gcloud works")
    return Gcloud(gantry, tmp_path / "gcloud")
