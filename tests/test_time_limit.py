"""A run of the tests that must end in time leaves tests out aloud, and fails none for it. No property is timed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
SOME = "tests/words/test_backoff.py"
OF_A_PROPERTY = settings(max_examples=10)


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "outcome"), [("0", "skipped"), ("60", "passed"), ("", "passed")])
def test_what_has_not_begun_in_time_is_left_out(minutes: str, outcome: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider", "-n", "0", SOME]
    environ = {**os.environ, "GANTRY_TEST_MINUTES": minutes}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    words = done.stdout.splitlines()[-1].split()
    assert words[2] == outcome and words[3] == "in", done.stdout
    assert ("GANTRY_TEST_MINUTES" in done.stdout) == (outcome == "skipped")


def test_no_property_fails_because_the_machine_is_busy() -> None:
    assert OF_A_PROPERTY.deadline is None
    assert HealthCheck.too_slow in OF_A_PROPERTY.suppress_health_check
