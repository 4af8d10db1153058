"""The suites of clients, console and interfaces pass with two replicas behind nginx, on one database and one bucket:
some of them here, all in ``./run test-replicas``."""

from __future__ import annotations

import pytest

from tests.support import databases, nginx, postgresql, replicas
from tests.support.suites import ALL, run_suites

SHOWN = "support/test_replicas.py"
"""Shows in each run that both replicas answer."""
PARTS = {
    "clients": "clients/test_python.py clients/test_dicomweb_client.py clients/test_node.py clients/test_gcloud.py",
    "console": "console/test_walk.py console/test_files.py access/test_sign_in.py",
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", PARTS)
def test_a_suite_passes_with_replicas(part: str) -> None:
    postgresql.require()
    nginx.require()
    environ = {databases.VARIABLE: databases.POSTGRESQL, replicas.VARIABLE: "2"}
    output = run_suites([SHOWN, *PARTS[part].split()], environ, ALL)
    assert "left out with replicas: shows what is left out" in output
