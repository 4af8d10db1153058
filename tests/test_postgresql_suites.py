"""The suites of the interfaces pass with the index in PostgreSQL: some in every run, more in ``./run test-slow``, and
all of them in ``./run test-postgresql``."""

from __future__ import annotations

import pytest

from tests.support import databases, postgresql, suites
from tests.support.suites import run_suites

SHOWN = "support/test_databases.py"
"""Shows in each run that the indexes are in PostgreSQL."""
QUICK = {
    "some": "api/test_logs_retention.py api/test_dicom_stores_patch.py dicomweb/test_series_keys.py",
}
SLOW = {
    "all of api": "api",
    "access and console": "access iam console pages",
    "more of dicomweb": "dicomweb/test_update_below.py dicomweb/test_retrieve.py dicomweb/test_search.py "
    "dicomweb/test_search_inside.py "
    "dicomweb/test_store.py dicomweb/test_update.py dicomweb/test_update_metadata.py "
    "dicomweb/test_statements_of_reads.py dicomweb/test_names_of_marks.py dicomweb/test_replaced_meanwhile.py",
}
"""About ten minutes of a processor."""
PARTS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", PARTS)
def test_a_suite_passes_with_postgresql(part: str) -> None:
    postgresql.require()
    files, environ = [SHOWN, *(QUICK | SLOW)[part].split()], {databases.VARIABLE: databases.POSTGRESQL}
    output = run_suites(files, environ, suites.QUICK if part in QUICK else suites.ALL)
    assert "left out with PostgreSQL: shows what is left out" in output
