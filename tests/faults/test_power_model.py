"""The model of disks behind ``test_power_cuts.py``: it records what processes do, and keeps no more than was synced."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.power.disk import BLOCK, by_chance
from tests.faults.power.journal import Kind, Record, read_journal
from tests.faults.power.promises import GONE, THERE, Promises, state_of
from tests.faults.power.watched import START, Watched


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    yield Watched(tmp_path)


EVERYTHING = """
fd = write('a', b'0123456789' * 1000)
os.pwrite(fd, b'x', 3)
os.writev(fd, [b'ab', b'cd'])
os.pwritev(fd, [b'ef', b'gh'], 20)
os.lseek(fd, 5, os.SEEK_SET)
os.write(fd, b'here')
os.ftruncate(fd, 9000)
os.truncate('a', 8999)
os.posix_fallocate(fd, 0, 9500)
assert call('fallocate', fd, 3, ctypes.c_int64(4096), ctypes.c_int64(4096)) == 0
fd = os.open('b', os.O_RDWR | os.O_CREAT)
os.copy_file_range(os.open('a', 0), fd, 5000, 100, 10)
os.sendfile(fd, os.open('a', 0), 0, 3000)
with open('c', 'ab') as file:
    file.write(b'first')
with open('c', 'ab') as file:
    file.write(b'second')
os.mkdir('d')
at = os.open('d', os.O_RDONLY)
os.mkdir('e', dir_fd=at)
os.close(os.open('f', os.O_WRONLY | os.O_CREAT, dir_fd=at))
class How(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ('flags', 'mode', 'resolve')]
how = How(os.O_WRONLY | os.O_CREAT, 0o644, 0)
fd = ctypes.CDLL(None).syscall(437, at, b'g', ctypes.byref(how), ctypes.sizeof(how))
assert fd >= 0
os.write(fd, b'by openat2')
os.link('c', 'd/linked')
os.rename('b', 'd/moved')
os.rename('f', 'renamed', src_dir_fd=at, dst_dir_fd=at)
os.unlink('old')
os.rmdir('e', dir_fd=at)
write('old', b'new', synced=False)
os.close(write('c', b'', synced=False))
if not os.fork():
    os.write(write('other/child', b'1', synced=False), b'2')
    os._exit(0)
os.wait()
"""


def test_what_was_done_is_recorded(watched: Watched) -> None:
    watched.run(EVERYTHING)
    assert watched.disks.read(lambda: True) == watched.real()


def test_nothing_is_kept_that_was_not_synced(watched: Watched) -> None:
    watched.run("write('a', b'1', synced=False); os.mkdir('d'); os.rename('old', 'new')")
    assert watched.kept() == {"other": None, "old": b"old"}


def test_a_writer_that_renames_before_it_syncs_loses_both(watched: Watched) -> None:
    """Whatever is synced afterwards: the name may be on the disk before the bytes."""
    watched.run("write('new', b'new', synced=False); os.rename('new', 'old'); sync('.')")
    assert watched.kept() == {"other": None, "old": b""}


def test_a_writer_that_syncs_and_then_renames_loses_neither(watched: Watched) -> None:
    watched.run("write('new', b'new'); os.rename('new', 'old')")
    found = {(watched.disks.read(by_chance(str(seed)))["old"]) for seed in range(40)}
    assert (watched.kept()["old"], found) == (b"old", {b"old", b"new"})
    watched.run("sync('.')")
    assert watched.kept() == {"other": None, "old": b"new"}


def test_a_file_that_is_synced_has_no_name_before_its_directory_is(watched: Watched) -> None:
    watched.run("os.mkdir('d'); write('d/a', b'1'); sync('d')")
    assert "d" not in watched.kept()
    watched.run("sync('.')")
    assert watched.kept()["d/a"] == b"1"


def test_a_file_that_is_removed_comes_back_until_its_directory_is_synced(watched: Watched) -> None:
    watched.run("os.unlink('old')")
    assert watched.kept()["old"] == b"old"
    watched.run("sync('.')")
    assert "old" not in watched.kept()


def test_bytes_that_are_freed_come_back_until_their_file_is_synced(watched: Watched) -> None:
    watched.run("fd = write('old', b'1' * 8192); call('fallocate', fd, 3, ctypes.c_int64(4096), ctypes.c_int64(4096))")
    assert watched.kept()["old"] == b"1" * 8192
    watched.run("os.fdatasync(os.open('old', os.O_RDWR))")
    assert watched.kept()["old"] == b"1" * 4096 + bytes(4096)


def test_the_sync_of_a_file_system_covers_no_other(watched: Watched) -> None:
    watched.run(
        "write('a', b'1', synced=False); write('other/b', b'2', synced=False); call('syncfs', os.open('other', 0))"
    )
    assert watched.kept() == {"other": None, "other/b": b"2", "old": b"old"}
    watched.run("call('syncfs', os.open('.', 0))")
    assert watched.kept() == watched.real()


def test_a_sync_promises_nothing_that_came_while_it_ran(watched: Watched) -> None:
    status = (watched.home / "old").stat()
    node, nobody = (status.st_dev, status.st_ino), (0, 0)
    for number, begin, kept in ((2, 0, b"old"), (3, 1, b"new")):
        if number == 2:
            watched.disks.apply(Record(1, Kind.WRITE, 0, node, nobody, nobody, 0, 3, 0, "", "", b"new"))
        watched.disks.sync(Record(number, Kind.SYNC, 0, node, nobody, nobody, 0, 0, begin, "", "", b""))
        assert watched.kept()["old"] == kept


def test_a_sync_says_what_came_before_it(watched: Watched) -> None:
    watched.run("fd = write('old', b'first'); os.write(fd, b'second'); os.fsync(fd)")
    *_, first, write, second = read_journal(watched.journal.path)
    assert (first.kind, write.kind, second.kind) == (Kind.SYNC, Kind.WRITE, Kind.SYNC)
    assert first.begin < write.number <= second.begin


def test_of_what_was_not_synced_any_block_may_survive(watched: Watched) -> None:
    watched.run(f"fd = write('old', b''); sync('.'); os.write(fd, b'1' * {3 * BLOCK})")
    found = {watched.disks.read(by_chance(str(seed)))["old"] for seed in range(60)}
    blocks = {tuple(data[at : at + 1] for at in range(0, len(data), BLOCK)) for data in found if data is not None}
    assert {(), (b"1",), (b"1", b"1", b"1"), (b"\0", b"1"), (b"1", b"\0", b"1")} <= blocks


def test_a_process_that_is_killed_leaves_no_change_without_its_record(watched: Watched) -> None:
    script = START + "fd = write('a', b'')\nwhile True: os.write(fd, b'1')"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", script], cwd=watched.home, env=os.environ | watched.journal.env
    )
    while not (watched.home / "a").exists() or not (watched.home / "a").stat().st_size:
        pass
    with watched.journal.held():
        process.kill()
        process.wait()
    watched.run("")
    assert watched.disks.read(lambda: True) == watched.real()


def test_notes_of_clients_stand_between_the_changes(watched: Watched) -> None:
    watched.journal.note({"store": "s", "states": [THERE, GONE]})
    subprocess.run(
        [sys.executable, "-c", START + "write('a', b'1')"],
        cwd=watched.home,
        env=os.environ | watched.journal.env,
        check=True,
    )
    watched.journal.note({"store": "s", "instances": {"1/2/3": [None, state_of(b"1")]}})
    kinds = [record.kind for record in read_journal(watched.journal.path)]
    assert kinds == [Kind.NOTE, Kind.CREATE, Kind.WRITE, Kind.SYNC, Kind.NOTE]


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"a": b"1", "b": b"a patch-7"}, 0),
        ({"b": b"patch-7"}, 0),
        ({"a": b"2", "b": b"patch-7"}, 1),
        ({"a": b"1"}, 1),
        ({"a": b"1", "b": b"patch", "c": b"deleted"}, 2),
        ({"a": b"1", "b": b"patch-7", "d": b"unknown"}, 1),
        (None, 1),
    ],
)
def test_what_is_there_is_compared_with_what_was_promised(found: dict[str, bytes] | None, wrong: int) -> None:
    promises = Promises()
    promises.take({"store": "s", "states": [THERE]})
    states = {"a": [None, state_of(b"1")], "b": ["~patch-7"], "c": [None]}
    promises.take({"store": "s", "instances": states})
    assert len(promises.stores["s"].find_wrong(found)) == wrong
