"""``read_header`` on a corpus of real files: ``$GANTRY_CORPUS`` holds ``manifest.csv`` and the files under ``data/``.

Rows of confidence *sure* and *likely* are judged strictly. *Doubtful* ones may go either way, but not by another
exception, not differently on a second reading, and not under other UIDs than the manifest's.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.dicom.part10 import InstanceIdentity, read_header
from gantry.errors import InvalidArgument
from gantry.ingest import require_uids

CORPUS = os.environ.get("GANTRY_CORPUS", "")
COLUMNS = ("study_uid", "series_uid", "sop_uid", "sop_class", "transfer_syntax")


def rows() -> Iterator[object]:
    if not CORPUS:
        yield pytest.param({}, marks=pytest.mark.skip(reason="GANTRY_CORPUS is not set: no corpus to read"))
        return
    with Path(CORPUS, "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield pytest.param(row, id=row["file"])


def outcome(path: Path) -> InstanceIdentity | str:
    """The header, or the text of the refusal, which for UIDs comes from the store that takes the instance."""
    fd = os.open(path, os.O_RDONLY)
    try:
        found = read_header(lambda offset, length: os.pread(fd, length, offset), os.fstat(fd).st_size)
        require_uids((found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid))
        return found
    except InvalidArgument as error:
        return error.message
    finally:
        os.close(fd)


@pytest.mark.parametrize("row", list(rows()))
def test_manifest_row(row: dict[str, str]) -> None:
    path = Path(CORPUS, "data", row["file"])
    found = outcome(path)
    if isinstance(found, InstanceIdentity):
        assert found == InstanceIdentity(*(row[column] for column in COLUMNS))
    if row["confidence"] == "doubtful":
        assert outcome(path) == found
    else:
        assert isinstance(found, InstanceIdentity) == (row["expected"] == "ok"), (row["rule"], row["why"], found)
