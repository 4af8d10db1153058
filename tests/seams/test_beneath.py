"""``rename_new``: a file gets its name only where no other file has it, with one system call and without; and who has
these system calls."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.storage import beneath
from gantry.storage.beneath import rename_new


class _OldFileSystem:
    """A C library whose renameat2 is not known by the system, or by the file system."""

    def __init__(self, number: int) -> None:
        self.number = number

    def renameat2(self, *_: object) -> int:
        ctypes.set_errno(self.number)
        return -1


@pytest.fixture(params=["as-it-is", "no-library", "ENOSYS", "EINVAL", "EPERM"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    if request.param == "no-library":
        monkeypatch.setattr(beneath, "_libc", None)
    elif request.param != "as-it-is":
        monkeypatch.setattr(beneath, "_libc", _OldFileSystem(getattr(errno, request.param)))
    (tmp_path / "temporary").write_bytes(b"new")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_name_that_is_free(directory: int, tmp_path: Path) -> None:
    assert rename_new(b"temporary", b"name", directory)
    assert (tmp_path / "name").read_bytes() == b"new" and not (tmp_path / "temporary").exists()


@pytest.mark.parametrize("is_link", [False, True])
def test_a_name_that_is_taken(directory: int, tmp_path: Path, is_link: bool) -> None:
    """By a file, or by a link to nothing: neither is replaced."""
    if is_link:
        (tmp_path / "name").symlink_to("nowhere")
    else:
        (tmp_path / "name").write_bytes(b"old")
    assert not rename_new(b"temporary", b"name", directory)
    assert (tmp_path / "temporary").read_bytes() == b"new"
    assert (tmp_path / "name").is_symlink() == is_link
    assert is_link or (tmp_path / "name").read_bytes() == b"old"


def test_a_directory_of_that_name(directory: int, tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(IsADirectoryError):
        rename_new(b"temporary", b"name", directory)
    assert (tmp_path / "temporary").read_bytes() == b"new"


def test_what_is_gone_meanwhile(directory: int, tmp_path: Path) -> None:
    (tmp_path / "temporary").unlink()
    with pytest.raises(FileNotFoundError):
        rename_new(b"temporary", b"name", directory)
    assert not (tmp_path / "name").exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES], ids=lambda number: errno.errorcode[number])
def test_another_error_of_the_system_is_no_reason_for_a_second_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Somebody might make the file in between, and lose it."""
    monkeypatch.setattr(beneath, "_libc", _OldFileSystem(number))
    (tmp_path / "temporary").write_bytes(b"new")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            rename_new(b"temporary", b"name", fd)
    finally:
        os.close(fd)
    assert caught.value.errno == number and os.listdir(tmp_path) == ["temporary"]


def test_linux_does_it_in_one_call_between_which_nobody_makes_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """rename(2): RENAME_NOREPLACE is 1."""
    calls: list[tuple[object, ...]] = []

    class Library:
        def renameat2(self, *given: object) -> int:
            calls.append(given)
            return 0

    monkeypatch.setattr(beneath, "_libc", Library())
    monkeypatch.setattr(beneath.os, "rename", lambda *_, **__: pytest.fail("in two steps"))
    assert rename_new(b"temporary", b"name", 7)
    assert calls == [(7, b"temporary", 7, b"name", 1)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these system calls")
def test_linux_opens_a_path_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "_open_step_by_step", lambda *_: pytest.fail("directory by directory"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    os.close(beneath.open_directory(os.fsencode(tmp_path), b"a/b"))
