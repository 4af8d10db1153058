"""jobs.query and jobs.getQueryResults: a query, and its result page by page."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from gantry.api.bigquery.reading import (
    MAX_PAGE_BYTES,
    make_job,
    make_token,
    read_object,
    read_options,
    read_page,
    read_query,
    read_truth,
    read_wait,
)
from gantry.api.bigquery.wire import write_reference, write_rows, write_schema
from gantry.api.call import Call
from gantry.api.messages import Json
from gantry.api.news import Unfinished
from gantry.errors import AlreadyExists, InvalidArgument
from gantry.querying.jobs import QUERY, Job

_OF_QUERY = ("query", "useLegacySql", "defaultDataset", "queryParameters", "parameterMode")


def query(call: Call) -> Json | Unfinished:
    """POST …/queries: waits ``timeoutMs`` for the end. Raises the error of a query that fails meanwhile."""
    body = call.body
    is_dry = read_truth(body.get("dryRun", False))
    asked = read_query(call, body, is_dry)
    options, wait = read_object(body, "formatOptions"), read_wait(body.get("timeoutMs"))
    config: Json = {"query": {name: body[name] for name in _OF_QUERY if name in body}, "dryRun": is_dry}
    job = make_job(call, config, _make_id(call, body), str(body.get("location") or ""))
    try:
        job = call.jobs.begin_query(job, asked)
    except AlreadyExists:
        job = call.jobs.find(call.caller.name, job.project, job.id)  # the same request once more
    return answer_later(call, job, wait, partial(_answer, call, job.id, body, options))


def _make_id(call: Call, body: Mapping[str, Any]) -> str:
    """A request that is repeated with its ``requestId`` is one job."""
    request = str(body.get("requestId") or "")
    text = f"{call.caller.name}\0{request}\0{body.get('query')}"
    return f"job_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}" if request else ""


def get_query_results(call: Call) -> Json | Unfinished:
    """GET …/queries/JOB: ``pageToken``, ``maxResults``, ``startIndex``, ``timeoutMs``."""
    job = call.jobs.find(call.caller.name, *call.ids[:2])
    if job.kind != QUERY:
        raise InvalidArgument("this job is no query")
    made = partial(_answer, call, job.id, call.query, read_options(call.query))
    return answer_later(call, job, read_wait(call.query.get("timeoutMs")), made)


def answer_later(call: Call, job: Job, wait: float, make: Any) -> Json | Unfinished:
    """``make`` makes the answer when the job has ended, or the time is over."""
    if job.ended or wait <= 0:
        return dict(make())
    return Unfinished(partial(call.jobs.is_over, job), time.monotonic() + wait, make)


def _answer(call: Call, id: str, page: Mapping[str, Any], options: Mapping[str, Any]) -> Json:
    job = call.jobs.find(call.caller.name, call.ids[0], id)
    answer: Json = {
        "kind": "bigquery#queryResponse",
        "jobReference": write_reference(job),
        "jobComplete": bool(job.ended),
        "location": job.location,
        "queryId": job.id,
    }
    if not job.ended:
        return answer
    if (error := job.find_error()) is not None:
        raise error
    answer |= {
        "schema": write_schema(job.fields),
        "totalRows": str(job.rows),
        "totalBytesProcessed": str(job.read),
        "totalBytesBilled": "0",
        "totalSlotMs": "0",
        "cacheHit": False,
        "creationTime": str(int(job.created * 1000)),
        "startTime": str(int(job.started * 1000)),
        "endTime": str(int(job.ended * 1000)),
    }
    if job.config.get("dryRun"):
        return answer
    return answer | list_page(call, job, page, options)


def list_page(call: Call, job: Job, page: Mapping[str, Any], options: Mapping[str, Any]) -> Json:
    """``rows`` of a page, and ``pageToken`` where there are more."""
    first, most = read_page(call, job, page)
    rows = call.jobs.files.read_rows(job, first, most, MAX_PAGE_BYTES)
    found: Json = {"rows": write_rows(job.fields, rows, options)} if rows else {}
    if rows and first + len(rows) < job.rows:
        found["pageToken"] = make_token(job, first + len(rows))
    return found
