"""A copy of the prepared process is what the command would be: whoever starts a server by it proves the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gantry import executors
from tests.support import prepared
from tests.support.processes import children
from tests.support.server import GantryServer

STARTS = pytest.mark.parametrize("popen", [subprocess.Popen, prepared.Popen], ids=["command", "copy"])
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux alone")

REPORT = """
import json, os, random, resource, signal, sys, threading
print(json.dumps({
    "arguments": sys.argv, "name": __name__, "path": sys.path[0], "directory": os.getcwd(), "environ": dict(os.environ),
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
    "leads its group": os.getpgid(0) == os.getpid(), "leads its session": os.getsid(0) == os.getpid(),
    "parent": os.getppid(), "input": sys.stdin.read(), "is main": sys.modules["__main__"].__dict__ is globals(),
    "signals": [str(signal.getsignal(getattr(signal, name))) for name in ("SIGINT", "SIGTERM", "SIGPIPE", "SIGCHLD")],
    "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
    "limits": [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
    "umask": os.umask(0o22), "nice": os.nice(0), "threads": threading.active_count(),
    "streams": [
        (each.encoding, each.errors, each.line_buffering, each.write_through, each.fileno(), each.isatty())
        for each in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "thread": threading.get_native_id() == threading.main_thread().native_id == os.getpid(),
}))
"""


def report(popen: Any, **options: Any) -> dict[str, Any]:
    command = [sys.executable, "-c", REPORT, "one", "zw\u00f6lf", ""]
    with popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options) as process:
        out, _ = process.communicate("said")
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("options", [{}, {"process_group": 0}, {"start_new_session": True}], ids=str)
def test_a_copy_sees_what_the_command_sees(options: dict[str, Any], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    environ = os.environ | {"GANTRY_X": "1", "EMPTY": ""}
    try:
        options = options | {"cwd": tmp_path, "env": environ, "pass_fds": (reading, writing)}
        copy = report(prepared.Popen, **options)
        assert copy == report(subprocess.Popen, **options)
    finally:
        os.close(reading)
        os.close(writing)
    assert copy["arguments"] == ["-c", "one", "zw\u00f6lf", ""] and copy["input"] == "said"
    assert copy["parent"] == os.getpid() and {reading, writing} < set(copy["descriptors"])


def test_a_copy_has_the_modules_of_the_server_and_the_command_has_not() -> None:
    """Otherwise nothing here would be about copies."""
    program = "import sys; sys.exit(3 if 'gantry.server' in sys.modules else 4)"
    assert prepared.run([sys.executable, "-c", program]).returncode == 3
    assert subprocess.run([sys.executable, "-c", program]).returncode == 4


def test_the_workers_of_a_pool_in_this_process_are_copies() -> None:
    pool = executors.WorkerPool(1)
    try:
        assert pool.submit(eval, "'gantry.server' in __import__('sys').modules").result(60)
    finally:
        pool.shutdown()


@pytest.mark.parametrize("change", [{"PYTHONUTF8": "1"}, {"LC_ALL": "C"}, {"TZ": "Asia/Tokyo"}], ids=str)
def test_what_changes_the_interpreter_is_no_copy(change: dict[str, str]) -> None:
    program = "import sys; sys.exit(3 if 'gantry.server' in sys.modules else 4)"
    assert prepared.run([sys.executable, "-c", program], env=os.environ | change).returncode == 4


@STARTS
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("", 0),
        ("raise SystemExit(7)", 7),
        ("1 / 0", 1),
        ("import os; os._exit(9)", 9),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
        ("import atexit, os; atexit.register(os._exit, 5)", 5),
        ("import threading, time, os; threading.Thread(target=lambda: (time.sleep(0.1), os._exit(6))).start()", 6),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_copy_ends_as_the_command(popen: Any, program: str, code: int) -> None:
    with popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert (b"Traceback" in error) == (code in (1, -signal.SIGINT))


def test_two_copies_have_chance_of_their_own() -> None:
    program = "import random, uuid, secrets; print(random.random(), uuid.uuid4(), secrets.token_hex())"
    said = [prepared.run([sys.executable, "-c", program], capture_output=True).stdout.split() for _ in range(2)]
    assert not set(said[0]) & set(said[1])


def test_a_module_runs_as_by_the_command() -> None:
    command = [sys.executable, "-m", "gantry", "--version"]
    done = [run(command, capture_output=True, text=True) for run in (prepared.run, subprocess.run)]
    assert (done[0].returncode, done[0].stdout, done[0].stderr) == (0, done[1].stdout, done[1].stderr)


def test_a_command_that_takes_too_long_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        prepared.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.1)


@pytest.mark.slow
def test_the_workers_of_a_copy_are_its_children_and_end_with_it(tmp_path: Path) -> None:
    """As those of a server that the command has started: with their names, priority and group."""
    found = []
    for is_prepared in (True, False):
        home = tmp_path / str(is_prepared)
        server = GantryServer(home / "data", home / "buckets", prepared=is_prepared)
        try:
            pid = server.process.pid
            workers = children(pid)
            found.append(
                (len(workers), {os.getpgid(each) == each for each in workers}, os.getpgid(pid) == os.getpgid(0))
            )
            server.wait_until(
                lambda workers=workers: {_nice(each) for each in workers} == {_nice(os.getpid()) + executors.NICENESS}
            )
        finally:
            server.kill9()
        server.wait_until(lambda workers=workers: not any(map(_runs, workers)))
    assert found == [(2, {True}, True)] * 2


def _nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
