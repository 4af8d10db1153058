from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.issuer import Issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()
