"""Our values as BigQuery's JSON: every value of a row is text in ``v``, records have ``f``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gantry.api.bigquery.errors import describe
from gantry.api.messages import Json
from gantry.query_seams import Field
from gantry.querying.job_files import key_of
from gantry.querying.jobs import QUERY, Job
from gantry.querying.text_rows import format_timestamp

RESULTS = "_gantry_results"
"""The dataset that results are shown in, as tables named ``anon…``: BigQuery has them in a dataset of its own, too."""

ANONYMOUS = re.compile(r"anon([0-9a-f]{40})")
Write = Callable[[Any], Any]


def write_schema(fields: Sequence[Field]) -> Json:
    return {"fields": list(map(_write_field, fields))}


def _write_field(field: Field) -> Json:
    written: Json = {"name": field.name, "type": field.type, "mode": field.mode}
    return written | ({"fields": list(map(_write_field, field.fields))} if field.fields else {})


def write_rows(fields: Sequence[Field], rows: Sequence[Sequence[Any]], options: Mapping[str, Any]) -> list[Json]:
    """``options``: ``useInt64Timestamp``, ``timestampOutputFormat``."""
    writers = _make_writers(fields, _choose_timestamp(options))
    return [_write_row(writers, row) for row in rows]


def _write_row(writers: Sequence[Write], row: Sequence[Any]) -> Json:
    return {"f": [{"v": write(value)} for write, value in zip(writers, row, strict=True)]}


def _make_writers(fields: Sequence[Field], timestamp: Write) -> list[Write]:
    return [_make_writer(field, timestamp) for field in fields]


def _make_writer(field: Field, timestamp: Write) -> Write:
    if field.type == "RECORD":
        below = _make_writers(field.fields, timestamp)

        one: Write = partial(_write_row, below)
    else:
        one = _SCALARS.get(field.type, str) if field.type != "TIMESTAMP" else timestamp
    if field.mode == "REPEATED":
        return lambda value: [{"v": None if each is None else one(each)} for each in value or ()]
    return lambda value: None if value is None else one(value)


_SCALARS: dict[str, Write] = {"BOOLEAN": lambda value: "true" if value else "false"}


def _choose_timestamp(options: Mapping[str, Any]) -> Write:
    """Microseconds, or seconds as a floating point number, which is the default."""
    form = str(options.get("timestampOutputFormat") or "")
    if form == "INT64" or str(options.get("useInt64Timestamp", "")).lower() == "true":
        return str
    if form == "ISO8601_STRING":
        return lambda value: format_timestamp(value).replace(" ", "T", 1).replace(" UTC", "Z")
    return _write_seconds


def _write_seconds(value: int) -> str:
    """Before 1970 the fraction counts backwards, too."""
    seconds, rest = divmod(abs(value), 1_000_000)
    return f"{'-' * (value < 0)}{seconds}.{rest:06}"


def write_reference(job: Job) -> Json:
    return {"projectId": job.project, "jobId": job.id, "location": job.location}


def write_job(job: Job) -> Json:
    """The resource of a job."""
    written: Json = {
        "kind": "bigquery#job",
        "id": f"{job.project}:{job.location}.{job.id}",
        "user_email": job.caller.partition(":")[2] or job.caller,
        "configuration": _write_configuration(job),
        "jobReference": write_reference(job),
        "statistics": _write_statistics(job),
        "status": _write_status(job),
    }
    return written


def _write_status(job: Job) -> Json:
    error = job.find_error()
    if error is None:
        return {"state": job.state}
    return {"state": job.state, "errorResult": describe(error), "errors": [describe(error)]}


def _write_configuration(job: Job) -> Json:
    if job.kind != QUERY:
        return {"jobType": "EXTRACT"} | job.config
    asked = dict(job.config.get("query") or {})
    destination = {"projectId": job.project, "datasetId": RESULTS, "tableId": f"anon{key_of(job.project, job.id)}"}
    return {"jobType": "QUERY"} | job.config | {"query": asked | {"destinationTable": destination}}


def _write_statistics(job: Job) -> Json:
    moments = {"creationTime": job.created, "startTime": job.started, "endTime": job.ended}
    found: Json = {name: str(int(value * 1000)) for name, value in moments.items() if value}
    if job.kind != QUERY:
        return found | ({"extract": {"destinationUriFileCounts": ["1"]}} if job.ended and not job.error else {})
    found["totalBytesProcessed"] = str(job.read)
    query: Json = {
        "statementType": "SELECT",
        "cacheHit": False,
        "totalBytesProcessed": str(job.read),
        "totalBytesBilled": "0",
    }
    if job.ended and not job.error:
        query["schema"] = write_schema(job.fields)
        query["referencedTables"] = [
            {"projectId": project, "datasetId": dataset, "tableId": table} for project, dataset, table in job.tables
        ]
    return found | {"query": query}
