"""What clients ask of BigQuery, read of JSON. Fields that change nothing here, such as labels, are passed over."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from gantry.api.bigquery.wire import ANONYMOUS, RESULTS
from gantry.api.call import Call
from gantry.api.messages import Json
from gantry.errors import PermissionDenied, Unimplemented, invalid_field
from gantry.query_seams import Parameter, Query
from gantry.querying.extracting import CSV, JSON_LINES, Extract, parse_uri
from gantry.querying.jobs import QUERY, Job
from gantry.whole_numbers import read_number

READ_ONLY = (
    "this server's tables cannot be written by way of BigQuery's API: exports of metadata write them "
    "(dicomStores.export)"
)
GET_DATA = "bigquery.tables.getData"
MAX_ROWS, MAX_PAGE_BYTES = 100_000, 8 << 20
"""Of a page, above which it goes on in the next one."""

_WAIT_MS, MAX_WAIT = 10_000, 60.0
"""Milliseconds to wait where a client does not say how long, and the most seconds."""

_DEFAULT_LOCATION = "US"


def read_only() -> PermissionDenied:
    return PermissionDenied(f"Access Denied: {READ_ONLY}")


def make_job(call: Call, config: Json, id: str = "", location: str = "", kind: str = QUERY) -> Job:
    """A job of the caller, not begun."""
    return Job(
        call.ids[0],
        id or f"job_{secrets.token_urlsafe(20)}",
        call.caller.name,
        kind,
        config,
        location or _DEFAULT_LOCATION,
    )


def read_object(found: Mapping[str, Any], name: str) -> Json:
    """A member that is an object, {} where there is none. Raises InvalidArgument for anything else."""
    value = found.get(name) or {}
    if not isinstance(value, dict):
        raise invalid_field(name, "must be an object")
    return value


def read_objects(found: Mapping[str, Any], name: str) -> list[Json]:
    """A member that is a list of objects, [] where there is none. Raises InvalidArgument for anything else."""
    value = found.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise invalid_field(name, "must be a list of objects")
    return value


def read_query(call: Call, found: Mapping[str, Any], is_dry: bool) -> Query:
    """``found`` is the body of jobs.query, or ``configuration.query`` of a job. Raises InvalidArgument, and
    PermissionDenied for what would write."""
    _refuse_writing(found)
    text = found.get("query")
    if not isinstance(text, str) or not text.strip():
        raise invalid_field("query", "is required")
    dataset = read_object(found, "defaultDataset")
    default = None
    if dataset.get("datasetId"):
        default = (str(dataset.get("projectId") or call.ids[0]), str(dataset["datasetId"]))
    return Query(
        text,
        call.ids[0],
        default,
        read_truth(found.get("useLegacySql", True)),
        tuple(map(_read_parameter, read_objects(found, "queryParameters"))),
        find_readable(call).__contains__,
        is_dry,
    )


def find_readable(call: Call) -> frozenset[str]:
    """The projects whose tables the caller may read."""
    projects = call.context.seams.queries.list_projects()
    return frozenset(project for project in projects if call.caller.has(GET_DATA, project))


def _refuse_writing(found: Mapping[str, Any]) -> None:
    destination = read_object(found, "destinationTable")
    if destination and destination.get("datasetId") != RESULTS:
        raise PermissionDenied(
            f"Access Denied: {READ_ONLY}",
            advice="leave destinationTable out: the result is kept for a day, and can be extracted to a bucket",
        )
    for name in ("createSession", "tableDefinitions", "userDefinedFunctionResources"):
        if found.get(name):
            raise Unimplemented(f"{name}: this server has none; leave it out")


def _read_parameter(found: Json) -> Parameter:
    kind, value = read_object(found, "parameterType"), read_object(found, "parameterValue")
    name = str(found.get("name") or "")
    if kind.get("type") == "ARRAY":
        item = str(read_object(kind, "arrayType").get("type") or "")
        values = [each.get("value") for each in read_objects(value, "arrayValues")]
        return Parameter(name, f"ARRAY<{item}>", [None if each is None else str(each) for each in values])
    single = value.get("value")
    return Parameter(name, str(kind.get("type") or ""), None if single is None else str(single))


def read_extract(call: Call, found: Mapping[str, Any], id: str) -> Extract:
    """``configuration.extract``. Raises InvalidArgument."""
    uris = found.get("destinationUris") or [found.get("destinationUri") or ""]
    if not isinstance(uris, list) or len(uris) != 1:
        raise invalid_field("destinationUris", "must be one address")
    form = str(found.get("destinationFormat") or CSV)
    if form not in (CSV, JSON_LINES):
        raise invalid_field("destinationFormat", f"must be {CSV} or {JSON_LINES}")
    delimiter = {"": ",", "tab": "\t", "\\t": "\t"}.get(
        str(found.get("fieldDelimiter") or ""), found.get("fieldDelimiter")
    )
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"':
        raise invalid_field("fieldDelimiter", "must be one character")
    compression = str(found.get("compression") or "NONE")
    if compression not in ("NONE", "GZIP"):
        raise invalid_field("compression", "must be NONE or GZIP")
    header = read_truth(found.get("printHeader", True))
    uri = parse_uri(str(uris[0]))
    return Extract(uri, call.ids[0], id, form, header, delimiter, compression == "GZIP")


def read_truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() == "true"
    return bool(value) if value is not None else True


def read_wait(value: Any) -> float:
    """Seconds to wait for the end of a job: ``timeoutMs``."""
    found = _read_count("timeoutMs", value)
    return min((_WAIT_MS if found is None else found) / 1000, MAX_WAIT)


def read_page(call: Call, job: Job, found: Mapping[str, Any]) -> tuple[int, int]:
    """The first row of a page, and how many rows it may have: ``pageToken``, ``startIndex``, ``maxResults``."""
    most = _read_count("maxResults", found.get("maxResults"))
    first = _read_count("startIndex", found.get("startIndex")) or 0
    if token := found.get("pageToken"):
        name, _, number = str(token).rpartition(".")
        start = read_number(number)
        if name != make_token(job, 0).rpartition(".")[0] or start is None:
            raise invalid_field("pageToken", "is none of this job")
        first = start
    return first, MAX_ROWS if most is None else min(most, MAX_ROWS)


def make_token(job: Job, first: int) -> str:
    return f"R{int(job.created * 1000):x}.{first}"


def _read_count(name: str, value: Any) -> int | None:
    if value is None or value == "":
        return None
    found = read_number(str(value)) if not isinstance(value, bool) else None
    if found is None:
        raise invalid_field(name, "must be a number, zero or more")
    return found


def is_anonymous(dataset: str, table: str) -> str:
    """The key of the job whose result a table is, "" for other tables."""
    match = ANONYMOUS.fullmatch(table) if dataset == RESULTS else None
    return match[1] if match is not None else ""


def read_options(query: Mapping[str, str], prefix: str = "formatOptions.") -> Json:
    return {name.removeprefix(prefix): value for name, value in query.items() if name.startswith(prefix)}
