"""Runs suites again on what other runs do not have: another database, or several servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


QUICK, ALL = "not slow and not further", "not long"
"""Which tests of a suite: those of ``./run test``, or those of ``./run test-slow``, too."""


def run_suites(names: Sequence[str], environ: dict[str, str], marks: str = QUICK) -> str:
    """The output of the tests below ``tests/NAME`` with this environment; they must pass."""
    files = [f"tests/{name}" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider"]
    given = {name: value for name, value in os.environ.items() if name != "GANTRY_TEST_MINUTES"}
    command += ["-m", marks, *files]
    done = subprocess.run(command, env=given | environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= len(files), done.stdout[-2000:]
    return done.stdout
