"""Tables that follow a store, with several servers: one of them writes, and whoever follows it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cluster import RUNNER, WEB, clusters
from tests.faults.test_streams import agree
from tests.streams.test_local import TABLE, follow, measure, stow
from tests.support.dicom import make_instance
from tests.support.server import counts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_keeper_is_killed_again_and_again(tmp_path: Path) -> None:
    root = tmp_path / "tables"
    with clusters(tmp_path) as make:
        made = make()
        made.env = {"GANTRY_BIGQUERY": f"p.d={root}"}
        web, one, two = made.start("web", WEB), made.start("one", RUNNER), made.start("two", RUNNER)
        store = web.create_store("d", "s")
        follow(web, store, TABLE)
        for turn in range(4):
            objects = {f"{each}.dcm": make_instance("1.2", f"1.2.{turn}", f"1.2.{turn}.{each}") for each in range(100)}
            name = web.import_(store, f"{made.fill(objects)}/**")
            stow(web, store, make_instance("1.3", "1.3.1", f"1.3.1.{turn}"))
            dying = (one, two)[turn % 2]
            dying.kill9()
            assert counts(web.wait(name)) == (100, 0)
            dying.start()
        web.wait_until(lambda: agree(web, store, root))
        assert measure(web, "gantry_stream_lag_changes") == 0
        one.stop()
        stow(web, store, make_instance("1.4", "1.4.1", "1.4.1.1"))
        web.wait_until(lambda: agree(web, store, root))
        two.wait_until(lambda: measure(two, "gantry_stream_lag_changes") == 0)
