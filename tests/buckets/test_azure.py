"""Imports from containers of Azure and exports to them, through the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.dicomweb.instances import instance
from tests.support.azure_places import ACCOUNT, KEY, AzureServer, make_container
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.odd_keys import ODD_KEYS
from tests.support.server import GantryServer, counts, pending

_PLACE = """
[[remote_buckets]]
name = "{name}"
provider = "azure"
endpoint = "{url}"
account = "{account}"
account_key = "{key}"
{more}
"""
NAMES = {"az://*": "", "lab-*": "", "alias": 'bucket = "real"'}


@pytest.fixture(scope="module")
def azure() -> Iterator[AzureServer]:
    with AzureServer(["real"]) as server:
        yield server


@pytest.fixture(scope="module")
def server(azure: AzureServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    path: Path = tmp_path_factory.mktemp("azure")
    about = {"url": azure.url, "account": ACCOUNT, "key": KEY}
    text = "".join(_PLACE.format(name=name, more=more, **about) for name, more in NAMES.items())
    (path / "gantry.toml").write_text(text)
    server = GantryServer(path / "data", path / "buckets", env={"GANTRY_CONFIG": str(path / "gantry.toml")})
    yield server
    server.stop()


@pytest.fixture
def gantry(server: GantryServer) -> Gantry:
    return Gantry(server)


@pytest.fixture
def bucket(azure: AzureServer) -> RemoteBucket:
    return make_container(azure.url)


@pytest.fixture
def out(azure: AzureServer) -> RemoteBucket:
    return make_container(azure.url)


def objects(store: RemoteBucket) -> dict[str, bytes]:
    found = {}
    for each in store.list():
        with store.open_found(each) as opened:
            found[each.key] = b"".join(opened.chunks())
    return found


def test_every_key_is_imported_under_its_exact_name(gantry: Gantry, bucket: RemoteBucket) -> None:
    expected = {}
    for number, key in enumerate(ODD_KEYS):
        data = make_instance("1.2.3", "1.2.3.4", f"1.2.3.4.{number}")
        bucket.put(key, [data])
        expected[f"1.2.3.4.{number}"] = data
    bucket.put("broken/ü\x02.dcm", [b"no DICOM"])
    bucket.put("empty", [])
    done = gantry.import_(f"{bucket.place.address}/**")
    assert counts(done) == (len(ODD_KEYS), 2) and not pending(done)
    failed = [f"{bucket.place.address}/{key}" for key in ("broken/ü\x02.dcm", "empty")]
    assert sorted(gantry.failures(done)) == failed
    assert {uids.rpartition("/")[2]: data for uids, data in gantry.stored().items()} == expected


@pytest.mark.slow
def test_objects_go_out_and_in_again(gantry: Gantry, bucket: RemoteBucket, out: RemoteBucket) -> None:
    """One of them is longer than what is read by one request, and than one block."""
    for number in range(30):
        bucket.put(f"in/{number:02}.dcm", [make_instance("1.2.9", f"1.2.9.{number % 3}", f"1.2.9.4.{number}")])
    bucket.put("in/large.dcm", [instance(("1.2.8", "1.2.8.4", "1.2.8.4.1"), PixelData=bytes(10 << 20))])
    assert counts(gantry.import_(f"{bucket.place.address}/in/**.dcm")) == (31, 0)
    assert counts(gantry.export(f"{out.place.address}/x")) == (31, 0)
    stored = {f"x/{uids}.dcm": data for uids, data in gantry.stored().items()}
    assert objects(out) == stored and len(stored) == 31


def test_an_address_of_cloud_storage_may_be_a_container(gantry: Gantry, azure: AzureServer, out: RemoteBucket) -> None:
    data = make_instance("1.2.5", "1.2.5.4", "1.2.5.4.1")
    lab = make_container(azure.url, f"lab-{uuid4().hex[:10]}")
    lab.put("in/1.dcm", [data])
    assert counts(gantry.import_(f"gs://{lab.place.bucket}/in/*.dcm")) == (1, 0)
    assert counts(gantry.export("gs://alias/out")) == (1, 0)
    assert objects(RemoteBucket(_at(lab, "real"))) == {"out/1.2.5/1.2.5.4/1.2.5.4.1.dcm": data}


def _at(store: RemoteBucket, name: str) -> RemotePlace:
    return replace(store.place, bucket=name, address=f"az://{name}")


def test_a_container_that_does_not_exist(gantry: Gantry) -> None:
    for done in (gantry.import_("az://none-such/**"), gantry.export("az://none-such/x")):
        assert done["error"]["code"] == 5
        assert "az://none-such does not exist" in done["error"]["message"]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [("409 BlobArchived", 9, "is archived"), ("403 AuthorizationPermissionMismatch", 7, "blobs/read")],
)
def test_an_object_that_cannot_be_read_is_a_failure_alone(
    gantry: Gantry, azure: AzureServer, bucket: RemoteBucket, kind: str, code: int, words: str
) -> None:
    for number in range(10):
        bucket.put(f"{number}.dcm", [make_instance("1.2", "1.2.3", f"1.2.3.{number}")])
    with azure.fail(kind, keys="[37]"), azure.fail("503 ServerBusy", methods=["GetObject"], each=1, seconds=0) as busy:
        done = gantry.import_(f"{bucket.place.address}/**")
        assert busy.failed
    assert counts(done) == (8, 2)
    for status in gantry.failures(done).values():
        assert status["code"] == code and words in status["message"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["403 AuthenticationFailed", "reset before", "404 ContainerNotFound"])
def test_an_operation_waits_for_a_container_that_is_away(
    gantry: Gantry, azure: AzureServer, bucket: RemoteBucket, kind: str
) -> None:
    bucket.put("1.dcm", [make_instance("1.2", "1.2.3", "1.2.3.1")])
    bucket.put("2.dcm", [make_instance("1.2", "1.2.3", "1.2.3.2")])
    body = {"gcsSource": {"uri": f"{bucket.place.address}/**"}}
    with azure.fail(kind, methods=["GetObject", "ListObjectsV2"], after=1):
        name = gantry.call("POST", f"v1/{gantry.store}:import", json=body)["name"]
        gantry.server.wait_until(
            lambda: "BUCKET" in str(gantry.call("GET", f"v1/{name}")["metadata"].get("waiting", "")), seconds=60
        )
    assert counts(gantry.wait(name)) == (2, 0)
