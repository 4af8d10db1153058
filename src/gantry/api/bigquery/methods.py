"""The methods of BigQuery's API that are here, and their permissions."""

from __future__ import annotations

from gantry.api.bigquery import datasets, jobs, queries
from gantry.api.method import ApiMethod
from gantry.errors import NotFound

VERSION = "bigquery"
"""The first segment of the paths; ``v2`` is the second."""

M = ApiMethod
NAMES = "google.cloud.bigquery.v2."
"""The ids of the methods begin so."""

_CREATE = "bigquery.jobs.create"
_DATASETS = "projects/*/datasets"
_TABLES = f"{_DATASETS}/*/tables"

METHODS: tuple[ApiMethod, ...] = (
    M("ProjectService.List", "GET", "projects", "", datasets.list_projects),
    M("JobService.Query", "POST", "projects/*/queries", _CREATE, queries.query),
    M("JobService.GetQueryResults", "GET", "projects/*/queries/*", _CREATE, queries.get_query_results),
    M("JobService.InsertJob", "POST", "projects/*/jobs", _CREATE, jobs.insert),
    M("JobService.ListJobs", "GET", "projects/*/jobs", _CREATE, jobs.list_jobs),
    M("JobService.GetJob", "GET", "projects/*/jobs/*", _CREATE, jobs.get),
    M("JobService.CancelJob", "POST", "projects/*/jobs/*/cancel", _CREATE, jobs.cancel),
    M("DatasetService.ListDatasets", "GET", _DATASETS, "bigquery.datasets.get", datasets.list_datasets),
    M("DatasetService.GetDataset", "GET", f"{_DATASETS}/*", "bigquery.datasets.get", datasets.get_dataset),
    M("TableService.ListTables", "GET", _TABLES, "bigquery.tables.list", datasets.list_tables),
    M("TableService.GetTable", "GET", f"{_TABLES}/*", "", datasets.get_table),
    M("TableDataService.List", "GET", f"{_TABLES}/*/data", "", datasets.list_rows),
)
"""Of tables the handlers check permissions: results are those of the caller's own jobs."""

_REFUSED = M("TableService.Write", "POST", "projects/*", _CREATE, jobs.refuse)
"""What would write: any other method than GET below a project."""


def route(verb: str, _version: str, segments: list[str]) -> tuple[ApiMethod, tuple[str, ...]]:
    """Raises NotFound."""
    if segments[0] == "v2":
        for method in METHODS:
            if verb == method.verb and (ids := _match(method.path.split("/"), segments[1:])) is not None:
                return method._replace(id=NAMES + method.id), ids
        if verb != "GET" and segments[1:2] == ["projects"] and len(segments) > 3:
            return _REFUSED._replace(id=NAMES + _REFUSED.id, verb=verb), (segments[2],)
    raise NotFound(f"no such method: {verb} /{VERSION}/{'/'.join(segments)[:500]}")


def _match(path: list[str], segments: list[str]) -> tuple[str, ...] | None:
    """The ids in the path."""
    if len(path) != len(segments) or not all(part in ("*", own) for part, own in zip(path, segments, strict=True)):
        return None
    return tuple(own for part, own in zip(path, segments, strict=True) if part == "*")
