"""Tables that follow a store have each change once, whatever is killed, full or away."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.failing import Faults
from tests.faults.mounts import mounted, remount
from tests.faults.test_waits import serving
from tests.streams.test_local import TABLE, fill, follow, measure, read, stow
from tests.support.dicom import make_instance
from tests.support.server import GantryServer, Json

pytestmark = pytest.mark.slow

_TYPES = {"STORED": "INSERT", "DELETED": "DELETE"}


def read_feed_of(server: GantryServer, store: str) -> list[Json]:
    """All changes."""
    page = server.call("GET", f"v1/{store}:changeFeed", params={"pageSize": 10_000})
    assert len(page["changes"]) < 10_000
    changes: list[Json] = page["changes"]
    return changes


def agree(server: GantryServer, store: str, root: Path, table: str = "t") -> bool:
    """The table has one row for each change that the feed tells, and no other."""
    changes = read_feed_of(server, store)
    told = Counter((each["sopInstanceUID"], _TYPES.get(each["change"], "UPDATE")) for each in changes)
    return Counter(read(root, table=table)) == told


@pytest.mark.parametrize("seed", range(3))
def test_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    root, chance = tmp_path / "tables", random.Random(seed)
    with serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}") as server:
        store = server.create_store("d", "s")
        follow(server, store, TABLE, f"{TABLE}2")
        fill(server, store, 300, "1.1")
        for number in range(12):
            server.import_(store, "gs://in/**")
            stow(server, store, make_instance("1.2", "1.2.1", f"1.2.1.{number}"))
            if chance.random() < 0.4:
                server.request("DELETE", f"v1/{store}/dicomWeb/studies/1.{chance.choice('12')}")
            time.sleep(chance.uniform(0, 1.5))
            server.kill9()
            server.start()
        server.wait_until(lambda: agree(server, store, root) and agree(server, store, root, "t2"))
        time.sleep(2)
        assert agree(server, store, root)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", ["rename", "fsync", "link", "unlink"])
def test_kills_at_each_step(tmp_path: Path, call: str) -> None:
    """A process is killed before its first such call, then another before its second, and so on: the server or a
    worker, whichever makes it. Then the server is killed as well."""
    root = tmp_path / "tables"
    with (
        Faults(tmp_path) as faults,
        serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}", **faults.env) as server,
    ):
        store = server.create_store("d", "s")
        follow(server, store, TABLE)
        for after in range(40):
            with faults.failing(call, path="/tables/", after=after, times=1, mode="kill") as rule:
                try:
                    stow(server, store, make_instance("1.2", "1.2.1", f"1.2.1.{after}"))
                except Exception:
                    assert rule.failed
                deadline = time.monotonic() + 60
                while not rule.failed and time.monotonic() < deadline and not _has(server, store, root):
                    time.sleep(0.05)
            if not rule.failed:
                break
            server.kill9()
            server.start()
            server.wait_until(lambda: agree(server, store, root))
        assert agree(server, store, root)
        assert after > (0 if call != "link" else -1)


def _has(server: GantryServer, store: str, root: Path) -> bool:
    try:
        return agree(server, store, root)
    except Exception:
        return False


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    root = tmp_path / "tables"
    with mounted(root, "size=60k"), serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}") as server:
        store = server.create_store("d", "s")
        follow(server, store, TABLE)
        fill(server, store, 600, "1.1")
        server.wait_until(lambda: "disk is full" in server.log_text())
        assert measure(server, 'gantry_stream_failures_total{reason="RESOURCE_EXHAUSTED"}') >= 1
        assert str(root) not in server.log_text().partition("cannot be sent")[2].partition("\n")[0]
        stow(server, store, make_instance("1.2", "1.2.1", "1.2.1.1"))
        remount(root, "size=100m")
        server.wait_until(lambda: agree(server, store, root))


def test_a_directory_that_is_away_is_caught_up_with(tmp_path: Path) -> None:
    root = tmp_path / "tables"
    with serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}") as server:
        store = server.create_store("d", "s")
        follow(server, store, TABLE)
        stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
        server.wait_until(lambda: agree(server, store, root))
        shutil.move(root, tmp_path / "elsewhere")
        for number in range(2, 9):
            stow(server, store, make_instance("1.1", "1.1.1", f"1.1.1.{number}"))
        server.wait_until(lambda: "cannot be sent, and are kept" in server.log_text())
        server.wait_until(lambda: measure(server, "gantry_stream_lag_changes") == 7)
        shutil.move(tmp_path / "elsewhere", root)
        server.wait_until(lambda: agree(server, store, root))


def test_an_export_into_the_same_table_loses_nothing(tmp_path: Path) -> None:
    """Each instance that is stored while exports replace the table is in it at the end."""
    root = tmp_path / "tables"
    with serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}") as server:
        store = server.create_store("d", "s")
        follow(server, store, TABLE)
        fill(server, store, 500, "1.1")
        for number, disposition in enumerate(["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_TRUNCATE"]):
            body = {"bigqueryDestination": {"tableUri": TABLE, "writeDisposition": disposition}}
            name = server.call("POST", f"v1/{store}:export", json=body)["name"]
            while not server.operation(name).get("done"):
                stow(server, store, make_instance("1.2", f"1.2.{number}", f"1.2.{number}.{time.monotonic_ns()}"))
            assert "error" not in server.operation(name), server.operation(name)
        server.wait_until(lambda: measure(server, "gantry_stream_lag_changes") == 0)
        found = Counter(uid for uid, _ in read(root))
        assert set(found) == {each["sopInstanceUID"] for each in read_feed_of(server, store)}
        assert not [name for name in (root / ".gantry" / "t").iterdir() if "op-" in name.name]
        assert server.log_text().count("wait until operation") <= 3, "said once for each of them"


def test_what_is_not_kept_any_more_is_said_and_it_goes_on(tmp_path: Path) -> None:
    """The feed was off, and on again."""
    root = tmp_path / "tables"
    with serving(tmp_path, GANTRY_BIGQUERY=f"p.d={root}") as server:
        store = server.create_store("d", "s")
        follow(server, store, TABLE)
        stow(server, store, make_instance("1.1", "1.1.1", "1.1.1.1"))
        server.wait_until(lambda: len(read(root)) == 1)
        for days in ("0", "7"):
            server.stop()
            server.env = server.env | {"GANTRY_CHANGES_DAYS": days}
            server.start()
            stow(server, store, make_instance("1.1", "1.1.1", f"1.1.1.{days}"))
        server.wait_until(lambda: len(read(root)) == 2)
        assert [uid for uid, _ in read(root)] == ["1.1.1.1", "1.1.1.7"]
        assert measure(server, 'gantry_stream_failures_total{reason="GIVEN_UP"}') == 1
        assert f"rows of {store} for {TABLE} are given up: the change feed was off since" in server.log_text()
