"""Names that lead elsewhere: in buckets, keys, prefixes, filter files, UIDs, ids and pages. None leads anywhere."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web

CANARY = make_instance("1.2.666", "1.2.666.1", "1.2.666.1.1")
ESCAPES = (
    *("..", "../secret.dcm", "../../secret.dcm", "../other/secret.dcm", "a/../../other/secret.dcm"),
    *("/etc/passwd", "//etc/passwd", "/proc/self/environ", "file:///etc/passwd", "~/secret.dcm", "$HOME/secret.dcm"),
    *("..\\secret.dcm", "..\\..\\other\\secret.dcm", "C:\\secret.dcm", "C:/secret.dcm", "\\\\host\\share\\secret.dcm"),
    *("%2e%2e/secret.dcm", "%2e%2e%2fsecret.dcm", "..%2fsecret.dcm", "..%5csecret.dcm", "%252e%252e%252fsecret.dcm"),
    *("..%c0%afsecret.dcm", "\u2024\u2024/secret.dcm", "\uff0e\uff0e/secret.dcm", "..\u2215secret.dcm"),
    *("secret.dcm\0.dcm", "..\0/secret.dcm", "link/secret.dcm", "link", "linked.dcm", "a/./../link/secret.dcm"),
    *("..\uff0fsecret.dcm", "....//secret.dcm", "./../other/secret.dcm", "a//../../other/secret.dcm"),
    *("..;/secret.dcm", "../", "...", "a/..", "http://127.0.0.1/", "gs://other/secret.dcm"),
)


class World:
    """A bucket with links out of it, beside a directory that is nobody's bucket; a canary where the links lead."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server = GantryServer(home / "data", home / "buckets")
        self.gantry = Gantry(self.server)
        for place in (home, home / "other", home / "buckets" / "other-tenant"):
            place.mkdir(exist_ok=True)
            (place / "secret.dcm").write_bytes(CANARY)
        bucket = home / "buckets" / self.gantry.bucket
        (bucket / "link").symlink_to(home / "other")
        (bucket / "linked.dcm").symlink_to(home / "secret.dcm")
        (home / "buckets" / self.gantry.out / "link").symlink_to(home / "other")
        self.gantry.put(self.gantry.bucket, "good.dcm", make_instance("1.2", "1.3", "1.4"))
        self.web = Web(self.gantry)
        self.web.stored(instance(("1.2.1", "1.2.1.1", "1.2.1.1.1")))
        self.before = self.outside()

    def outside(self) -> dict[str, bytes]:
        """Every file beside the server's own data and the bucket that exports go to."""
        own = {self.home / "data", self.home / "buckets" / self.gantry.out}
        found = {}
        for at, directories, names in os.walk(self.home):
            directories[:] = [name for name in directories if Path(at, name) not in own]
            found |= {str(Path(at, name)): Path(at, name).read_bytes() for name in names if name != "data.log"}
        return found

    def check(self) -> None:
        """The canary is in no store, and nothing outside has changed."""
        assert self.web.search("studies", StudyInstanceUID="1.2.666") == []
        assert self.outside() == self.before
        assert "Traceback" not in self.server.log_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("escapes"))
    yield made
    made.check()
    made.server.stop()


def started(world: World, verb: str, body: dict[str, object]) -> None:
    """An import or export that is refused, or that ends without the canary."""
    response = world.gantry.request("POST", f"v1/{world.gantry.store}:{verb}", json=body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 200:
        world.gantry.wait(response.json()["name"])


@pytest.mark.parametrize("escape", ESCAPES)
def test_sources_of_an_import(world: World, escape: str) -> None:
    bucket = world.gantry.bucket
    for uri in (f"gs://{bucket}/{escape}", f"gs://{escape}/secret.dcm", f"gs://{bucket}/../{escape}", f"gs://{escape}"):
        started(world, "import", {"gcsSource": {"uri": uri}})
    world.check()


@pytest.mark.parametrize("escape", ESCAPES)
def test_targets_and_filters_of_an_export(world: World, escape: str) -> None:
    out, mine = world.gantry.out, uuid.uuid4().hex[:6]
    for uri in (f"gs://{out}/{escape}", f"gs://{out}/{mine}/{escape}", f"gs://{escape}/x", f"gs://{escape}"):
        started(world, "export", {"gcsDestination": {"uriPrefix": uri}})
    for uri in (f"gs://{out}/{escape}", f"gs://{escape}/secret.dcm"):
        body = {"gcsDestination": {"uriPrefix": f"gs://{out}/f"}, "filterConfig": {"resourcePathsGcsUri": uri}}
        started(world, "export", body)
    world.check()


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("encoded", [True, False])
def test_addresses(world: World, escape: str, encoded: bool) -> None:
    """As one segment, and as the client happens to write it."""
    part = quote(escape, safe="") if encoded else quote(escape, safe="/%:;\\~$")
    store = f"v1/{world.gantry.store}"
    study = f"{store}/dicomWeb/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.1"
    for path in (
        *(
            f"v1/{world.gantry.dataset}/dicomStores/{part}",
            f"{store}/dicomWeb/studies/{part}",
            f"{study}/bulkdata/{part}",
        ),
        *(f"{study}/frames/{part}", f"viewer/{part}", f"viewer/{world.gantry.store}/{part}", f"logs/{part}", part),
        *(f"v1/{world.gantry.dataset}/operations/{part}", f"$discovery/{part}"),
    ):
        response = world.gantry.request("GET", path)
        assert response.status_code < 500, f"{path}: {response.text}"
        assert b"1.2.666" not in response.content and b"root:" not in response.content, path
    world.check()


@pytest.mark.parametrize("escape", ESCAPES)
def test_names_of_what_is_made(world: World, escape: str) -> None:
    datasets = f"v1/{world.gantry.location}/datasets"
    for path, name in ((datasets, "datasetId"), (f"v1/{world.gantry.dataset}/dicomStores", "dicomStoreId")):
        response = world.gantry.request("POST", path, params={name: escape}, json={})
        assert response.status_code in (200, 400, 409), response.text
        if response.status_code == 200:
            assert escape in ("..", "...", "link", "linked.dcm"), f"{escape} is a name"
    raw = escape.encode() + b"\0" * (len(escape.encode()) % 2)
    digits = "8" * len(raw)
    data = instance((digits, "1.2.1.1", "1.2.1.1.1")).replace(digits.encode(), raw)
    assert world.web.store(data).status_code in (200, 400, 409)
    world.check()
