"""Stored bytes that the disk cannot read for a while: they may be good, so no other bytes take their place."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import Code
from gantry.ingest import Pair, compare_bytes
from gantry.operations.import_dicom_data import _make_failures
from gantry.operations.sweeper import sweep_garbage
from gantry.resources import Uids
from gantry.seams import Seams
from gantry.storage import local_blobs
from tests.faults.bare import Bare, list_rows, made, upload

UIDS: Uids = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
NUMBERS = pytest.mark.parametrize("number", [errno.EIO, errno.EBADMSG, errno.EUCLEAN])


def read_all(seams: Seams) -> bytes:
    (row,) = list_rows(seams)
    with seams.blobs.open(row.blob_key) as opened:
        return b"".join(opened.chunks())


def make_other(size: int) -> bytes:
    """As many bytes as ``made(1, 1)``, or more; the last one is another."""
    data = made(1, 1, size)
    return data[:-1] + bytes([data[-1] ^ 1])


@contextmanager
def no_open(seams: Seams, number: int) -> Iterator[None]:
    """The file with the stored bytes cannot be opened for them."""
    (row,) = list_rows(seams)

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(root: bytes, name: bytes, what: Any) -> Any:
            if str(what) == row.blob_key:
                raise OSError(number, "x")
            return real(root, name, what)

        return act

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open_extent", "open_own_file"):
            patch.setattr(local_blobs, name, refuse(getattr(local_blobs, name)))
        yield


@contextmanager
def no_read(seams: Seams, number: int) -> Iterator[None]:
    """The stored bytes cannot be read; the table of contents behind them can."""
    (row,) = list_rows(seams)
    with seams.blobs.open(row.blob_key) as opened:
        base, device = getattr(opened, "base", 0), os.fstat(opened.fd).st_ino  # type: ignore[attr-defined]
    real = os.pread

    def pread(fd: int, length: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == device and base <= offset < base + row.size:
            raise OSError(number, "x")
        return real(fd, length, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", pread)
        yield


BREAKS = pytest.mark.parametrize("broken", [no_open, no_read])


@NUMBERS
@BREAKS
@pytest.mark.parametrize("layout", ["segments", "files"])
@pytest.mark.parametrize("size", [2000, 2600])
def test_other_bytes_do_not_take_their_place(tmp_path: Path, number: int, broken: Any, layout: str, size: int) -> None:
    bare = Bare(tmp_path, layout=layout)
    with bare.opened() as seams:
        upload(seams, made(1, 1))
        with broken(seams, number):
            (refused,) = upload(seams, make_other(size)).refused
        if size == 2000:
            assert refused.status.code is Code.DATA_LOSS and "cannot be compared" in refused.status.message
            assert "main/" not in refused.status.message and "again" in refused.status.message
        else:
            assert refused.status.code is Code.ALREADY_EXISTS, "they are not as many"
        sweep_garbage(seams)
        assert read_all(seams) == made(1, 1)


@BREAKS
def test_the_original_takes_their_place_where_a_checksum_says_that_it_is_the_original(
    tmp_path: Path, broken: Any
) -> None:
    with Bare(tmp_path).opened() as seams:
        upload(seams, made(1, 1))
        (before,) = list_rows(seams)
        with broken(seams, errno.EIO):
            assert upload(seams, made(1, 1)).refused == []
        (after,) = list_rows(seams)
        assert after.blob_key != before.blob_key
        sweep_garbage(seams)
        assert read_all(seams) == made(1, 1)


@BREAKS
def test_an_import_says_that_they_cannot_be_compared(tmp_path: Path, broken: Any) -> None:
    with Bare(tmp_path).opened() as seams:
        upload(seams, made(1, 1))
        (row,) = list_rows(seams)
        seams.blobs.put("main/1/new.dcm", [make_other(2000)])
        with broken(seams, errno.EIO):
            pair = Pair("main/1/new.dcm", row.blob_key, row.size, row.uids)
            (verdict,) = compare_bytes([pair], blobs=seams.blobs)
        (failure,) = _make_failures(row.to_instance(), verdict)
        assert failure.status.code is Code.DATA_LOSS and "cannot be compared" in failure.status.message


def test_a_rebuild_leaves_a_row_to_bytes_that_cannot_be_read_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other bytes with the same UIDs lie beside them, and have no row."""
    bare = Bare(tmp_path)
    with bare.opened() as seams:
        upload(seams, made(1, 1))
        (row,) = list_rows(seams)
        writer = seams.blobs.writer("main/1/77/a1-a0/000.0000-")
        writer.put([make_other(2000)], UIDS)
        writer.flush()
        writer.close()
    real = local_blobs.open_extent

    def refuse(root: bytes, name: bytes, extent: Any) -> Any:
        if str(extent) == row.blob_key:
            raise OSError(errno.EIO, "x")
        return real(root, name, extent)

    with monkeypatch.context() as patch:
        patch.setattr(local_blobs, "open_extent", refuse)
        summary = bare.rebuild()
    assert [each.duplicates for each in summary.stores] == [1]
    with bare.opened() as seams:
        sweep_garbage(seams)
        assert read_all(seams) == made(1, 1)
