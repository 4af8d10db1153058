"""Results as files."""

from __future__ import annotations

from itertools import chain

from starlette.types import ASGIApp

from gantry.api.attachments import attachment_header
from gantry.api.streaming import StreamedAnswer
from gantry.api.web import Answer
from gantry.console.page_call import PageCall
from gantry.console.query.jobs import jobs_of, show
from gantry.console.rendering import send_attachment
from gantry.querying.jobs import Job
from gantry.querying.runner import require_done
from gantry.querying.text_rows import write_csv, write_json

_PARQUET = "application/vnd.apache.parquet"


def download_csv(call: PageCall) -> ASGIApp:
    """Raises InvalidArgument for columns that CSV cannot have."""
    job = _find(call)
    pieces = write_csv(job.fields, jobs_of(call).files.list_batches(job))
    return send_attachment(pieces, "text/csv; charset=utf-8", f"{job.id}.csv")


def download_ndjson(call: PageCall) -> ASGIApp:
    job = _find(call)
    pieces = write_json(job.fields, jobs_of(call).files.list_batches(job))
    return send_attachment(pieces, "application/x-ndjson", f"{job.id}.ndjson")


def download_parquet(call: PageCall) -> ASGIApp:
    """Nothing of it is there before all of it is, and that takes a while: no thread that answers pages waits."""
    job = _find(call)
    batches = jobs_of(call).files.list_batches(job)
    first = next(batches, None)  # raises NotFound where the rows are not kept any more
    pieces = call.context.seams.queries.write_parquet(job.fields, chain(() if first is None else (first,), batches))
    headers = {"content-disposition": attachment_header(f"{job.id}.parquet")}
    return StreamedAnswer(Answer(b"", _PARQUET, headers=headers), [b""], pieces)


def _find(call: PageCall) -> Job:
    job = show(call, call.ids[4]).job
    require_done(job)
    return job
