"""Checks of buckets of a provider: a missing right is named, no page waits, and nothing is left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gantry.checking.bucket_rights import _TRIAL, try_writing
from gantry.storage.local import LocalBlobStore
from tests.support.providers import Served, serve_provider
from tests.support.replicas import start_server
from tests.support.server import GantryServer

OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_provider("s3") as found:
        yield found


@pytest.fixture(scope="module")
def bucket(served: Served) -> str:
    address = served.buckets.make_bucket()
    served.buckets.put(address, {"a.dcm": b"bytes"})
    return address


@pytest.fixture(scope="module")
def server(served: Served, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    home = tmp_path_factory.mktemp("checks")
    # The first entry makes the bucket one that the page knows by name.
    entry = served.buckets.settings.replace('"s3://*"', f'"{bucket}"')
    (home / "gantry.toml").write_text(entry)
    made = start_server(home / "data", home / "buckets", env={"GANTRY_CONFIG": str(home / "gantry.toml")})
    yield made
    assert "Traceback" not in made.log_text()
    made.stop()


def begin(server: GantryServer) -> None:
    assert server.request("POST", "console/buckets", headers=OWN).status_code == 303


def see(server: GantryServer) -> str:
    begun = time.monotonic()
    page = server.request("GET", "console/buckets").text
    assert time.monotonic() - begun < 15, "a page waits for no bucket"
    return page


def wait(server: GantryServer) -> str:
    for _ in range(600):
        if "Checking" not in (page := see(server)):
            return page
        time.sleep(0.1)
    raise AssertionError(page)


def judged(page: str) -> list[str]:
    cells = re.findall(r'<td data-label="[^"]*">(.*?)</td>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>", " ", cell).strip() for cell in cells]


def test_what_works_is_said_and_nothing_is_left(server: GantryServer, served: Served, bucket: str) -> None:
    begin(server)
    page = wait(server)
    assert judged(page) == ["Yes", "Yes", "Yes"]
    assert "S3" in page and "127.0.0.1" in page
    assert served.buckets.read(bucket) == {"a.dcm": b"bytes"}


@pytest.mark.parametrize(
    ("methods", "expected", "right"),
    [(("PUT",), ["Yes", "Yes", "No"], "s3:PutObject"), (("GET",), ["No", "Not known", "Yes"], "s3:ListBucket")],
)
def test_a_missing_right_is_named(
    server: GantryServer, served: Served, methods: tuple[str, ...], expected: list[str], right: str
) -> None:
    with served.server.fail("403 AccessDenied", methods=methods):
        begin(server)
        page = wait(server)
    assert judged(page) == expected and right in page
    assert "the owner of the bucket can grant it" in page.lower()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_bucket_that_hangs_is_named_and_no_page_waits(
    server: GantryServer, served: Served, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served.server.fail("stall", seconds=3600):
        begin(server)
        assert "Checking" in see(server)
        page = wait(server)
        assert judged(page) == ["No answer"] * 3 or "gives no answer" in page or "No" in judged(page)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
    for _ in range(300):  # the check that was left behind ends, and another one finds the bucket well
        begin(server)
        if judged(wait(server)) == ["Yes"] * 3:
            break
        time.sleep(0.5)
    assert judged(see(server)) == ["Yes"] * 3
    assert served.buckets.read(bucket) == {"a.dcm": b"bytes"}


def name(age: timedelta, number: int = 1) -> str:
    return f"gantry-check-{datetime.now(UTC) - age:%Y%m%dT%H%M%SZ}-{number:08x}.txt"


def test_what_a_killed_check_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    old, young = name(timedelta(hours=3)), name(timedelta(minutes=3))
    mine = {name(timedelta(hours=3), 2): b"of somebody else", "gantry-check-99999999T999999Z-00000001.txt": _TRIAL}
    for key, data in ({old: _TRIAL, young: _TRIAL} | mine).items():
        (tmp_path / key).write_bytes(data)
    trials = {each.right: each.works for each in try_writing(LocalBlobStore(str(tmp_path)), "")}
    assert trials == {"write": True, "read back": True, "delete": True}
    assert {each.name for each in tmp_path.iterdir()} == {young, *mine}
