"""Blobs in several places, and the marks that keep their directories apart."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import pytest

from gantry.errors import FailedPrecondition, NotFound, Unavailable
from gantry.seams import Blobs, BlobStore
from gantry.storage import place_marks
from gantry.storage.local import LocalBlobStore
from gantry.storage.place_marks import find_wrong_marks, keep_places
from gantry.storage.places import PlacedBlobStore
from tests.seams.blob_store_suite import fill, keys, read

PLACES = ("main", "ARCHIVE", "COLDLINE")
KEYS = ["ARCHIVE/1/a", "ARCHIVE/1/b", "ARCHIVE/2/a", "COLDLINE/1/a", "main/1/a", "main/10/a", "main/2/a"]


def root(tmp_path: Path, place: str) -> Path:
    return tmp_path / f"disk-of-{place}"


@pytest.fixture
def store(tmp_path: Path) -> PlacedBlobStore:
    made: dict[str, BlobStore] = {}
    for place in PLACES:
        root(tmp_path, place).mkdir()
        made[place] = LocalBlobStore(str(root(tmp_path, place)), write_once=True)
    return PlacedBlobStore(made)


def on_disk(tmp_path: Path) -> list[str]:
    files = (path for place in PLACES for path in root(tmp_path, place).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(tmp_path)) for path in files)


# Routing --------------------------------------------------------------------------------------------------------------


def test_the_first_segment_says_where_a_blob_lies(store: PlacedBlobStore, tmp_path: Path) -> None:
    fill(store, KEYS)
    assert on_disk(tmp_path) == sorted(f"disk-of-{key.split('/')[0]}/{key}" for key in KEYS)
    for number, key in enumerate(KEYS):
        assert read(store, key) == b"x" * number
        assert store.head(key).size == number


def test_a_listing_goes_through_all_places_in_the_order_of_keys(store: PlacedBlobStore) -> None:
    fill(store, KEYS)
    texts = ["", *KEYS, *(key[:-1] for key in KEYS), "A", "ARCHIVE", "ARCHIVE/", "main", "main/", "z", "NEARLINE/"]
    for prefix in texts:
        for start_after in texts:
            expected = [key for key in KEYS if key.startswith(prefix) and key > start_after]
            assert keys(store, prefix, start_after) == expected, (prefix, start_after)


def test_a_listing_of_all_places_is_as_deep_as_was_asked_for_and_can_be_ended(store: PlacedBlobStore) -> None:
    fill(store, [f"{place}/{key}" for place in PLACES for key in ("1/a", "1/2/b")])
    for prefix in ("", "ARCHIVE/"):
        shallow = keys(store, prefix, depth=2)
        assert shallow == [key for key in keys(store, prefix) if key.count("/") == 2] != keys(store, prefix)
        check = Mock()
        assert len(list(store.list(prefix, check=check))) == 2 * len(shallow) and check.called


def test_numbers_of_stores_are_those_of_all_places_once_and_sorted(tmp_path: Path) -> None:
    numbers = {"main": [7, 2], "ARCHIVE": [10, 2]}

    class Numbered:
        def __init__(self, place: str) -> None:
            self.place = place

        def list_numbers(self, prefix: str) -> list[int]:
            return numbers[self.place] if prefix == self.place else []

    placed = PlacedBlobStore({place: cast("Blobs", Numbered(place)) for place in numbers})
    assert placed.list_store_ids() == [2, 7, 10]


def test_bytes_are_copied_from_place_to_place(store: PlacedBlobStore) -> None:
    store.put("main/a", [b"bytes"])
    with store.open("main/a") as opened:
        assert store.copy_from(opened, "ARCHIVE/a") == 5
    assert read(store, "ARCHIVE/a") == b"bytes"


def test_deleting_reaches_every_place(store: PlacedBlobStore, tmp_path: Path) -> None:
    fill(store, KEYS)
    store.delete("ARCHIVE/1/a")
    assert store.delete_prefix("main/1/") == 1
    assert store.delete_prefix("COLDLINE/", "COLDLINE/0") == 1
    assert keys(store) == ["ARCHIVE/1/b", "ARCHIVE/2/a", "main/10/a", "main/2/a"]
    assert store.delete_prefix("") == 4
    assert on_disk(tmp_path) == []


def test_a_place_that_is_not_there(store: PlacedBlobStore) -> None:
    with pytest.raises(FailedPrecondition, match="NEARLINE"):
        store.open("NEARLINE/1/a")
    with pytest.raises(FailedPrecondition):
        store.put("NEARLINE/1/a", [b""])
    store.delete("NEARLINE/1/a")
    with pytest.raises(NotFound):
        store.open("ARCHIVE/1/a")


def test_it_is_there_when_all_places_are(store: PlacedBlobStore, tmp_path: Path) -> None:
    assert store.exists()
    root(tmp_path, "ARCHIVE").rmdir()
    assert not store.exists()


def test_a_flush_is_one_of_every_place_that_was_written_to(
    store: PlacedBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("gantry.storage.local.sync_file_system", fails)
    store.flush()
    for place in PLACES:
        store.put(f"{place}/a", [b""])
        with pytest.raises(Unavailable):
            store.flush()
    store.flush()


def test_a_worker_gets_the_same_places(store: PlacedBlobStore) -> None:
    fill(store, KEYS)
    assert keys(pickle.loads(pickle.dumps(store))) == KEYS  # noqa: S301


# Marks ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def cheap(tmp_path: Path) -> Path:
    return tmp_path / "mnt" / "cheap"


def put_blob(cheap: Path) -> Path:
    path = cheap / "ARCHIVE" / "1" / "blob"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"blob")
    return path


def test_the_directory_of_all_other_blobs_is_marked(data: Path) -> None:
    marks = keep_places(data, {})
    ((place, (path, mark)),) = marks.items()
    assert (place, path) == ("main", str(data / "blobs" / "main.gantry"))
    assert (data / "blobs" / "main.gantry").read_text() == mark
    assert keep_places(data, {}) == marks


def test_what_a_killed_start_has_written_is_synced_by_the_next(
    data: Path, cheap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been killed between the new name and its sync: a power cut would take the mark from under blobs."""
    keep_places(data, {"ARCHIVE": str(cheap)})
    synced: list[Path] = []
    monkeypatch.setattr(place_marks, "sync_directory", synced.append)
    keep_places(data, {"ARCHIVE": str(cheap)})
    assert set(synced) == {data, cheap}


def test_a_data_directory_of_an_older_version_is_marked_at_its_first_start(data: Path, cheap: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    record = json.loads((data / "places.json").read_text())
    del record["main"]
    (data / "places.json").write_text(json.dumps(record))
    (data / "blobs" / "main.gantry").unlink()
    marks = keep_places(data, {"ARCHIVE": str(cheap)})
    assert sorted(marks) == ["ARCHIVE", "main"] and (data / "blobs" / "main.gantry").exists()


@pytest.mark.parametrize(("other", "words"), [("", "is it mounted"), ("0" * 32, "the blobs of another server")])
def test_blobs_that_are_not_mounted_refuse_the_start(data: Path, other: str, words: str) -> None:
    keep_places(data, {})
    mark = data / "blobs" / "main.gantry"
    mark.write_text(other) if other else mark.unlink()
    with pytest.raises(FailedPrecondition, match=words):
        keep_places(data, {})


def test_a_new_directory_is_made_and_taken_again_at_every_start(data: Path, cheap: Path) -> None:
    for _ in range(3):
        keep_places(data, {"ARCHIVE": str(cheap), "COLDLINE": str(cheap)})
    put_blob(cheap)
    keep_places(data, {"ARCHIVE": str(cheap), "COLDLINE": str(cheap)})


def test_a_data_directory_may_move(data: Path, cheap: Path, tmp_path: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    put_blob(cheap)
    keep_places(data.rename(tmp_path / "moved"), {"ARCHIVE": str(cheap)})


def test_a_directory_of_another_server_is_refused(data: Path, cheap: Path, tmp_path: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    (tmp_path / "other").mkdir()
    with pytest.raises(FailedPrecondition, match="another server"):
        keep_places(tmp_path / "other", {"ARCHIVE": str(cheap)})
    keep_places(tmp_path / "other", {"COLDLINE": str(cheap)})


def test_a_directory_that_holds_something_else_is_refused(data: Path, cheap: Path) -> None:
    put_blob(cheap)
    with pytest.raises(FailedPrecondition, match="not empty"):
        keep_places(data, {"ARCHIVE": str(cheap)})


def test_a_directory_that_is_not_mounted_is_refused(data: Path, cheap: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    blob = put_blob(cheap)
    mounted = cheap.rename(cheap.with_name("unmounted"))
    for make in (False, True):
        if make:
            cheap.mkdir()
        with pytest.raises(FailedPrecondition, match="mounted"):
            keep_places(data, {"ARCHIVE": str(cheap)})
        with pytest.raises(FailedPrecondition, match="Keep the setting"):
            keep_places(data, {})
    cheap.rmdir()
    mounted.rename(cheap)
    keep_places(data, {"ARCHIVE": str(cheap)})
    assert blob.read_bytes() == b"blob"


def test_a_mark_that_cannot_be_read_is_not_taken_for_a_directory_that_is_not_mounted(data: Path, cheap: Path) -> None:
    """Whoever reads the message must not mount a disk over the blobs. A directory is what root cannot read too."""
    keep_places(data, {"ARCHIVE": str(cheap)})
    (cheap / "ARCHIVE.gantry").unlink()
    (cheap / "ARCHIVE.gantry").mkdir()
    for wanted in ({"ARCHIVE": str(cheap)}, {}):
        with pytest.raises(FailedPrecondition, match="cannot be read"):
            keep_places(data, wanted)


def test_another_directory_for_the_same_class_is_refused(data: Path, cheap: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    with pytest.raises(FailedPrecondition, match="lie in"):
        keep_places(data, {"ARCHIVE": f"{cheap}-other"})


def test_a_class_can_be_forgotten_when_nothing_lies_in_its_directory(data: Path, cheap: Path) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    blob = put_blob(cheap)
    with pytest.raises(FailedPrecondition, match="Keep the setting"):
        keep_places(data, {})
    blob.unlink()
    keep_places(data, {})
    keep_places(data, {"ARCHIVE": f"{cheap}-other"})
    assert list(cheap.glob("*.gantry")) == []


@pytest.mark.parametrize("made", [0, 1])
def test_a_crash_before_the_record_is_complete_hinders_nothing(data: Path, cheap: Path, made: int) -> None:
    wanted = {"ARCHIVE": str(cheap), "COLDLINE": f"{cheap}-2"}
    keep_places(data, wanted)
    record = json.loads((data / "places.json").read_text())
    (data / "places.json").write_text(json.dumps(record | {"places": {}}))
    if not made:
        (cheap / "ARCHIVE.gantry").unlink()
    keep_places(data, wanted)


def test_the_record_has_the_mark_before_any_directory_has_it(
    data: Path, cheap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that is killed between the two hinders no later one."""
    with monkeypatch.context() as killed:
        killed.setattr(place_marks, "_mark_own", refuse)
        with pytest.raises(KeyboardInterrupt):
            keep_places(data, {"ARCHIVE": str(cheap)})
    assert (cheap / "ARCHIVE.gantry").exists()
    assert sorted(keep_places(data, {"ARCHIVE": str(cheap)})) == ["ARCHIVE", "main"]


def test_a_start_that_is_killed_forgets_no_mark(data: Path, cheap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_places(data, {"ARCHIVE": str(cheap)})
    before = (data / "places.json").read_text()
    with monkeypatch.context() as killed:
        killed.setattr(place_marks, "_claim", refuse)
        with pytest.raises(KeyboardInterrupt):
            keep_places(data, {"ARCHIVE": str(cheap), "COLDLINE": f"{cheap}-2"})
    assert (data / "places.json").read_text() == before
    (data / "blobs" / "main.gantry").unlink()
    with pytest.raises(FailedPrecondition, match="is it mounted"):
        keep_places(data, {"ARCHIVE": str(cheap), "COLDLINE": f"{cheap}-2"})


def refuse(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_directory_that_cannot_be_made_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FailedPrecondition, match="file/below"):
        keep_places(data, {"ARCHIVE": str(tmp_path / "file" / "below")})


def test_each_mark_that_is_wrong_is_reported(data: Path, cheap: Path, tmp_path: Path) -> None:
    """Also one that cannot be read; the others are looked at, too."""
    places = {name: str(tmp_path / name) for name in ("COLDLINE", "NEARLINE")} | {"ARCHIVE": str(cheap)}
    keep_places(data, places)
    assert list(find_wrong_marks(data)) == []
    (tmp_path / "COLDLINE" / "COLDLINE.gantry").unlink()
    (tmp_path / "NEARLINE" / "NEARLINE.gantry").write_text("0" * 32)
    (cheap / "ARCHIVE.gantry").unlink()
    (cheap / "ARCHIVE.gantry").mkdir()
    found = sorted(find_wrong_marks(data))
    assert len(found) == 3
    assert found[0].startswith(f"{tmp_path}/COLDLINE has no mark that it holds the COLDLINE blobs")
    assert found[1] == f"{tmp_path}/NEARLINE holds the NEARLINE blobs of another server"
    assert found[2].startswith(f"{cheap} cannot be read")
    (data / "blobs" / "main.gantry").unlink()
    assert len(list(find_wrong_marks(data))) == 4
    (data / "places.json").write_text("{")
    (line,) = find_wrong_marks(data)
    assert f"{data}/places.json is damaged" in line
