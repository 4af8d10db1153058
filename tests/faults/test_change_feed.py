"""The change feed agrees with the store, whatever is killed, fails or is put back."""

from __future__ import annotations

import errno
import random
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.faults.failing import Faults
from tests.faults.lost import lose_index
from tests.support import prepared
from tests.support.answers import refused
from tests.support.checked import check_clean
from tests.support.dicom import make_instance
from tests.support.feed import Follower, feed_path, list_stored, read_feed
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web, uid_path

pytestmark = pytest.mark.slow

STUDIES, EACH = 6, 400


def fill(gantry: Gantry, studies: int = STUDIES, each: int = EACH) -> None:
    for study in range(studies):
        for number in range(each):
            data = make_instance(f"1.{study}", f"1.{study}.{number % 3}", f"1.{study}.{number}")
            gantry.put(gantry.bucket, f"{study}/{number:04d}.dcm", data)


@pytest.mark.parametrize("seed", range(3))
def test_kills_while_studies_are_imported_deleted_and_followed(tmp_path: Path, seed: int) -> None:
    """Consumers are killed, too: they go on with the token that they have kept, and apply what they read once."""
    server, chance = GantryServer(tmp_path / "data", tmp_path / "buckets"), random.Random(seed)
    try:
        gantry = Gantry(server)
        fill(gantry)
        follower = Follower(gantry)
        for _ in range(12):
            study = chance.randrange(STUDIES)
            name = server.import_(gantry.store, f"gs://{gantry.bucket}/{study}/**")
            time.sleep(chance.uniform(0, 0.3))
            if chance.random() < 0.6:
                path = f"v1/{gantry.store}/dicomWeb/studies/1.{chance.randrange(STUDIES)}"
                gantry.request("DELETE", path)
            if chance.random() < 0.5:
                follower.read(chance.randrange(1, 500))
            time.sleep(chance.uniform(0, 0.3))
            server.kill9()
            server.start()
            if chance.random() < 0.5:
                server.wait(name)
        for operation in gantry.operations():
            server.wait(operation["name"])
        follower.catch_up()
        assert set(follower.known) == list_stored(gantry)
        again = Follower(gantry)
        again.catch_up()
        assert again.changes == follower.changes
        server.stop()
        check_clean(server.data)
    finally:
        server.process.kill()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_commits_that_fail(tmp_path: Path, error: int) -> None:
    """What became of them is known to nobody but the index: the feed agrees with it."""
    faults = Faults(tmp_path)
    server = GantryServer(tmp_path / "data", tmp_path / "buckets", env=faults.env)
    try:
        gantry = Gantry(server)
        web, follower = Web(gantry), Follower(gantry)
        for number in range(12):
            times = 1 if number % 2 else None
            with faults.failing("fdatasync", "fsync", path="index.sqlite-wal", error=error, times=times) as rule:
                web.store(make_instance("1.2", "1.2.1", f"1.2.1.{number}"))
                gantry.request("DELETE", f"{web.root}/{uid_path('1.2', '1.2.1', f'1.2.1.{number - 2}')}")
                assert rule.failed
            if number % 3 == 2:
                server.kill9()
                server.start()
            web.store(make_instance("1.2", "1.2.1", f"1.2.1.{number}"))
        follower.catch_up()
        assert set(follower.known) == list_stored(gantry)
        server.kill9()
        server.start()
        follower.catch_up()
        assert set(follower.known) == list_stored(gantry)
    finally:
        faults.end()
        server.process.kill()


def test_an_older_index_that_is_put_back(tmp_path: Path) -> None:
    """Who has read less than it has goes on; who has read more is told so, whatever has come since."""
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        web, behind, at_copy, ahead = Web(gantry), *(Follower(gantry) for _ in range(3))
        web.stored(make_instance("1.1", "1.1.1", "1.1.1.1"))
        behind.read()
        web.stored(make_instance("1.1", "1.1.1", "1.1.1.2"))
        at_copy.read()
        server.stop()
        shutil.copy(server.data / "index.sqlite", tmp_path / "copy.sqlite")
        server.start()
        web.stored(make_instance("1.1", "1.1.1", "1.1.1.3"))
        ahead.read()
        server.stop()
        shutil.copy(tmp_path / "copy.sqlite", server.data / "index.sqlite")
        server.start()

        def is_refused() -> None:
            response = gantry.request("GET", feed_path(gantry), params={"pageToken": ahead.token})
            refused(response, "OUT_OF_RANGE", "an older index was put back", "from=now")

        is_refused()
        for number in range(4, 7):
            web.stored(make_instance("1.1", "1.1.1", f"1.1.1.{number}"))
            is_refused()
        for follower in (behind, at_copy):
            follower.catch_up()
        assert [change["sopInstanceUID"][-1] for change in behind.changes] == list("12456")
    finally:
        server.process.kill()


def test_a_copy_of_the_data_directory_goes_on_with_the_same_token(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        web, follower = Web(gantry), Follower(gantry)
        web.stored(make_instance("1.1", "1.1.1", "1.1.1.1"))
        follower.read()
        web.stored(make_instance("1.1", "1.1.1", "1.1.1.2"))
        server.stop()
        shutil.copytree(server.data, tmp_path / "copy")
        copy = GantryServer(tmp_path / "copy", tmp_path / "buckets")
        try:
            gantry.server = copy
            assert [change["sopInstanceUID"] for change in follower.read()] == ["1.1.1.2"]
        finally:
            copy.stop()
    finally:
        server.process.kill()


def test_an_index_that_is_made_again_begins_another_feed(tmp_path: Path) -> None:
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        Web(gantry).stored(make_instance("1.1", "1.1.1", "1.1.1.1"))
        token = read_feed(gantry)["nextPageToken"]
        server.stop()
        lose_index(server.data)
        command = [sys.executable, "-m", "gantry", "storage", "rebuild", "--data", str(server.data)]
        done = prepared.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        server.start()
        response = gantry.request("GET", feed_path(gantry), params={"pageToken": token})
        assert response.status_code == 400
        assert read_feed(gantry)["changes"] == [], "what was there before is no change"
        assert list_stored(gantry) == {("1.1", "1.1.1", "1.1.1.1")}
    finally:
        server.process.kill()


def test_many_writers_and_followers_at_once(tmp_path: Path) -> None:
    """Each of those who read at the same time reads the same, in the same order."""
    server = GantryServer(tmp_path / "data", tmp_path / "buckets")
    try:
        gantry = Gantry(server)
        ended = threading.Event()

        def write(writer: int) -> None:
            with httpx.Client(base_url=server.url, timeout=60) as client:
                for number in range(40):
                    data = make_instance(f"1.{writer}", f"1.{writer}.1", f"1.{writer}.1.{number}")
                    headers = {"content-type": "application/dicom"}
                    client.post(f"/v1/{gantry.store}/dicomWeb/studies", content=data, headers=headers)
                    if number % 13 == 12:
                        client.delete(f"/v1/{gantry.store}/dicomWeb/studies/1.{writer}")

        writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        followers = [Follower(gantry) for _ in range(3)]
        errors: list[BaseException] = []

        def follow(follower: Follower, size: int) -> None:
            try:
                while not ended.is_set():
                    follower.read(size, wait=1)
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=follow, args=(each, 3 + 7 * n)) for n, each in enumerate(followers)]
        for thread in (*readers, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        ended.set()
        for thread in readers:
            thread.join()
        assert not errors, errors
        for follower in followers:
            follower.catch_up()
        assert followers[0].changes == followers[1].changes == followers[2].changes
        told = Counter(change["change"] for change in followers[0].changes)
        assert told["STORED"] == 6 * 40
        assert told["STORED"] - told["DELETED"] == len(list_stored(gantry))
        server.stop()
    finally:
        server.process.kill()
