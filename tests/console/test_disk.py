"""What the page *Disk* says of room, and of when there will be none."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.api.server_facts import DiskUse
from gantry.console.disk import describe_outlook, list_disks
from gantry.facts_wiring import Disks
from gantry.holdings import Holding
from gantry.index_wiring import IndexPlace
from gantry.names import DicomStoreName
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.web import Web

GB = 1 << 30
STORE = DicomStoreName("p", "l", "d", "s")


@pytest.mark.parametrize(
    ("free", "gained", "text"),
    [
        (40 * GB, 7 * GB, "Full in about 40 days at this week's rate."),
        (GB, 7 * GB, "Full in about 1 day at this week's rate."),
        (GB, 70 * GB, "Full within a day at this week's rate."),
        (40 * GB, 0, ""),
        (40 * GB, -GB, ""),
        (40 * GB, None, ""),
        (None, GB, ""),
        (1 << 60, 1, ""),
    ],
)
def test_when_a_disk_is_full_is_said_where_a_week_is_known(free: int | None, gained: int | None, text: str) -> None:
    assert describe_outlook(free, gained) == text


def test_each_disk_has_what_lies_on_it() -> None:
    seams: Any = SimpleNamespace(place_of=lambda name: name if name == "ARCHIVE" else "main")
    held = [Holding(STORE, "STANDARD", 1, 3 * GB), Holding(STORE, "NEARLINE", 1, GB), Holding(STORE, "ARCHIVE", 1, GB)]
    uses = [DiskUse(("/a",), ("main",), True, 10 * GB, GB), DiskUse(("/b",), ("ARCHIVE",), False, 10 * GB, 9 * GB)]
    main, archive = list_disks(uses, held, GB // 2, {"STANDARD": GB, "ARCHIVE": 0}, seams)
    assert (main.files, main.index, main.other, main.is_nearly_full) == (4 * GB, GB // 2, 9 * GB // 2, True)
    assert main.outlook == "Full in about 7 days at this week's rate."
    assert (archive.files, archive.index, archive.other, archive.is_nearly_full) == (GB, 0, 0, False)
    assert archive.outlook == "" and 'aria-label="Stored files: 1.0 GiB, Free: 9.0 GiB"' in str(archive.bar)


def test_directories_of_one_disk_are_one_and_a_missing_one_says_so(tmp_path: Any) -> None:
    (tmp_path / "blobs").mkdir()
    places = {"main": str(tmp_path / "blobs"), "ARCHIVE": str(tmp_path / "gone")}
    one, gone = Disks(places, IndexPlace(tmp_path)).read()
    assert (one.holds, one.has_index, one.problem) == (("main",), True, "") and one.total and one.free
    assert (gone.holds, gone.total, gone.free) == (("ARCHIVE",), None, None) and "no such file" in gone.problem


def test_a_week_that_is_known(gantry: Gantry) -> None:
    """What was stored is made to be three days old, then eight, with more three days ago."""
    Web(gantry).stored(*(instance((f"1.2.{n}", f"1.2.{n}.1", f"1.2.{n}.1.1")) for n in range(2)))
    page = gantry.request("GET", "console/disk").text
    assert "at this week" not in page
    file = gantry.server.data / "index.sqlite"
    if not file.exists():
        pytest.skip("the index is in PostgreSQL, whose days are not changed here")
    with closing(sqlite3.connect(file, timeout=30)) as index, index:
        index.execute("UPDATE tally SET day = day - 3, blob_bytes = blob_bytes * 1000000")
    assert "at this week" not in gantry.request("GET", "console/disk").text, "three days are no week"
    with closing(sqlite3.connect(file, timeout=30)) as index, index:
        index.execute("UPDATE tally SET day = day - 5")
        copied = "SELECT store_id, storage_class, day + 5, instances, blob_bytes FROM tally"
        index.execute(f"INSERT INTO tally {copied}")
    page = gantry.request("GET", "console/disk").text
    assert re.search(r"Full (in about [\d,]+ days?|within a day) at this week&#39;s rate\.", page), page
