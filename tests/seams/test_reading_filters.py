"""A filter file that changes while it is read: the operation ends with an error that names the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gantry.errors import Aborted, StatusError, Unavailable
from gantry.names import DatasetName, OperationName
from gantry.operations.filtering import read_filter
from gantry.resources import Method, Operation
from gantry.seams import Seams
from gantry.storage import local_objects
from gantry.storage.local import LocalBlobStore
from gantry.storage.local_objects import LocalObject

LINES = b"/studies/1.2.3\n" * 20_000
OPERATION = Operation(
    OperationName(DatasetName("p", "us-central1", "d"), 1),
    "v1",
    Method.EXPORT_DICOM_DATA,
    datetime.now(UTC),
    {"filter_uri": "gs://b/filter"},
)


class _Seams:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.index = SimpleNamespace(operations=SimpleNamespace(add_to_request=lambda *_: None))

    def bucket(self, use: Any) -> LocalBlobStore:
        return LocalBlobStore(str(self._root))


def _fail(*_: object) -> bytes:
    raise Unavailable("cannot be read (Input/output error)")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda path: os.truncate(path, 100_000), Aborted),
        (lambda path: path.write_bytes(LINES * 2), Aborted),
        (lambda path: path.write_bytes(LINES.replace(b"3", b"4")), Aborted),
    ],
)
def test_a_filter_file_that_is_written_to_ends_the_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], Any], error: type[StatusError]
) -> None:
    monkeypatch.setattr(local_objects, "_READ_CHUNK", 50_000)
    path = tmp_path / "filter"
    path.write_bytes(LINES)
    os.utime(path, ns=(1, 1))
    batches = read_filter(cast(Seams, _Seams(tmp_path)), OPERATION)
    next(batches)
    change(path)
    with pytest.raises(error, match="filter file gs://b/filter") as caught:
        list(batches)
    assert caught.value.resource == "gs://b/filter"


def test_an_error_half_way_names_the_filter_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_objects, "_READ_CHUNK", 50_000)
    (tmp_path / "filter").write_bytes(LINES)
    batches = read_filter(cast(Seams, _Seams(tmp_path)), OPERATION)
    next(batches)
    monkeypatch.setattr(LocalObject, "read_at", _fail)
    with pytest.raises(Unavailable, match="filter file gs://b/filter cannot be read: cannot be read"):
        list(batches)


def test_a_filter_file_that_is_removed_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "filter").write_bytes(LINES)
    batches = read_filter(cast(Seams, _Seams(tmp_path)), OPERATION)
    count = len(next(batches).selection)
    (tmp_path / "filter").unlink()
    assert count + sum(len(batch.selection) for batch in batches) == 20_000


def test_the_checkpoint_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "filter").write_bytes(LINES)
    rest = read_filter(cast(Seams, _Seams(tmp_path)), replace(OPERATION, checkpoint="line=19990"))
    assert [len(batch.selection) for batch in rest] == [10]
