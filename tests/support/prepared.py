"""Processes of Python that begin at once: each is a copy of one process that has imported the server already.

    process = prepared.Popen([sys.executable, "-m", "gantry", "serve", …], stdout=log, env=…)

Such a process has its own number, arguments, environment, directory, descriptors, process group and exit code, and it
dies alone. What it does not have is a start of the interpreter, which takes longer than most tests, and its end, which
takes apart all that was imported; threads are waited for, and functions of `atexit` run. So what is neither
``python -m MODULE …`` nor ``python -c CODE …``, and what changes how an interpreter starts, is started as usual. So is
everything outside of pytest, without Linux, and with GANTRY_TEST_STARTS=real. /proc shows the arguments and the
environment of the first process for all of them.
"""

from __future__ import annotations

import inspect
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from gantry import executors

ROOT = Path(__file__).parents[2]
NURSERY = "gantry-nursery"
"""The name of the process beside a server that makes its workers (comm in proc(5)): it is none of them."""
_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "TZ", "COVERAGE_", "OPENBLAS_", "OMP_")
"""What these variables begin with is read when a program starts, and never again."""
_PARAMETERS = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]
_STANDARD = ("p2cread", "c2pwrite", "errwrite")  # its names for descriptors 0, 1, 2
_AS_USUAL = {"preexec_fn": None, "close_fds": True, "shell": False, "gid": None, "gids": None, "uid": None, "umask": -1}


class Job(NamedTuple):
    """What a copy becomes. ``arguments`` are those of the interpreter; ``targets`` are the numbers that its descriptors
    have, in the order in which they come with the message; ``group`` is -1 for that of the first process."""

    arguments: tuple[str, ...]
    environ: dict[bytes, bytes]
    directory: str
    targets: tuple[int, ...]
    group: int
    new_session: bool


class Source:
    """A process that makes copies of itself. ``environ`` was there when it started."""

    def __init__(self, control: socket.socket, environ: Mapping[str, str]) -> None:
        self._control, self._at_start = control, _read_at_start(environ)
        self._lock = threading.Lock()

    def fits(self, environ: Mapping[str, str]) -> bool:
        return self._at_start == _read_at_start(environ)

    def make(self, job: Job, descriptors: list[int]) -> int:
        """The number of the new process, a child of this one. Raises OSError."""
        with self._lock:
            socket.send_fds(self._control, [pickle.dumps(job)], descriptors)
            answer = int(self._control.recv(64) or -1)
        if answer < 0:
            raise OSError(-answer, "no copy of the prepared process")
        return answer


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START)}


class Popen(subprocess.Popen[Any]):
    """As `subprocess.Popen`, with a copy of the prepared process where that makes no difference."""

    def _execute_child(self, *given: Any) -> None:
        asked = dict(zip(_PARAMETERS, given, strict=True))
        environ = dict(os.environ) if asked["env"] is None else asked["env"]
        source = self._find_source(environ) if _is_usual(asked) else None
        try:
            if source is None or not source.fits(environ):
                raise OSError("no prepared process is like this one")
            self._make_copy(source, asked, environ)
        except OSError:
            super()._execute_child(*given)  # type: ignore[misc]

    def _make_copy(self, source: Source, asked: dict[str, Any], environ: Mapping[str, str]) -> None:
        standard = [number if asked[name] == -1 else asked[name] for number, name in enumerate(_STANDARD)]
        job = Job(
            tuple(map(str, asked["args"][1:])),
            {os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
            os.fspath(asked["cwd"] or os.getcwd()),
            (0, 1, 2, *asked["pass_fds"]),
            asked["process_group"],
            asked["start_new_session"],
        )
        self.pid = source.make(job, [*standard, *asked["pass_fds"]])
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]

    def _find_source(self, environ: Mapping[str, str]) -> Source | None:
        return _start(environ.get("LD_PRELOAD", "")) if _sources.in_use else None


def make_popen(source: Source) -> type[Popen]:
    """With copies of ``source`` alone."""

    class PopenOfSource(Popen):
        def _find_source(self, environ: Mapping[str, str]) -> Source | None:
            return source

    return PopenOfSource


def run(
    command: list[str],
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, **options) as process:
        try:
            out, error = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, error)
    if check:
        done.check_returncode()
    return done


def _is_usual(asked: dict[str, Any]) -> bool:
    """Whether the command is one that a copy can become."""
    command = asked["args"]
    if isinstance(command, (str, bytes, os.PathLike)) or len(command) < 3 or asked["executable"] is not None:
        return False
    if command[0] != sys.executable or command[1] not in ("-m", "-c") or sys.flags.safe_path:
        return False
    return all(asked[name] == value for name, value in _AS_USUAL.items())


class _Sources:
    def __init__(self) -> None:
        self.in_use = False
        self.started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []


_sources = _Sources()


class _Subprocess(ModuleType):
    """The module `subprocess`, with copies."""

    Popen = Popen

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


def begin() -> None:
    """From now on copies are made, also for the workers of a pool in this process. The first process is started when it
    is needed first."""
    _sources.in_use = sys.platform == "linux" and os.environ.get("GANTRY_TEST_STARTS", "") != "real"
    executors.subprocess = _Subprocess("subprocess")  # type: ignore[attr-defined]


def end() -> None:
    """End the prepared processes; their copies go on."""
    _sources.in_use = False
    executors.subprocess = subprocess  # type: ignore[attr-defined]
    for control, process in _sources.started:
        control.close()
        process.wait()
    _sources.started.clear()


@cache
def _start(preload: str) -> Source:
    """One for each library that changes system calls."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "LD_PRELOAD"))}
    if preload:
        environ["LD_PRELOAD"] = preload
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.prepared_process", str(theirs.fileno())]
    with theirs:
        nothing, passed = subprocess.DEVNULL, (theirs.fileno(),)
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=nothing, stdout=nothing, pass_fds=passed)
    _sources.started.append((ours, process))
    return Source(ours, environ)
