"""Many objects, faults of every kind among them, and a server that dies again and again: exact counters in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.buckets.blob_home import BlobHome, settle
from tests.support.checked import findings
from tests.support.dicom import make_instance
from tests.support.directories import name_of
from tests.support.gantry import Gantry
from tests.support.providers import Served, serve_provider
from tests.support.s3_server import Rule, S3Server
from tests.support.server import GantryServer, counts, pending

pytestmark = pytest.mark.slow

TRANSIENT = ("503 SlowDown", "429 TooManyRequests", "500 InternalError", "reset before", "reset in body", "wrong bit")
OF_WRITES = ("503 SlowDown", "500 InternalError", "reset before", "reset after")
LONG = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]
BUCKETS = ["gcs", "azure", "s3 with blobs"]
"""Of whom the objects are; with the stored instances in a bucket there, or in a directory."""


def run_of(buckets: str, count: int, kills: int, *marks: pytest.MarkDecorator) -> object:
    return pytest.param(
        buckets, count, kills, marks=marks, id=f"{buckets}, {count} objects".replace(", ", "-").replace(" ", "-")
    )


@pytest.mark.parametrize(
    ("buckets", "count", "kills"),
    [
        run_of("s3", 500, 2),
        *(run_of(each, 2000, 4, pytest.mark.slow, pytest.mark.timeout(300)) for each in BUCKETS),
        *(run_of(each, 20_000, 10, *LONG) for each in ("s3", *BUCKETS)),
    ],
)
def test_every_object_is_counted_once(tmp_path: Path, buckets: str, count: int, kills: int) -> None:
    """Two objects of a hundred fail for ever; two of a hundred reads fail for a moment, in each of several ways, and
    more of the few writes."""
    provider, _, blobs = buckets.partition(" ")
    with serve_provider(provider) as served:
        home = BlobHome(tmp_path, served.buckets)
        home.write("" if not blobs else None)
        server = GantryServer(home.data, tmp_path / "buckets", env={"GANTRY_CONFIG": str(home.config)})
        try:
            _import_and_compare(served, server, count, kills)
            settle(server)
            assert findings(home.data, settings=home.load()) == [], "no object without a row, no row without its bytes"
            assert bool(blobs) == bool(home.blobs())
        finally:
            server.stop()


def _import_and_compare(served: Served, server: GantryServer, count: int, kills: int) -> None:
    chance = random.Random(count)
    broken = {f"{number:05}.dcm" for number in chance.sample(range(count), count // 50)}
    sent = {f"{number:05}.dcm": make_instance("1.2", f"1.2.{number % 7}", f"1.3.{number}") for number in range(count)}
    gantry, source = Gantry(server), served.buckets.make_bucket()
    _fill(served, source, sent)
    with ExitStack() as stack:
        rules = [stack.enter_context(rule) for rule in _fail(served.server, broken)]
        name = server.import_(gantry.store, f"{source}/**")
        for _ in range(kills):
            time.sleep(chance.uniform(0.1, 0.6))
            server.kill9()
            server.start()
        done = server.wait(name, seconds=900)
        assert all(rule.failed for rule in rules[: 1 + len(TRANSIENT)])
    assert counts(done) == (count - len(broken), len(broken)) and not pending(done)
    failures = {uri.rpartition("/")[2]: status for uri, status in gantry.failures(done).items()}
    assert failures.keys() == broken
    assert {status["code"] for status in failures.values()} == {5}
    stored = gantry.stored(buckets=served.buckets)
    assert sorted(stored.values()) == sorted(data for key, data in sent.items() if key not in broken)


def _fill(served: Served, source: str, sent: dict[str, bytes]) -> None:
    if type(served.server) is S3Server:
        served.server.put(name_of(source), dict(sent))  # over one connection, which is much faster
    else:
        served.buckets.put(source, sent)


def _fail(server: S3Server, broken: set[str]) -> Iterator[Rule]:
    """What fails for ever, then what fails for a moment; writes too, where stored instances lie in the bucket."""
    yield server.fail("404 NoSuchKey", keys=f"^(?:{'|'.join(sorted(broken))})$", methods=["GetObject", "HeadObject"])
    for at, kind in enumerate(TRANSIENT):
        yield server.fail(kind, methods=["GetObject"], share=0.02, each=1, seed=at, seconds=0)
    for at, kind in enumerate(OF_WRITES):
        yield server.fail(kind, methods=["PutObject", "UploadPart"], share=0.2, each=1, seed=at, seconds=0)
