"""The commands of the how-to page on tables that follow a store, run by a shell as they are printed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.test_howto import PREPARE, commands
from tests.docs.test_readme import shell
from tests.support.dicom import make_instance

WAIT = "until [ -e tables/changes ]; do sleep 0.2; done\n"


@pytest.mark.slow
def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    bucket = tmp_path / "buckets" / "incoming" / "d"
    bucket.mkdir(parents=True)
    (bucket / "a.dcm").write_bytes(make_instance("1.2.3", "1.2.3.4", "1.2.3.4.5"))
    blocks = [
        re.sub(r"^pip install .*\n", "", block.replace("/srv/tables", f"{tmp_path}/tables"), flags=re.MULTILINE)
        for block in commands("streaming.md")
    ]
    if shutil.which("gcloud") is None:
        blocks = [block for block in blocks if not block.startswith("gcloud")]
    start, *configure, query = blocks
    prepare, fill = PREPARE.split("gantry import")[0], "gantry import" + PREPARE.split("gantry import")[1]
    prepare = "".join(line + "\n" for line in prepare.splitlines() if not line.startswith("gantry serve"))
    settings = "".join(f"{line}\n" for line in PREPARE.splitlines() if line.startswith("export"))
    done = shell("".join([start, prepare, settings, *configure, fill, WAIT, query]), tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"OT\W+STANDARD\W+1\b", done.stdout), done.stdout
