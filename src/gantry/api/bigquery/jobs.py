"""Jobs: queries and extracts that run while others wait for them, or not."""

from __future__ import annotations

from functools import partial
from typing import Any

from gantry.api.bigquery.datasets import require_table
from gantry.api.bigquery.queries import answer_later
from gantry.api.bigquery.reading import (
    MAX_WAIT,
    find_readable,
    is_anonymous,
    make_job,
    read_extract,
    read_object,
    read_only,
    read_query,
    read_truth,
)
from gantry.api.bigquery.wire import write_job
from gantry.api.call import Call
from gantry.api.messages import Json
from gantry.api.news import Unfinished
from gantry.errors import invalid_field
from gantry.query_seams import Query
from gantry.querying.jobs import Job
from gantry.querying.runner import require_done
from gantry.table_address import TableAddress

_MOST_LISTED = 1000


def insert(call: Call) -> Json | Unfinished:
    """POST …/jobs. What a dry run says is the answer, so that its end is waited for. Raises PermissionDenied for a job
    that would write a table."""
    body = call.body
    config, reference = body.get("configuration"), read_object(body, "jobReference")
    if not isinstance(config, dict):
        raise invalid_field("configuration", "is required")
    job = make_job(call, config, str(reference.get("jobId") or ""), str(reference.get("location") or ""))
    if isinstance(config.get("query"), dict):
        query = read_query(call, config["query"], read_truth(config.get("dryRun", False)))
        job = call.jobs.begin_query(job, query)
        return answer_later(call, job, MAX_WAIT, partial(_describe, call, job.id)) if query.is_dry else write_job(job)
    if isinstance(config.get("extract"), dict):
        return write_job(_begin_extract(call, job, config["extract"]))
    raise read_only()


def _begin_extract(call: Call, job: Job, found: Json) -> Job:
    source = read_object(found, "sourceTable")
    address = TableAddress(*(str(source.get(name) or "") for name in ("projectId", "datasetId", "tableId")))
    extract = read_extract(call, found, job.id)
    if key := is_anonymous(address.dataset, address.table):
        result = call.jobs.find_result(call.caller.name, address.project, key)
        require_done(result)
        return call.jobs.begin_extract(job, extract, None, result)
    require_table(call, address)
    text = f"SELECT * FROM `{address.project}.{address.dataset}.{address.table}`"  # noqa: S608 - a checked name
    query = Query(text, job.project, may_read=find_readable(call).__contains__)
    return call.jobs.begin_extract(job, extract, query, None)


def _describe(call: Call, id: str) -> Json:
    job = call.jobs.find(call.caller.name, call.ids[0], id)
    require_done(job)
    return write_job(job)


def get(call: Call) -> Json:
    return write_job(call.jobs.find(call.caller.name, *call.ids[:2]))


def list_jobs(call: Call) -> Json:
    """Those of the caller, the newest first."""
    found = call.jobs.list_jobs(call.caller.name, call.ids[0])[:_MOST_LISTED]
    return {"kind": "bigquery#jobList", "jobs": [write_job(job) | {"state": job.state} for job in found]}


def cancel(call: Call) -> Json:
    """It ends soon after."""
    job = call.jobs.find(call.caller.name, *call.ids[:2])
    if not job.ended:
        call.jobs.cancel(job)
    return {"kind": "bigquery#jobCancelResponse", "job": write_job(job)}


def refuse(call: Call) -> Any:
    """What would write. Raises PermissionDenied."""
    raise read_only()
