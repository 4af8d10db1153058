"""Rows of a result as a filter file, for an export or a change of the storage class."""

from __future__ import annotations

import secrets
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from gantry.api.bigquery.methods import VERSION
from gantry.console.filter_files import list_buckets, name_filter, read_destination
from gantry.console.page_call import PageCall, address_of
from gantry.console.query.jobs import Shown, jobs_of, show
from gantry.console.refusals import NotNow, Refused
from gantry.languages import _
from gantry.querying.filter_lines import FilterFile, Lines, find_lines
from gantry.querying.jobs import EXTRACT, Job
from gantry.querying.runner import require_done
from gantry.storage.uris import StorageUri, parse_prefix


class Use(NamedTuple):
    """What a filter file is for: the page that takes it, and the permission that it needs."""

    page: str
    permission: str


USES = {
    "export": Use("export", "dicomStores.export"),
    "storage-class": Use("storage-class/file", "dicomStores.dicomWebWrite"),
}


class Offer(NamedTuple):
    """``level`` is what each line names. ``allowed`` are the uses that the caller may make of it."""

    level: str
    lines: int
    buckets: list[str]
    allowed: list[str]


def offer(call: PageCall, shown: Shown) -> Offer | None:
    """What can be done with the rows; None where they name no instances of a store."""
    lines = _find(call, shown.job)
    if lines is None:
        return None
    allowed = [name for name, use in USES.items() if call.may(use.permission, call.store)]
    return Offer(lines.level, shown.job.rows, list_buckets(call, "write"), allowed)


def _find(call: PageCall, job: Job) -> Lines | None:
    if not job.rows:
        return None
    rows = jobs_of(call).files.read_rows(job, 0, 1, 1)
    return find_lines(job.fields, rows[0] if rows else None)


def write(call: PageCall) -> Response:
    """Begin to write the file; the page of that job leads on when it is there. Raises InvalidArgument."""
    use = USES.get(call.form.get("then", ""))
    if use is None:
        raise Refused(_("choose what the filter file is for: an export, or a change of the storage class"))
    call.api.caller.require(f"healthcare.{use.permission}", call.store)
    source = show(call, call.ids[4]).job
    require_done(source)
    lines = _find(call, source)
    if lines is None:
        raise NotNow(_("the rows of this result name no instances"))
    return call.go(f"{address_of(call.store)}/query/{_begin(call, source, lines).id}")


def _begin(call: PageCall, source: Job, lines: Lines) -> Job:
    uri = _make_uri(call)
    config = {
        "extract": {"destinationUris": [str(uri)], "destinationFormat": "CSV"},
        "labels": {"then": call.form["then"], "source": source.id},
    }
    id_ = f"job_{secrets.token_urlsafe(20)}"
    job = Job(call.store.project, id_, call.api.caller.name, EXTRACT, config)
    with call.api.begin("POST", f"v2/projects/{call.store.project}/jobs", VERSION):
        return jobs_of(call).begin_filter(job, FilterFile(uri, str(call.dataset), id_), lines, source)


def _make_uri(call: PageCall) -> StorageUri:
    """Beside what exports of this console write: ``filter-TIME.txt`` in the bucket and folder of the form."""
    place = parse_prefix(read_destination(call.form))
    return StorageUri(place.bucket, place.key + name_filter())


def address_to_use(call: PageCall, shown: Shown) -> str:
    """The page that takes the file, with the file filled in."""
    use = USES[shown.labels["then"]]
    return f"{address_of(call.store)}/{use.page}?{urlencode({'filter': 'file', 'filter_uri': shown.uri})}"
