"""One emulator for all tests of this directory, in its first state at each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.running import Emulator
from tests.support.dicom import make_instance


@pytest.fixture(scope="package")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATASET/STORE with three instances, one of them below, and a text."""
    folder = tmp_path_factory.mktemp("seeds")
    below = folder / "radiology" / "main" / "below"
    below.mkdir(parents=True)
    for number in range(2):
        (below.parent / f"{number}.dcm").write_bytes(make_instance(sop=f"1.2.3.{number}"))
    (below / "2.dcm").write_bytes(make_instance(sop="1.2.3.2"))
    (below / "readme.txt").write_text("not DICOM")
    return folder


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory, seeds: Path) -> Iterator[Emulator]:
    found = Emulator(
        tmp_path_factory.mktemp("emulator"), "--seed", str(seeds), "--bucket", "incoming", "--store", "other/empty"
    )
    yield found
    found.stop()


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running
