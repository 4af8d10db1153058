"""The one writer of ZIP archives: memory, and what becomes of an archive that breaks off."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest

from gantry.errors import DataLoss
from gantry.resources import StoredInstance
from gantry.studies.retrieve import Piece
from gantry.studies.zipping import zip_instances

MIB = bytes(1 << 20)


class Row:
    def __init__(self, number: int) -> None:
        self.uids = ("1", "2", str(number))


def pieces(instances: int, size: int) -> Iterator[Piece]:
    for number in range(instances):
        begins: StoredInstance | None = Row(number)  # type: ignore[assignment]
        for _ in range(size):
            yield Piece(begins, MIB)
            begins = None


def test_memory_holds_a_piece_however_large_the_archive_is() -> None:
    tracemalloc.start()
    try:
        total = sum(map(len, zip_instances(pieces(4, 64))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 4 * 64 << 20
    assert peak < 16 << 20


@pytest.mark.slow
def test_an_instance_costs_little_more_than_its_name() -> None:
    tracemalloc.start()
    try:
        made = zip_instances(Piece(Row(number), b"x") for number in range(20_000))  # type: ignore[arg-type]
        sum(map(len, made))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000 * 1500


def test_nothing_is_an_empty_archive() -> None:
    assert zipfile.ZipFile(io.BytesIO(b"".join(zip_instances([])))).namelist() == []


def broken() -> Iterator[Piece]:
    yield from pieces(1, 3)
    raise DataLoss("the file is gone")


def test_an_archive_that_breaks_off_cannot_be_read_as_whole(recwarn: pytest.WarningsRecorder) -> None:
    sent = []
    with pytest.raises(DataLoss):
        for piece in zip_instances(broken()):
            sent.append(piece)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(sent)))


def test_a_reader_that_leaves_ends_it() -> None:
    made = zip_instances(pieces(3, 3))
    next(made)
    made.close()  # type: ignore[attr-defined]
    assert list(made) == []
