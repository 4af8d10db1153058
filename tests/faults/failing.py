"""Makes system calls of a server, or of any process, fail: by path, for a time, while it runs.

    with Faults(tmp_path) as faults:
        server = GantryServer(data, buckets, env=faults.env)
        with faults.failing("fdatasync", path="index.sqlite-wal", error=errno.EIO, after=3, times=1) as rule:
            …
        assert rule.failed == 1

``shim.c`` does it (LD_PRELOAD), in the server and in all processes that it starts. In the test's own process use
``fail_method``, which makes a method of storage or index fail.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self
from unittest import mock

import pytest

Mode = Literal["fail", "hang", "short", "kill", "fail when done", "empty"]
_MODES: tuple[Mode, ...] = ("fail", "hang", "short", "kill", "fail when done", "empty")

CALLS = {
    **dict.fromkeys(("read", "pread", "readv", "preadv"), "read"),
    **dict.fromkeys(("write", "pwrite", "writev", "pwritev"), "write"),
    **dict.fromkeys(("open", "openat", "openat2", "creat"), "open"),
    **dict.fromkeys(("unlink", "unlinkat"), "unlink"),
    **dict.fromkeys(("rename", "renameat", "renameat2"), "rename"),
    **dict.fromkeys(("link", "linkat"), "link"),
    **dict.fromkeys(("mkdir", "mkdirat"), "mkdir"),
    **dict.fromkeys(("readdir", "getdents", "opendir"), "readdir"),
    **dict.fromkeys(("fallocate", "posix_fallocate"), "fallocate"),
    **dict.fromkeys(("truncate", "ftruncate"), "truncate"),
    **dict.fromkeys(("stat", "lstat", "fstat", "fstatat", "statx"), "stat"),
    **dict.fromkeys(("statvfs", "fstatvfs"), "statvfs"),
    **{name: name for name in ("fsync", "fdatasync", "syncfs", "sync_file_range", "copy_file_range", "rmdir")},
}
"""Names that may be given, and the one that ``shim.c`` knows each by: one system call has several functions."""

_RULES, _CALLS, _TEXT = 16, 128, 512
_RULE = struct.Struct(f"=iii4xqqq{_CALLS}s{_TEXT}s")  # struct rule of shim.c
_SEEN_AT = 32  # bytes from the start of a rule
FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-nonnull-compare")


@cache
def build_library(name: str) -> Path:
    """``name.c`` beside this file, compiled, for LD_PRELOAD. Skips the test where it cannot be had, and says why; on CI
    the test fails instead."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        why = "system calls cannot be watched or made to fail: that needs Linux and a C compiler (cc)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    target = Path(tempfile.mkdtemp(prefix="faults-")) / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, *FLAGS, "-o", str(target), str(source), "-ldl"], check=True)
    return target


class Rule:
    """One rule while it acts, and its counts afterwards."""

    def __init__(self, rules: mmap.mmap, number: int, after: int, times: int | None) -> None:
        self._rules, self._at = rules, number * _RULE.size
        self._after, self._times = after, times

    @property
    def seen(self) -> int:
        """Calls that fit, those before ``after`` included; of all processes."""
        return int(struct.unpack_from("=q", self._rules, self._at + _SEEN_AT)[0])

    @property
    def failed(self) -> int:
        """Calls that were made to fail."""
        late = max(0, self.seen - self._after)
        return late if self._times is None else min(late, self._times)

    def end(self) -> None:
        struct.pack_into("=i", self._rules, self._at, 0)


class Faults:
    """The rules of one server. ``env`` makes a process, and all that it starts, obey them."""

    def __init__(self, directory: Path) -> None:
        self.path = Path(directory) / "faults.rules"
        self.path.write_bytes(bytes(_RULE.size * _RULES))
        self.env = {"LD_PRELOAD": str(build_library("shim")), "FAULTS_RULES": str(self.path)}
        with self.path.open("r+b") as file:
            self._rules = mmap.mmap(file.fileno(), 0)
        self._used = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all rules: what hangs goes on."""
        for number in range(_RULES):
            struct.pack_into("=i", self._rules, number * _RULE.size, 0)

    @contextmanager
    def failing(
        self,
        *calls: str,
        path: str = "",
        error: int = errno.EIO,
        after: int = 0,
        times: int | None = None,
        mode: Mode = "fail",
    ) -> Iterator[Rule]:
        """While the block runs ``calls`` (``CALLS``) fail on paths that contain ``path``.

        ``after`` so many calls that fit, counted over all processes, the next ``times`` fail (None: all of them).
        ``mode``: "hang" until the block ends, then go on; "short" reads, writes, copies half of what was wanted, and
        "empty" nothing; "kill" ends the process (SIGKILL) before the call; "fail when done" does it, then reports the
        error, as a sync may.
        """
        rule = self.begin(*calls, path=path, error=error, after=after, times=times, mode=mode)
        try:
            yield rule
        finally:
            rule.end()

    def begin(
        self,
        *calls: str,
        path: str = "",
        error: int = errno.EIO,
        after: int = 0,
        times: int | None = None,
        mode: Mode = "fail",
    ) -> Rule:
        """As ``failing``, until ``Rule.end``."""
        names = f" {' '.join(sorted({CALLS[call] for call in calls}))} ".encode()
        text = os.fsencode(path)
        assert calls and len(names) < _CALLS and len(text) < _TEXT, "too long for the shim"
        number = self._take_free()
        most = -1 if times is None else times
        packed = _RULE.pack(0, _MODES.index(mode), error, after, most, 0, names, text)
        self._rules[number * _RULE.size : (number + 1) * _RULE.size] = packed
        struct.pack_into("=i", self._rules, number * _RULE.size, 1)  # last: from here on it acts
        return Rule(self._rules, number, after, times)

    def _take_free(self) -> int:
        """In turn, so that the counts of a rule stay readable for a while after its end."""
        for step in range(_RULES):
            number = (self._used + step) % _RULES
            if not struct.unpack_from("=i", self._rules, number * _RULE.size)[0]:
                self._used = number + 1
                return number
        raise AssertionError(f"more than {_RULES} rules at a time")


@contextmanager
def fail_method(
    of: Any, name: str, error: BaseException, *, after: int = 0, times: int | None = None, done: bool = False
) -> Iterator[mock.Mock]:
    """While the block runs the method ``name`` of an object raises ``error``, after so many calls, so many times.

    For parts of the storage and the index in this process. ``done``: it does its work first, then raises the error, as
    a commit whose outcome is unknown.
    """
    whole, calls = getattr(of, name), 0

    def call(*args: Any, **kw: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= after or (times is not None and calls > after + times):
            return whole(*args, **kw)
        if done:
            whole(*args, **kw)
        raise error

    with mock.patch.object(of, name, side_effect=call) as patched:
        yield patched
