"""The numbers of transactions beside the blobs: written now and then, and to the disk that is there."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import FailedPrecondition
from gantry.storage import generation_marks
from gantry.storage.generation_marks import INDEX, Mark, MarkWriter, mark_path, read_mark, write_mark

MARK = "a" * 32


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "blobs"
    path.mkdir()
    for place in ("main", INDEX):
        write_mark(str(path), place, Mark(MARK, 0))
    yield str(path)


def test_the_last_number_is_written_at_the_end(root: str) -> None:
    writer = MarkWriter({"main": root}, root)
    writer.note(7)
    writer.note(8)
    writer.close()
    assert read_mark(root, "main") == Mark(MARK, 8)


def test_many_transactions_are_few_writes(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the mark of a place: one at once, one after the rest that follows it: here that is the end."""
    monkeypatch.setattr(generation_marks, "_REST_SECONDS", 60)
    written: list[bytes] = []
    real = os.pwrite

    def write(fd: int, data: bytes, at: int) -> int:
        if threading.current_thread() is not threading.main_thread():
            written.append(data)
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", write)
    writer = MarkWriter({"main": root}, root)
    for number in range(1, 2001):
        writer.note(number)
    writer.close()
    assert 1 <= len(written) <= 2 and read_mark(root, "main") == Mark(MARK, 2000)


def test_a_disk_that_went_away_and_came_back_has_the_numbers_since(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generation_marks, "_REST_SECONDS", 0)
    writer = MarkWriter({"main": root}, root)
    Path(root).rename(f"{root}-elsewhere")
    Path(root).mkdir()
    for writer._commits in (1, 2):
        writer._write()
    assert caplog.text.count("the mark of main cannot be written") == 1 and not mark_path(root, "main").exists()
    Path(root).rmdir()
    shutil.copytree(f"{root}-elsewhere", root)
    writer.note(3)
    writer.close()
    assert read_mark(root, "main") == Mark(MARK, 3)


def test_a_place_that_is_read_only_keeps_its_mark(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What lies there can be read; it is said once, at the start."""
    refuse(monkeypatch, mark_path(root, "main"), errno.EROFS)
    writer = MarkWriter({"main": root}, root)
    writer.note(7)
    writer.close()
    assert caplog.text.count("cannot be written") == 1
    assert (read_mark(root, "main"), read_mark(root, INDEX)) == (Mark(MARK, 0), Mark(MARK, 7))


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EIO])
def test_a_place_whose_mark_cannot_be_written_refuses_the_start(
    root: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, mark_path(root, "main"), number)
    with pytest.raises(FailedPrecondition, match=r"main\.generation cannot be written"):
        MarkWriter({"main": root}, root)


def refuse(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    """This file can be read, and cannot be opened for writing."""
    real = os.open

    def open_file(what: object, flags: int, *more: Any, **options: Any) -> int:
        if what == path and flags & os.O_RDWR:
            raise OSError(number, os.strerror(number))
        return real(what, flags, *more, **options)

    monkeypatch.setattr(os, "open", open_file)


def test_the_mark_of_another_index_is_not_written_over(root: str) -> None:
    writer = MarkWriter({"main": root}, root)
    write_mark(root, "main", Mark("b" * 32, 5))
    writer.note(9)
    writer.close()
    assert read_mark(root, "main") == Mark("b" * 32, 5)


def test_the_mark_beside_the_index_has_each_number_before_its_transaction_is_answered(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation_marks, "_REST_SECONDS", 60)
    writer = MarkWriter({"main": root}, root)
    for number in range(1, 20):
        writer.note(number)
        assert read_mark(root, INDEX) == Mark(MARK, number)
    writer.close()
    writer.note(20)
    assert read_mark(root, INDEX) == Mark(MARK, 19), "a file that is closed is not written to"


def test_a_mark_beside_the_index_that_cannot_be_written_holds_nobody_up(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = MarkWriter({}, root)
    real = os.pwrite

    def fail(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    writer.note(1)
    writer.note(2)
    assert caplog.text.count("index.generation cannot be written") == 1
    monkeypatch.setattr(os, "pwrite", real)
    writer.note(3)
    writer.close()
    assert read_mark(root, INDEX) == Mark(MARK, 3)
