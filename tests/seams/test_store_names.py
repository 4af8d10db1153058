"""The names of stores beside blobs in a bucket that several servers write to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from gantry.names import DicomStoreName
from gantry.storage.generation_marks import mark_path
from gantry.storage.place_roots import Places
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place_files import PlaceFiles
from gantry.storage.remote.store_names import CopiedStoreRecords
from gantry.storage.store_records import LocalStoreRecords, parse_records, read_records


class Servers:
    """``index`` is the one of all; each has a directory of its own."""

    def __init__(self, home: Path, files: PlaceFiles) -> None:
        self.home, self.files, self.index = home, files, dict[int, DicomStoreName]()

    def find_names(self, numbers: Collection[int]) -> dict[int, DicomStoreName]:
        return {number: self.index[number] for number in numbers if number in self.index}

    def open(self, name: str) -> CopiedStoreRecords:
        root = self.home / name
        root.mkdir(exist_ok=True)
        mark_path(str(root), "main").touch()
        places = Places({"main": str(root)}, ["main"], self.files)
        return CopiedStoreRecords(LocalStoreRecords(places, self.find_names), places, places.remote, self.find_names)

    def make(self, number: int) -> int:
        self.index[number] = DicomStoreName("p", "l", "d", f"s{number}")
        return number

    @property
    def there(self) -> dict[int, DicomStoreName | None]:
        return parse_records(self.files.read("main.stores") or "")


@pytest.fixture
def servers(tmp_path: Path, bucket: RemoteBucket) -> Servers:
    return Servers(tmp_path, PlaceFiles(bucket.place, "own/", "s3://b/own"))


def test_stores_of_two_servers_stand_beside_each_other(servers: Servers) -> None:
    one, other = servers.open("one"), servers.open("other")
    one.keep([servers.make(1)], "main")
    other.keep([servers.make(2)], "main")
    one.keep([servers.make(3)], "main")
    assert servers.there == servers.index and len(servers.index) == 3


def test_a_store_of_another_server_takes_uploads_at_once(servers: Servers) -> None:
    one, other = servers.open("one"), servers.open("other")
    one.keep([servers.make(1)], "main")
    other.keep([1], "main")
    assert read_records(str(servers.home / "other"), "main") == servers.there == servers.index


def test_what_one_has_forgotten_another_does_not_bring_back(servers: Servers) -> None:
    one, other = servers.open("one"), servers.open("other")
    for each in (one, other):
        each.keep([1, servers.make(1)], "main")
    del servers.index[1]
    one.forget(1)
    other.keep([servers.make(2)], "main")
    assert servers.there == {1: None, **servers.index}


def test_a_store_that_is_deleted_while_its_name_is_written_stays_deleted(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another server, which comes between the look into the bucket and the one into the index."""
    one, other = servers.open("one"), servers.open("other")
    one.keep([servers.make(1)], "main")
    update = PlaceFiles.update

    def delete_first(self: PlaceFiles, name: str, change: Callable[[str | None], str | None]) -> None:
        def late(text: str | None) -> str | None:
            if servers.index:
                servers.index.clear()
                one.forget(1)
            return change(text)

        update(self, name, late)

    monkeypatch.setattr(PlaceFiles, "update", delete_first)
    other.keep([1], "main")
    assert servers.there == {1: None}


def test_a_file_that_is_lost_is_made_again(servers: Servers) -> None:
    one = servers.open("one")
    one.keep([servers.make(1), servers.make(2)], "main")
    servers.files.remove("main.stores")
    one.keep([servers.make(3)], "main")
    assert servers.there == servers.index
