"""Directories as buckets: the suite, and what only a file system can do to us."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import re
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import (
    Aborted,
    BucketAway,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StatusError,
    Unavailable,
)
from gantry.seams import OpenedObject
from gantry.storage import beneath, durable, local, local_listing, local_objects
from gantry.storage.disks import Disk
from gantry.storage.local import LocalBlobStore
from gantry.system_errors import describe_os_error
from gantry.worker_calls import Check
from tests.seams.blob_store_suite import KEYS, BlobStoreSuite, failing, fill, keys, read
from tests.support.descriptors import list_open, list_opened_since

BAD_SEGMENTS = ["", ".", "..", "../outside", "a/../../outside", "a/..", "./a", "a/./b", "/a", "/etc/passwd"]
BAD_SEGMENTS += ["a//b", "a/", "a\0b", "\0", "n" * 256, "a/" + "é" * 128, "\ud800"]
NOBODY = 65534


def run_without_privilege(check: Callable[[], None]) -> None:
    """``check`` in a process that may not read everything, as root may. What it raises is an AssertionError here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - in the child
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            check()
            os.write(writing, b"done")
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(pid, 0)
    assert said == "done", said


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "bucket"
    path.mkdir()
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file beside the bucket that nobody may reach from inside."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(b"secret")
    return path


@pytest.fixture
def store(root: Path) -> LocalBlobStore:
    return LocalBlobStore(str(root))


def tree(root: Path) -> list[str]:
    """Every file and directory, temporary ones too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


class TestLocalBlobStore(BlobStoreSuite):
    pass


class TestLocalBlobStoreWhereTheKernelHasNoOpenat2(BlobStoreSuite):
    @pytest.fixture(autouse=True)
    def old_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(beneath, "_libc", None)


# Listing --------------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    store = LocalBlobStore(str(tmp_path / "none"))
    assert not store.exists()
    assert keys(store) == []
    (tmp_path / "file").write_bytes(b"")
    assert not LocalBlobStore(str(tmp_path / "file")).exists()


@pytest.mark.parametrize("window", [1, 3])
def test_a_large_directory_is_read_in_several_passes(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    names = [f"{number * 7 % 40:02d}{tail}" for number in range(40) for tail in ("", ".dcm", "-/x", "0/y/z")]
    fill(store, names)
    plain = list(store.list())
    assert [found.key for found in plain] == sorted(names)
    monkeypatch.setattr(local_listing, "WINDOW", window)
    assert list(store.list()) == plain
    for start in range(0, len(plain), 9):
        assert list(store.list("", plain[start].key)) == plain[start + 1 :]
    assert keys(store, "3", "", 1) == [key for key in sorted(names) if key.startswith("3") and key.count("/") <= 1]
    assert store.delete_prefix("") == len(plain)
    assert keys(store) == []


def test_no_more_names_than_two_windows_are_held(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (root / f"{number:02d}").touch()
    held: list[int] = []

    def spy(names: list[bytes], **how: Any) -> list[bytes]:
        held.append(len(names))
        return sorted(names, **how)

    monkeypatch.setattr(local_listing, "WINDOW", 3)
    monkeypatch.setattr(local_listing, "sorted", spy, raising=False)
    assert len(keys(store)) == 50
    assert max(held) == 6


@pytest.mark.parametrize("slice_of", [1, 3, 7, 8])
def test_the_status_of_names_is_read_slice_by_slice(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, slice_of: int
) -> None:
    names = [f"{number:02d}" for number in range(7)]
    fill(store, [*names, "03x/below", "zz/below"])
    monkeypatch.setattr(local_listing, "SLICE", slice_of)
    assert keys(store) == [*names[:4], "03x/below", *names[4:], "zz/below"]


def test_an_object_whose_status_cannot_be_read_is_an_entry_with_a_problem(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, ["a", "b", "c"])
    stat = os.stat

    def fails(path: object, **more: Any) -> os.stat_result:
        if path == b"b":
            raise OSError(errno.EIO, "broken")
        return stat(path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(local_listing.os, "stat", fails)
    found = list(store.list())
    assert [(each.key, each.size, bool(each.problem)) for each in found] == [
        ("a", len(read(store, "a")), False),
        ("b", 0, True),
        ("c", len(read(store, "c")), False),
    ]
    assert found[1].problem.startswith("cannot be read")


def test_an_object_that_is_deleted_while_its_directory_is_read_is_left_out_and_no_other(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, ["a", "b", "c", "d/e"])
    read_names = local_listing._read_names

    def read_and_delete(*given: Any) -> tuple[list[bytes], bool]:
        found = read_names(*given)
        store.delete("b")
        return found

    monkeypatch.setattr(local_listing, "_read_names", read_and_delete)
    assert keys(store) == ["a", "c", "d/e"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.ENOENT, "the directory was removed while it was listed"),
        (errno.ENOTDIR, "the directory was removed while it was listed"),
        (errno.EIO, "the directory cannot be listed (the disk reports"),
        (errno.EACCES, "the server may not list this directory"),
    ],
    ids=["removed", "replaced", "broken", "locked"],
)
def test_why_a_directory_of_a_bucket_could_not_be_listed(
    bucket: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, error: int, words: str
) -> None:
    fill(bucket, ["a", "d/b", "e"])
    open_directory = local_listing.open_directory

    def fail(root: bytes, base: bytes) -> int:
        if base == b"d":
            raise OSError(error, os.strerror(error))
        return open_directory(root, base)

    monkeypatch.setattr(local_listing, "open_directory", fail)
    found = {each.key: each for each in bucket.list()}
    assert found.keys() == {"a", "d/", "e"} and words in found["d/"].problem
    assert found["d/"].size == 0


def test_empty_directories_are_no_objects(store: LocalBlobStore, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    store.put("c", [b""])
    assert keys(store) == ["c"]
    assert keys(store, "a/") == []


def test_the_deepest_tree_that_a_key_can_name(store: LocalBlobStore) -> None:
    key = "d/" * 511 + "xy"
    store.put(key, [b"deep"])
    assert keys(store) == [key]
    assert keys(store, "d/d/") == [key]
    assert read(store, key) == b"deep"
    assert store.delete_prefix("d") == 1


def test_links_become_entries_with_a_problem(store: LocalBlobStore, root: Path, outside: Path) -> None:
    (root / "dir").mkdir()
    (root / "dir" / "file").write_bytes(b"1")
    (root / "to-file").symlink_to("dir/file")
    (root / "to-dir").symlink_to("dir")
    (root / "to-itself").symlink_to("to-itself")
    (root / "to-outside").symlink_to(outside)
    (root / "to-nothing").symlink_to("none")
    (root / "dir" / "up").symlink_to("..")
    listed = {found.key: found for found in store.list()}
    assert sorted(key for key, found in listed.items() if not found.problem) == ["dir/file"]
    troubled = {key for key, found in listed.items() if "link" in found.problem}
    assert troubled == {"dir/up", "to-file", "to-dir", "to-itself", "to-outside", "to-nothing"}
    assert {listed[key].size for key in troubled} == {0}


@pytest.mark.parametrize("key", ["to-file", "to-itself", "to-nothing", "to-dir", "to-dir/secret", "deep/to-dir/secret"])
def test_links_are_never_followed_by_open(store: LocalBlobStore, root: Path, outside: Path, key: str) -> None:
    make_links(root, outside)
    with pytest.raises((NotFound, PermissionDenied)):
        store.open(key)
    try:
        assert "link" in store.head(key).problem
    except (NotFound, PermissionDenied):
        pass


@pytest.mark.parametrize("prefix", ["to-dir/", "deep/to-dir/", "to-dir/sec"])
def test_links_are_never_followed_by_a_listing(store: LocalBlobStore, root: Path, outside: Path, prefix: str) -> None:
    make_links(root, outside)
    assert [found.key for found in store.list(prefix) if not found.problem] == []


@pytest.mark.parametrize("key", ["to-dir/secret", "to-dir/new", "to-dir/new/new", "deep/to-dir/secret"])
def test_nothing_is_written_through_a_link(store: LocalBlobStore, root: Path, outside: Path, key: str) -> None:
    make_links(root, outside)
    with pytest.raises(StatusError):
        store.put(key, [b"overwritten"])
    assert tree(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("key", ["to-dir/secret", "deep/to-dir/secret", "to-file"])
def test_nothing_is_deleted_through_a_link(store: LocalBlobStore, root: Path, outside: Path, key: str) -> None:
    make_links(root, outside)
    with suppress(StatusError):
        store.delete(key)
    assert tree(outside) == ["secret"]


def test_a_link_in_the_place_of_an_object_is_replaced_not_followed(
    store: LocalBlobStore, root: Path, outside: Path
) -> None:
    make_links(root, outside)
    store.put("to-file", [b"new"])
    store.flush()
    assert not (root / "to-file").is_symlink()
    assert read(store, "to-file") == b"new"
    assert (outside / "secret").read_bytes() == b"secret"


def make_links(root: Path, outside: Path) -> None:
    (root / "to-file").symlink_to(outside / "secret")
    (root / "to-dir").symlink_to(outside)
    (root / "to-itself").symlink_to("to-itself")
    (root / "to-nothing").symlink_to("none")
    (root / "deep").mkdir()
    (root / "deep" / "to-dir").symlink_to(outside)


def test_the_bucket_itself_may_be_a_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    store = LocalBlobStore(str(tmp_path / "link"))
    store.put("a/b", [b"1"])
    assert (keys(store), keys(store, "a/"), read(store, "a/b")) == (["a/b"], ["a/b"], b"1")


@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_problems_and_block_nobody(store: LocalBlobStore, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        listener.bind("socket")
        os.chdir(here)
    assert [(found.key, found.size, found.problem) for found in store.list()] == [
        ("pipe", 0, "is not a regular file"),
        ("socket", 0, "is not a regular file"),
    ]
    for key in ("pipe", "socket"):
        with pytest.raises(NotFound):
            store.open(key)


def test_a_name_that_is_not_utf_8_is_a_problem_in_its_place(store: LocalBlobStore, root: Path) -> None:
    for name in (b"a", b"b\xff", b"c"):
        (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_bytes(b"1")
    listed = list(store.list())
    assert [os.fsencode(found.key) for found in listed] == [b"a", b"b\xff", b"c"]
    assert [bool(found.problem) for found in listed] == [False, True, False]
    assert [found.key for found in store.list("", listed[1].key)] == ["c"]


def test_names_below_a_directory_that_is_not_utf_8_are_problems(store: LocalBlobStore, root: Path) -> None:
    directory = Path(os.fsdecode(os.fsencode(root) + b"/\xe9"))
    directory.mkdir()
    (directory / "x").write_bytes(b"1")
    found = next(store.list())
    assert os.fsencode(found.key) == b"\xe9/x"
    assert found.problem


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A bucket that every user may read; the directories around those of pytest are for one user alone."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_an_unreadable_directory_is_an_entry_with_a_problem(open_root: Path) -> None:
    fill(LocalBlobStore(str(open_root)), ["a", "b/c", "d"])
    (open_root / "b").chmod(0)
    (open_root / "d").chmod(0)

    def check() -> None:
        store = LocalBlobStore(str(open_root))
        listed = list(store.list())
        assert [found.key for found in listed] == ["a", "b/", "d"]
        assert "permission" in listed[1].problem
        assert not listed[0].problem and not listed[2].problem
        with pytest.raises(PermissionDenied):
            list(store.list("b/"))
        for key in ("b/c", "d"):
            with pytest.raises(PermissionDenied):
                store.open(key)

    try:
        run_without_privilege(check)
    finally:
        (open_root / "b").chmod(0o755)


def test_temporary_names_are_never_listed(store: LocalBlobStore, root: Path) -> None:
    (root / "a").mkdir()
    (root / ".~gantry-x.1").write_bytes(b"1")
    (root / "a" / ".~gantry-y.1").write_bytes(b"1")
    (root / "a" / ".~other").write_bytes(b"1")
    assert keys(store) == ["a/.~other"]


# Keys that no path can be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", BAD_SEGMENTS)
def test_keys_that_no_path_can_be_are_not_found(store: LocalBlobStore, outside: Path, key: str) -> None:
    store.put("a/b", [b"1"])
    with pytest.raises(NotFound):
        store.open(key)
    with pytest.raises(NotFound):
        store.head(key)


@pytest.mark.parametrize("key", BAD_SEGMENTS)
def test_keys_that_no_path_can_be_are_not_written(
    store: LocalBlobStore, root: Path, tmp_path: Path, outside: Path, key: str
) -> None:
    store.put("a/b", [b"1"])
    before = tree(tmp_path)
    with pytest.raises(InvalidArgument):
        store.put(key, [b"2"])
    with store.open("a/b") as opened, pytest.raises(InvalidArgument):
        store.copy_from(opened, key)
    with suppress(NotFound):
        store.delete(key)
    assert tree(tmp_path) == before
    assert root.is_dir()


def test_a_path_that_is_too_long_is_not_found_and_not_written(store: LocalBlobStore, root: Path) -> None:
    key = "/".join(["n" * 250] * 20)
    with pytest.raises(NotFound):
        store.open(key)
    with pytest.raises(StatusError):
        store.put(key, [b"1"])
    assert keys(store) == []


def test_names_of_255_bytes_can_be_written(store: LocalBlobStore) -> None:
    names = ["n" * 255, "a/" + "é" * 127]
    fill(store, names)
    assert keys(store) == sorted(names)


# Writing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable("gone"), OSError(errno.EIO, "gone"), RuntimeError("a bug")])
def test_a_write_that_fails_leaves_no_temporary_file(store: LocalBlobStore, root: Path, error: Exception) -> None:
    store.put("a/b", [b"old"])
    with pytest.raises((type(error), Unavailable)):
        store.put("a/b", failing(error))
    assert tree(root) == ["a", "a/b"]


def test_a_temporary_file_that_cannot_be_deleted_now_is_deleted_by_the_flush(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_root: object, _path: bytes) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    def chunks() -> Iterator[bytes]:
        yield b"new"
        monkeypatch.setattr(local, "open_directory", refuse)
        raise OSError(errno.EMFILE, "too many open files")

    store.put("a/b", [b"old"])
    with pytest.raises(Unavailable):
        store.put("a/b", chunks())
    monkeypatch.undo()
    assert len(tree(root)) == 3
    store.flush()
    assert tree(root) == ["a", "a/b"]
    assert read(store, "a/b") == b"old"


@pytest.mark.parametrize("error", [Unavailable("gone"), RuntimeError("a bug")])
def test_write_once_leaves_nothing_of_a_write_that_fails(root: Path, error: Exception) -> None:
    store = LocalBlobStore(str(root), write_once=True)
    with pytest.raises((type(error), Unavailable)):
        store.put("a/b", failing(error))
    assert keys(store) == []


def test_write_once_writes_under_the_name_itself(root: Path) -> None:
    store = LocalBlobStore(str(root), write_once=True)
    seen = []

    def chunks() -> Iterator[bytes]:
        yield b"1"
        seen.extend(tree(root))

    store.put("a/b", chunks())
    assert seen == ["a", "a/b"]
    assert read(store, "a/b") == b"1"


def test_two_writers_of_one_key_do_not_meet(root: Path) -> None:
    one, other = LocalBlobStore(str(root), "1"), LocalBlobStore(str(root), "2")

    def chunks() -> Iterator[bytes]:
        yield b"one"
        other.put("a", [b"other, and longer"])

    one.put("a", chunks())
    one.flush()
    assert read(one, "a") == b"one"
    assert tree(root) == ["a"]


def test_long_names_with_the_same_beginning_do_not_meet(store: LocalBlobStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        store.put("n" * 250 + "2", [b"second"])

    store.put("n" * 250 + "1", chunks())
    assert read(store, "n" * 250 + "1") == b"first"
    assert read(store, "n" * 250 + "2") == b"second"


def test_an_object_and_a_directory_cannot_have_one_name(store: LocalBlobStore, root: Path) -> None:
    store.put("a/b", [b"1"])
    for key in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(FailedPrecondition, match="stands in the way"):
            store.put(key, [b"2"])
    assert tree(root) == ["a", "a/b"]


def test_a_full_disk_is_resource_exhausted(store: LocalBlobStore, root: Path) -> None:
    with pytest.raises(ResourceExhausted, match="disk is full"):
        store.put("a", failing(OSError(errno.ENOSPC, "no space")))
    assert tree(root) == []


def test_a_store_whose_directory_is_gone_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        LocalBlobStore(str(tmp_path / "none")).put("a", [b"a"])


def test_a_write_error_that_only_the_sync_tells_is_not_lost(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store.put("a", [b"a"])
    monkeypatch.setattr(local, "sync_file_system", fails)
    with pytest.raises(Unavailable, match="refused to keep"):
        store.flush()
    store.flush()  # nothing was written since


def test_the_kernel_that_refuses_to_keep_what_was_written(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """syncfs(2) answers −1 and sets errno."""

    def syncfs(_fd: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(durable, "_syncfs", syncfs)
    store.put("a", [b"a"])
    with pytest.raises(Unavailable, match="refused to keep"):
        store.flush()


def test_an_older_object_stays_until_the_bytes_of_the_new_one_are_durable(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename may reach the disk before the bytes: after a power cut there would be neither of them."""
    store.put("a/b", [b"old"])
    store.flush()
    seen = []
    monkeypatch.setattr(local, "sync_file_system", lambda _: seen.append((root / "a/b").read_bytes()))
    store.put("a/b", [b"first"])
    store.put("a/b", [b"new"])
    assert read(store, "a/b") == b"old"
    store.flush()
    assert seen == [b"old", b"new"], "not synced before and after"
    assert (read(store, "a/b"), tree(root)) == (b"new", ["a", "a/b"])


def test_an_object_whose_bytes_the_disk_refuses_replaces_nothing(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store.put("a", [b"old"])
    store.flush()
    store.put("a", [b"new"])
    with monkeypatch.context() as patch:
        patch.setattr(local, "sync_file_system", fails)
        with pytest.raises(Unavailable):
            store.flush()
    store.flush()
    assert (read(store, "a"), tree(root)) == (b"old", ["a"])


def test_a_later_write_that_fails_leaves_the_older_object(store: LocalBlobStore, root: Path) -> None:
    store.put("a", [b"old"])
    store.flush()
    store.put("a", [b"new"])
    with pytest.raises(ValueError, match="broken"):
        store.put("a", failing(ValueError("broken")))
    store.flush()
    assert (read(store, "a"), tree(root)) == (b"old", ["a"])


def test_what_waits_to_replace_an_object_is_deleted_with_it(store: LocalBlobStore, root: Path) -> None:
    store.put("a", [b"old"])
    store.flush()
    store.put("a", [b"new"])
    store.delete("a")
    store.flush()
    assert tree(root) == []


def test_nothing_is_left_of_what_was_never_flushed(root: Path) -> None:
    store = LocalBlobStore(str(root), "1")
    store.put("a", [b"old"])
    store.flush()
    store.put("a", [b"new"])
    assert len(tree(root)) == 2
    del store
    assert tree(root) == ["a"]
    assert (root / "a").read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.ESTALE])
def test_other_errors_of_the_disk_are_unavailable(store: LocalBlobStore, number: int) -> None:
    """For reading and for writing, without the text of the system."""
    error = OSError(number, os.strerror(number))
    with pytest.raises(Unavailable, match=re.escape(describe_os_error(error))):
        store.put("a", failing(OSError(number, os.strerror(number))))
    assert isinstance(local_objects.translate_read_error(OSError(number, os.strerror(number))), Unavailable)


@pytest.mark.slow
@pytest.mark.parametrize("has_openat2", [True, False])
def test_no_call_keeps_a_descriptor(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, has_openat2: bool
) -> None:
    if not has_openat2:
        monkeypatch.setattr(beneath, "_libc", None)
    fill(store, ["a", "b/c", "b/d/e"])
    store.flush()
    before = list_open()
    for _ in range(20):
        for key in ("a", "b/c", "b", "b/d/none", "none/x"):
            with suppress(StatusError):
                store.head(key)
            with suppress(StatusError), store.open(key):
                pass
        list(store.list())
        next(iter(store.list()))
        store.put("n/e/w", [b"x"])
        store.delete("n/e/w")
        store.delete("none/x")
        with suppress(StatusError):
            store.put("b/x", failing(OSError(errno.EIO, "broken")))
    store.flush()
    assert not list_opened_since(before)


def test_writing_goes_on_while_empty_directories_are_removed(store: LocalBlobStore, root: Path) -> None:
    """Whoever removes meets no error either, and no blob is lost or found twice."""
    stopping = threading.Event()

    def clear() -> list[str]:
        other, removed = LocalBlobStore(str(root)), []
        while not stopping.is_set() or not removed:
            for found in other.list("deep/er/x"):
                other.delete(found.key)
                removed.append(found.key)
        return removed

    with ThreadPoolExecutor(1) as pool:
        clearing = pool.submit(clear)
        try:
            for number in range(300):
                store.put(f"deep/er/x{number}/a", [b"x"])
        finally:
            stopping.set()
        removed = clearing.result(60)
    assert sorted(removed + keys(store)) == sorted(f"deep/er/x{number}/a" for number in range(300))


# Copying --------------------------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 1000 + b"end"


def copy(store: LocalBlobStore, data: bytes = DATA) -> bytes:
    store.put("source", [data])
    store.flush()
    with store.open("source") as opened:
        assert store.copy_from(opened, "target") == len(data)
    store.flush()
    return read(store, "target")


@pytest.mark.parametrize("chunk", [1, 1000, 1001, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_copies_of_several_chunks(store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(local_objects, "_COPY_CHUNK", chunk)
    data = DATA if chunk > 1 else DATA[:50]
    assert copy(store, data) == data


def test_a_system_without_copy_file_range(store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "copy_file_range")
    monkeypatch.setattr(local_objects, "_READ_CHUNK", 1000)
    assert copy(store) == DATA
    assert copy(store, b"") == b""


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("calls", [0, 2])
def test_a_file_system_that_refuses_to_copy(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, number: int, calls: int
) -> None:
    real, left = os.copy_file_range, [None] * calls

    def refuse(*arguments: int) -> int:
        if not left:
            raise OSError(number, os.strerror(number))
        left.pop()
        return real(*arguments)

    monkeypatch.setattr(local_objects, "_COPY_CHUNK", 1000)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    assert copy(store) == DATA


@pytest.mark.parametrize(("number", "kind"), [(errno.EIO, Unavailable), (errno.ENOSPC, ResourceExhausted)])
def test_a_copy_that_the_disk_breaks_leaves_the_old_object(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StatusError]
) -> None:
    def broken(*_: int) -> int:
        raise OSError(number, os.strerror(number))

    store.put("source", [b"s"])
    store.put("target", [b"x"])
    monkeypatch.setattr(os, "copy_file_range", broken)
    monkeypatch.setattr(os, "write", broken)  # tried next: the kernel does not say which disk it was
    with store.open("source") as opened, pytest.raises(kind) as caught:
        store.copy_from(opened, "target")
    assert os.strerror(number) not in caught.value.message
    assert tree(root) == ["source", "target"]
    assert read(store, "target") == b"x"


@pytest.mark.parametrize("number", [errno.EIO, errno.EPERM, errno.ENOENT, errno.ETXTBSY, errno.EBADF, 0])
def test_what_the_kernel_does_not_copy_is_copied_here(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its error may be of either side, and some systems forbid the call, or answer that nothing was copied."""

    def refuse(*_: int) -> int:
        if number:
            raise OSError(number, os.strerror(number))
        return 0

    store.put("source", [b"s" * 3_000_000])
    monkeypatch.setattr(os, "copy_file_range", refuse)
    with store.open("source") as opened:
        store.copy_from(opened, "target")
    assert read(store, "target") == b"s" * 3_000_000


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written over"])
def test_a_source_that_changes_during_the_copy_is_aborted_and_the_old_object_stays(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    real = os.copy_file_range

    def meanwhile(*arguments: int) -> int:
        size = {"grows": 200, "shrinks": 50, "is written over": 100}[change]
        os.truncate(root / "source", size)
        os.utime(root / "source", ns=(1, 1))
        return real(*arguments)

    store.put("source", [b"s" * 100])
    store.put("target", [b"old"])
    monkeypatch.setattr(os, "copy_file_range", meanwhile)
    with store.open("source") as opened, pytest.raises(Aborted):
        store.copy_from(opened, "target")
    assert read(store, "target") == b"old"


def test_a_source_that_is_replaced_during_the_copy_is_copied_as_it_was(store: LocalBlobStore) -> None:
    store.put("source", [b"old"])
    with store.open("source") as opened:
        store.put("source", [b"newer"])
        store.copy_from(opened, "target")
    assert read(store, "target") == b"old"


def test_an_object_of_another_store_is_streamed(store: LocalBlobStore) -> None:
    class Elsewhere(OpenedObject):
        key, size = "k", 6

        def read_at(self, offset: int, length: int) -> bytes:
            return b"abcdef"[offset : offset + length]

        def chunks(self) -> Iterator[bytes]:
            yield from (b"abc", b"def")

        def __enter__(self) -> Elsewhere:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with Elsewhere() as opened:
        assert store.copy_from(opened, "a") == 6
    assert read(store, "a") == b"abcdef"


# Deleting -------------------------------------------------------------------------------------------------------------


def test_parents_that_are_empty_go_with_the_last_object_but_never_the_bucket(store: LocalBlobStore, root: Path) -> None:
    fill(store, ["a/b/c/d", "a/x"])
    store.delete("a/b/c/d")
    assert tree(root) == ["a", "a/x"]
    store.delete("a/x")
    assert tree(root) == []
    assert store.exists()


def test_a_prefix_takes_its_directories_along_but_never_the_bucket(store: LocalBlobStore, root: Path) -> None:
    fill(store, ["a/b/c", "a/d", "e/f"])
    assert store.delete_prefix("a/") == 2
    assert tree(root) == ["e", "e/f"]
    assert store.delete_prefix("") == 1
    assert tree(root) == []
    assert store.exists()


def test_deleting_a_prefix_removes_links_and_not_what_they_point_to(
    store: LocalBlobStore, root: Path, outside: Path
) -> None:
    make_links(root, outside)
    store.delete_prefix("")
    assert tree(root) == []
    assert tree(outside) == ["secret"]


def test_a_directory_cannot_be_deleted_as_an_object(store: LocalBlobStore, root: Path) -> None:
    store.put("a/b", [b"1"])
    with pytest.raises(StatusError):
        store.delete("a")
    assert tree(root) == ["a", "a/b"]


def test_a_pickled_store_keeps_its_way_of_writing(root: Path) -> None:
    store = pickle.loads(pickle.dumps(LocalBlobStore(str(root), "7", write_once=True)))  # noqa: S301
    seen: list[str] = []

    def chunks() -> Iterator[bytes]:
        yield b"1"
        seen.extend(tree(root))

    store.put("a", chunks())
    assert seen == ["a"]


def test_a_directory_that_cannot_be_read_is_told_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that goes on after the entry of that directory does not give it again."""
    entries = local_listing._list_entries

    def locked(place: bytes, base: bytes, part: local_listing.Part, check: Check, **known: bool) -> Iterator[Any]:
        if base == b"locked/":
            raise PermissionDenied("the directory cannot be read")
        yield from entries(place, base, part, check, **known)

    monkeypatch.setattr(local_listing, "_list_entries", locked)
    store = LocalBlobStore(str(root))
    for key in ("a", "locked/b", "z"):
        store.put(key, [b"x"])
    assert [found.key for found in store.list()] == ["a", "locked/", "z"]
    assert [found.key for found in store.list(start_after="locked/")] == ["z"]


class Enough(Exception):
    pass


def checks(most: int = 1_000_000) -> tuple[list[int], Check]:
    """A check that ends the work at its call number ``most``; and its calls."""
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) >= most:
            raise Enough

    return calls, check


@pytest.mark.parametrize("prefix", ["", "flat/none", "flat/0", "deep/", "none/"])
def test_a_listing_is_interruptible_where_it_finds_nothing_too(store: LocalBlobStore, root: Path, prefix: str) -> None:
    """Names that do not match, directories that hold no object, entries that are not wanted any more."""
    (root / "flat").mkdir()
    for number in range(local_listing.SLICE * 4):
        (root / "flat" / f"{number:05d}").touch()
    for number in range(100):
        (root / "deep" / f"{number:03d}" / "empty").mkdir(parents=True)
    calls, check = checks()
    found = list(store.list(prefix, "flat/99999" if prefix == "" else "", check=check))
    wanted = {"": 6, "flat/none": 4, "flat/0": 8, "deep/": 201, "none/": 0}[prefix]
    assert len(calls) >= wanted, f"{len(found)} found"
    if wanted:
        with pytest.raises(Enough):
            list(store.list(prefix, check=checks(most=3)[1]))


def test_a_deletion_by_prefix_is_interruptible_between_two_objects(store: LocalBlobStore) -> None:
    fill(store, [f"a/{number}" for number in range(10)])
    with pytest.raises(Enough):
        store.delete_prefix("a/", check=checks(most=6)[1])
    assert 0 < len(keys(store)) < 10


def test_what_a_killed_writer_left_is_removed_and_nothing_of_others(root: Path) -> None:
    mine, other = LocalBlobStore(str(root), "7"), LocalBlobStore(str(root), "8")
    for store in (mine, other):
        for key in ("a/b/x", "a/y"):
            name = store._name(key).rpartition(b"/")
            (root / os.fsdecode(name[0]) / "").mkdir(parents=True, exist_ok=True)
            (root / os.fsdecode(name[0] + b"/" + store._temporary(name[2]))).write_bytes(b"half")
    mine.put("a/b/z", [b"whole"])
    mine.delete_unfinished("a/b/", 2)
    mine.delete_unfinished("a/none/at/all/", 4)
    mine.delete_unfinished("a/y/", 2)
    assert len(tree(root)) == 2 + 1 + 3  # directories, the object, what is in a/ and the other's
    mine.delete_unfinished("a/", 1)
    assert len(tree(root)) == 2 + 1 + 2
    assert keys(other) == ["a/b/z"]


# Folders --------------------------------------------------------------------------------------------------------------


def test_folders_lie_directly_below_a_prefix(tmp_path: Path) -> None:
    store = LocalBlobStore(str(tmp_path))
    for key in KEYS:
        store.put(key, [b"x"])
    assert store.list_folders() == ["a-/", "a/", "d e/", "éa/"]
    assert store.list_folders("a/") == ["a/c/"]
    assert store.list_folders("a/c/") == store.list_folders("a/c") == ["a/c/e/"]
    assert store.list_folders(limit=2) == ["a-/", "a/"]
    store.put("aX/X/1", [b"x"])
    assert store.list_folders("aX/") == ["aX/X/"]
    assert store.list_folders("a/b/") == store.list_folders("none/") == store.list_folders("a.dcm/") == []


@pytest.mark.parametrize("prefix", ["../", "/", "//", "a/../", "./", "link/", "a\0/", "a//"])
def test_no_folder_outside_is_told(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "outside" / "x").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    store = LocalBlobStore(str(tmp_path / "root"))
    assert "link/" not in store.list_folders()
    try:
        assert not any("x" in each or "outside" in each for each in store.list_folders(prefix))
    except StatusError:
        pass


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written over"])
def test_an_object_that_changes_while_its_chunks_are_read_is_aborted(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(local_objects, "_READ_CHUNK", 10)
    store.put("source", [b"s" * 100])
    with store.open("source") as opened, pytest.raises(Aborted):
        for number, _ in enumerate(opened.chunks()):
            assert number < 10, "what is appended is not read"
            os.truncate(root / "source", {"grows": 200, "shrinks": 50, "is written over": 100}[change])
            os.utime(root / "source", ns=(1, 1))


@pytest.mark.parametrize("copying", ["by the kernel", "by reading"])
def test_a_copy_does_not_run_after_a_file_that_grows(
    store: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, copying: str
) -> None:
    """Whoever appends as fast as we copy would keep us for ever."""
    read, steps = os.pread, []

    def grow() -> None:
        steps.append(1)
        assert len(steps) <= 20
        with (root / "source").open("ab") as file:
            file.write(b"more" * 10)

    def by_reading(*arguments: int) -> bytes:
        grow()
        return read(*arguments)

    copy = os.copy_file_range

    def by_kernel(*arguments: int) -> int:
        grow()
        if copying == "by reading":
            raise OSError(errno.EXDEV, "")
        return copy(*arguments)

    monkeypatch.setattr(local_objects, "_READ_CHUNK", 10)
    monkeypatch.setattr(local_objects, "_COPY_CHUNK", 10)
    monkeypatch.setattr(os, "pread", by_reading)
    monkeypatch.setattr(os, "copy_file_range", by_kernel)
    store.put("source", [b"s" * 100])
    with store.open("source") as opened, pytest.raises(Aborted):
        store.copy_from(opened, "target")
    assert keys(store) == ["source"]


def test_what_was_written_to_a_disk_that_is_not_mounted_any_more_is_not_durable(
    store: LocalBlobStore, root: Path
) -> None:
    store.put("a", [b"bytes"])
    root.rename(root.with_name("elsewhere"))
    root.mkdir()
    with pytest.raises(Unavailable, match="mounted"):
        store.flush()


# Disks that are away --------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(root: Path) -> LocalBlobStore:
    return LocalBlobStore(str(root), disk=Disk("bucket gs://b", os.fsencode(root), is_bucket=True))


def take_away(root: Path) -> None:
    """What an umount leaves: the mount point, which is another directory."""
    root.rename(root.with_name("elsewhere"))
    root.mkdir()


def die(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FUSE or network file system whose server has gone: the directory is there, and every call fails."""
    real = os.stat

    def stat(path: Any, **given: Any) -> os.stat_result:
        if path == os.fsencode(root):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return real(path, **given)

    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(local, "open_directory", refuse)
    monkeypatch.setattr(local_listing, "open_directory", refuse)


@pytest.mark.parametrize("how", ["taken away", "dead"])
@pytest.mark.parametrize("below", ["", "below/"])
def test_a_bucket_that_goes_away_while_it_is_listed_is_away(
    bucket: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, how: str, below: str
) -> None:
    fill(bucket, [f"{below}{number:04}" for number in range(3 * local_listing.SLICE)])
    listed = bucket.list(below)
    first = [next(listed).key for _ in range(10)]
    take_away(root) if how == "taken away" else die(root, monkeypatch)
    with pytest.raises(BucketAway, match="bucket gs://b"):
        first += [entry.key for entry in listed]
    assert len(first) < 3 * local_listing.SLICE


@pytest.mark.parametrize("how", ["taken away", "dead"])
def test_an_object_of_a_bucket_that_is_away_is_not_missing(
    bucket: LocalBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    fill(bucket, ["a/b"])
    take_away(root) if how == "taken away" else die(root, monkeypatch)
    with pytest.raises(BucketAway, match="bucket gs://b"):
        bucket.head("a/b")
    with pytest.raises(BucketAway, match="bucket gs://b"):
        bucket.list_folders("a/")


def test_a_directory_that_another_one_replaces_while_it_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its names are those of the first: what is there now would be missed without a word."""
    monkeypatch.setattr(local_listing, "SLICE", 1)
    store = LocalBlobStore(str(tmp_path))
    for name in ("a", "b", "c"):
        store.put(f"d/{name}", [b"1"])
    found = store.list("d/")
    assert next(found).key == "d/a"
    (tmp_path / "d").rename(tmp_path / "e")
    (tmp_path / "d").mkdir()
    for name in ("b", "x"):
        store.put(f"d/{name}", [b"1"])
    with pytest.raises(Unavailable):
        list(found)
