"""With GANTRY_TEST_REPLICAS each server that tests get is several behind nginx."""

from __future__ import annotations

import pytest

from tests.support import databases, replicas
from tests.support.gantry import Gantry
from tests.support.replicas import Replicas


def test_every_replica_answers(gantry: Gantry) -> None:
    if not replicas.count():
        pytest.skip("this run has no replicas: ./run test-replicas")
    server = gantry.server
    assert isinstance(server, Replicas) and len(server.each) == replicas.count()
    assert len(databases.query(server.data, "SELECT id FROM server")) == replicas.count()
    before = [_count_answers(each.port, server) for each in server.each]
    for _ in range(4):
        gantry.call("GET", f"v1/{gantry.store}")
    after = [_count_answers(each.port, server) for each in server.each]
    assert all(now > then for then, now in zip(before, after, strict=True))


def _count_answers(port: int, server: Replicas) -> int:
    return server.proxy.log_text().count(f" 127.0.0.1:{port} ")


@pytest.mark.one_process("shows what is left out")
def test_what_is_about_one_process_is_left_out() -> None:
    assert not replicas.count()
