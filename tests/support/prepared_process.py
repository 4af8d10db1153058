"""The process that `tests.support.prepared` asks: it has imported the server, and makes copies of itself (Linux).

It has one thread, so that a copy is whole. A copy is a child of the process that asked, not of this one
(CLONE_PARENT), and becomes what ``python -m gantry …`` is at its first line: its own arguments, environment, directory,
descriptors and process group. A copy that serves has beside it a nursery: a copy of its own that has not begun, for
the worker processes of that server, which must be its children.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from tests.support import prepared
from tests.support.prepared import Job

MODULES = (
    "gantry.server",
    "gantry.settings.loading",
    "gantry.client.terminal",
    "gantry.cli",
    "gantry.client.arguments",
    "gantry.settings.page",
    "alembic.command",
    "alembic.config",
    "anyio._backends._asyncio",
    "encodings.idna",
    "uvicorn.lifespan.off",
    "uvicorn.loops.uvloop",
    "tests.support.s3.http",
)
"""What most copies need: the server, its workers, the commands, and the servers of buckets. Libraries import some of
their own parts when they are used first."""
_CLONE3, _GET_TID_ADDRESS, _SET_NAME = 435, 40, 15  # Linux, on all processors: clone3(2), prctl(2)
_CLONE_PARENT, _CHILD_CLEARTID, _CHILD_SETTID = 0x8000, 0x200000, 0x1000000
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # mallopt(3)
_NAME = b"python"  # as ps shows a command of Python
_MOST_BYTES, _MOST_DESCRIPTORS = 1 << 20, 64  # of one message


def main(descriptor: int) -> None:
    """Prepare, and make copies until nobody can ask any more. In a copy: do its job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    for name in MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"a process with {len(threads)} threads cannot be copied whole"
    begin = await_job(control)
    if begin is not None:
        become(*begin)


def await_job(control: socket.socket) -> tuple[Job, list[int]] | None:
    """Make a copy for each job that is asked for. The job, and its descriptors, in the copy; None here, at the end."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, _MOST_DESCRIPTORS)
        if not message:
            return None
        copy = _copy_process()
        if not copy:
            control.close()
            return pickle.loads(message), descriptors  # noqa: S301 - from the process that started this one
        for each in descriptors:
            os.close(each)
        control.send(str(copy).encode())


def _copy_process() -> int:
    """As `os.fork`, but the copy is a child of the parent of this process. -errno where the system refuses it."""
    python, system = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)
    # Where the C library keeps the number of the thread, which its own fork would write there, too.
    number = ctypes.c_uint64(0)
    flags = _CLONE_PARENT
    if system.prctl(_GET_TID_ADDRESS, ctypes.byref(number)) == 0:
        flags |= _CHILD_SETTID | _CHILD_CLEARTID
    asked = (ctypes.c_uint64 * 8)(flags, 0, number.value, 0, 0, 0, 0, 0)
    python.PyOS_BeforeFork()
    copy: int = system.syscall(ctypes.c_long(_CLONE3), ctypes.byref(asked), ctypes.c_size_t(ctypes.sizeof(asked)))
    error = ctypes.get_errno()
    if copy == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    return copy if copy > 0 else -error


def become(job: Job, descriptors: list[int]) -> None:
    """Be the process of ``job``, to its end."""
    _place(descriptors, job.targets)
    if job.new_session:
        os.setsid()
    elif job.group >= 0:
        os.setpgid(0, job.group)
    os.chdir(job.directory)
    os.environb.clear()
    os.environb.update(job.environ)
    _repeat_start_of_libraries()
    _open_streams()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_SET_NAME, _NAME, 0, 0, 0)
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    sys.path[0] = "" if job.arguments[0] == "-c" else os.getcwd()
    if "serve" in job.arguments:
        _open_nursery()
    _run_to_the_end(job.arguments)


def _place(descriptors: list[int], targets: tuple[int, ...]) -> None:
    """Give descriptors the numbers that they had in the process that asked; no other stays open."""
    above = max(targets, default=2) + 1
    waiting = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, above) for each in descriptors]
    for each in set(descriptors) - set(targets):
        os.close(each)
    for each, target in zip(waiting, targets, strict=True):
        os.dup2(each, target)
        os.close(each)


def _repeat_start_of_libraries() -> None:
    """What the C library, and those of LD_PRELOAD (tests/faults), read from the environment when a program starts."""
    system = ctypes.CDLL(None)
    for name, option in (("MALLOC_MMAP_THRESHOLD_", _MMAP_THRESHOLD), ("MALLOC_TRIM_THRESHOLD_", _TRIM_THRESHOLD)):
        if name in os.environ:
            system.mallopt(option, int(os.environ[name]))
    for library in os.environ.get("LD_PRELOAD", "").split():
        ctypes.CDLL(library).read_environment()


def _open_streams() -> None:
    """Those of this process were made for other files, some of which can be sought in, or are a terminal."""
    sys.stdin = sys.__stdin__ = _open_stream(0, sys.stdin)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _open_stream(1, sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _open_stream(2, sys.stderr)  # type: ignore[misc]


def _open_stream(number: int, like: Any) -> Any:
    made = open(  # noqa: SIM115 - as long as the process
        number, "w" if number else "r", encoding=like.encoding, errors=like.errors, closefd=False
    )
    by_line = like.line_buffering if number == 2 else made.isatty() and not like.write_through
    made.reconfigure(line_buffering=by_line, write_through=like.write_through)
    return made


def _run_to_the_end(arguments: tuple[str, ...]) -> None:
    """As the interpreter ends, but without taking apart what was imported: that would first copy all the memory that
    this process still shares with the prepared one. What ends by an exception ends as usual."""
    try:
        _run(arguments)
        code: Any = 0
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            raise
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # which says so
    os._exit(code & 0xFF)


def _run(arguments: tuple[str, ...]) -> None:
    """``python ARGUMENTS``: ``-m MODULE …`` or ``-c CODE …``."""
    how, what, *rest = arguments
    sys.argv = [how, *rest]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = module = ModuleType("__main__")
        exec(what, module.__dict__)  # noqa: S102


def _open_nursery() -> None:
    """Fork the nursery; from now on `subprocess.Popen` asks it for workers."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if not process:
        ours.close()
        _tend(theirs)
    theirs.close()
    subprocess.Popen = prepared.make_popen(prepared.Source(ours, os.environ))  # type: ignore[assignment, misc]
    atexit.register(_close_nursery, ours, process)


def _tend(control: socket.socket) -> NoReturn:
    ctypes.CDLL(None).prctl(_SET_NAME, prepared.NURSERY.encode(), 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1):
        os.dup2(nothing, each)
    os.close(nothing)
    begin = await_job(control)
    if begin is None:
        os._exit(0)
    become(*begin)
    sys.exit(0)


def _close_nursery(control: socket.socket, process: int) -> None:
    control.close()
    os.waitpid(process, 0)


if __name__ == "__main__":
    # By its name, so that what is pickled in another process is found.
    import_module("tests.support.prepared_process").main(int(sys.argv[1]))
