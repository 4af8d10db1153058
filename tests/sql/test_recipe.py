"""The recipe of the how-to page as a whole: metadata becomes a table, a query of it a filter file, and that an export
and a change of storage class: once with ``gantry sql``, once with Google's client of BigQuery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.cli.harness import run
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry, without_tracebacks
from tests.support.server import GantryServer, counts
from tests.tables.warehouse import export

pytestmark = pytest.mark.slow

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
# As the page has it, with a condition.
QUERY = """SELECT CONCAT
    ('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID)
FROM
    [warehouse:{dataset}.instances]
WHERE SOPClassUID = '1.2.840.10008.5.1.4.1.1.2'"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GantryServer]:
    home: Path = tmp_path_factory.mktemp("recipe")
    env = {"GANTRY_BIGQUERY": f"warehouse={home}/tables"}
    running = GantryServer(home / "data", home / "buckets", env=env)
    yield running
    running.stop()


@pytest.fixture
def gantry(warehouse: GantryServer) -> Iterator[Gantry]:
    with without_tracebacks(warehouse):
        yield Gantry(warehouse)


def follow(gantry: Gantry, make_filter: Callable[[str, str], None]) -> None:
    """``make_filter`` gets the query, and the address of the file that it is to write."""
    for number in range(20):
        sop_class = CT if number % 4 else MR
        data = make_instance(f"1.{number % 3}", f"1.{number % 3}.{number % 4}", f"1.9.{number}", sop_class=sop_class)
        gantry.put(gantry.bucket, f"{number}.dcm", data)
    assert counts(gantry.import_("**")) == (20, 0)
    dataset = gantry.dataset_id.replace("-", "_")
    assert counts(export(gantry, f"bq://warehouse.{dataset}.instances")) == (20, 0)
    uri = f"gs://{gantry.bucket}/filter.csv"
    make_filter(QUERY.format(dataset=dataset), uri)
    assert counts(gantry.export("chosen", filterConfig={"resourcePathsGcsUri": uri})) == (15, 0)
    assert len(gantry.objects(gantry.out)) == 15
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}, "filterConfig": {"resourcePathsGcsUri": uri}}
    change = gantry.call("POST", f"v1beta1/{gantry.store}:setBlobStorageSettings", json=body)
    assert counts(gantry.wait(change["name"])) == (15, 0)
    assert counts(export(gantry, f"bq://warehouse.{dataset}.instances", force=True)) == (20, 0)
    text = f"SELECT StorageClass, SOPClassUID, COUNT(*) FROM warehouse.{dataset}.instances GROUP BY 1, 2 ORDER BY 1"
    rows = list(client(gantry).query_and_wait(text))
    assert [tuple(row) for row in rows] == [("ARCHIVE", CT, 15), ("STANDARD", MR, 5)]


def client(gantry: Gantry) -> bigquery.Client:
    options = {"api_endpoint": gantry.server.url}
    return bigquery.Client("warehouse", AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]


def test_with_gantry_sql(gantry: Gantry) -> None:
    def make_filter(query: str, uri: str) -> None:
        done = run("sql", "--to", uri, query, env={"GANTRY_SERVER": gantry.server.url})
        assert (done.returncode, done.stderr) == (0, f"wrote 15 rows to {uri}\n")

    follow(gantry, make_filter)


def test_with_the_client_of_bigquery(gantry: Gantry) -> None:
    """Its file has a header, which filter files may have."""

    def make_filter(query: str, uri: str) -> None:
        job = client(gantry).query(query, bigquery.QueryJobConfig(use_legacy_sql=True))
        assert job.result().total_rows == 15
        client(gantry).extract_table(job.destination, uri).result()

    follow(gantry, make_filter)
