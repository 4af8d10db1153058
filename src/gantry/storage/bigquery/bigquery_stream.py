"""A table of BigQuery that follows a store: each load job adds rows to it, once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass

from google.api_core.exceptions import BadRequest, MethodNotImplemented, NotFound
from google.cloud import bigquery

from gantry.beats import SYNC_SECONDS, beat
from gantry.errors import PermissionDenied
from gantry.storage.bigquery.bigquery_table import BigQueryTable
from gantry.storage.bigquery.clients import TIMES, find_done, find_location
from gantry.storage.bigquery.errors import ADVICE, translated
from gantry.storage.bigquery.schema import join_fields, make_fields, read_fields
from gantry.storage.warehouse.stages import cut_files, list_stages
from gantry.table_schema import Columns, merge_columns
from gantry.table_seams import TableFile, TablePlan, TableVersion

_RIGHTS = ["bigquery.tables.updateData", "bigquery.tables.update"]
_JOB_SECONDS = 60.0  # that a job is waited for; then it is looked for again
_ALL = 1 << 62  # one job has all rows of a key: BigQuery takes files of 4 GB that are compressed
_ADDED = ("added",)


@dataclass
class BigQueryStream(BigQueryTable):
    """See ``table_seams.StreamTable``. The job has the name of the rows, so BigQuery carries it out once."""

    is_service = True

    @property
    def is_limited(self) -> bool:
        return not self.where.is_emulator

    def require_writable(self, columns: Columns) -> None:
        with translated(str(self.address)):
            client = self._client()
            if self.where.is_emulator:  # it knows no rights, and adds no columns to a table later
                self._find(client)
                return
            self._make(client, columns)
            with suppress(NotFound, BadRequest, MethodNotImplemented):
                given = client.test_iam_permissions(self._target, _RIGHTS, **TIMES).get("permissions", [])
                if missing := sorted({*_RIGHTS} - {*given}):
                    raise PermissionDenied(f"{self.address} lacks {', '.join(missing)} for this server", advice=ADVICE)
            look = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
            client.query("SELECT 1", job_config=look, location=find_location(client, self._dataset), **TIMES)

    def look(self) -> TableVersion | None:
        with translated(str(self.address)):
            return self._find(self._client())

    def require_place(self) -> None:
        """The service has one of each name."""

    def is_added(self) -> bool:
        with translated(str(self.address)):
            client = self._client()
            location = find_location(client, self._dataset)
            return find_done(client, str(self.address), self._adding, location, _JOB_SECONDS)

    def begin(self, kept: str) -> None:
        """What rows of the same stream have left that were given up is removed."""
        for path in self.staging.glob(f"op-{self.key.partition('-')[0]}-*"):
            if not path.name.startswith(f"op-{self.key}-"):
                shutil.rmtree(path, ignore_errors=True)
        super().begin(kept)

    def plan(self, fixed: Columns, appends: bool) -> TablePlan:
        before = self.look()
        columns = merge_columns(fixed, self._columns)
        if before is not None:
            merge_columns(before.columns, columns)  # raises where a column has two types
        with self._disk():
            files = tuple(cut_files(list_stages(self._own), most_rows=_ALL, most_bytes=_ALL))
        return TablePlan(before, columns, files, _ADDED, sum(file.rows for file in files))

    def write_file(self, plan: TablePlan, file: TableFile) -> int:
        beat(SYNC_SECONDS)
        with translated(str(self.address)):
            schema = self._make(self._client(), plan.columns)
            return self._load(plan, file, self._target, schema, self._adding, _JOB_SECONDS, is_final=False)

    def publish(self, plan: TablePlan) -> bool:
        self.discard()
        return True

    def _make(self, client: bigquery.Client, columns: Columns) -> list[bigquery.SchemaField]:
        """The table with at least these columns: its fields."""
        try:
            found = client.get_table(self._target, **TIMES)
        except NotFound:
            made = bigquery.Table(self._target, make_fields(columns))
            return list(client.create_table(made, exists_ok=True, **TIMES).schema)
        merge_columns(read_fields(found.schema), columns)  # raises where a column has two types
        wanted = join_fields(found.schema, columns)
        if wanted != found.schema:
            found.schema = wanted
            client.update_table(found, ["schema"], **TIMES)
        return wanted

    @property
    def _adding(self) -> str:
        return f"gantry_{self.key}_add"
