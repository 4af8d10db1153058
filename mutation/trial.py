"""Runs tests against a copy of the tree, each time in a process of its own that has the libraries already."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

COPIED = ("src", "tests", "benchmarks", "mutation", "docs", "requirements", ".github")
LIBRARIES = ("pytest", "hypothesis", "httpx", "pydantic", "pydicom", "numpy", "sqlalchemy", "starlette", "jinja2")
PREFIX = "gantry-mutate-"
"""Of the name of a copy, before the number of the process that has made it."""
FAST, SLOW_TOO = ("-m", "not slow"), ("-m", "not long")
"""Which tests are run, as options of pytest."""
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OUT_OF_TIME = -1
_STEP_SECONDS = 0.02
_PROCESSES = Path("/proc")


def load_libraries() -> None:
    """Import what most tests need, so that no trial has to. Gantry itself must come from the copy."""
    for name in LIBRARIES:
        import_module(name)
    if "gantry" in sys.modules:
        raise RuntimeError("gantry was imported before there was a copy of it")


def ignore_signals() -> None:
    """What is removed now is removed whole, however often somebody asks for the end."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def copy_tree(root: Path) -> Iterator[Path]:
    """A copy in memory where the machine has such a place, so that nobody's files change and many can work at once."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    for left in list_left(Path(place or tempfile.gettempdir())):
        end_processes_in(left)
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=place) as home:
        try:
            os.chmod(home, 0o711)  # noqa: S103 - some tests read as a user without rights
            yield _copy(root, Path(home) / "tree")
        finally:
            ignore_signals()


def list_left(place: Path) -> list[Path]:
    """Copies whose maker was killed, so that they stay in memory."""
    copies = place.glob(f"{PREFIX}*-*")
    return [each for each in copies if _PROCESSES.is_dir() and not (_PROCESSES / _maker_of(each)).exists()]


def _maker_of(copy: Path) -> str:
    return copy.name.removeprefix(PREFIX).partition("-")[0]


def end_processes_in(copy: Path) -> None:
    """Tests, and servers that they have started, which went on without the maker of their copy."""
    for each in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if (each / "cwd").readlink().is_relative_to(copy):
                os.kill(int(each.name), signal.SIGKILL)


def _copy(root: Path, copy: Path) -> Path:
    copy.mkdir()
    for name in COPIED:
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for each in root.iterdir():
        if each.is_file() and each.suffix in {".md", ".toml", ""}:
            shutil.copy2(each, copy)
    # By time and size Python does not see a change within one second.
    compile_all = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src"]
    subprocess.run(compile_all, cwd=copy, check=True)
    return copy


@contextmanager
def mutated(path: Path, source: str) -> Iterator[None]:
    """The file has another source until the block ends."""
    before = path.read_text(encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


@contextmanager
def tracing(home: Path) -> Iterator[None]:
    """Every Python that the tests start records the lines it runs, until the block ends."""
    hook = home / "tree" / "src" / "sitecustomize.py"
    hook.write_text(f"from pathlib import Path\nfrom mutation.recording import start\nstart(Path({str(home)!r}))\n")
    try:
        yield
    finally:
        hook.unlink()


def run_tests(copy: Path, tests: Sequence[str], seconds: float, plugin: object) -> tuple[int, float]:
    """pytest's exit code, or OUT_OF_TIME, and how long it took. What it wrote is in ``output`` beside the copy."""
    start = time.monotonic()
    child = 0
    try:
        with _signals_wait():  # what a handler raises while a process is copied is lost
            child = os.fork()
            if not child:
                _run_pytest(copy, tests, plugin)
        code = _wait(child, start + seconds)
    finally:
        with _signals_wait():
            if child:
                _end(child)
    return code, time.monotonic() - start


@contextmanager
def _signals_wait() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_pytest(copy: Path, tests: Sequence[str], plugin: object) -> None:
    """In the child: never returns."""
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        output = os.open(copy.parent / "output", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        sys.path[:0] = [str(copy / "src"), str(copy)]
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
        os.environ["TMPDIR"] = tempfile.tempdir = str(copy.parent)
        options = ["-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=line"]
        code = int(import_module("pytest").main([*options, *tests], plugins=[plugin]))
    finally:
        os._exit(code)


def _wait(child: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_STEP_SECONDS)
    return OUT_OF_TIME


def _end(child: int) -> None:
    """Nothing that the tests started is left: servers of a test that was ended are in its process group. A child that
    has only just begun has no group yet."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        if not os.waitpid(child, os.WNOHANG)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
