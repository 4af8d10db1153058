"""Fixtures of pytest: an emulator for the tests of programs that use the API.

pytest loads this module wherever Gantry is installed, so it imports nothing before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest


@pytest.fixture(scope="session")
def gantry_flags() -> Sequence[str]:
    """Flags of ``gantry emulator``, such as ``["--seed", "radiology/main=files"]``: override it in conftest.py."""
    return ()


@pytest.fixture(scope="session")
def gantry_session(gantry_flags: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The emulator of all tests of this process: a ``gantry.emulator.running.RunningEmulator``."""
    from gantry.emulator.running import RunningEmulator

    with RunningEmulator(tmp_path_factory.mktemp("gantry"), gantry_flags) as running:
        yield running


@pytest.fixture
def gantry(gantry_session: Any) -> Any:
    """The emulator in its first state: what earlier tests have stored is gone."""
    gantry_session.reset()
    return gantry_session
