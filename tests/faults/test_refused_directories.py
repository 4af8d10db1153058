"""Directories that cannot serve: refused in one sentence, with an exit code, before anything is written into them."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.errors import InvalidArgument
from gantry.settings.directories import check_directories
from tests.faults.test_refused_starts import start
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer, counts

pytestmark = pytest.mark.slow

NOBODY = 65_534


def refused(code: int, output: str) -> str:
    """The one line of a start that was refused."""
    assert code in (1, 2), output
    assert "Traceback" not in output, output
    (line,) = [line for line in output.splitlines() if line.startswith("gantry: ")]
    assert len(line) < 1600
    return line


@pytest.mark.parametrize(
    ("data", "buckets", "said"),
    [
        ("d", "d", "is the data directory"),
        ("b/bucket/d", "b", "lies in the directory of the buckets"),
        ("b/d", "b", "lies in the directory of the buckets"),
        ("d", "d/blobs", "among the server's own files"),
        ("d", "d/blobs/main/b", "among the server's own files"),
        ("d", "d/service-accounts", "among the server's own files"),
        ("link", "d", "is the data directory"),
        ("d", "link/blobs", "among the server's own files"),
        ("link/x", "d", "lies in the directory of the buckets"),
    ],
)
def test_files_of_the_server_are_no_objects_of_buckets(tmp_path: Path, data: str, buckets: str, said: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "d")
    line = refused(*start(tmp_path / data, "--buckets", str(tmp_path / buckets), "--port", "0"))
    assert said in line
    assert not (tmp_path / data / "index.sqlite").exists()


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ({"ARCHIVE": "d/blobs/main"}, "the stored instances of the data directory"),
        ({"ARCHIVE": "d/blobs/main/1"}, "the stored instances of the data directory"),
        ({"ARCHIVE": "link/blobs/main"}, "the stored instances of the data directory"),
        ({"ARCHIVE": "d/service-accounts"}, "the server's own files"),
        ({"ARCHIVE": "c", "COLDLINE": "c/ARCHIVE"}, "the stored instances of ARCHIVE"),
        ({"ARCHIVE": "c", "COLDLINE": "c/ARCHIVE/1"}, "the stored instances of ARCHIVE"),
    ],
)
def test_blobs_of_a_storage_class_do_not_lie_among_others(tmp_path: Path, roots: dict[str, str], said: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "d")
    with pytest.raises(InvalidArgument, match=said):
        check_directories(tmp_path / "d", tmp_path / "b", {name: str(tmp_path / root) for name, root in roots.items()})


@pytest.mark.parametrize("roots", [{"ARCHIVE": "c", "COLDLINE": "c"}, {"ARCHIVE": "d/blobs"}, {"ARCHIVE": "d/cold"}])
def test_storage_classes_may_lie_beside_each_other(tmp_path: Path, roots: dict[str, str]) -> None:
    check_directories(tmp_path / "d", tmp_path / "b", {name: str(tmp_path / root) for name, root in roots.items()})


@pytest.mark.parametrize(
    ("root", "buckets", "said"),
    [
        ("b", "b", "would be objects of a bucket"),
        ("b/x", "b", "would be objects of a bucket"),
        ("n", "n/NEARLINE", "NEARLINE"),
    ],
)
def test_a_storage_class_has_no_directory_inside_a_bucket(tmp_path: Path, root: str, buckets: str, said: str) -> None:
    env = {"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / root}"}
    line = refused(*start(tmp_path / "d", "--buckets", str(tmp_path / buckets), "--port", "0", **env))
    assert said in line


@pytest.mark.parametrize("inside", ["", "blobs", "service-accounts"])
def test_a_bucket_that_is_a_link_to_the_servers_files_cannot_be_used(tmp_path: Path, inside: str) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        (tmp_path / "data" / "service-accounts").mkdir(exist_ok=True)
        (server.buckets / "leak").symlink_to(tmp_path / "data" / inside)
        (server.buckets / "other").symlink_to(tmp_path)
        for bucket in ("leak", "other"):
            done = server.wait(server.import_(gantry.store, f"gs://{bucket}/**"))
            assert done["error"]["code"] == 7 and "link" in done["error"]["message"], done
    finally:
        server.stop()


def test_a_path_that_is_too_long_for_sqlite_is_refused(tmp_path: Path) -> None:
    data = tmp_path
    while len(os.fsencode(data)) < 500:
        data = data / ("x" * min(200, 520 - len(os.fsencode(data))))
    assert "bytes; SQLite needs one of 491 or fewer" in refused(*start(data, "--port", "0"))
    assert not data.exists()


def test_the_longest_path_works(tmp_path: Path) -> None:
    data = tmp_path
    while (left := 491 - len(os.fsencode(data))) > 0:
        data = data / ("x" * (left - 1 if left < 200 else 150))
    assert len(os.fsencode(data)) == 491
    server = GantryServer(data, tmp_path / "buckets", log=tmp_path / "log")
    server.stop()


@pytest.mark.parametrize("name", ["what?mode=ro", "100%", "%2e%20", "a#b", "a b&c=d", "file:x", "å'\"`"])
def test_every_name_of_a_directory_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    data = tmp_path / name / "data"
    server = GantryServer(data, tmp_path / "buckets", log=tmp_path / "log")
    try:
        gantry = Gantry(server)
        gantry.put(gantry.bucket, "1.dcm", make_instance("1.2", "1.3", "1.4"))
        assert counts(gantry.import_("**")) == (1, 0)
    finally:
        server.stop()
    assert (data / "index.sqlite").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {name, "buckets", "log"}
    server.restart()
    assert len(gantry.stored()) == 1
    server.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="another user's files can be made by root alone")
@pytest.mark.parametrize("locked", [".", "lock", "index.sqlite", "blobs", "places.json"])
def test_files_of_another_user_are_explained(tmp_path: Path, locked: str) -> None:
    server = GantryServer(
        tmp_path / "data", tmp_path / "buckets", env={"GANTRY_STORAGE_CLASSES": f"NEARLINE={tmp_path / 'n'}"}
    )
    server.stop()
    (tmp_path / "data" / locked).chmod(0o700)
    os.chown(tmp_path / "data" / locked, NOBODY, NOBODY)
    line = refused(*start_without_power(tmp_path))
    assert "has no permission" in line or "may not use its file" in line or "cannot be opened" in line, line
    assert str(tmp_path / "data") in line


def start_without_power(home: Path) -> tuple[int, str]:
    """A start as root who may not use the files of others (prctl(2), capabilities(7))."""
    libc, drop, override, search = ctypes.CDLL(None), 24, 1, 2

    def give_up() -> None:
        for capability in (override, search):
            assert libc.prctl(drop, capability, 0, 0, 0) == 0

    command = [sys.executable, "-m", "gantry", "serve", "--port", "0", "--data", str(home / "data")]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
    environ |= {"GANTRY_STORAGE_CLASSES": f"NEARLINE={home / 'n'}", "GANTRY_BUCKETS": str(home / "buckets")}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False, preexec_fn=give_up
    )
    return done.returncode, done.stdout + done.stderr


def damage(path: Path, table: str) -> None:
    """Overwrite the pages of a table."""
    with sqlite3.connect(path) as index:
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = [row[0] for row in index.execute("SELECT pageno FROM dbstat WHERE name = ?", (table,))]
        size = index.execute("PRAGMA page_size").fetchone()[0]
    index.close()
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * size + (100 if page == 1 else 0))
            file.write(b"\xff" * (size - 100))


TABLES = ("upload", "operation", "alembic_version", "dicom_store", "garbage", "sqlite_schema")


@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_table_is_explained(tmp_path: Path, table: str) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    server.stop()
    damage(tmp_path / "data" / "index.sqlite", table)
    line = refused(*start(tmp_path / "data", "--port", "0"))
    assert "damaged" in line and str(tmp_path / "data" / "index.sqlite") in line, line
    assert "backup" in line and "gantry storage rebuild" in line


@pytest.mark.parametrize("content", [b"nonsense " * 1000, b"SQLite format 3\0"])
def test_an_index_that_is_no_database_is_explained(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index.sqlite").write_bytes(content)
    assert "index.sqlite cannot be used as an index" in refused(*start(tmp_path / "data", "--port", "0"))
