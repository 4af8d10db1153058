"""How far the index has come, in the bucket: written by several servers of one index, and by a copy of a server."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gantry.errors import Interrupted
from gantry.storage.generation_marks import Mark, parse_mark
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.generation_copies import GenerationCopies
from gantry.storage.remote.place_files import PlaceFiles

NAME, MARK = "main.generation", "1" * 32


@pytest.fixture
def files(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> PlaceFiles:
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    return PlaceFiles(bucket.place, "own/", "s3://b/own")


def commits_of(files: PlaceFiles) -> int:
    text = files.read(NAME)
    return 0 if text is None else parse_mark(text, NAME).commits


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Index:
    """That several servers use: how many transactions it has."""

    def __init__(self) -> None:
        self.commits = 0

    def open(self, files: PlaceFiles) -> GenerationCopies:
        return GenerationCopies({"main": files}, MARK, lambda: self.commits)

    def commit(self, copies: GenerationCopies) -> int:
        self.commits += 1
        copies.note(self.commits)
        return self.commits


def test_servers_of_one_index_are_no_copies_of_each_other(files: PlaceFiles) -> None:
    """Each is behind what the other one has written until it writes itself."""
    index = Index()
    one, other = index.open(files), index.open(files)
    for turn in range(6):
        reached = index.commit((one, other)[turn % 2])
        wait_until(lambda reached=reached: commits_of(files) == reached)  # type: ignore[misc]
    assert (one.trouble, other.trouble) == ("", "")
    for copies in (one, other):
        copies.close()
    assert commits_of(files) == 6


def test_the_number_never_goes_down(files: PlaceFiles) -> None:
    """A server that has come to less ends last."""
    index = Index()
    one = index.open(files)
    index.commit(one)
    wait_until(lambda: commits_of(files) == 1)
    index.commit(one)
    files.update(NAME, lambda _: Mark(MARK, index.commits + 7).format())
    index.commits += 7
    one.close()
    assert (commits_of(files), one.trouble) == (9, "")


def test_who_comes_between_is_not_undone(files: PlaceFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server writes a higher number after this one has read what is there."""
    index, update = Index(), PlaceFiles.update
    raced: list[int] = []

    def update_after_another(self: PlaceFiles, name: str, change: Callable[[str | None], str | None]) -> None:
        def change_late(text: str | None) -> str | None:
            new = change(text)
            if not raced:
                raced.append(1)
                index.commits = 50
                update(self, name, lambda _: Mark(MARK, 50).format())
            return new

        update(self, name, change_late)

    monkeypatch.setattr(PlaceFiles, "update", update_after_another)
    one = index.open(files)
    index.commit(one)
    wait_until(lambda: bool(raced))
    one.close()
    assert (commits_of(files), one.trouble) == (50, "")


def test_what_the_index_has_not_reached_is_of_a_copy(files: PlaceFiles) -> None:
    index = Index()
    files.update(NAME, lambda _: Mark(MARK, 3).format())
    one = index.open(files)
    index.commit(one)
    wait_until(lambda: "a copy of this server" in one.trouble)
    one.close()
    assert commits_of(files) == 3


def test_an_index_that_does_not_answer_makes_no_copies(files: PlaceFiles) -> None:
    def fail() -> int:
        raise Interrupted("the index is away")

    files.update(NAME, lambda _: Mark(MARK, 3).format())
    one = GenerationCopies({"main": files}, MARK, fail)
    one.note(1)
    one.note(5)
    wait_until(lambda: commits_of(files) == 5)
    one.close()
    assert one.trouble == ""
