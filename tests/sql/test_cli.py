"""``gantry sql``: what is printed in which form, what is written to a bucket, errors and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.cli.harness import ENVIRON, run
from tests.support.server import GantryServer

RECIPE = (
    "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) "
    "FROM [p:d.t] WHERE Modality = 'MR' ORDER BY SOPInstanceUID"
)
PATHS = ["/studies/1.0/series/1.0.1/instances/1.9.0", "/studies/1.1/series/1.1.1/instances/1.9.3"]


def sql(server: GantryServer, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run("sql", *arguments, env={"GANTRY_SERVER": server.url, "GANTRY_PROJECT": "p"}, **options)


def test_a_table(server: GantryServer) -> None:
    done = sql(server, "SELECT Modality, COUNT(*) AS n FROM d.t GROUP BY 1 ORDER BY 1")
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (
        0,
        ["Modality  n", "CT        4", "MR        2"],
        "",
    )
    assert sql(server, "--legacy-sql", RECIPE).stdout.splitlines() == ["f0_", *PATHS]
    assert sql(server, "-", stdin=None, input="SELECT 1").stdout.split() == ["f0_", "1"]


def test_csv(server: GantryServer) -> None:
    done = sql(
        server, "--format", "csv", "SELECT InstanceNumber, 'a,\"b\"' AS x, ImageType, NULL AS n FROM p.d.t ORDER BY 1"
    )
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[:2] == [["InstanceNumber", "x", "ImageType", "n"], ["0", 'a,"b"', '["DERIVED"]', ""]] and len(rows) == 7


EVIL = r"SELECT '\x1b[31m\u009b\u202e' AS t, ['\x1b\u009b'] AS l"


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_terminal_acts_on_nothing_that_a_table_has(server: GantryServer, form: str) -> None:
    ours, theirs = os.openpty()
    try:
        done = sql(server, "--format", form, EVIL, stdout=theirs)
        assert done.returncode == 0, done.stderr
        shown = re.sub("\x1b\\[[01]m", "", os.read(ours, 65536).decode())  # the head of a table is bold
    finally:
        os.close(ours)
        os.close(theirs)
    assert "[31m" in shown and not {*"\x1b\x9b\u202e"} & {*shown}, repr(shown)


def test_a_file_of_csv_has_all_as_it_is(server: GantryServer) -> None:
    (_, (text, items)) = csv.reader(io.StringIO(sql(server, "--format", "csv", EVIL).stdout))
    assert text == "\x1b[31m\x9b\u202e" and json.loads(items) == ["\x1b\x9b"]


def test_json(server: GantryServer) -> None:
    text = "SELECT * FROM p.d.t WHERE InstanceNumber = '1'"
    for flag in (("--json",), ("--format", "json")):
        (row,) = json.loads(sql(server, *flag, text).stdout)
        assert row["Rows"] == 512 and row["PixelSpacing"] == [0.5, 0.25] and row["StudyDate"] == "2024-01-02"
        assert row["LastUpdated"] == "2024-02-03T04:05:06.789Z"
        assert row["PatientName"]["Alphabetic"] == {"FamilyName": "Family1", "GivenName": "Ada"}
        assert row["Sequence"][0]["Inner"] == [{"Deep": "deep1"}]
        assert row["Metadata"]["00100020"]["Value"] == ["ID1"]
    assert json.loads(sql(server, "--json", f"{text} AND FALSE").stdout) == []


def test_parquet(server: GantryServer, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gantry",
        "sql",
        "--format",
        "parquet",
        "SELECT * FROM p.d.t ORDER BY SOPInstanceUID",
    ]
    done = subprocess.run(
        command, env=ENVIRON | {"GANTRY_SERVER": server.url}, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "x.parquet").write_bytes(done.stdout)
    found = duckdb.sql(
        f"SELECT PatientName.Alphabetic.FamilyName, Rows, StudyDate::VARCHAR, epoch_ms(LastUpdated), len(ImageType) "
        f"FROM '{tmp_path}/x.parquet' WHERE InstanceNumber = '1'"
    ).fetchall()
    assert found == [("Family1", 512, "2024-01-02", 1706933106789, 2)]


def test_a_filter_file_in_a_bucket(server: GantryServer) -> None:
    bucket = server.buckets / "filters"
    bucket.mkdir(exist_ok=True)
    done = sql(server, "--to", "gs://filters/a/filter.csv", RECIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "wrote 2 rows to gs://filters/a/filter.csv\n")
    assert (bucket / "a" / "filter.csv").read_text() == "".join(f"{path}\n" for path in PATHS)
    assert (
        sql(
            server,
            "--to",
            "gs://filters/empty.csv",
            f"SELECT x FROM ({RECIPE.replace('FROM', 'AS x FROM')}) WHERE FALSE",
        ).returncode
        == 0
    )
    assert (bucket / "empty.csv").read_text() == ""
    two = sql(server, "--to", "gs://filters/two.csv", "SELECT SOPInstanceUID, Modality FROM p.d.t ORDER BY 1 LIMIT 1")
    assert "it has 2 columns" in two.stderr and two.returncode == 0
    assert (bucket / "two.csv").read_text() == "SOPInstanceUID,Modality\n1.9.0,MR\n"
    lines = sql(
        server, "--json", "--to", "gs://filters/x.json", "SELECT ImageType FROM p.d.t WHERE InstanceNumber = '1'"
    )
    assert json.loads(lines.stdout) == {"uri": "gs://filters/x.json", "rows": 1, "columns": ["ImageType"]}
    assert json.loads((bucket / "x.json").read_text()) == {"ImageType": ["ORIGINAL", "PRIMARY"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("SELECT Modalty FROM p.d.t",), "Unrecognized name: Modalty at [1:8]"),
        (("SELECT * FROM p.d.missing",), "Not found: Table p:d.missing"),
        (("DROP TABLE p.d.t",), "only a single SELECT"),
        (("--to", "gs://missing-bucket/x.csv", "SELECT 'x'"), "missing-bucket"),
        (("--to", "/etc/x.csv", "SELECT 'x'"), "is not a Cloud Storage address"),
        (("--to", "gs://b", "SELECT 'x'"), "must name an object"),
        (("--to", "gs://filters/x.csv", "SELECT [1, 2]"), "CSV cannot have"),
        (("--to", "gs://b/x.parquet", "--format", "parquet", "SELECT 1"), "--to: writes CSV or JSON"),
        (("",), "query: is required"),
    ],
)
def test_errors(server: GantryServer, arguments: tuple[str, ...], said: str) -> None:
    (server.buckets / "filters").mkdir(exist_ok=True)
    done = sql(server, *arguments)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") == 1


def test_no_server() -> None:
    done = run("sql", "SELECT 1", env={"GANTRY_SERVER": "http://127.0.0.1:9"})
    assert done.returncode == 3 and "no answer from" in done.stderr
