"""A server that dies again and again while it imports from a provider's bucket or exports to one: exact counters,
nothing lost, nothing twice. Requests that hang choose the moment of each death."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.gcs_server import GcsServer
from tests.support.providers import Served, serve_provider
from tests.support.server import GantryServer, counts, pending

pytestmark = pytest.mark.slow
COUNT = 300
BROKEN = {f"{number:04}.dcm" for number in (0, 31, 32, 200, 298)}
LAST = f"{COUNT - 1:04}.dcm"
LARGE = "9999.dcm"
"""Longer than one part of an upload, and written last."""
Moment = dict[str, Any]
READS: list[Moment] = [
    {"methods": ["ListObjectsV2"]},
    {"methods": ["GetObject"]},
    {"methods": ["GetObject"], "after": 20},
    {"methods": ["GetObject"], "after": 150},
    {"methods": ["GetObject"], "keys": LAST},
]
"""What hangs in each life of the server: from the first such request on, or after some of them."""
WRITES: list[Moment] = [
    {"methods": ["PutObject"]},
    {"methods": ["PutObject"], "after": 20},
    {"methods": ["PutObject"], "after": 150},
    {"methods": ["UploadPart"]},
    {"methods": ["UploadPart"], "after": 1},
    {"methods": ["UploadPart"], "after": 2},
]
"""The large instance has three parts. The last one ends an upload of Google's; the others have one more request."""
COMPLETION: Moment = {"methods": ["CompleteMultipartUpload"]}


@pytest.fixture(scope="module", params=["s3", "gcs", "azure"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serve_provider(request.param) as found:
        yield found


@pytest.fixture(scope="module")
def server(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    path: Path = tmp_path_factory.mktemp("kills")
    (path / "gantry.toml").write_text(served.buckets.settings)
    server = GantryServer(path / "data", path / "buckets", env={"GANTRY_CONFIG": str(path / "gantry.toml")})
    yield server
    server.stop()


def kill_at_each(served: Served, server: GantryServer, begin: Callable[[], str], moments: list[Moment]) -> str:
    """Every life of the server ends where requests of its moment hang. The name of the operation, which goes on."""
    name = ""
    for moment in moments:
        with served.server.fail("stall", seconds=3600, **moment) as rule:
            if name:
                server.start()
            name = name or begin()
            server.wait_until(lambda rule=rule: rule.failed > 0, seconds=60)  # type: ignore[misc]
            assert "done" not in server.operation(name)
            server.kill9()
    server.start()
    return name


def make_files() -> dict[str, bytes]:
    return {f"{at:04}.dcm": make_instance("1.2", f"1.2.{at % 7}", f"1.3.{at}") for at in range(COUNT)}


def test_an_import_counts_every_object_once(served: Served, server: GantryServer) -> None:
    gantry, sent = Gantry(server), make_files() | dict.fromkeys(BROKEN, b"no DICOM")
    address = served.buckets.make_bucket()
    served.buckets.put(address, sent)
    name = kill_at_each(served, server, lambda: server.import_(gantry.store, f"{address}/**"), READS)
    done = server.wait(name)
    assert counts(done) == (COUNT - len(BROKEN), len(BROKEN)) and not pending(done)
    failures = [uri.removeprefix(f"{address}/") for uri, _ in server.failures(name)]
    assert sorted(failures) == sorted(BROKEN)
    stored = gantry.stored(buckets=served.buckets)
    assert sorted(stored.values()) == sorted(data for key, data in sent.items() if key not in BROKEN)


def test_an_export_writes_every_instance_once(served: Served, server: GantryServer) -> None:
    gantry, sent = Gantry(server), make_files()
    sent[LARGE] = instance(("1.9", "1.9.1", "1.9.1.1"), PixelData=bytes(range(256)) * (20 << 12))
    source, target = served.buckets.make_bucket(), served.buckets.make_bucket()
    served.buckets.put(source, sent)
    assert counts(gantry.import_(f"{source}/**")) == (len(sent), 0)
    moments = WRITES if isinstance(served.server, GcsServer) else [*WRITES, COMPLETION]
    name = kill_at_each(served, server, lambda: server.export(gantry.store, f"{target}/x"), moments)
    done = server.wait(name)
    assert counts(done) == (len(sent), 0) and not pending(done)
    assert server.failures(name) == []
    expected = {f"x/{uids}.dcm": data for uids, data in gantry.stored(buckets=served.buckets).items()}
    assert served.buckets.read(target) == expected and sorted(expected.values()) == sorted(sent.values())
