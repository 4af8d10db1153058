"""Callers of all verbs, failing system calls and dying processes at once, by seed: every answer holds.

``./run soak`` runs longer ones, as many as there is time for; the package ``mixed`` is what a seed does.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.mixed.scene import run_seed


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_a_short_seed(tmp_path: Path, seed: int) -> None:
    run_seed(tmp_path / "seed", seed, steps=40, starts=1)
