"""The real ``bq`` of the Google Cloud CLI, pointed at this server by ``--api``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import GantryServer

pytestmark = pytest.mark.slow
Bq = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bq(server: GantryServer, tmp_path: Path) -> Bq:
    if shutil.which("bq") is None:
        pytest.skip("NOT TESTED: bq is not installed")
    (tmp_path / "token").write_text("any\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDSDK_")}
    env = kept | {
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(tmp_path / "token"),
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "HOME": str(tmp_path),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["bq", "--api", f"{server.url}/", "--project_id", "p", "--quiet", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)

    return run


def printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_queries(bq: Bq) -> None:
    text = "SELECT Modality, COUNT(*) AS n FROM p.d.t GROUP BY 1 ORDER BY 1"
    out = printed(bq("--format=csv", "query", "--use_legacy_sql=false", text))
    assert out.split() == ["Modality,n", "CT,4", "MR,2"]
    legacy = "SELECT CONCAT('/studies/', StudyInstanceUID) FROM [p:d.t] ORDER BY 1 LIMIT 1"
    assert printed(bq("--format=csv", "query", legacy)).split() == ["f0_", "/studies/1.0"]
    failed = bq("query", "--use_legacy_sql=false", "SELECT Foo FROM p.d.t")
    assert failed.returncode != 0 and "Unrecognized name: Foo at [1:8]" in failed.stdout + failed.stderr
    dry = bq("query", "--dry_run", "--use_legacy_sql=false", text)
    assert "Query successfully validated" in printed(dry)


def test_tables(bq: Bq) -> None:
    assert {"d", "other"} <= set(printed(bq("ls")).split())
    assert "t" in printed(bq("ls", "d")).split()
    assert '"name":"StudyInstanceUID"' in printed(bq("show", "--schema", "d.t"))
    assert "1.9.0" in printed(bq("head", "-n", "1", "--selected_fields=SOPInstanceUID", "d.t"))


def test_an_extract(bq: Bq, server: GantryServer) -> None:
    bucket = server.buckets / "bq"
    bucket.mkdir(exist_ok=True)
    printed(bq("extract", "--destination_format=NEWLINE_DELIMITED_JSON", "d.t", "gs://bq/t.json"))
    assert len((bucket / "t.json").read_text().splitlines()) == 6


def test_writes_are_refused(bq: Bq) -> None:
    for command in (
        ("mk", "--dataset", "new"),
        ("rm", "-f", "-t", "d.t"),
        ("query", "--use_legacy_sql=false", "--destination_table=d.n", "SELECT 1"),
    ):
        done = bq(*command)
        assert done.returncode != 0 and "d.n" not in printed(bq("ls", "d"))
