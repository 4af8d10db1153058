"""A head of Ray and workers of Gantry on its node, as processes of their own on this machine."""

from __future__ import annotations

import os
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
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # with it some processes for clients die as they start, and clients wait for 45 s
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
        self._homes: list[str] = []

    def start_scheduler(self) -> None:
        """Returns when it answers: what it starts for a client that comes earlier may die."""
        self._homes.append(tempfile.mkdtemp(prefix="ray"))  # names of its sockets are short
        ports = ("--port", str(self._head_port), "--ray-client-server-port", str(self.port))
        command = ("-c", _START, "start", "--head", "--block", *ports, *_HEAD, "--temp-dir", self._homes[-1])
        self.scheduler = self._start(command, _SETTINGS, ("setsid",))
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(self.port):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def start_foreign_worker(self) -> None:
        """Actors in the same namespace that are none of Gantry's, one by a name that could be."""
        self.workers.append(self._start(("-c", _FOREIGN.format(address=self.executor))))

    def find_actors(self) -> list[int]:
        """The processes of the actors of workers."""
        return [pid for pid, command in self._list_processes() if command.startswith(_ACTOR)]

    def _list_processes(self) -> list[tuple[int, bytes]]:
        """Those of the head and its node with their command lines. Those that have ended have none."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self.scheduler is not None and _read_session(each) == self.scheduler.pid:
                    found.append((int(each.name), (each / "cmdline").read_bytes()))
        return [(pid, command) for pid, command in found if command]

    def kill_scheduler(self) -> None:
        """And its node, as if the machine died."""
        if self.scheduler is None:
            return
        while found := self._list_processes():
            for pid, _ in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.scheduler.poll()
        shutil.rmtree(self._homes.pop(), ignore_errors=True)
        self.scheduler = None


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _read_session(process: Path) -> int:
    """The session that it belongs to: proc(5), field 6 of stat."""
    return int((process / "stat").read_text().rpartition(")")[2].split()[3])


@contextmanager
def ray_cluster(
    home: Path, workers: int = 1, processes: int = 2, settings: Mapping[str, str] | None = None
) -> Iterator[RayCluster]:
    path = os.pathsep.join([str(_LEAN), os.environ.get("PYTHONPATH", "")])
    mode = os.environ.get("RAY_AUTH_MODE", "disabled")  # whatever the home of the user has
    with patch.dict(os.environ, PYTHONPATH=path, RAY_AUTH_MODE=mode), closing(RayCluster(home, settings)) as cluster:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker(processes)
        yield cluster
