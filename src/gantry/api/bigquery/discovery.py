"""The discovery document of BigQuery's API, which ``bq --api`` asks for: the methods that are here."""

from __future__ import annotations

import re
from functools import cache

from gantry.api.messages import Json
from gantry.api.parameters import SYSTEM

VERSION = "v2"

_PAGES = ("maxResults", "pageToken")
_FORMATS = ("formatOptions.useInt64Timestamp", "formatOptions.timestampOutputFormat")
_ROWS = (*_PAGES, "startIndex", *_FORMATS)
_METHODS = (
    ("projects.list", "GET", "projects", _PAGES),
    ("jobs.query", "POST", "projects/{+projectId}/queries", ()),
    ("jobs.getQueryResults", "GET", "projects/{+projectId}/queries/{+jobId}", (*_ROWS, "location", "timeoutMs")),
    ("jobs.insert", "POST", "projects/{+projectId}/jobs", ()),
    (
        *("jobs.list", "GET", "projects/{+projectId}/jobs"),
        (*_PAGES, "allUsers", "projection", "stateFilter", "minCreationTime", "maxCreationTime", "parentJobId"),
    ),
    ("jobs.get", "GET", "projects/{+projectId}/jobs/{+jobId}", ("location",)),
    ("jobs.cancel", "POST", "projects/{+projectId}/jobs/{+jobId}/cancel", ("location",)),
    ("datasets.list", "GET", "projects/{+projectId}/datasets", (*_PAGES, "all", "filter")),
    ("datasets.get", "GET", "projects/{+projectId}/datasets/{+datasetId}", ("accessPolicyVersion", "datasetView")),
    ("tables.list", "GET", "projects/{+projectId}/datasets/{+datasetId}/tables", _PAGES),
    (
        *("tables.get", "GET", "projects/{+projectId}/datasets/{+datasetId}/tables/{+tableId}"),
        ("selectedFields", "view"),
    ),
    (
        *("tabledata.list", "GET", "projects/{+projectId}/datasets/{+datasetId}/tables/{+tableId}/data"),
        (*_ROWS, "selectedFields"),
    ),
)
_NUMBERS = {"maxResults": "uint32", "timeoutMs": "uint32", "startIndex": "uint64"}
_TRUTHS = {"all", "allUsers", "formatOptions.useInt64Timestamp"}
_ENUMS = ("stateFilter",)
_UPLOAD = {
    "accept": ["*/*"],
    "protocols": {"simple": {"multipart": True, "path": "/upload/bigquery/v2/projects/{+projectId}/jobs"}},
}


@cache
def build_document() -> Json:
    """All but the addresses of this server."""
    resources: Json = {}
    for id, verb, path, queries in _METHODS:
        resource, _, name = id.partition(".")
        resources.setdefault(resource, {"methods": {}})["methods"][name] = _write_method(id, verb, path, queries)
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "bigquery:v2",
        "name": "bigquery",
        "version": VERSION,
        "title": "Gantry",
        "description": "Queries of tables of metadata, served by Gantry.",
        "protocol": "rest",
        "servicePath": "bigquery/v2/",
        "basePath": "/bigquery/v2/",
        "batchPath": "batch/bigquery/v2",
        "parameters": {name: {"type": "string", "location": "query"} for name in (*SYSTEM, "fields", "prettyPrint")},
        "schemas": {name: {"id": name, "type": "object", "properties": {}} for name in ("Request", "Answer")},
        "resources": resources,
    }


def list_addresses(url: str) -> Json:
    """Those of the document of a server that its client finds at ``url``."""
    return {"rootUrl": f"{url}/", "baseUrl": f"{url}/bigquery/v2/"}


def _write_method(id: str, verb: str, path: str, queries: tuple[str, ...]) -> Json:
    ids = re.findall(r"\{\+(\w+)\}", path)
    parameters: Json = {name: {"type": "string", "location": "path", "required": True} for name in ids}
    parameters |= {name: _write_query(name) for name in queries}
    method: Json = {
        "id": f"bigquery.{id}",
        "httpMethod": verb,
        "path": path,
        "parameterOrder": ids,
        "parameters": parameters,
        "response": {"$ref": "Answer"},
    }
    if id == "jobs.insert":
        method |= {"supportsMediaUpload": True, "mediaUpload": _UPLOAD}  # clients look for it, and send none
    return method | ({"request": {"$ref": "Request"}} if id in ("jobs.query", "jobs.insert") else {})


def _write_query(name: str) -> Json:
    if name in _NUMBERS:
        kind = "string" if name == "startIndex" else "integer"
        return {"type": kind, "format": _NUMBERS[name], "location": "query"}
    if name in _TRUTHS:
        return {"type": "boolean", "location": "query"}
    return {"type": "string", "location": "query"} | ({"repeated": True} if name in _ENUMS else {})
