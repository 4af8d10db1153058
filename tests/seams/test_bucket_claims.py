"""Who marks a bucket as its own: of two first starts at once, one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from gantry.errors import DiskAway, FailedPrecondition
from gantry.storage.remote import place_claims
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.place_files import PlaceFiles
from tests.seams.object_servers import Server
from tests.support.s3_server import S3Server

NAME = "main.gantry"
ONE, OTHER = "1" * 32, "2" * 32


@pytest.fixture
def files(place: RemotePlace) -> PlaceFiles:
    return PlaceFiles(place, "own/", f"{place.address}/own")


def find_and_claim(files: PlaceFiles, mark: str) -> None:
    own = place_claims.find_mark(files, mark, True, ["main"], [], False)
    place_claims.claim(files, ["main", "ARCHIVE"], own)


def test_a_first_start_claims_the_places(files: PlaceFiles) -> None:
    find_and_claim(files, ONE)
    place_claims.claim(files, ["main"], ONE)
    assert [files.read(name) for name in (NAME, "ARCHIVE.gantry")] == [ONE, ONE]


def test_a_file_that_is_there_is_not_made_again(server: Server, files: PlaceFiles) -> None:
    """Not by whoever comes second, and by nobody who comes once more because an answer was lost."""
    files.create(NAME, ONE)
    files.create(NAME, ONE)
    files.create(NAME, OTHER)
    assert files.read(NAME) == ONE


def test_of_two_first_starts_at_once_one_is_refused(files: PlaceFiles) -> None:
    """Both have seen that the bucket is empty."""
    for mark in (ONE, OTHER):
        assert place_claims.find_mark(files, mark, True, ["main"], [], False) == mark
    place_claims.claim(files, ["main"], ONE)
    with pytest.raises(FailedPrecondition, match="own/main holds the blobs of another server"):
        place_claims.claim(files, ["main"], OTHER)
    assert files.read(NAME) == ONE


def test_who_is_second_between_the_look_and_the_claim_is_refused(
    files: PlaceFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PlaceFiles.read
    seen: list[str] = []

    def read_then_other(self: PlaceFiles, name: str) -> str | None:
        found = read(self, name)
        if not seen:
            seen.append(name)
            self.create(name, ONE)
        return found

    monkeypatch.setattr(PlaceFiles, "read", read_then_other)
    with pytest.raises(FailedPrecondition, match="another server"):
        place_claims.claim(files, ["main"], OTHER)
    assert files.read(NAME) == ONE


@pytest.mark.parametrize("fault", ["501 NotImplemented", "400 InvalidArgument"])
def test_a_server_that_refuses_the_condition_is_asked_without_it(
    bucket: RemoteBucket, s3: S3Server, fault: str
) -> None:
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    with s3.fail(fault, methods=["PUT"], times=1) as rule:
        find_and_claim(files, ONE)
    assert rule.failed == 1
    assert files.read(NAME) == ONE


def test_a_server_that_ignores_the_condition_has_the_mark_of_the_last_one(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one finds that when it compares, or when it writes."""
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    monkeypatch.setattr(type(bucket.client), "create", type(bucket.client).put)
    place_claims.claim(files, ["main"], ONE)
    early = files.with_mark(NAME, ONE)
    early.update("main.stores", lambda _: "1")
    files.create(NAME, OTHER)
    with pytest.raises(DiskAway, match="its mark is that of another server"):
        early.update("main.stores", lambda _: "2")
    assert files.read("main.stores") == "1"

    def create_then_other(self: PlaceFiles, name: str, text: str) -> None:
        for each in (text, OTHER):
            self.bucket.put(self.prefix + name, [each.encode()])

    monkeypatch.setattr(PlaceFiles, "create", create_then_other)
    with pytest.raises(FailedPrecondition, match="another server"):
        place_claims.claim(files, ["main"], ONE)


@pytest.mark.parametrize("fault", ["reset after", "409 ConditionalRequestConflict"])
def test_a_claim_whose_answer_is_lost_is_made(bucket: RemoteBucket, s3: S3Server, fault: str) -> None:
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    with s3.fail(fault, methods=["PutObject"], times=1) as rule:
        place_claims.claim(files, ["main"], ONE)
    assert rule.failed == 1
    assert files.read(NAME) == ONE


def test_who_writes_at_the_same_time_as_another_one_asks_again(bucket: RemoteBucket, s3: S3Server) -> None:
    """And still on the condition that there is none."""
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    files.create(NAME, OTHER)
    with s3.fail("409 ConditionalRequestConflict", methods=["PutObject"], times=1) as rule:
        files.create(NAME, ONE)
    assert rule.failed == 1
    assert files.read(NAME) == OTHER


def test_of_two_who_change_a_file_at_once_neither_undoes_the_other(files: PlaceFiles) -> None:
    """Also where there was none yet; and where another one has removed it."""
    asked: list[str | None] = []

    def between(act: Callable[[], None], line: str) -> Callable[[str | None], str]:
        def change(text: str | None) -> str:
            asked.append(text)
            if len(asked) % 2:
                act()
            return f"{text or ''}{line}"

        return change

    add = partial(files.update, "main.stores")
    add(between(lambda: add(lambda text: f"{text or ''}a"), "b"))
    assert files.read("main.stores") == "ab"
    add(between(lambda: add(lambda text: f"{text or ''}c"), "d"))
    assert files.read("main.stores") == "abcd"
    add(between(lambda: files.remove("main.stores"), "e"))
    assert files.read("main.stores") == "e"
    assert asked == [None, "a", "ab", "abc", "abcd", None]


def test_a_file_that_stays_as_it_is_is_not_written(bucket: RemoteBucket, s3: S3Server) -> None:
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    files.create(NAME, ONE)
    s3.reset_counts()
    files.update(NAME, lambda text: None)
    assert set(s3.requests.operations) == {"HeadObject", "GetObject"}


@pytest.mark.parametrize("fault", ["501 NotImplemented", "400 InvalidArgument"])
def test_a_server_that_refuses_the_condition_of_a_change_is_asked_without_it(
    bucket: RemoteBucket, s3: S3Server, fault: str
) -> None:
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    files.create("main.stores", "1")
    with s3.fail(fault, methods=["PUT"], times=1) as rule:
        files.update("main.stores", lambda text: f"{text}2")
    assert (rule.failed, files.read("main.stores")) == (1, "12")


def test_a_change_whose_answer_is_lost_is_made_once(bucket: RemoteBucket, s3: S3Server) -> None:
    files = PlaceFiles(bucket.place, "own/", "s3://b/own")
    files.create("main.stores", "1")
    with s3.fail("reset after", methods=["PutObject"], times=1) as rule:
        files.update("main.stores", lambda text: f"{text}2" if text == "1" else None)
    assert (rule.failed, files.read("main.stores")) == (1, "12")


def test_a_file_that_another_one_writes_all_the_time_is_given_up(files: PlaceFiles) -> None:
    numbers = count()

    def change(text: str | None) -> str:
        files.update("main.stores", lambda _: str(next(numbers)))
        return "mine"

    with pytest.raises(DiskAway, match=r"others write main\.stores all the time"):
        files.update("main.stores", change)
