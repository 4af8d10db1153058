"""The fault harness itself: calls fail as a rule says, in the process and in those that it starts, and no others."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.failing import Faults, fail_method

# Everything at "target" in the working directory, which is a path of every kind of call.
SCRIPTS = {
    "open": "os.open('target', 0)",
    "openat": "os.open('target', 0, dir_fd=os.open('.', 0))",
    "read": "os.read(os.open('target', 0), 4)",
    "pread": "os.pread(os.open('target', 0), 4, 1)",
    "preadv": "os.preadv(os.open('target', 0), [bytearray(4)], 1)",
    "write": "os.write(os.open('target', 2), b'abcd')",
    "pwrite": "os.pwrite(os.open('target', 2), b'abcd', 1)",
    "writev": "os.writev(os.open('target', 2), [b'abcd'])",
    "fsync": "os.fsync(os.open('target', 2))",
    "fdatasync": "os.fdatasync(os.open('target', 2))",
    "syncfs": "call('syncfs', os.open('target', 2))",
    "sync_file_range": "call('sync_file_range', os.open('target', 2), ctypes.c_int64(), ctypes.c_int64(), 2)",
    "ftruncate": "os.ftruncate(os.open('target', 2), 3)",
    "fallocate": "call('fallocate', os.open('target', 2), 0, ctypes.c_int64(0), ctypes.c_int64(9))",
    "posix_fallocate": "os.posix_fallocate(os.open('target', 2), 0, 9)",
    "copy_file_range": "os.copy_file_range(os.open('target', 0), os.open('other', os.O_RDWR | os.O_CREAT), 4)",
    "unlink": "os.unlink('target')",
    "unlinkat": "os.unlink('target', dir_fd=os.open('.', 0))",
    "rename": "os.rename('target', 'other')",
    "renameat": "os.rename('other', 'target', src_dir_fd=os.open('.', 0))",
    "link": "os.link('target', 'other')",
    "mkdir": "os.mkdir('target-directory')",
    "rmdir": "os.rmdir('target-empty')",
    "stat": "os.stat('target')",
    "fstat": "os.fstat(os.open('target', 0))",
    "statvfs": "os.statvfs('target')",
    "readdir": "os.listdir('target-empty')",
    "getdents": "list(os.scandir(os.open('target-empty', 0)))",
}
START = """
import ctypes, os, subprocess, sys
def call(name, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args):
        raise OSError(ctypes.get_errno(), '')
"""
TELL = """
try:
    print('done', {})
except OSError as error:
    print('error', error.errno)
"""


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    (tmp_path / "target").write_bytes(b"0123456789")
    (tmp_path / "target-empty").mkdir()
    with Faults(tmp_path) as made:
        yield made


def run(faults: Faults, script: str) -> str:
    """What the script prints, in a process that obeys the rules."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START + textwrap.dedent(script)],
        env=os.environ | faults.env,
        cwd=faults.path.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() or f"{done.returncode} {done.stderr}"


@pytest.mark.parametrize("call", SCRIPTS)
def test_a_call_fails_with_the_error_that_was_chosen(faults: Faults, call: str) -> None:
    with faults.failing(call, path="/target", error=errno.ENOSPC, times=1) as rule:
        assert run(faults, TELL.format(SCRIPTS[call])) == f"error {errno.ENOSPC}"
        assert rule.failed == 1
    if call == "renameat":
        (faults.path.parent / "other").touch()
    assert run(faults, TELL.format(SCRIPTS[call])).startswith("done"), "and no more once the rule ends"


def test_openat2_fails_too(faults: Faults) -> None:
    script = """
        how = (ctypes.c_uint64 * 3)()
        found = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(437), -100, b"target", how, ctypes.c_size_t(24))
        print(found, ctypes.get_errno() if found < 0 else 0)
    """
    with faults.failing("openat2", path="target", error=errno.EMFILE):
        assert run(faults, script) == f"-1 {errno.EMFILE}"


def test_other_paths_and_other_calls_do_not_fail(faults: Faults) -> None:
    with faults.failing("read", path="elsewhere") as one, faults.failing("write", path="target"):
        assert run(faults, TELL.format(SCRIPTS["read"])).startswith("done")
        assert one.seen == 0


def test_calls_before_and_after_those_that_were_chosen_are_done(faults: Faults) -> None:
    script = "".join(TELL.format("os.stat('target').st_size") for _ in range(5))
    with faults.failing("stat", path="/target", error=errno.EROFS, after=2, times=2) as rule:
        assert run(faults, script).split() == ["done", "10", "done", "10", "error", "30", "error", "30", "done", "10"]
        assert (rule.seen, rule.failed) == (5, 2)


def test_processes_that_it_starts_count_together_with_it(faults: Faults) -> None:
    inner = "try: __import__('os').stat('target')\nexcept OSError as e: print(e.errno)\nelse: print(0)"
    script = f"for _ in range(3): subprocess.run([sys.executable, '-I', '-S', '-c', {inner!r}])"
    with faults.failing("stat", path="/target", error=errno.EPERM, after=1, times=1):
        assert run(faults, script).split() == ["0", "1", "0"]


def test_short_and_empty_transfers(faults: Faults) -> None:
    with faults.failing("read", "copy_file_range", path="target", mode="short"):
        assert run(faults, TELL.format("len(os.pread(os.open('target', 0), 8, 0))")) == "done 4"
        assert run(faults, TELL.format(SCRIPTS["copy_file_range"])) == "done 2"
    with faults.failing("write", "copy_file_range", path="target", mode="empty"):
        assert run(faults, TELL.format(SCRIPTS["write"])) == "done 0"
        assert run(faults, TELL.format(SCRIPTS["copy_file_range"])) == "done 0"


def test_an_error_of_a_call_that_was_done(faults: Faults) -> None:
    with faults.failing("unlink", path="target", mode="fail when done"):
        assert run(faults, TELL.format(SCRIPTS["unlink"])) == f"error {errno.EIO}"
    assert not (faults.path.parent / "target").exists()


def test_a_kill_comes_before_the_call(faults: Faults) -> None:
    with faults.failing("unlink", path="target", mode="kill"):
        assert run(faults, TELL.format(SCRIPTS["unlink"])).startswith(str(-signal.SIGKILL))
    assert (faults.path.parent / "target").exists()


def test_a_call_that_hangs_goes_on_when_the_rule_ends(faults: Faults) -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(run(faults, TELL.format(SCRIPTS["read"]))))
    with faults.failing("read", path="/target", mode="hang") as rule:
        thread.start()
        while not rule.seen:
            assert thread.is_alive()
        thread.join(0.2)
        assert not found
    thread.join(60)
    assert found and found[0].startswith("done")


class Part:
    def __init__(self) -> None:
        self.done: list[int] = []

    def act(self, number: int) -> int:
        self.done.append(number)
        return number


@pytest.mark.parametrize("done", [False, True])
def test_a_method_of_this_process_fails(done: bool) -> None:
    part, results = Part(), []
    with fail_method(part, "act", ValueError(), after=1, times=1, done=done) as calls:
        for number in range(3):
            try:
                results.append(part.act(number))
            except ValueError:
                results.append(-1)
    assert (results, part.done) == ([0, -1, 2], [0, 1, 2] if done else [0, 2])
    assert calls.call_count == 3 and part.act(9) == 9
