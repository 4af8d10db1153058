"""A server that dies by ``kill -9`` while a request to the bucket of its stored instances is on its way, at a named
moment of each kind of work. Each ends with a ``gantry check`` that finds nothing, exact counts, and a bucket that has
what rows name and nothing else: no object, no upload in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import httpx
import pytest

from tests.buckets.blob_home import BlobHome
from tests.support.checked import findings
from tests.support.databases import query
from tests.support.dicom import make_instance
from tests.support.directories import name_of
from tests.support.gantry import Gantry
from tests.support.providers import Served, serve_provider
from tests.support.server import GantryServer, counts, pending
from tests.support.web import Web

pytestmark = pytest.mark.slow
LARGE = 9 << 20
COUNT = 40


def made(study: int, number: int, pixel_bytes: int = 2000) -> bytes:
    return make_instance(f"1.2.{study}", f"1.2.{study}.1", f"1.2.{study}.1.{number}", pixel_bytes=pixel_bytes)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_provider("s3") as found:
        yield found


class Life:
    """A server with stored instances, and what its store has to hold. ``maybe`` may be stored: nobody was answered."""

    def __init__(self, path: Path, served: Served) -> None:
        self.served = served
        self.home = BlobHome(path, served.buckets, tiers={"ARCHIVE": "GLACIER_IR"})
        self.server = GantryServer(self.home.data, path / "buckets", env={"GANTRY_CONFIG": str(self.home.config)})
        self.gantry = Gantry(self.server)
        self.web = Web(self.gantry)
        self.held = [made(1, number) for number in range(COUNT)] + [made(2, 1, LARGE)]
        self.maybe: list[bytes] = []
        self.web.stored(*self.held[:COUNT])
        self.web.stored(self.held[-1])
        self.restart()

    def restart(self) -> None:
        """Its segments are sealed then."""
        self.server.stop()
        self.server.start()

    def kill_at(self, begin: Callable[[], Any], **moment: Any) -> Any:
        """Work begins, a request of the moment hangs, the server is killed and starts again."""
        with self.served.server.fail("stall", seconds=3600, **moment) as rule:
            begun = begin()
            self.server.wait_until(lambda: rule.failed > 0, seconds=60)
            self.server.kill9()
        self.server.start()
        return begun

    def store_meanwhile(self, *instances: bytes) -> None:
        def send() -> None:
            try:
                self.web.store(*instances)
            except httpx.HTTPError:
                pass

        self.maybe += instances
        Thread(target=send, daemon=True).start()

    def delete(self, *paths: str) -> None:
        for path in paths:
            self.gantry.call("DELETE", f"{self.web.root}/{path}")

    def import_(self) -> str:
        """A bucket of COUNT small instances, and two large ones."""
        source = self.served.buckets.make_bucket()
        sent = [*(made(3, number) for number in range(COUNT)), made(4, 1, LARGE), made(4, 2, LARGE)]
        self.served.buckets.put(source, {f"{at:03}.dcm": data for at, data in enumerate(sent)})
        self.held += sent
        return self.server.import_(self.gantry.store, f"{source}/**")

    def archive(self, study: str) -> str:
        body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}
        started = self.gantry.call("POST", f"{self.web.root}/studies/{study}:setBlobStorageSettings", json=body)
        return str(started["name"])

    def require_exact(self, done: tuple[str, int] | None = None) -> None:
        """``done``: an operation, and how many instances it has to count."""
        if done is not None:
            operation = self.server.wait(done[0])
            assert counts(operation) == (done[1], 0) and not pending(operation)
        self._settle()
        stored = list(self.gantry.stored(buckets=self.served.buckets).values())
        answered = [data for data in stored if data not in self.maybe or data in self.held]
        assert sorted(answered) == sorted(self.held)
        (count,) = query(self.home.data, "SELECT coalesce(sum(instance_count), 0) FROM study")[0]
        assert count == len(stored)
        self.server.stop()
        assert findings(self.home.data, settings=self.home.load()) == []
        client: Any = self.served.buckets.client  # type: ignore[attr-defined]
        assert "Uploads" not in client.list_multipart_uploads(Bucket=name_of(self.home.bucket))
        assert [path.name for path in (self.home.data / "uploads").glob("*/*")] == []

    def _settle(self) -> None:
        """Lots of an earlier life are swept, and what was deleted has left the bucket."""
        listed = "SELECT 1 FROM garbage WHERE blob_key NOT LIKE 'late/%'"
        for rows in (listed, "SELECT 1 FROM upload", "SELECT 1 FROM operation WHERE end_time IS NULL"):
            self.server.wait_until(lambda rows=rows: query(self.home.data, rows) == [], 60)  # type: ignore[misc]
        uploads = self.home.data / "uploads"
        self.server.wait_until(lambda: not list(uploads.glob("*/*")), 60)


@pytest.fixture
def life(tmp_path: Path, served: Served) -> Iterator[Life]:
    made = Life(tmp_path, served)
    yield made
    if made.server.process.poll() is None:
        made.server.process.kill()
        made.server.process.wait()


class Moment(NamedTuple):
    name: str
    methods: list[str]
    keys: str
    after: int = 0

    def rule(self) -> dict[str, Any]:
        return {"methods": self.methods, "keys": self.keys, "after": self.after}


def named(moment: Moment) -> str:
    return moment.name


IMPORT = [
    Moment("segment", ["PutObject"], "/main/"),
    Moment("begin-parts", ["CreateMultipartUpload", "CopyObject"], "/main/"),
    Moment("part", ["UploadPart", "CopyObject"], "/main/", 1),
]


@pytest.mark.parametrize("moment", IMPORT, ids=named)
def test_import(life: Life, served: Served, moment: Moment) -> None:
    with served.server.fail("403 AccessDenied", methods=["CopyObject"]):  # so that parts are sent
        rule = moment.rule() | {"methods": [each for each in moment.methods if each != "CopyObject"]}
        name = life.kill_at(life.import_, **rule)
    life.require_exact((name, COUNT + 2))


STOW = [
    Moment("segment", ["PutObject"], "/stow/"),
    Moment("begin-parts", ["CreateMultipartUpload"], "/stow/"),
    Moment("end-parts", ["CompleteMultipartUpload"], "/stow/"),
]


@pytest.mark.parametrize("moment", STOW, ids=named)
def test_upload(life: Life, moment: Moment) -> None:
    instances = [made(5, 1)] if moment.name == "segment" else [made(5, 1), made(5, 2, LARGE)]
    life.kill_at(lambda: life.store_meanwhile(*instances), **moment.rule())
    life.require_exact()


DELETION = [
    Moment("rewrite-read", ["GetObject"], r"/stow/.*\.seg"),
    Moment("rewrite-written", ["PutObject"], r"/stow/.*\.seg"),
]


@pytest.mark.parametrize("moment", DELETION, ids=named)
def test_deletion_of_a_part_of_a_segment(life: Life, moment: Moment) -> None:
    paths = [f"studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.{number}" for number in range(3)]
    life.kill_at(lambda: life.delete(*paths), **moment.rule())
    del life.held[:3]
    life.require_exact()


def test_deletion_of_whole_objects(life: Life) -> None:
    life.kill_at(lambda: life.delete("studies/1.2.1", "studies/1.2.2"), methods=["DELETE", "DeleteObjects"])
    life.held.clear()
    life.require_exact()


@pytest.mark.parametrize(
    "moment", [Moment("segment", ["PutObject"], "/ARCHIVE/"), Moment("old", ["DELETE", "DeleteObjects"], "")], ids=named
)
def test_change_of_class(life: Life, moment: Moment) -> None:
    name = life.kill_at(lambda: life.archive("1.2.1"), **moment.rule())
    life.require_exact((name, COUNT))


@pytest.mark.parametrize(
    "moment",
    [Moment("copy", ["PutObject"], "/stow/"), Moment("old", ["DELETE", "DeleteObjects"], "/stow/|^$")],
    ids=named,
)
def test_compaction(life: Life, moment: Moment) -> None:
    """It runs as a server starts. Nine of ten instances are gone."""
    kept = list(range(0, COUNT, 10))
    gone = [number for number in range(COUNT) if number not in kept]
    life.delete(*(f"studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.{number}" for number in gone))
    life.held = [made(1, number) for number in kept] + life.held[COUNT:]
    life._settle()
    before = set(life.home.blobs())
    life.server.stop()
    life.kill_at(life.server.start, **moment.rule())
    life.server.wait_until(lambda: not before & {key for key in life.home.blobs() if key.endswith(".seg")}, 60)
    life.require_exact()


@pytest.mark.parametrize(
    "moment",
    [Moment("list", ["ListObjectsV2"], "/stow/"), Moment("read", ["GetObject", "HeadObject"], r"/stow/.*\.seg")],
    ids=named,
)
def test_sweep_of_what_uploads_have_left(life: Life, served: Served, moment: Moment) -> None:
    """Killed a second time, as the next start looks for it."""
    life.web.stored(made(6, 1))
    life.held.append(made(6, 1))
    with served.server.fail("stall", seconds=3600, methods=["PutObject"], keys="/stow/") as rule:
        life.store_meanwhile(made(6, 2))
        life.server.wait_until(lambda: rule.failed > 0, seconds=60)
        life.server.kill9()
    life.kill_at(life.server.start, **moment.rule())
    life.require_exact()
