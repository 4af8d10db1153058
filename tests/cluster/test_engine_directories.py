"""A worker of an engine that does not see the directories of the server, or sees other ones, writes nothing there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.engines import dask_cluster
from tests.support.server import GantryServer, counts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
_COUNT = 20


@pytest.fixture(autouse=True)
def needs_mounts() -> None:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("no directory can be hidden from a process: that needs Linux and root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no directory can be hidden from a process here")


def _said(server: GantryServer, operation: str) -> str:
    """What it waits for."""
    return str(server.operation(operation)["metadata"].get("waiting", {}).get("message"))


@pytest.mark.parametrize("hidden", ["buckets", "data"])
def test_the_operation_waits_says_why_and_goes_on_with_a_worker_that_sees_them(tmp_path: Path, hidden: str) -> None:
    home = tmp_path / "home"
    with dask_cluster(tmp_path, workers=0) as engine:
        server = GantryServer(home / "data", home / "buckets", env={"GANTRY_EXECUTOR": engine.executor})
        try:
            (home / "buckets" / "in").mkdir()
            for number in range(_COUNT):
                data = make_instance("1.2", "1.2.1", f"1.2.3.{number}")
                (home / "buckets" / "in" / f"{number}.dcm").write_bytes(data)
            apart = engine.start_worker(1, hidden=home / hidden)
            operation = server.import_(server.create_store("d", "s"), "gs://in/**")
            server.wait_until(lambda: "may not be mounted" in _said(server, operation))
            seen = Path(f"/proc/{apart.pid}/root{home / hidden}")
            assert list(seen.iterdir()) == [], "nothing is written where the worker is"
            engine.kill_worker(apart)
            engine.start_worker(1)
            assert counts(server.wait(operation)) == (_COUNT, 0)
        finally:
            server.stop()
        assert findings(home / "data") == []
