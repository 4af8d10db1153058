"""Imports from buckets of Cloud Storage and exports to them, through the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.errors import Wait
from tests.buckets.gcs_remote import GcsRemote
from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.gcs_server import GcsServer
from tests.support.odd_keys import ODD_KEYS
from tests.support.server import GantryServer, counts, pending

POSSIBLE = [key for key in ODD_KEYS if key not in (".", "..", "a\nb", "a\rb")]


@pytest.fixture(scope="module")
def gcs() -> Iterator[GcsServer]:
    with GcsServer(("real",)) as server:
        yield server


@pytest.fixture(scope="module")
def gantry_server(gcs: GcsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    path: Path = tmp_path_factory.mktemp("gcs")
    (path / "gantry.toml").write_text(GcsRemote.make_settings(gcs.url))
    server = GantryServer(path / "data", path / "buckets", env={"GANTRY_CONFIG": str(path / "gantry.toml")})
    yield server
    server.stop()


@pytest.fixture
def remote(gantry_server: GantryServer, gcs: GcsServer) -> GcsRemote:
    return GcsRemote(gantry_server, gcs)


def make_some(count: int) -> dict[str | bytes, bytes]:
    return {f"{number:02}.dcm": make_instance("1.2", "1.2.3", f"1.2.3.{number}") for number in range(count)}


@pytest.mark.slow
def test_every_key_is_imported_and_read_under_its_exact_name(remote: GcsRemote) -> None:
    sent = {key: make_instance("1.2.3", "1.2.3.4", f"1.2.3.4.{number}") for number, key in enumerate(POSSIBLE)}
    remote.put({**sent, "broken/ü\x02.dcm": b"no DICOM", "folder/": b""})
    done = remote.gantry.import_(f"gs://{remote.bucket}/**")
    assert counts(done) == (len(POSSIBLE), 1) and not pending(done)
    assert list(remote.gantry.failures(done)) == [f"gs://{remote.bucket}/broken/ü\x02.dcm"]
    assert sorted(remote.gantry.stored().values()) == sorted(sent.values())


@pytest.mark.slow
def test_objects_of_every_length_go_in_and_out(remote: GcsRemote) -> None:
    """Also longer ones than what is read by one request, and than one part of an upload."""
    large = instance(("1.2.8", "1.2.8.4", "1.2.8.4.1"), PixelData=bytes(range(256)) * (20 << 12))
    made = make_some(20) | {"large.dcm": large}
    remote.put(made)
    assert counts(remote.gantry.import_(f"gs://{remote.bucket}/*.dcm")) == (21, 0)
    assert counts(remote.gantry.export(f"gs://{remote.out}/x//y")) == (21, 0)
    assert sorted(remote.objects().values()) == sorted(made.values())
    assert "x//y/1.2.8/1.2.8.4/1.2.8.4.1.dcm" in remote.objects()


def test_a_bucket_may_have_another_name_there(remote: GcsRemote) -> None:
    remote.put({"x": make_instance("1.2.6", "1.2.6.4", "1.2.6.4.1"), "y": b"no DICOM"}, "real")
    done = remote.gantry.import_("gs://alias-gcs/**")
    assert counts(done) == (1, 1)
    assert list(remote.gantry.failures(done)) == ["gs://alias-gcs/y"]


def test_a_bucket_that_does_not_exist(remote: GcsRemote) -> None:
    for done in (remote.gantry.import_("gs://b-none-such/**"), remote.gantry.export("gs://b-none-such/x")):
        assert done["error"]["code"] == 5
        assert "gs://b-none-such does not exist" in done["error"]["message"]


def test_objects_that_cannot_be_read_are_failures_alone(remote: GcsRemote, gcs: GcsServer) -> None:
    remote.put(make_some(20))
    with (
        gcs.fail("403 AccessDenied", keys=r"03\.dcm"),
        gcs.fail("412 PreconditionFailed", keys=r"05\.dcm", methods=["GetObject"]),
        gcs.fail("wrong bit", keys=r"07\.dcm"),
    ):
        done = remote.gantry.import_(f"gs://{remote.bucket}/**")
    assert counts(done) == (17, 3)
    found = {uri[-6:]: (status["code"], status["message"]) for uri, status in remote.gantry.failures(done).items()}
    assert {key: code for key, (code, _) in found.items()} == {"03.dcm": 7, "05.dcm": 10, "07.dcm": 15}
    assert "storage.objects.get" in found["03.dcm"][1] and "changed since" in found["05.dcm"][1]


@pytest.mark.slow
def test_requests_that_fail_for_a_moment_are_tried_again_on_both_ways(remote: GcsRemote, gcs: GcsServer) -> None:
    made = make_some(40)
    remote.put(made)
    kinds = ("503 SlowDown", "reset before", "reset in body", "wrong bit", "reset after")
    rules = [
        gcs.fail(kind, methods=["PutObject"] if kind == "reset after" else ["GetObject"], share=0.2, each=1, seed=seed)
        for seed, kind in enumerate(kinds)
    ]
    try:
        assert counts(remote.gantry.import_(f"gs://{remote.bucket}/**")) == (40, 0)
        assert counts(remote.gantry.export(f"gs://{remote.out}")) == (40, 0)
        assert all(rule.failed for rule in rules)
    finally:
        for rule in rules:
            rule.stop()
    assert sorted(remote.objects().values()) == sorted(made.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "words"), [("401 ExpiredToken", "on bucket"), ("500 InternalError", "does not answer")]
)
def test_what_happens_when_the_whole_bucket_fails(remote: GcsRemote, gcs: GcsServer, kind: str, words: str) -> None:
    """Without credentials nobody waits for others; a bucket that does not answer is waited for."""
    made = make_some(20)
    remote.put(made)
    gantry = remote.gantry
    body = {"gcsSource": {"uri": f"gs://{remote.bucket}/**"}}

    def state() -> str:
        found = gantry.call("GET", f"v1/{name}")
        return str(found.get("error") or found["metadata"].get("waiting", ""))

    with gcs.fail(kind, methods=["GET"]):
        name = gantry.call("POST", f"v1/{gantry.store}:import", json=body)["name"]
        gantry.server.wait_until(lambda: state() != "", seconds=60)
        assert words in state(), state()
        assert (Wait.BUCKET.name in state()) == (kind == "500 InternalError")
    if kind == "500 InternalError":
        assert counts(gantry.wait(name)) == (len(made), 0)
