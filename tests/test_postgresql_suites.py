"""The suites of the interfaces pass with the index in PostgreSQL: some in every run, more in ``./run test-slow``, and
all of them in ``./run test-postgresql``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import databases, postgresql

ROOT = Path(__file__).parents[1]
SHOWN = "tests/support/test_databases.py"
"""Shows in each run that the indexes are in PostgreSQL."""
QUICK = {
    "api": "api/test_dicom_stores_get_dicomstore_metrics.py api/test_operations_list.py api/test_logs_retention.py "
    "api/test_dicom_stores_studies_series_delete.py api/test_datasets_list.py api/test_dicom_stores_patch.py",
    "dicomweb": "dicomweb/test_series_keys.py dicomweb/test_retrieve.py dicomweb/test_update_below.py "
    "iam/test_policies.py",
}
SLOW = {
    "all of api": "api",
    "access and console": "access iam console pages",
    "more of dicomweb": "dicomweb/test_search.py dicomweb/test_search_inside.py dicomweb/test_store.py "
    "dicomweb/test_update.py dicomweb/test_update_metadata.py dicomweb/test_statements_of_reads.py "
    "dicomweb/test_names_of_marks.py dicomweb/test_replaced_meanwhile.py",
}
"""About ten minutes of a processor."""
PARTS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", PARTS)
def test_a_suite_passes_with_postgresql(part: str) -> None:
    postgresql.require()
    files = [f"tests/{name}" for name in (QUICK | SLOW)[part].split()]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider"]
    environ = {name: value for name, value in os.environ.items() if name != "GANTRY_TEST_MINUTES"}
    environ[databases.VARIABLE] = databases.POSTGRESQL
    command += ["-m", "not slow and not further" if part in QUICK else "not long", SHOWN, *files]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > len(files), done.stdout[-2000:]
    assert "left out with PostgreSQL: shows what is left out" in done.stdout
