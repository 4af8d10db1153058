"""The tab *Query* of a server that asks who is calling: who may do what, and what is said to the others."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.console.test_access import DATASET, OWN, STORE, new_lines, signed_in
from tests.sql.tables import write_table
from tests.support.access import Guarded

HERE = f"/console/{STORE}/query"
COUNT = "SELECT StudyInstanceUID, COUNT(*) AS n FROM p.d.t GROUP BY 1"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("rights")
    for name in ("p", "other"):
        (home / name).mkdir()
        write_table(home / name, f"{name}.d.t")
    (home / "gantry.toml").write_text(f'[[bucket_rules]]\nname = "out"\nwrite = true\ndatasets = ["{DATASET}"]\n')
    made = Guarded(
        *(home, "bob", "eve", "ina"),
        GANTRY_BIGQUERY=f"p={home}/p,other={home}/other",
        GANTRY_CONFIG=str(home / "gantry.toml"),
        GANTRY_AUDIT_LOG=str(home / "audit.jsonl"),
    )
    made.call("POST", f"v1/{DATASET.rpartition('/')[0]}?datasetId=d")
    made.call("POST", f"v1/{DATASET}/dicomStores?dicomStoreId=s")
    (made.server.buckets / "out").mkdir()
    (made.server.buckets / "other").mkdir()
    viewer = "roles/healthcare.dicomStoreViewer"
    made.grant("projects/p", *(("roles/bigquery.jobUser", who) for who in ("bob", "ina")),
               *(("roles/bigquery.dataViewer", who) for who in ("bob",)))  # fmt: skip
    made.grant(DATASET, (viewer, "bob"), (viewer, "eve"), (viewer, "ina"))
    made.grant(STORE, ("roles/healthcare.dicomEditor", "ada"))
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def run(client: httpx.Client, text: str = COUNT) -> str:
    """The address of a query that has ended."""
    answer = client.post(HERE, data={"text": text}, headers=OWN)
    assert answer.status_code == 303, answer.text
    address = str(answer.headers["location"])
    while "so far" in client.get(address).text:
        time.sleep(0.05)
    return address


def test_who_may_not_query_is_told_what_to_ask_for(guarded: Guarded) -> None:
    client = signed_in(guarded, "eve")
    page = client.get(HERE)
    assert page.status_code == 200 and "You may not run queries here" in page.text
    assert "roles/bigquery.jobUser" in page.text and "<textarea" not in page.text and "p.d.t" not in page.text
    refused = client.post(HERE, data={"text": COUNT}, headers=OWN)
    assert refused.status_code == 403 and "bigquery.jobs.create" in refused.text


def test_who_may_read_no_table_is_told(guarded: Guarded) -> None:
    client = signed_in(guarded, "ina")
    page = client.get(HERE).text
    assert "You may read none of this server" in page and "p.d.t" not in page and "other.d" not in page
    assert client.get(f"{HERE}/columns?table=p.d.t").status_code == 403
    assert "Permission bigquery.tables.getData denied" in client.get(run(client)).text


def test_tables_of_other_projects_are_neither_shown_nor_read(guarded: Guarded) -> None:
    client = signed_in(guarded, "bob")
    page = client.get(HERE).text
    assert "p.d.t" in page and "other.d" not in page and "tables of other" not in page
    assert client.get(f"{HERE}/columns?table=other.d.t").status_code == 403
    assert client.get(f"{HERE}?table=other.d.t").status_code == 400
    assert "denied" in client.get(run(client, "SELECT * FROM `other.d.t`")).text
    assert "other.d.t" in signed_in(guarded, "ada").get(HERE).text


@pytest.mark.slow
def test_a_result_is_ones_own(guarded: Guarded) -> None:
    bob, ada = signed_in(guarded, "bob"), signed_in(guarded, "ada")
    address = run(bob)
    assert "2 rows" in bob.get(address).text and address in bob.get(HERE).text
    for path in ("", "/progress", "/rows.csv", "/rows.ndjson", "/rows.parquet"):
        assert ada.get(f"{address}{path}").status_code == 404
        assert signed_in(guarded, "eve").get(f"{address}{path}").status_code == 403
    assert address not in ada.get(HERE).text
    for path in ("/cancel", "/filter"):
        assert ada.post(f"{address}{path}", data={"then": "export", "bucket": "out"}, headers=OWN).status_code == 404


def test_what_may_be_done_with_instances_needs_the_rights_on_the_store(guarded: Guarded) -> None:
    bob, ada = signed_in(guarded, "bob"), signed_in(guarded, "ada")
    mine = run(bob)
    page = bob.get(mine).text
    assert "You may neither export" in page and 'name="then"' not in page
    for then in ("export", "storage-class"):
        refused = bob.post(f"{mine}/filter", data={"then": then, "bucket": "out"}, headers=OWN)
        assert refused.status_code == 403 and "healthcare." in refused.text
    assert list((guarded.server.buckets / "out").iterdir()) == []
    page = ada.get(run(ada)).text
    assert 'value="export"' in page and "<option>out</option>" in page and "<option>other" not in page


def test_a_filter_file_goes_where_the_dataset_may_write(guarded: Guarded) -> None:
    ada = signed_in(guarded, "ada")
    mine = run(ada)
    job = ada.post(f"{mine}/filter", data={"then": "export", "bucket": "other"}, headers=OWN).headers["location"]
    while (found := ada.get(job)).status_code == 200 and "Writing the filter file" in found.text:
        time.sleep(0.05)
    assert "bucket_rules" in found.text and list((guarded.server.buckets / "other").iterdir()) == []
    job = ada.post(f"{mine}/filter", data={"then": "export", "bucket": "out"}, headers=OWN).headers["location"]
    while (found := ada.get(job)).status_code == 200 and "Writing the filter file" in found.text:
        time.sleep(0.05)
    assert found.status_code == 303 and len(list((guarded.server.buckets / "out").iterdir())) == 1


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
def test_forms_of_other_sites_are_refused(guarded: Guarded, headers: dict[str, str]) -> None:
    ada = signed_in(guarded, "ada")
    mine = run(ada)
    for path in (HERE, f"{mine}/cancel", f"{mine}/filter", f"/console/{STORE}/storage-class/file"):
        assert (
            ada.post(path, data={"text": COUNT, "then": "export", "bucket": "out"}, headers=headers).status_code == 403
        )


def test_nobody_is_sent_to_sign_in(guarded: Guarded) -> None:
    client = httpx.Client(base_url=guarded.server.url)
    assert client.get(HERE).headers["location"].startswith("/sign-in")
    assert client.post(HERE, data={"text": COUNT}, headers=OWN).headers["location"].startswith("/sign-in")


@pytest.mark.slow
def test_what_is_asked_and_read_stands_in_the_audit_log(guarded: Guarded) -> None:
    bob = signed_in(guarded, "bob")
    before = len(new_lines(guarded))
    address = str(bob.post(HERE, data={"text": COUNT}, headers=OWN).headers["location"])
    assert [line[0::3] for line in new_lines(guarded, before)] == [("bob", 0)]
    assert "JobService.InsertJob" in new_lines(guarded, before)[0][1]
    while "so far" in bob.get(address).text:
        time.sleep(0.05)
    before = len(new_lines(guarded))
    assert bob.get(f"{address}/rows.csv").status_code == 200
    assert [line[1].rpartition(".")[2] for line in new_lines(guarded, before)] == ["GetQueryResults"]
    before = len(new_lines(guarded))
    assert signed_in(guarded, "eve").post(HERE, data={"text": COUNT}, headers=OWN).status_code == 403
    assert ("eve", 7) in [line[0::3] for line in new_lines(guarded, before)]
