"""A server of a module's own, for tests after which nothing may be wrong in its directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import GantryServer


@pytest.fixture(scope="module", name="server")
def serve_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    """In the place of the server that all tests share, some of which damage what they have stored.

    A module has it by importing it: ``from tests.support.apart import serve_apart  # noqa: F401``.
    """
    home = tmp_path_factory.mktemp("apart")
    running = GantryServer(home / "data", home / "buckets")
    try:
        yield running
    finally:
        running.stop()
