"""The numbers of transactions beside the blobs: written now and then, and to the disk that is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.storage import generation_marks
from gantry.storage.generation_marks import Mark, MarkWriter, mark_path, read_mark, write_mark

MARK = "a" * 32


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "blobs"
    path.mkdir()
    write_mark(str(path), "main", Mark(MARK, 0))
    yield str(path)


def test_the_last_number_is_written_at_the_end(root: str) -> None:
    writer = MarkWriter({"main": root})
    writer.note(7)
    writer.note(8)
    writer.close()
    assert read_mark(root, "main") == Mark(MARK, 8)


def test_many_transactions_are_few_writes(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at once, one after the rest that follows it: here that is the end."""
    monkeypatch.setattr(generation_marks, "_REST_SECONDS", 60)
    written: list[bytes] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: written.append(data) or real(fd, data, at))
    writer = MarkWriter({"main": root})
    for number in range(1, 2001):
        writer.note(number)
    writer.close()
    assert 1 <= len(written) <= 2 and read_mark(root, "main") == Mark(MARK, 2000)


def test_a_disk_that_went_away_and_came_back_has_the_numbers_since(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generation_marks, "_REST_SECONDS", 0)
    writer = MarkWriter({"main": root})
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
    writer = MarkWriter({"main": root})
    write_mark(root, "main", Mark("b" * 32, 5))
    writer.note(9)
    writer.close()
    assert read_mark(root, "main") == Mark("b" * 32, 5)
