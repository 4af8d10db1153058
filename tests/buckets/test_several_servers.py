"""Servers with data directories of their own, one index in PostgreSQL and one bucket: what each start takes the others
for."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from gantry import config
from gantry.client.storage import clear
from gantry.config import DataDirectory, open_checked, open_seams
from gantry.errors import FailedPrecondition
from gantry.findings import Finding
from gantry.index.generations import Generations
from gantry.index_wiring import IndexPlace
from gantry.seams import Seams
from gantry.settings.loading import Settings, load_settings
from gantry.storage import place_roots
from gantry.storage.generation_marks import mark_path, parse_mark
from gantry.storage.place_roots import Places
from gantry.storage.remote import place_claims
from gantry.storage.remote.place_files import PlaceFiles
from gantry.storage.store_records import parse_records
from tests.buckets.blob_home import BlobHome
from tests.buckets.test_blob_marks import BLOB, STORE, make_another, make_store
from tests.support.postgresql import Databases, share, to_text
from tests.support.providers import S3Buckets


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    yield share()


class Cluster:
    """Servers by name. ``database`` is the address of the index."""

    def __init__(self, home: Path, buckets: S3Buckets, databases: Databases) -> None:
        self.home, self._databases = home, databases
        self.bucket = BlobHome(home, buckets)
        self.database = self.make_database()

    def make_database(self) -> str:
        return to_text(self._databases.make()).replace("+psycopg", "")

    def load(self, name: str, database: str = "", **more: str) -> Settings:
        flags = {"data": str(self.home / name), "database": database or self.database, **more}
        return load_settings(flags, {}, str(self.bucket.config))

    def start(self, name: str, database: str = "", **more: Any) -> None:
        with self.opened(name, database, **more):
            pass

    @contextmanager
    def opened(
        self,
        name: str,
        database: str = "",
        others: Sequence[str] = (),
        **more: str,
    ) -> Iterator[Seams]:
        settings = self.load(name, database, **more)
        alive = mock.patch.object(config, "find_alive", lambda index: list(others))
        with closing(DataDirectory(settings)) as directory, alive:
            seams = open_seams(settings, directory)
            try:
                yield seams
            finally:
                seams.members.stop()
                seams.executor.end()
                seams.pixels.end()
                seams.index.close()

    def check(self, name: str) -> list[Finding]:
        with open_checked(self.home / name, settings=self.load(name)) as checked:
            return [found for each in checked.marks for found in each()]

    def mark(self, name: str = "main.gantry") -> str:
        return self.bucket.objects()[name].decode()

    def run(self, statement: str) -> None:
        url = make_url(self.database).set(drivername="postgresql+psycopg")
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql(statement)

    def read_index_mark(self) -> str:
        found = IndexPlace(self.home / "one", self.database).read_generation(True)
        assert found is not None
        return found.mark

    def commits_there(self) -> int:
        return parse_mark(self.mark("main.generation"), "").commits


@pytest.fixture
def cluster(tmp_path: Path, buckets: S3Buckets, databases: Databases) -> Cluster:
    return Cluster(tmp_path, buckets, databases)


@pytest.fixture
def buckets(s3: str) -> S3Buckets:
    return S3Buckets(s3)


def commits_of(seams: Seams) -> int:
    generations: Generations = seams.index.generations  # type: ignore[attr-defined]
    return generations.get().commits


# --- which settings


def test_servers_share_a_database_and_a_bucket_and_nothing_less(cluster: Cluster) -> None:
    assert cluster.load("one").shares
    assert not cluster.load("one", "sqlite").shares
    assert not cluster.load("one", blobs="").shares
    assert not cluster.load("one", storage_classes=f"ARCHIVE={cluster.home / 'archive'}").shares


# --- a new directory


@pytest.mark.slow
def test_a_new_directory_is_let_in_beside_a_server_that_runs(cluster: Cluster) -> None:
    with cluster.opened("one") as one, ExitStack() as left:
        make_store(one)
        one.records.keep(one.index.segments.list_stores(), "main")
        cluster.bucket.put(BLOB, b"bytes")
        others = [left.enter_context(cluster.opened(name)) for name in ("two", "three")]
        assert [each.index.segments.list_stores() for each in others] == [one.index.segments.list_stores()] * 2
        assert [each.is_held() for each in (one, *others)] == [False] * 3
        with others[0].blobs.open(BLOB) as opened:
            assert b"".join(opened.chunks()) == b"bytes"
    for name in ("two", "one", "three"):
        cluster.start(name)
        assert cluster.check(name) == []


@pytest.mark.slow
def test_the_mark_of_a_first_start_is_that_of_the_index(cluster: Cluster) -> None:
    cluster.start("one")
    assert cluster.mark() == cluster.read_index_mark()


@pytest.mark.slow
def test_a_bucket_that_was_marked_before_keeps_its_mark(cluster: Cluster) -> None:
    """By a server of an older version, or one whose index was in a file."""
    cluster.start("one")
    older = "f" * 32
    record = cluster.home / "one/places.json"
    record.write_text(record.read_text().replace(cluster.mark(), older))
    (cluster.home / "one/blobs/main.gantry").write_text(older)
    cluster.bucket.put("main.gantry", older.encode())
    cluster.bucket.put(BLOB, b"bytes")
    cluster.start("two")
    cluster.start("one")
    assert cluster.mark() == older


@pytest.mark.slow
@pytest.mark.parametrize("has_blobs", [True, False], ids=["blobs", "no blobs"])
@pytest.mark.parametrize("is_used", [True, False], ids=["used database", "new database"])
def test_a_server_of_another_database_is_refused(cluster: Cluster, has_blobs: bool, is_used: bool) -> None:
    cluster.start("one")
    if has_blobs:
        cluster.bucket.put(BLOB, b"bytes")
    other = cluster.make_database()
    if is_used:
        IndexPlace(cluster.home, other).open().close()
    before = cluster.bucket.objects()
    said = "the blobs of another index" if is_used else "holds the blobs of a server"
    with pytest.raises(FailedPrecondition, match=said):
        cluster.start("two", other)
    assert cluster.bucket.objects() == before
    assert not (cluster.home / "two/places.json").exists()
    cluster.start("two")


@pytest.mark.slow
def test_a_server_of_another_bucket_is_refused_and_leaves_it_as_it_is(cluster: Cluster) -> None:
    cluster.start("one")
    with pytest.raises(FailedPrecondition, match=r"is not the place that holds the main blobs.*no main\.gantry"):
        cluster.start("two", blobs=f"{cluster.bucket.bucket}/another")
    assert all(key.startswith("main.") for key in cluster.bucket.objects())
    cluster.start("two")


# --- two first starts


_SLOW = pytest.mark.slow
_STEPS = [
    pytest.param(config, "has_claims", id="the bucket is looked at", marks=_SLOW),
    pytest.param(IndexPlace, "open", id="the index is made"),
    pytest.param(place_claims, "find_mark", id="the mark is chosen", marks=_SLOW),
    pytest.param(place_claims, "claim", id="the bucket is claimed", marks=_SLOW),
    pytest.param(PlaceFiles, "create", id="the mark is written"),
    pytest.param(Places, "holds_blobs", id="the bucket is found empty"),
    pytest.param(place_roots, "records_name", id="the names are read"),
    pytest.param(config, "join", id="the index is joined", marks=_SLOW),
]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "name"), _STEPS)
def test_two_first_starts_at_once_have_one_mark(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, target: Any, name: str
) -> None:
    """The other one does all of its start, and stores something, just before a step of the first."""
    original, met = getattr(target, name), list[str]()

    def come_between(*args: Any) -> Any:
        if not met:
            met.append(name)
            with cluster.opened("two") as two:
                make_store(two)
                two.records.keep(two.index.segments.list_stores(), "main")
            cluster.bucket.put(BLOB, b"bytes")
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(target, name, come_between)
        cluster.start("one")
    assert met and cluster.mark() == cluster.read_index_mark()
    for each in ("two", "one"):
        cluster.start(each)


# --- beside servers that write


@pytest.mark.slow
def test_what_others_write_meanwhile_makes_no_index_look_older(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gantry.storage.remote.generation_copies._REST_SECONDS", 0.01)
    cluster.start("two")
    get = Generations.get
    with cluster.opened("one") as one:
        make_store(one)

        def write_first(self: Generations) -> object:
            """The bucket and the index hear of it between any two looks of the other one."""
            if self.database is not one.index.database:  # type: ignore[attr-defined]
                make_another(one)
                cluster.bucket.put("main.generation", _mark(cluster, get(self).commits))
            return get(self)

        monkeypatch.setattr(Generations, "get", write_first)
        before = commits_of(one)
        with cluster.opened("two"):
            assert before < commits_of(one) < before + 10
        monkeypatch.setattr(Generations, "get", get)
    assert "older" not in caplog.text
    assert cluster.commits_there() <= _commits(cluster)


def _mark(cluster: Cluster, commits: int) -> bytes:
    mark, _ = cluster.mark("main.generation").split()
    return f"{mark}\n{commits:020d}\n".encode()


def _commits(cluster: Cluster) -> int:
    found = IndexPlace(cluster.home / "one", cluster.database).read_generation(True)
    assert found is not None
    return found.commits


@pytest.mark.slow
def test_a_start_takes_no_number_back(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server has written a higher one since the index was asked."""
    cluster.start("one")
    write = PlaceFiles.update
    high = _commits(cluster) + 3
    cluster.run("UPDATE generation SET commits = commits + 5")

    def write_after_another(self: PlaceFiles, name: str, change: Callable[[str | None], str | None]) -> None:
        if name == "main.generation":
            cluster.bucket.put(name, _mark(cluster, high + 100))
            cluster.run(f"UPDATE generation SET commits = {high + 100}")
        write(self, name, change)

    monkeypatch.setattr(PlaceFiles, "update", write_after_another)
    cluster.start("two")
    assert cluster.commits_there() >= high + 100


@pytest.mark.slow
def test_an_older_index_is_refused_beside_others_and_goes_on_alone(cluster: Cluster) -> None:
    cluster.start("two")
    with cluster.opened("one") as one:
        make_store(one)
    cluster.run("UPDATE generation SET commits = 1")
    there = cluster.bucket.objects()
    with (
        pytest.raises(FailedPrecondition, match=r"older.*\(host-1, host-2\).*Stop all servers"),
        cluster.opened("two", others=["host-1", "host-2"]),
    ):
        pass
    assert cluster.bucket.objects() == there and _commits(cluster) == 1
    cluster.start("two")
    reached = _commits(cluster)
    assert reached > 1000
    with cluster.opened("one", others=["host-2"]):
        pass


@pytest.mark.slow
def test_of_two_that_find_an_older_index_one_gives_up_what_is_not_done(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before one of them has gone on: what that has begun since is not taken from it."""
    cluster.start("two")
    with cluster.opened("one") as one:
        make_store(one)
    cluster.run("UPDATE generation SET commits = 1")
    follow, begun = Generations.follow, list[int]()

    def follow_after_another(self: Generations, *args: object) -> None:
        if not begun:
            begun.append(0)
            with cluster.opened("two") as two:
                (store,) = two.index.segments.list_stores()
                begun.append(two.index.uploads.begin_upload(store))
        follow(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Generations, "follow", follow_after_another)
    with cluster.opened("one") as one:
        assert [number for number, _ in one.index.uploads.list_uploads()] == begun[1:]
    assert cluster.commits_there() <= _commits(cluster)


@pytest.mark.slow
@pytest.mark.parametrize("tiers", [{}, {"ARCHIVE": "COLD", "NEARLINE": "COOL"}], ids=["fewer", "more"])
def test_other_tiers_are_refused_beside_others(cluster: Cluster, tiers: dict[str, str]) -> None:
    cluster.bucket.write(tiers={"ARCHIVE": "COLD"})
    for name in ("one", "two"):
        cluster.start(name)
    cluster.bucket.write(tiers=tiers)
    with (
        pytest.raises(FailedPrecondition, match=r"storage_tiers: the index has the places ARCHIVE, main.*host-1"),
        cluster.opened("two", others=["host-1"]),
    ):
        pass
    assert cluster.mark("ARCHIVE.gantry") == cluster.mark()
    cluster.bucket.write(tiers={"ARCHIVE": "COLD"})
    for name in ("two", "one"):
        with cluster.opened(name, others=["host-1"]) as seams:
            assert seams.places == ("main", "ARCHIVE")
    cluster.bucket.write(tiers=tiers)
    cluster.start("two")


# --- names of stores


@pytest.mark.slow
def test_a_store_that_one_server_makes_takes_uploads_of_another_at_once(cluster: Cluster) -> None:
    with cluster.opened("one") as one, cluster.opened("two") as two:
        make_store(one)
        (number,) = one.index.segments.list_stores()
        two.records.keep([number], "main")
        assert _list_names(cluster) == [STORE]
        make_another(two, "another")
        (other,) = {*two.index.segments.list_stores()} - {number}
        one.records.keep([other], "main")
        assert _list_names(cluster) == [STORE, replace(STORE, store="another")]
        assert {number, other} == parse_records(cluster.mark("main.stores")).keys()
        cluster.bucket.put(BLOB, b"bytes")
    assert cluster.check("one") == cluster.check("two") == []


def _list_names(cluster: Cluster) -> list[object]:
    """Of the stores that the bucket knows."""
    return [name for _, name in sorted(parse_records(cluster.mark("main.stores")).items())]


@pytest.mark.slow
def test_a_directory_that_is_lost_costs_nothing(cluster: Cluster) -> None:
    with cluster.opened("one") as one:
        make_store(one)
        one.records.keep(one.index.segments.list_stores(), "main")
    cluster.bucket.put(BLOB, b"bytes")
    shutil.rmtree(cluster.home / "one")
    with cluster.opened("one") as one:
        assert len(one.index.segments.list_stores()) == 1
    assert mark_path(str(cluster.home / "one/blobs"), "main").exists()


# --- what keeps bytes


@pytest.mark.slow
def test_what_one_server_holds_all_hold(cluster: Cluster) -> None:
    with cluster.opened("one") as one, cluster.opened("two") as two:
        assert not one.is_held()
        (cluster.home / "two/hold").touch()
        for each in (two, one):
            each.members.beat()
        assert one.is_held() and two.is_held()
        (cluster.home / "two/hold").unlink()
        for each in (two, one):
            each.members.beat()
        assert not one.is_held() and not two.is_held()


# --- commands


@pytest.mark.slow
def test_a_check_knows_of_servers_with_other_directories(cluster: Cluster) -> None:
    """What they are sending in parts just now is not called left."""
    cluster.start("two")
    client = cluster.bucket.buckets.client  # type: ignore[attr-defined]
    key = f"{cluster.bucket.prefix}main/1/stow/1/0000-0123456789abcdef.dcm"
    client.create_multipart_upload(Bucket=cluster.bucket.bucket.removeprefix("s3://"), Key=key)
    data, settings = cluster.home / "two", cluster.load("two")
    with cluster.opened("one"), open_checked(data, settings=settings) as checked:
        assert (checked.is_used, checked.list_left_uploads()) == (True, set())
    with open_checked(data, settings=settings) as checked:
        assert not checked.is_used and len(checked.list_left_uploads()) == 1


@pytest.mark.slow
def test_who_must_be_alone_is_refused_beside_others(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.index.postgresql_locks._LOCK_SECONDS", 1)
    cluster.start("two")
    for how in ({"alone": True}, {"rebuilding": True}):
        with (
            cluster.opened("one"),
            pytest.raises(FailedPrecondition, match="another server of Gantry uses this database"),
        ):
            DataDirectory(cluster.load("two"), **how)
        DataDirectory(cluster.load("two"), **how).close()


@pytest.mark.slow
def test_what_another_server_has_named_meanwhile_is_not_cleared(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was stored when nobody named it, and its server ended before this one had the index for itself."""
    cluster.start("two")
    named, left = (f"main/1/stow/1/{number:04d}-0123456789abcdef.dcm" for number in range(2))
    for key in (named, left):
        cluster.bucket.put(key, b"bytes")

    def open_late(settings: Settings, directory: DataDirectory) -> Seams:
        cluster.run(f"INSERT INTO garbage (blob_key) VALUES ('{named}')")  # names it as a row of an instance does
        return open_seams(settings, directory)

    monkeypatch.setattr("gantry.client.storage.open_seams", open_late)
    monkeypatch.setenv("GANTRY_DATABASE", cluster.database)
    assert clear(Namespace(data=str(cluster.home / "two"), config=str(cluster.bucket.config), dry_run=False)) == 0
    assert list(cluster.bucket.blobs()) == [named]
    assert left in capsys.readouterr().out
