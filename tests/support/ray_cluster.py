"""A head of Ray and workers of Gantry on its node, as processes of their own on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

from tests.support.engines import EngineCluster, free_port
from tests.support.missing import not_tested

_START = "from ray.scripts.scripts import main; main()"
_LEAN = Path(__file__).with_name("lean")
_MARK = "GANTRY_TEST_HEAD"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_agent_register_timeout_ms": "300000",  # where its agent is late the node ends itself
}
_HEAD = (
    "--num-cpus",
    "0",
    "--num-gpus",
    "0",
    "--object-store-memory",
    "100000000",
    "--include-dashboard",
    "false",
    "--include-log-monitor",
    "false",
)
_ACTOR = b"ray::WorkerActor"
_READY_SECONDS = 240
_FOREIGN = """
import ray, time
ray.init("{address}", namespace="gantry", log_to_driver=False)
@ray.remote(num_cpus=0)
class Foreign:
    def __init__(self): pass
    def greet(self): return "hello"
kept = [Foreign.options(name=name).remote() for name in ("gantry-worker-foreign", "another")]
print(ray.get([each.greet.remote() for each in kept]), flush=True)
time.sleep(600)
"""


class RayCluster(EngineCluster):
    """The scheduler is a head, with a node on which the actors of all workers are. ``settings`` are also the head's."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        if find_spec("ray") is None or find_spec("grpc") is None:
            not_tested("Ray is not installed")
        self.port, self._head_port = free_port(), free_port()
        super().__init__(home, f"ray://127.0.0.1:{self.port}", settings)
        self._mark = secrets.token_hex(8)
        self._marked = f"{_MARK}={self._mark}"
        self._homes: list[str] = []

    def start_scheduler(self) -> None:
        """Returns when it answers: what it starts for a client that comes earlier may die."""
        self._homes.append(tempfile.mkdtemp(prefix="ray"))  # names of its sockets are short
        ports = ("--port", str(self._head_port), "--ray-client-server-port", str(self.port))
        command = ("-c", _START, "start", "--head", "--block", *ports, *_HEAD, "--temp-dir", self._homes[-1])
        self.scheduler = self._start(command, _SETTINGS | {_MARK: self._mark})
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def start_foreign_worker(self) -> None:
        """Actors in the same namespace that are none of Gantry's, one by a name that could be."""
        self.workers.append(self._start(("-c", _FOREIGN.format(address=self.executor))))

    def find_actors(self) -> list[int]:
        """The processes of the actors of workers."""
        return [each for each in _find_marked(self._marked) if _ACTOR in Path(f"/proc/{each}/cmdline").read_bytes()]

    def kill_scheduler(self) -> None:
        """And its node, as if the machine died."""
        if self.scheduler is None:
            return
        super().kill_scheduler()
        while pids := _find_marked(self._marked):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        shutil.rmtree(self._homes.pop(), ignore_errors=True)
        self.scheduler = None


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _find_marked(mark: str) -> list[int]:
    """Processes whose environment has it; those that have ended have none."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
    return found


@contextmanager
def ray_cluster(
    home: Path, workers: int = 1, processes: int = 2, settings: Mapping[str, str] | None = None
) -> Iterator[RayCluster]:
    path = os.pathsep.join([str(_LEAN), os.environ.get("PYTHONPATH", "")])
    with patch.dict(os.environ, PYTHONPATH=path), closing(RayCluster(home, settings)) as cluster:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker(processes)
        yield cluster
