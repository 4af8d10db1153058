"""A table of BigQuery for one export: rows are staged on the disk of the server, loaded into a table of the export's
own, and copied to the table that was named by one job."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from gantry.beats import SYNC_SECONDS, beat
from gantry.durable_files import make_directory, replace_file, sync_directory
from gantry.errors import Internal
from gantry.storage.bigquery.clients import TIMES, find_done, find_location, open_client, run_job
from gantry.storage.bigquery.errors import translated
from gantry.storage.bigquery.places import BigQueryPlace
from gantry.storage.bigquery.schema import join_fields, make_fields, read_fields
from gantry.storage.disks import Disk
from gantry.storage.warehouse.stages import (
    cut_files,
    keep_stages,
    list_stages,
    read_columns,
    read_lines,
    take_over,
    write_stages,
)
from gantry.table_address import TableAddress
from gantry.table_schema import Columns, TableRow, dump_columns, merge_columns
from gantry.table_seams import TableFile, TablePlan, TableVersion

OWNER = "owner"
OWN_TABLES = "_gantry_"
"""Names of the tables of exports begin so."""
MOST_ROWS, MOST_BYTES = 1_000_000, 1 << 30
"""Of one load job, in lines before they are compressed: a table takes 1,500 jobs in a day ("Quotas and limits",
BigQuery), so a billion rows of 5 kB need three or four days' jobs."""
_APPENDS = ("append",)
_EXPIRES = timedelta(days=7)  # of the export's own table, where nobody removes it


@dataclass
class BigQueryTable:
    """See ``table_seams.ExportTable``. ``staging`` is the directory of the server for rows that wait, on ``disk``."""

    where: BigQueryPlace
    address: TableAddress
    key: str
    owner: str
    attempt: int
    staging: Path
    disk: Disk
    _columns: Columns = field(default=(), repr=False)

    @property
    def identity(self) -> str:
        return f"bigquery:{self.where.endpoint}"

    def is_same(self, identity: str) -> bool:
        return identity == self.identity

    def look(self) -> TableVersion | None:
        with translated(str(self.address)):
            client = self._client()
            # A crash may have come between the job and the end of the operation.
            location = find_location(client, self._dataset)
            is_published = find_done(client, str(self.address), self._publishing, location)
            found = self._find(client)
        return found._replace(exports=(self.key,)) if found is not None and is_published else found

    def require(self) -> None:
        """Raises NotFound, PermissionDenied, BucketAway where the table could be neither read nor made."""
        with translated(str(self.address)):
            self._find(self._client())

    def _find(self, client: bigquery.Client) -> TableVersion | None:
        try:
            found = client.get_table(self._target, **TIMES)
        except NotFound:
            client.get_dataset(self._dataset, **TIMES)
            return None
        return TableVersion(str(found.etag), int(found.num_rows or 0), read_fields(found.schema), ())

    def begin(self, kept: str) -> None:
        with self._disk():
            make_directory(self.staging)
            found = sorted(self._list_own(), key=lambda path: path.stat().st_mtime)
            if not found:
                make_directory(self._own)
                replace_file(self._own / OWNER, self._own / f"{OWNER}.new", self.owner.encode())
            else:
                take_over(found[-1], self._own, kept)
            sync_directory(self._own)
            sync_directory(self.staging)
            self._columns = read_columns(self._own)

    def stage(self, name: str, rows: Iterable[TableRow]) -> Sequence[str]:
        with self._disk():
            return write_stages(self._own, name, rows)

    def keep(self, names: Collection[str], columns: Columns) -> None:
        with self._disk():
            self._columns = keep_stages(self._own, names, self._columns, columns)

    def plan(self, fixed: Columns, appends: bool) -> TablePlan:
        before = self.look()
        columns = merge_columns(fixed, self._columns)
        older = before if appends else None
        if older:
            merge_columns(older.columns, columns)  # raises where a column has two types
            with translated(str(self.address)):
                schema = self._client().get_table(self._target, **TIMES).schema
            columns = read_fields(join_fields(schema, columns))
        with self._disk():
            files = tuple(cut_files(list_stages(self._own), most_rows=MOST_ROWS, most_bytes=MOST_BYTES))
        rows = sum(file.rows for file in files)
        return TablePlan(before, columns, files or (TableFile(0, 0),), _APPENDS if older else (), rows)

    def write_file(self, plan: TablePlan, file: TableFile) -> int:
        beat(SYNC_SECONDS)
        with translated(str(self.address)):
            table = self._make_own_table(plan)
            if not file.stages:
                return 0
            return self._load(plan, file, table.reference, table.schema, f"{self._job(plan)}_{file.number}")

    def _load(
        self,
        plan: TablePlan,
        file: TableFile,
        table: Any,
        schema: list[bigquery.SchemaField],
        name: str,
        seconds: float | None = None,
        is_final: bool = True,
    ) -> int:
        """Add the rows of a file to a table by a job of this name (``run_job``): how many they are."""
        client = self._client()
        with self._disk():
            path = self._join(plan, file)
        config = bigquery.LoadJobConfig(
            source_format="NEWLINE_DELIMITED_JSON", write_disposition="WRITE_APPEND", schema=schema,
            create_disposition="CREATE_NEVER",  # one that is left running makes no table that was removed
        )  # fmt: skip
        location = find_location(client, self._dataset)

        def submit(name: str) -> Any:
            with _BeatingFile(path) as lines:
                return client.load_table_from_file(
                    lines, table, size=None, job_id=name, job_config=config, num_retries=2,
                    project=client.project, location=location, timeout=60.0,
                )  # fmt: skip

        job = run_job(client, str(self.address), name, location, submit, seconds, is_final)
        path.unlink(missing_ok=True)
        return int(job.output_rows or 0)

    def _make_own_table(self, plan: TablePlan) -> bigquery.Table:
        """Nobody else reads it; its name is written down first, so that it is removed whatever comes."""
        made = bigquery.Table(self._full(self._name(plan)), make_fields(plan.columns))
        made.expires = datetime.now(UTC) + _EXPIRES
        with self._disk():
            replace_file(self._own / self._name(plan), self._own / f"{self._name(plan)}.new", b"")
        return self._client().create_table(made, exists_ok=True, **TIMES)

    def _join(self, plan: TablePlan, file: TableFile) -> Path:
        """The lines of several stages as one file, as BigQuery reads it. Emulators read no compressed ones."""
        target = self._own / f"{self._name(plan)}.{file.number}.json"
        with open(target, "wb") if self.where.is_emulator else gzip.open(target, "wb", compresslevel=1) as out:
            for stage in file.stages:
                beat(SYNC_SECONDS)
                out.writelines(read_lines(self._own, stage))
        return target

    def publish(self, plan: TablePlan) -> bool:
        beat(SYNC_SECONDS)
        if self.look() != plan.before:
            return False
        with translated(str(self.address)):
            client = self._client()
            own = client.get_table(self._full(self._name(plan)), **TIMES)
            if int(own.num_rows or 0) != plan.rows:
                raise Internal(f"{self.address}: BigQuery has {own.num_rows} rows of {plan.rows} that were loaded")
            if plan.links:
                self._add_columns(client, own.schema)
            config = bigquery.CopyJobConfig(write_disposition=_choose(plan), create_disposition="CREATE_IF_NEEDED")

            def submit(name: str) -> Any:
                return client.copy_table(
                    own.reference, self._target, job_id=name, job_config=config, project=client.project,
                    location=location, **TIMES,
                )  # fmt: skip

            location = find_location(client, self._dataset)
            run_job(client, str(self.address), self._publishing, location, submit)
        self.finish()
        return True

    def _add_columns(self, client: bigquery.Client, schema: list[bigquery.SchemaField]) -> None:
        found = client.get_table(self._target, **TIMES)
        if found.schema != schema:
            found.schema = schema
            client.update_table(found, ["schema"], **TIMES)

    def finish(self) -> None:
        self.discard()

    def discard(self) -> None:
        with translated(str(self.address)):
            for path in self._list_own():
                for left in path.glob(f"{OWN_TABLES}*"):
                    if "." not in left.name:
                        self._client().delete_table(self._full(left.name), not_found_ok=True, **TIMES)
        with self._disk():
            for path in self._list_own():
                shutil.rmtree(path)

    @property
    def _publishing(self) -> str:
        """Of the job that shows the table. One name for each export, whatever it plans: it can succeed only once."""
        return f"gantry_{self.key}_publish"

    @property
    def _dataset(self) -> str:
        return f"{self.address.project}.{self.address.dataset}"

    @property
    def _target(self) -> str:
        return self._full(self.address.table)

    def _full(self, table: str) -> str:
        return f"{self.address.project}.{self.address.dataset}.{table}"

    def _client(self) -> bigquery.Client:
        return open_client(self.where, self.address.project)

    def _name(self, plan: TablePlan) -> str:
        """Of the export's own table: another one for each plan, whose rows or columns are others."""
        text = json.dumps([dump_columns(plan.columns), plan.files, plan.links])
        return f"{OWN_TABLES}{self.key.replace('-', '_')}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def _job(self, plan: TablePlan) -> str:
        return self._name(plan).lstrip("_")

    @property
    def _own(self) -> Path:
        return self.staging / f"op-{self.key}-{self.attempt}"

    def _list_own(self) -> list[Path]:
        return list(self.staging.glob(f"op-{self.key}-*"))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.disk.translate_write_error(error, "") from None


def _choose(plan: TablePlan) -> str:
    if plan.links:
        return "WRITE_APPEND"
    return "WRITE_EMPTY" if plan.before is None else "WRITE_TRUNCATE"


class _BeatingFile(io.FileIO):
    """The upload of a long file is a sign of life with each piece."""

    def read(self, size: int | None = -1) -> bytes:
        beat(SYNC_SECONDS)
        return super().read(-1 if size is None else size)
