"""Schedulers and workers of engines, as processes of their own on this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from gantry.engine_wiring import open_engine
from gantry.settings.loading import load_settings
from gantry.worker_calls import Workers
from tests.support.missing import not_tested

ROOT = Path(__file__).parents[2]
_HIDE = 'mount -t tmpfs none "$0" && exec "$@"'
_WORKER = """
import os, sys, gantry
gantry.__version__ = os.environ.get("GANTRY_TEST_VERSION", gantry.__version__)
from gantry.cli import main
main()
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class EngineCluster:
    """The scheduler of an engine, and workers of Gantry. ``settings`` are variables of all workers; ``log`` has what
    all say."""

    port: int

    def __init__(self, home: Path, executor: str, settings: Mapping[str, str] | None = None) -> None:
        self.executor, self.log = executor, home / "engine.log"
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._env = {**os.environ, "PYTHONPATH": path, "GANTRY_EXECUTOR": self.executor, **(settings or {})}
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_scheduler(self) -> None:
        raise NotImplementedError

    def start_foreign_worker(self) -> None:
        """One that is none of Gantry's."""
        raise NotImplementedError

    def start_worker(
        self, processes: int = 2, env: Mapping[str, str] | None = None, hidden: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """``GANTRY_TEST_VERSION`` in ``env`` is the version of Gantry that it has. ``hidden``: a directory that it sees
        as an empty one, as on another machine; for root."""
        before = () if hidden is None else ("unshare", "--mount", "sh", "-c", _HIDE, str(hidden))
        made = self._start(("-c", _WORKER, "worker", "--processes", str(processes)), env or {}, before)
        self.workers.append(made)
        return made

    def _start(
        self, command: tuple[str, ...], env: Mapping[str, str] | None = None, before: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [*before, sys.executable, *command], env=self._env | (env or {}), stdout=log, stderr=log, cwd=ROOT
            )

    def kill_scheduler(self) -> None:
        if self.scheduler is not None:
            _end(self.scheduler, signal.SIGKILL)

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        _end(worker, signal.SIGKILL)
        self.workers.remove(worker)

    def stop_worker(self, worker: subprocess.Popen[bytes]) -> None:
        _end(worker, signal.SIGTERM)
        self.workers.remove(worker)

    def close(self) -> None:
        for each in list(self.workers):
            self.kill_worker(each)
        self.kill_scheduler()


class DaskCluster(EngineCluster):
    """``tls``: arguments of the scheduler."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, tls: tuple[str, ...] = ()) -> None:
        if find_spec("distributed") is None:
            not_tested("Dask is not installed")
        self.port, self._tls = free_port(), tls
        super().__init__(home, f"dask{'+tls' if tls else ''}://127.0.0.1:{self.port}", settings)

    def start_scheduler(self) -> None:
        where = ("--host", f"{'tls' if self._tls else 'tcp'}://127.0.0.1", "--port", str(self.port))
        self.scheduler = self._start(("-m", "dask", "scheduler", *where, "--no-dashboard", *self._tls))

    def start_foreign_worker(self) -> None:
        """One of Dask itself."""
        command = ("-m", "dask", "worker", f"tcp://127.0.0.1:{self.port}", "--no-nanny", "--no-dashboard")
        self.workers.append(self._start(command))


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(signal.SIGCONT)
    process.send_signal(number)
    process.wait(60)


@contextmanager
def dask_cluster(home: Path, workers: int = 1, processes: int = 2, **more: object) -> Iterator[DaskCluster]:
    cluster = DaskCluster(home, **more)  # type: ignore[arg-type]
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker(processes)
        yield cluster
    finally:
        cluster.close()


def reach(cluster: EngineCluster, **settings: str) -> Workers:
    """The executor of a server with this engine."""
    made = open_engine(load_settings({"executor": cluster.executor, **settings}, {}))
    assert made is not None
    return made


def close(executor: Workers) -> None:
    """As the server does at its end."""
    executor.end()
    executor.shutdown()
