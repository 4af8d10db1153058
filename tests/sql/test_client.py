"""Google's own client of BigQuery, against this server."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.support.server import GantryServer

RECIPE = (
    "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) "
    "FROM `p.d.t` WHERE Modality = 'CT' ORDER BY SOPInstanceUID"
)
PATHS = [f"/studies/1.{n % 2}/series/1.{n % 2}.1/instances/1.9.{n}" for n in (1, 2, 4, 5)]


@pytest.fixture
def client(server: GantryServer) -> bigquery.Client:
    return bigquery.Client("p", AnonymousCredentials(), client_options={"api_endpoint": server.url})  # type: ignore[no-untyped-call]


def test_the_recipe(client: bigquery.Client) -> None:
    rows = client.query(RECIPE).result()
    assert [row.f0_ for row in rows] == PATHS and rows.total_rows == 4
    assert [row[0] for row in client.query_and_wait(RECIPE)] == PATHS
    legacy = bigquery.QueryJobConfig(use_legacy_sql=True)
    assert [row[0] for row in client.query(RECIPE.replace("`p.d.t`", "[p:d.t]"), legacy).result()] == PATHS


def test_query_by_jobs_query(client: bigquery.Client) -> None:
    assert [row[0] for row in client.query(RECIPE, api_method="QUERY").result()] == PATHS


def test_a_data_frame(client: bigquery.Client) -> None:
    found = client.query("SELECT InstanceNumber, `Rows` FROM d.t ORDER BY 1").to_dataframe(
        create_bqstorage_client=False
    )
    assert list(found["InstanceNumber"]) == list("012345") and found["Rows"].sum() == 2560


def test_values_of_all_types(client: bigquery.Client) -> None:
    (row,) = client.query_and_wait("SELECT * FROM p.d.t WHERE InstanceNumber = '1'")
    assert row.StudyDate == dt.date(2024, 1, 2) and row.StudyTime == dt.time(10, 30, 0, 500000)
    assert row.LastUpdated == dt.datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=dt.UTC)
    assert row.ImageType == ["ORIGINAL", "PRIMARY"] and row.PixelSpacing == [0.5, 0.25] and row.Rows == 512
    assert row.PatientName == {"Alphabetic": {"FamilyName": "Family1", "GivenName": "Ada"}}
    assert row.Sequence == [{"CodeValue": "c1", "Codes": ["a", "b"], "Inner": [{"Deep": "deep1"}]}]
    assert row.Metadata["00100020"]["Value"] == ["ID1"]


def test_pages(client: bigquery.Client) -> None:
    text = "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 2500)) AS n ORDER BY n"
    rows = client.query(text).result(page_size=1000)
    assert [len(list(page)) for page in rows.pages] == [1000, 1000, 500]
    assert [row.n for row in client.query(text).result(start_index=2498)] == [2499, 2500]
    assert [row.n for row in client.query(text).result(max_results=2)] == [1, 2]


def test_parameters(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("modality", "STRING", "CT"),
            bigquery.ArrayQueryParameter("numbers", "STRING", ["1", "2", "3"]),
            bigquery.ScalarQueryParameter("day", "DATE", dt.date(2024, 1, 2)),
        ]
    )
    text = (
        "SELECT InstanceNumber FROM p.d.t WHERE Modality = @modality AND InstanceNumber IN UNNEST(@numbers) "
        "AND StudyDate >= @day ORDER BY 1"
    )
    assert [row[0] for row in client.query(text, config).result()] == ["1", "2"]
    positional = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter(None, "INT64", 7)])
    assert [row[0] for row in client.query("SELECT ? + 1", positional).result()] == [8]


def test_a_dry_run(client: bigquery.Client) -> None:
    job = client.query(RECIPE, bigquery.QueryJobConfig(dry_run=True))
    assert job.total_bytes_processed > 0 and [field.name for field in job.schema] == ["f0_"]


def test_datasets_and_tables(client: bigquery.Client) -> None:
    assert [item.dataset_id for item in client.list_datasets()] == ["d", "other"]
    assert client.get_dataset("d").dataset_id == "d"
    assert [item.table_id for item in client.list_tables("d")] == ["t"]
    table = client.get_table("p.d.t")
    assert table.num_rows == 6 and table.schema[0].name == "StudyInstanceUID"
    assert {field.name: field.field_type for field in table.schema}["LastUpdated"] == "TIMESTAMP"
    assert len(list(client.list_rows(table))) == 6
    assert [tuple(row) for row in client.list_rows(table, selected_fields=[table.schema[2]], max_results=2)] == [
        ("1.9.0",),
        ("1.9.2",),
    ]
    assert [project.project_id for project in client.list_projects()] == ["p"]
    with pytest.raises(exceptions.NotFound):
        client.get_table("p.d.missing")
    with pytest.raises(exceptions.NotFound):
        client.get_dataset("missing")


def test_errors(client: bigquery.Client) -> None:
    with pytest.raises(exceptions.BadRequest, match=r"Unrecognized name: Modalty at \[1:8\]"):
        client.query("SELECT Modalty FROM p.d.t").result()
    with pytest.raises(exceptions.BadRequest, match=r"Syntax error: .* at \[2:7\]"):
        client.query_and_wait("SELECT 1\nFROM (x")
    with pytest.raises(exceptions.NotFound, match="Not found: Table p:d.missing".replace(".", r"\.")):
        client.query_and_wait("SELECT * FROM p.d.missing")
    with pytest.raises(exceptions.BadRequest, match="only a single SELECT"):
        client.query_and_wait("DELETE FROM p.d.t WHERE TRUE")


def test_writes_are_refused(client: bigquery.Client) -> None:
    with pytest.raises(exceptions.Forbidden, match="exports of metadata write them"):
        client.create_dataset("new")
    with pytest.raises(exceptions.Forbidden, match="exports of metadata write them"):
        client.delete_table("p.d.t")
    with pytest.raises(exceptions.Forbidden, match="Leave destinationTable out"):
        client.query("SELECT 1", bigquery.QueryJobConfig(destination="p.d.new")).result()
    with pytest.raises(exceptions.Forbidden, match="exports of metadata write them"):
        client.load_table_from_uri("gs://b/x.csv", "p.d.new")
    assert len(list(client.list_rows("p.d.t"))) == 6


@pytest.mark.slow
def test_extracts_to_a_bucket(client: bigquery.Client, server: GantryServer, tmp_path: Path) -> None:
    bucket = server.buckets / "extracts"
    bucket.mkdir(exist_ok=True)
    job = client.query(RECIPE)
    job.result()
    extract = client.extract_table(job.destination, "gs://extracts/filter.csv")
    extract.result()
    assert (bucket / "filter.csv").read_text().splitlines() == ["f0_", *PATHS]
    bare = bigquery.ExtractJobConfig(print_header=False)
    client.extract_table(job.destination, "gs://extracts/bare-*.csv", job_config=bare).result()
    assert (bucket / "bare-000000000000.csv").read_text().splitlines() == PATHS
    with pytest.raises(exceptions.BadRequest, match="CSV cannot have"):
        client.extract_table("p.d.t", "gs://extracts/t.csv").result()
    lines = bigquery.ExtractJobConfig(destination_format="NEWLINE_DELIMITED_JSON")
    client.extract_table("p.d.t", "gs://extracts/t.json", job_config=lines).result()
    assert len((bucket / "t.json").read_text().splitlines()) == 6


def test_a_job_is_found_by_its_id_and_can_be_cancelled(client: bigquery.Client) -> None:
    job = client.query(RECIPE, job_id="mine")
    job.result()
    assert client.get_job("mine").state == "DONE"
    with pytest.raises(exceptions.Conflict):
        client.query("SELECT 1", job_id="mine").result()
    slow = client.query(
        "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 100000)) a, UNNEST(GENERATE_ARRAY(1, 100000)) b "
        "WHERE MOD(a * b, 7) = 3"
    )
    slow.cancel()
    with pytest.raises(exceptions.GoogleAPICallError, match="cancel"):
        slow.result()
