"""The numbers of transactions beside the blobs: written now and then, and to the disk that is there."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    writer._commits = 1
    writer._write()
    assert "the mark of main cannot be written" in caplog.text and not mark_path(root, "main").exists()
    Path(root).rmdir()
    shutil.copytree(f"{root}-elsewhere", root)
    writer.note(2)
    writer.close()
    assert read_mark(root, "main") == Mark(MARK, 2)


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
