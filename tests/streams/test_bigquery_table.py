"""What the emulator of BigQuery cannot show: rights, columns that are added later, jobs that take long."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gantry.errors import BucketAway, FailedPrecondition, PermissionDenied, StatusError
from gantry.storage.disks import Disk
from gantry.table_address import TableAddress
from gantry.table_schema import TableRow
from gantry.tables.columns import MODALITY, list_fixed_columns

pytest.importorskip("google.cloud.bigquery")
from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import bigquery

from gantry.storage.bigquery import clients
from gantry.storage.bigquery.bigquery_stream import BigQueryStream
from gantry.storage.bigquery.places import BigQueryPlace

FIXED = list_fixed_columns(False, False)


class Service:
    """As much of ``bigquery.Client`` as a stream needs. ``rights`` are those of the table, ``table`` its fields."""

    location, project = "EU", "p"

    def __init__(self, *rights: str) -> None:
        self.rights = rights
        self.table: list[bigquery.SchemaField] | None = None
        self.jobs: dict[str, Any] = {}
        self.loaded = self.asked = 0
        self.failures: list[str] = []  # of the next jobs, by BigQuery's reason
        self.is_slow = self.may_query = False

    def get_table(self, _name: str, **_: Any) -> Any:
        if self.table is None:
            raise NotFound("Not found: Table")  # type: ignore[no-untyped-call]
        return SimpleNamespace(schema=self.table, etag="e", num_rows=0)

    def get_dataset(self, _name: str, **_: Any) -> Any:
        return SimpleNamespace(location=self.location)

    def create_table(self, table: bigquery.Table, **_: Any) -> Any:
        self.table = table.schema
        return table

    def update_table(self, table: Any, fields: list[str], **_: Any) -> None:
        assert fields == ["schema"]
        self.table = table.schema

    def test_iam_permissions(self, _table: str, _asked: list[str], **_: Any) -> dict[str, Any]:
        return {"permissions": list(self.rights)}

    def query(self, _query: str, job_config: bigquery.QueryJobConfig, **_: Any) -> None:
        assert job_config.dry_run
        if not self.may_query:
            raise Forbidden("Access Denied: bigquery.jobs.create")  # type: ignore[no-untyped-call]

    def get_job(self, name: str, **_: Any) -> Any:
        self.asked += 1
        if name not in self.jobs:
            raise NotFound("Not found: Job")  # type: ignore[no-untyped-call]
        return self.jobs[name]

    def load_table_from_file(self, lines: Any, _table: str, job_id: str, **_: Any) -> Any:
        assert lines.read() and job_id not in self.jobs
        self.loaded += 1
        done = lambda **_: not self.is_slow  # noqa: E731
        error = {"reason": self.failures.pop(0), "message": "no"} if self.failures else None
        self.jobs[job_id] = SimpleNamespace(error_result=error, done=done, output_rows=1)
        return self.jobs[job_id]


def open_stream(
    directory: Path, service: Service, monkeypatch: pytest.MonkeyPatch, key: str = "sa-1"
) -> BigQueryStream:
    monkeypatch.setattr(BigQueryStream, "_client", lambda _: service)
    disk = Disk("the directory", str(directory).encode())
    return BigQueryStream(BigQueryPlace("p"), TableAddress("p", "d", "t"), key, "owner", 1, directory, disk)


def add(stream: BigQueryStream, columns: Any = FIXED) -> None:
    stream.begin("")
    stream.keep(stream.stage("a", [TableRow('{"SOPInstanceUID": "1.2"}')]), columns)
    plan = stream.plan(FIXED, True)
    for file in plan.files:
        stream.write_file(plan, file)
    assert stream.publish(plan)


def test_columns_are_added_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    add(open_stream(tmp_path, service, monkeypatch))
    add(open_stream(tmp_path, service, monkeypatch, "sa-2"), (*FIXED, MODALITY))
    assert service.table is not None
    assert {each.name for each in service.table[:-1]} == {each.name for each in FIXED}
    assert service.table[-1].name == "Modality"
    assert service.loaded == 2


def test_rows_of_one_key_are_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    stream = open_stream(tmp_path, service, monkeypatch)
    assert not stream.is_added()
    for _ in range(2):
        add(stream)
    assert stream.is_added()
    assert service.loaded == 1
    assert not list(tmp_path.glob("op-*"))


def test_a_job_that_takes_long_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.storage.bigquery.bigquery_stream._JOB_SECONDS", 0.0)
    monkeypatch.setattr(clients, "_LOOK_SECONDS", 0.0)
    service = Service()
    service.is_slow = True
    with pytest.raises(BucketAway, match="has not finished a job yet"):
        add(open_stream(tmp_path, service, monkeypatch))
    service.is_slow = False
    add(open_stream(tmp_path, service, monkeypatch))
    assert service.loaded == 1


@pytest.mark.parametrize("rights", [(), ("bigquery.tables.update",)])
def test_a_missing_right_is_said_when_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: tuple[str, ...]
) -> None:
    service = Service(*rights)
    service.may_query = True
    with pytest.raises(PermissionDenied, match=r"lacks .*bigquery\.tables\.updateData"):
        open_stream(tmp_path, service, monkeypatch).require_writable(FIXED)


def test_a_table_is_made_and_jobs_are_tried_when_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("bigquery.tables.update", "bigquery.tables.updateData")
    with pytest.raises(PermissionDenied, match=r"roles/bigquery\.jobUser"):
        open_stream(tmp_path, service, monkeypatch).require_writable(FIXED)
    service.may_query = True
    open_stream(tmp_path, service, monkeypatch).require_writable(FIXED)
    assert service.table is not None and len(service.table) == len(FIXED)


@pytest.mark.parametrize("reason", ["notFound", "accessDenied", "invalid", "backendError"])
def test_rows_whose_job_has_failed_are_added_once_the_reason_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Such as a table that was removed during it, or a right that was missing: BigQuery takes the id of a job once."""
    service, many = Service(), 40
    service.failures = [reason] * many
    for _ in range(many):
        if not service.failures:
            break
        with pytest.raises(StatusError, match=r"could not finish a job: no|does not finish a job"):
            add(open_stream(tmp_path, service, monkeypatch))
        assert not open_stream(tmp_path, service, monkeypatch).is_added()
    add(open_stream(tmp_path, service, monkeypatch))
    assert service.loaded == many + 1
    assert open_stream(tmp_path, service, monkeypatch).is_added()
    add(open_stream(tmp_path, service, monkeypatch))
    assert service.loaded == many + 1


def test_many_jobs_that_have_failed_are_not_all_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    service.failures = ["notFound"] * 300
    for _ in range(300):
        with pytest.raises(FailedPrecondition):
            add(open_stream(tmp_path, service, monkeypatch))
    service.asked = 0
    assert not open_stream(tmp_path, service, monkeypatch).is_added()
    assert service.asked < 25


def test_a_job_that_runs_on_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its rows are there is asked again later."""
    monkeypatch.setattr("gantry.storage.bigquery.bigquery_stream._JOB_SECONDS", 0.0)
    service = Service()
    service.is_slow = True
    with pytest.raises(BucketAway):
        add(open_stream(tmp_path, service, monkeypatch))
    with pytest.raises(BucketAway, match="has not finished a job yet"):
        open_stream(tmp_path, service, monkeypatch).is_added()
