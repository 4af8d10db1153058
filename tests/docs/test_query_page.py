"""The commands of the how-to page on queries, run by a shell as they are printed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import pytest

from gantry.storage.sql.functions import ALLOWED
from tests.cli.harness import CT
from tests.docs.test_howto import PREPARE, commands
from tests.docs.test_readme import ROOT, shell
from tests.support.dicom import make_instance

UIDS = ("1.2.3", "1.2.3.4", "1.2.3.4.5")
EXPORT = """
curl -sSf -X POST -H "Content-Type: application/json" --data \
  '{"bigqueryDestination": {"tableUri": "bq://my-project.my_dataset.instances"}}' \
  "http://127.0.0.1:8080/v1/projects/gantry/locations/us-central1/datasets/hospital/dicomStores/ct:export"
until [ -e tables/my_dataset.duckdb ]; do sleep 0.2; done
echo token > token
export CLOUDSDK_AUTH_ACCESS_TOKEN_FILE=$PWD/token CLOUDSDK_CONFIG=$PWD/config
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    bucket = tmp_path / "buckets" / "incoming" / "d"
    bucket.mkdir(parents=True)
    (bucket / "a.dcm").write_bytes(make_instance(*UIDS))
    (bucket / "b.dcm").write_bytes(make_instance("1.2.9", "1.2.9.1", "1.2.9.1.1"))
    (bucket / "c.dcm").write_bytes(CT.read_bytes())  # it has a name and private elements
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_page_works(home: Path) -> None:
    blocks = [
        re.sub(r"^pip install .*\n", "", block.replace("/srv/tables", f"{home}/tables"), flags=re.MULTILINE)
        for block in commands("query.md")
    ]
    if shutil.which("bq") is None:
        blocks = [block for block in blocks if not block.startswith("bq")]
    start, *rest = blocks
    prepare = "".join(line + "\n" for line in PREPARE.splitlines() if not line.startswith("gantry serve"))
    done = shell("".join([start, prepare, EXPORT, *rest]), home)
    assert done.returncode == 0, done.stderr
    assert re.search(r"OT +2\b", done.stdout) and "('1.2.3', 1)" in done.stdout and "('1.2.9', 1)" in done.stdout
    lines = (home / "buckets" / "incoming" / "filter.txt").read_text().splitlines()
    assert f"/studies/{UIDS[0]}/series/{UIDS[1]}/instances/{UIDS[2]}" in lines and len(lines) == 2
    assert (home / "buckets" / "incoming" / "d" / f"{'/'.join(UIDS)}.dcm").exists()
    assert len((home / "names.csv").read_text().splitlines()) == 4
    assert len((home / "buckets" / "incoming" / "studies.csv").read_text().splitlines()) == 4
    assert duckdb.sql(f"SELECT count(*) FROM '{home}/all.parquet'").fetchall() == [(3,)]


def test_functions_that_the_page_names_are_there() -> None:
    page = (ROOT / "docs" / "howto" / "query.md").read_text(encoding="utf-8")
    assert {"JSON_VALUE", "UNNEST", "EXCEPT", "REPLACE", "ARRAY_AGG", "STRING_AGG"} <= ALLOWED
    assert not {"REGEXP_MATCH", "PIVOT"} & ALLOWED and "REGEXP_MATCH" in page
