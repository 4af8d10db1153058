"""The commands of the how-to page on tables, run by a shell as they are printed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import pytest

from tests.docs.test_howto import PREPARE, commands
from tests.docs.test_readme import shell
from tests.support.dicom import make_instance

UIDS = ("1.2.3", "1.2.3.4", "1.2.3.4.5")
WAIT = "until [ -e tables/my_dataset.duckdb ]; do sleep 0.2; done\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bucket = tmp_path / "buckets" / "incoming" / "d"
    bucket.mkdir(parents=True)
    (bucket / "a.dcm").write_bytes(make_instance(*UIDS))
    (bucket / "b.dcm").write_bytes(make_instance("1.2.9", "1.2.9.1", "1.2.9.1.1"))
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_page_works(home: Path) -> None:
    blocks = [
        re.sub(r"^pip install .*\n", "", block.replace("/srv/tables", f"{home}/tables"), flags=re.MULTILINE)
        for block in commands("tables.md")
    ]
    if shutil.which("gcloud") is None:
        blocks = [block for block in blocks if not block.startswith("gcloud")]
    start, export, *rest = blocks
    prepare = "".join(line + "\n" for line in PREPARE.splitlines() if not line.startswith("gantry serve"))
    done = shell("".join([start, prepare, export, WAIT, *rest]), home)
    assert done.returncode == 0, done.stderr
    assert re.search(r"OT\W+2\b", done.stdout)
    lines = (home / "buckets" / "incoming" / "filter.txt").read_text().splitlines()
    assert f"/studies/{UIDS[0]}/series/{UIDS[1]}/instances/{UIDS[2]}" in lines and len(lines) == 3
    assert (home / "buckets" / "incoming" / "d" / f"{'/'.join(UIDS)}.dcm").exists()
    with duckdb.connect(home / "tables" / "my_dataset.duckdb", read_only=True) as views:
        assert views.execute("SELECT count(*) FROM instances").fetchone() == (2,)
