"""Datasets and tables that have a place, and the rows of tables."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from hashlib import sha256

from gantry.api.bigquery.queries import answer_later, list_page
from gantry.api.bigquery.reading import (
    GET_DATA,
    MAX_PAGE_BYTES,
    MAX_WAIT,
    find_readable,
    is_anonymous,
    make_job,
    read_options,
)
from gantry.api.bigquery.wire import write_rows, write_schema
from gantry.api.call import Call
from gantry.api.messages import Json
from gantry.api.news import Unfinished
from gantry.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from gantry.query_seams import Field, Query, TableInfo
from gantry.querying.jobs import Job
from gantry.querying.runner import require_done
from gantry.table_address import TableAddress
from gantry.whole_numbers import read_number

_LOCATION = "US"
_PAGE = 10_000  # rows of a table in a page
_AGAIN = "begin with the first page again"


def list_projects(call: Call) -> Json:
    """Those that have tables, and that the caller may see."""
    projects = call.context.seams.queries.list_projects()
    seen = [project for project in projects if call.caller.has("bigquery.datasets.get", project)]
    return {
        "kind": "bigquery#projectList",
        "projects": [
            {
                "kind": "bigquery#project",
                "id": each,
                "numericId": str(int(sha256(each.encode()).hexdigest()[:12], 16)),  # clients need one
                "projectReference": {"projectId": each},
                "friendlyName": each,
            }
            for each in seen
        ],
        "totalItems": len(seen),
    }


def list_datasets(call: Call) -> Json:
    found = call.context.seams.queries.list_datasets(call.ids[0])
    return {"kind": "bigquery#datasetList", "datasets": [_write_dataset(call.ids[0], each) for each in found]}


def get_dataset(call: Call) -> Json:
    project, dataset = call.ids[:2]
    if dataset not in call.context.seams.queries.list_datasets(project):
        raise NotFound(f"Not found: Dataset {project}:{dataset[:200]}")
    return _write_dataset(project, dataset) | {"kind": "bigquery#dataset", "access": []}


def _write_dataset(project: str, dataset: str) -> Json:
    return {
        "kind": "bigquery#dataset",
        "id": f"{project}:{dataset}",
        "datasetReference": {"projectId": project, "datasetId": dataset},
        "location": _LOCATION,
    }


def list_tables(call: Call) -> Json:
    project, dataset = call.ids[:2]
    found = call.context.seams.queries.list_tables(project, dataset)
    tables = [_write_reference(TableAddress(project, dataset, each)) for each in found]
    return {"kind": "bigquery#tableList", "tables": tables, "totalItems": len(tables)}


def _write_reference(address: TableAddress) -> Json:
    return {
        "kind": "bigquery#table",
        "id": f"{address.project}:{address.dataset}.{address.table}",
        "tableReference": {
            "projectId": address.project,
            "datasetId": address.dataset,
            "tableId": address.table,
        },
        "type": "TABLE",
    }


def get_table(call: Call) -> Json:
    """The schema of a table, or of a result."""
    address = TableAddress(*call.ids[:3])
    if key := is_anonymous(address.dataset, address.table):
        call.caller.require("bigquery.jobs.create", address.project)
        job = call.jobs.find_result(call.caller.name, address.project, key)
        return _write_table(address, str(job.rows), str(job.size), job.ended) | {"schema": write_schema(job.fields)}
    call.caller.require("bigquery.tables.get", address.project)
    info = require_table(call, address)
    written = _write_table(address, str(info.rows), str(info.size), info.modified.timestamp())
    return written | {"schema": write_schema(_choose_fields(call, info)), "etag": info.version}


def require_table(call: Call, address: TableAddress, version: str = "") -> TableInfo:
    """Raises NotFound."""
    try:
        TableAddress.parse(str(address))
    except InvalidArgument:
        raise NotFound(f"Not found: Table {address.project}:{address.dataset}.{address.table}"[:500]) from None
    return call.context.seams.queries.look(address, version)


def _write_table(address: TableAddress, rows: str, size: str, moment: float) -> Json:
    return _write_reference(address) | {
        "numRows": rows,
        "numBytes": size,
        "lastModifiedTime": str(int(moment * 1000)),
        "location": _LOCATION,
    }


def list_rows(call: Call) -> Json | Unfinished:
    """Rows of a result, or of a table. Raises NotFound."""
    address = TableAddress(*call.ids[:3])
    if key := is_anonymous(address.dataset, address.table):
        call.caller.require("bigquery.jobs.create", address.project)
        return _write_rows(call, call.jobs.find_result(call.caller.name, address.project, key))
    call.caller.require(GET_DATA, address.project)
    return _list_table(call, address)


def _list_table(call: Call, address: TableAddress) -> Json | Unfinished:
    """By a query for each page: the files of a version have an order, so their rows have one. The version of the first
    page is that of all: a table that follows a store has another one every few seconds."""
    version, first, most = _read_page(call)
    info = _require_version(call, address, version)
    names = [f"`{field.name}`" for field in _choose_fields(call, info)]
    text = f"SELECT {', '.join(names)} FROM `{str(address)[5:]}` LIMIT {most} OFFSET {first}"  # noqa: S608
    digest = sha256(repr((call.caller.name, info.version, text)).encode()).hexdigest()[:32]
    query = Query(text, address.project, may_read=find_readable(call).__contains__, version=info.version)
    job = _begin(call, query, f"rows_{digest}")
    return answer_later(call, job, MAX_WAIT, partial(_answer_rows, call, job.id, info, first))


def _begin(call: Call, query: Query, id: str) -> Job:
    """A page that is asked for again is there already, unless its job has failed."""
    config: Json = {"query": {"query": query.text}}
    try:
        return call.jobs.begin_query(make_job(call, config, id), query)
    except AlreadyExists:
        with suppress(NotFound):
            found = call.jobs.find(call.caller.name, call.ids[0], id)
            if found.error is None:
                return found
    return call.jobs.begin_query(make_job(call, config), query)


def _require_version(call: Call, address: TableAddress, version: str) -> TableInfo:
    """Raises NotFound, and InvalidArgument where only this version is not there any more."""
    try:
        return require_table(call, address, version)
    except NotFound:
        if not version:
            raise
        require_table(call, address)
        raise InvalidArgument("pageToken: the table was replaced a while ago", advice=_AGAIN) from None


def _read_page(call: Call) -> tuple[str, int, int]:
    """The version that a token names, the first row, and how many."""
    query, version = call.query, ""
    numbers = [read_number(query.get(name) or default) for name, default in (("startIndex", "0"), ("maxResults", ""))]
    first, most = numbers[0], numbers[1] if query.get("maxResults") else _PAGE
    if token := query.get("pageToken"):
        version, _, number = token.rpartition(".")
        first = read_number(number) if version else None
    if first is None or most is None:
        raise InvalidArgument("pageToken, startIndex, maxResults: must be numbers, and a token of this table")
    return version, first, min(most, _PAGE)


def _choose_fields(call: Call, info: TableInfo) -> list[Field]:
    """``selectedFields``: names of columns, all without it."""
    wanted = {name.strip().lower() for name in call.query.get("selectedFields", "").split(",") if name.strip()}
    known = {field.name.lower() for field in info.fields}
    if wrong := sorted(wanted - known):
        raise InvalidArgument(
            f"selectedFields: there is no column {wrong[0][:100]!r}; fields of records cannot be named"
        )
    return [field for field in info.fields if not wanted or field.name.lower() in wanted]


def _answer_rows(call: Call, id: str, info: TableInfo, first: int) -> Json:
    job = call.jobs.find(call.caller.name, call.ids[0], id)
    if not job.ended:
        raise Unavailable("the rows of this table take too long", advice="ask for fewer of them: maxResults")
    require_done(job)
    rows = call.jobs.files.read_rows(job, 0, _PAGE, MAX_PAGE_BYTES)
    answer: Json = {"kind": "bigquery#tableDataList", "totalRows": str(info.rows)}
    answer |= {"rows": write_rows(job.fields, rows, read_options(call.query))} if rows else {}
    following = first + len(rows)
    return answer | ({"pageToken": f"{info.version}.{following}"} if rows and following < info.rows else {})


def _write_rows(call: Call, job: Job) -> Json:
    options = read_options(call.query)
    page = list_page(call, job, call.query, options)
    return {"kind": "bigquery#tableDataList", "totalRows": str(job.rows)} | page
