"""The names of stores beside their blobs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gantry.names import DicomStoreName
from gantry.storage.generation_marks import mark_path
from gantry.storage.store_records import LocalStoreRecords, read_records

NAMES = {number: DicomStoreName("p", "l", "d", f"s{number}") for number in range(1, 4)}


def test_a_name_is_looked_up_once_for_all_uploads(tmp_path: Path) -> None:
    asked: list[int] = []

    def find(numbers: Collection[int]) -> dict[int, DicomStoreName]:
        asked.extend(numbers)
        return {number: NAMES[number] for number in numbers}

    mark_path(str(tmp_path), "main").touch()
    records = LocalStoreRecords({"main": str(tmp_path)}, find)
    for numbers in ([1], [1], [1, 2], [2], [1, 2], [3], [3, 1]):
        records.keep(numbers, "main")
    assert asked == [1, 2, 3]
    assert read_records(str(tmp_path), "main") == NAMES
    records.forget(2)
    assert read_records(str(tmp_path), "main") == NAMES | {2: None}
