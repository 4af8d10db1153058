"""The same backup of an index, put back more than once: each time it goes on behind all that was written before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gantry import generations
from gantry.errors import FailedPrecondition
from gantry.index.generations import Generations
from gantry.seams import Seams
from gantry.storage.generation_marks import Mark, MarkWriter, read_mark, write_mark
from tests.faults.bare import Bare, begin_import, claim_and_run, made, upload
from tests.faults.lost import copy_index, put_index_back
from tests.faults.older import make_unmarked


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    """A backup of its index was made while an import ran: ``tmp_path / "copy"``."""
    built = Bare(tmp_path)
    source = tmp_path / "buckets" / "source"
    with built.opened() as seams:
        source.mkdir()
        for number in range(3):
            (source / f"{number}.dcm").write_bytes(made(1, number))
        begin_import(seams, "gs://source/**")
        seams.index.operations.claim_operation("gone")
        copy_index(built.data, tmp_path / "copy")
        assert claim_and_run(seams, "first").counter.success == 3
    return built


def put_back(bare: Bare) -> None:
    put_index_back(bare.data, bare.base / "copy")


@pytest.mark.parametrize("times", [2, 3])
def test_an_operation_deletes_nothing_that_it_wrote_after_the_copy_was_put_back_before(bare: Bare, times: int) -> None:
    for _ in range(times - 1):
        put_back(bare)
        with bare.opened() as seams:
            assert claim_and_run(seams, "second").counter.success == 3
    before = bare.bytes_on_disk()
    for path in (bare.base / "buckets" / "source").iterdir():
        path.unlink()
    put_back(bare)
    with bare.opened() as seams:
        claim_and_run(seams, "third")
    assert bare.bytes_on_disk() == before


def claim(seams: Seams) -> int:
    """The number of the attempt that begins."""
    operation = seams.index.operations.claim_operation("again")
    assert operation is not None
    return operation.attempt


def test_attempts_rise_though_every_number_after_the_start_is_lost_with_the_power(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marks are written in the background: what the disk has is what ``join`` has waited for."""
    monkeypatch.setattr(MarkWriter, "note", lambda self, commits: None)
    attempts = []
    for _ in range(3):
        put_back(bare)
        with bare.opened() as seams:
            attempts.append(claim(seams))
            upload(seams, made(5, 1))
    assert attempts == sorted(set(attempts)), attempts


def test_attempts_rise_whichever_of_several_backups_is_put_back(bare: Bare, tmp_path: Path) -> None:
    """One was made before the other was put back, one since: the older one goes on behind the newer."""
    attempts = []
    for copy in ("copy", "second", "copy", "second", "copy"):
        put_index_back(bare.data, tmp_path / copy)
        with bare.opened() as seams:
            if not attempts:
                copy_index(bare.data, tmp_path / "second")
            attempts.append(claim(seams))
    assert attempts == sorted(set(attempts)), attempts


@pytest.mark.slow
@pytest.mark.parametrize("noted", [True, False])
def test_attempts_rise_in_an_index_of_an_older_version_too(
    bare: Bare, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unmarked(bare.base / "copy")
    note: Callable[[MarkWriter, int], None] = MarkWriter.note
    monkeypatch.setattr(MarkWriter, "note", note if noted else lambda self, commits: None)
    attempts = []
    for _ in range(3):
        put_back(bare)
        with bare.opened() as seams:
            attempts.append(claim(seams))
    assert attempts == sorted(set(attempts)), attempts


def test_the_marks_are_durable_before_the_index_goes_on(bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the start is killed in between, the next one is over an older index again."""
    put_back(bare)
    with bare.opened() as seams:
        pass
    put_back(bare)
    before = read_mark(str(bare.data / "blobs"), "main")
    assert before is not None

    class Killed(BaseException):
        pass

    def follow(*_: object) -> None:
        found = read_mark(str(bare.data / "blobs"), "main")
        assert found is not None and found.commits > before.commits
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("gantry.index.generations.Generations.follow", follow)
        with pytest.raises(Killed), bare.opened():
            pass
    with bare.opened() as seams:
        assert seams.index.generations.get().commits > before.commits


def test_a_read_only_disk_of_a_storage_class_does_not_refuse_an_older_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Bare(tmp_path, near=True)
    with bare.opened() as seams:
        copy_index(bare.data, tmp_path / "copy")
        upload(seams, made(1, 1))
    put_back(bare)
    before = bare.bytes_on_disk()

    def write(root: str, place: str, mark: Mark) -> None:
        if place == "NEARLINE":
            raise FailedPrecondition("the file system is read-only")
        write_mark(root, place, mark)

    monkeypatch.setattr("gantry.generations.write_mark", write)
    with bare.opened() as seams:
        assert seams.index.uploads.list_uploads() == []
    assert bare.bytes_on_disk() == before


STEPS = ("write_mark:1", "write_mark:2", "follow", "add_places")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("rebuilding", [False, True])
def test_a_start_that_is_killed_between_two_places_can_be_made_again(
    tmp_path: Path, step: str, rebuilding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over an index of an older version, beside places with marks of their own."""
    bare = Bare(tmp_path, near=True)
    with bare.opened() as seams:
        upload(seams, made(1, 1))
        writer = seams.blobs.writer("NEARLINE/1/stow/99/")
        writer.put([made(2, 1)], ("1.2.2", "1.2.2.1", "1.2.2.1.1"))
        writer.flush()
        writer.close()
    before = bare.bytes_on_disk()
    make_unmarked(bare.data / "index.sqlite")
    name, _, number = step.partition(":")
    owner = generations if number else Generations
    real, calls = getattr(owner, name), []

    class Killed(BaseException):
        pass

    def act(*given: object) -> None:
        calls.append(given)
        real(*given)
        if len(calls) == int(number or 1):
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, act)
        with pytest.raises(Killed), bare.opened():
            pass
    if rebuilding:
        assert [each.known for each in bare.rebuild().stores] == [1]
    with bare.opened() as seams:
        assert len(list(seams.index.instances.walk_store(1))) == 1 + rebuilding
    assert bare.bytes_on_disk() == before
