"""An attack, and what is looked at before and after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.neighbours import Neighbours
from tests.support.gantry import Gantry


@pytest.fixture
def neighbours(gantry: Gantry) -> Iterator[Neighbours]:
    made = Neighbours(gantry)
    yield made
    made.check()
