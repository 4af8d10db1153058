"""docs/howto/upgrade.md: its commands, run on a directory that an older version has left."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.test_howto import commands
from tests.docs.test_readme import shell
from tests.faults.older import fill_older, index_of_schema

LOOK, COPY, UPGRADE, START, BACK = range(5)
OLDER = "0009"
LAST = "sleep 60 &\n"  # the end of ``shell`` stops what runs, and there must be something


@pytest.mark.slow
def test_every_command_works_on_a_directory_of_this_version(tmp_path: Path) -> None:
    blocks = commands("upgrade.md")
    begin = "gantry serve --buckets buckets &\ngantry wait-ready\n"
    stop = "kill $!; wait $! || true\n"
    script = [begin, "gantry stores create hospital/ct\n", blocks[LOOK], stop, blocks[COPY], blocks[UPGRADE]]
    script += [begin, blocks[START], stop, blocks[BACK], "gantry migrate --check --data gantry-data\n", LAST]
    (tmp_path / "buckets").mkdir()
    done = shell("".join(script), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("nothing is wrong") == 2
    assert "ct" in done.stdout
    assert (tmp_path / "gantry-data.after").is_dir() and (tmp_path / "gantry-data").is_dir()


@pytest.mark.slow
def test_an_older_index_is_upgraded_and_can_be_put_back(tmp_path: Path) -> None:
    data, blocks = tmp_path / "gantry-data", commands("upgrade.md")
    data.mkdir()
    with closing(index_of_schema(data / "index.sqlite", OLDER)) as index:
        fill_older(index)
        index.commit()
    needed = "if gantry migrate --check --data gantry-data; then exit 9; fi\n"
    upgrade = blocks[UPGRADE].partition("gantry check")[0]  # the rows of that index name no bytes
    done = shell("".join([needed, blocks[COPY], upgrade, blocks[BACK], needed, LAST]), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"before, it had schema {OLDER}" in done.stdout
    assert done.stdout.count("run `gantry migrate`") == 2
