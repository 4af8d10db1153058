"""Queries of who is signed in: by the methods of BigQuery's API, with their permissions, limits and audit log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gantry.api.bigquery.methods import VERSION
from gantry.console.page_call import PageCall, address_of
from gantry.console.refusals import NotHere
from gantry.errors import StatusError, Unimplemented
from gantry.languages import _
from gantry.querying.job_files import KEPT_SECONDS
from gantry.querying.jobs import EXTRACT, QUERY, Job
from gantry.querying.runner import QueryJobs

CREATE, READ = "bigquery.jobs.create", "bigquery.tables.getData"
THEN = ("export", "storage-class")
"""What a filter file that is written here may be for."""

_RECENT = 8
_QUICK, _SOON, _LATER = 3.0, 0.3, 1.0  # seconds of a job until which it is looked at soon, and then later


def begin(call: PageCall, text: str) -> str:
    """The id of a query that begins. Raises what ``jobs.insert`` does."""
    body = {"configuration": {"query": {"query": text, "useLegacySql": False}}}
    answer = call.api.send("POST", f"{_project(call)}/jobs", body, version=VERSION)
    return str(answer["jobReference"]["jobId"])


def find(call: PageCall, id: str) -> Job:
    """A job of the caller, whose rows may be read. Raises PermissionDenied, NotFound."""
    with call.api.begin("GET", f"{_project(call)}/queries/{id}", VERSION):
        return jobs_of(call).find(call.api.caller.name, call.store.project, id)


def cancel(call: PageCall, id: str) -> None:
    call.api.send("POST", f"{_project(call)}/jobs/{id}/cancel", version=VERSION)


def _project(call: PageCall) -> str:
    return f"v2/projects/{call.store.project}"


def jobs_of(call: PageCall) -> QueryJobs:
    if call.context.jobs is None:
        raise Unimplemented("this server runs no queries")
    return call.context.jobs


def may_query(call: PageCall) -> bool:
    return bool(call.api.caller.has(CREATE, call.store.project))


def _part(job: Job, name: str) -> dict[str, Any]:
    """A part of what was asked for, which a client has written."""
    found = job.config.get(name)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Shown:
    """A job on its page: ``error`` is why it failed, ``delay`` the time until it is looked at again."""

    job: Job
    address: str

    @property
    def text(self) -> str:
        return str(_part(self.job, "query").get("query") or "")

    @property
    def title(self) -> str:
        """The text on one line."""
        return " ".join(self.text.split())

    @property
    def error(self) -> StatusError | None:
        return self.job.find_error()

    @property
    def labels(self) -> dict[str, str]:
        """Of a filter file: ``then``, what it is for, and ``source``, the query whose rows it has."""
        return {name: str(value) for name, value in _part(self.job, "labels").items()}

    @property
    def uri(self) -> str:
        uris = _part(self.job, "extract").get("destinationUris")
        return str(uris[0]) if isinstance(uris, list) and uris else ""

    @property
    def is_writing(self) -> bool:
        return self.job.kind == EXTRACT

    @property
    def seconds(self) -> float:
        return max(0.0, (self.job.ended or time.time()) - self.job.created)

    @property
    def delay(self) -> str:
        return f"{_SOON if self.seconds < _QUICK else _LATER:g}s"

    @property
    def kept_until(self) -> datetime:
        return datetime.fromtimestamp(self.job.ended + KEPT_SECONDS, UTC)


def show(call: PageCall, id: str) -> Shown:
    """A job that has a page: a query, or a filter file that was begun here. Raises PermissionDenied, NotFound."""
    shown = Shown(find(call, id), f"{address_of(call.store)}/query/{id}")
    is_ours = not shown.is_writing or (shown.labels.get("then") in THEN and "source" in shown.labels)
    if not is_ours or shown.job.config.get("dryRun"):
        raise NotHere(_("there is no result of this query"), advice=_("run it again"))
    return shown


def list_recent(call: PageCall) -> list[Shown]:
    """The last queries of the caller whose results are kept."""
    with call.api.begin("GET", f"{_project(call)}/jobs", VERSION):
        found = jobs_of(call).list_jobs(call.api.caller.name, call.store.project)
    here = f"{address_of(call.store)}/query"
    shown = [Shown(job, f"{here}/{job.id}") for job in found if job.kind == QUERY and not job.config.get("dryRun")]
    return [each for each in shown if each.text and not each.error][:_RECENT]
