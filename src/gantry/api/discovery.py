"""Discovery documents, from which Google's client libraries build themselves; made from the method table."""

from __future__ import annotations

import re
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.bigquery import discovery as bigquery
from gantry.api.call import Context
from gantry.api.messages import Json
from gantry.api.method import ApiMethod
from gantry.api.methods import METHODS
from gantry.api.parameters import SYSTEM
from gantry.api.paths import page_path
from gantry.api.responses import json_response
from gantry.api.schemas import BODIES, schemas
from gantry.errors import NotFound
from gantry.names import API_VERSIONS

_PAGING = ("pageSize", "pageToken")
_QUERIES: dict[str, tuple[str, ...]] = {
    "list": ("filter", "extraLocationTypes", *_PAGING),
    "datasets.create": ("datasetId",),
    "datasets.list": _PAGING,
    "datasets.patch": ("updateMask",),
    "datasets.operations.list": ("filter", "returnPartialSuccess", *_PAGING),
    "datasets.dicomStores.create": ("dicomStoreId",),
    "datasets.dicomStores.list": ("filter", *_PAGING),
    "datasets.dicomStores.patch": ("updateMask",),
}
_PARAMETERS: dict[str, Json] = {
    "datasetId": {"type": "string", "description": "Id of the new dataset."},
    "dicomStoreId": {"type": "string", "description": "Id of the new DICOM store."},
    "extraLocationTypes": {"type": "string", "repeated": True, "description": "Accepted and ignored."},
    "filter": {"type": "string", "description": "Which items to list."},
    "options.requestedPolicyVersion": {"type": "integer", "format": "int32", "description": "Version of the policy."},
    "pageSize": {"type": "integer", "format": "int32", "description": "Items per page, at most 1000; 0 means 100."},
    "pageToken": {"type": "string", "description": "The nextPageToken of the page before."},
    "returnPartialSuccess": {"type": "boolean", "description": "Only false is supported."},
    "updateMask": {"type": "string", "format": "google-fieldmask", "description": "The fields to change, by commas."},
    "viewport": {"type": "string", "description": "The part of the picture to show."},
}
_WITHOUT_EFFECT = ("callback", "uploadType", "upload_protocol")
"""What would change answers or requests, and changes nothing here: accepted, but not listed."""
_SYSTEM = {
    name: {"type": "string", "location": "query", "description": "Accepted by every method."}
    for name in SYSTEM
    if name not in _WITHOUT_EFFECT
} | {
    "alt": {
        "type": "string",
        "location": "query",
        "default": "json",
        "enum": ["json"],
        "enumDescriptions": ["Answers are JSON."],
        "description": "Format of answers; those of DICOMweb are as Accept says.",
    },
    "fields": {"type": "string", "location": "query", "description": "Parts of a JSON answer: a,b/c,d(e,f)."},
    "prettyPrint": {"type": "boolean", "location": "query", "default": "true", "description": "Indented."},
}
_WEB_SUBJECTS = {"getStudyMetrics": "study", "getSeriesMetrics": "series"}
_SUBJECTS = {
    "getIamPolicy": "resource",
    "setIamPolicy": "resource",
    "testIamPermissions": "resource",
    "setBlobStorageSettings": "resource",
    "getStorageInfo": "resource",
    **_WEB_SUBJECTS,
}


def rest(context: Context, request: Request) -> Response:
    """``/$discovery/rest?version=V`` and ``/discovery/v1/apis/healthcare/V/rest``; V ``v2`` is BigQuery. Raises
    NotFound."""
    parts = page_path(request.scope)
    version = ""
    if parts == ["rest"]:
        version = request.query_params.get("version") or "v1"
    elif parts[:3] == ["v1", "apis", "healthcare"] and parts[4:] == ["rest"]:
        version = parts[3]
    url = context.public_url_for(request.headers)
    if (version == bigquery.VERSION and parts == ["rest"]) or parts == ["v1", "apis", "bigquery", "v2", "rest"]:
        return json_response(bigquery.build_document() | bigquery.list_addresses(url))
    if version not in API_VERSIONS:
        raise NotFound(f"no such discovery document; use /$discovery/rest?version={'|'.join(API_VERSIONS)}")
    return json_response(build_document(version) | {"rootUrl": f"{url}/", "baseUrl": f"{url}/"})


@cache
def build_document(version: str) -> Json:
    """The methods that are implemented in a version, without the address of this server."""
    document: Json = {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"healthcare:{version}",
        "name": "healthcare",
        "version": version,
        "title": "Gantry",
        "description": "The DICOM part of the Cloud Healthcare API, served by Gantry.",
        "protocol": "rest",
        "servicePath": "",
        "fullyEncodeReservedExpansion": True,
        "parameters": _SYSTEM,
        "schemas": schemas(),
        "resources": {},
    }
    for method in METHODS:
        if method.handler is not None and version in method.versions:
            *above, name = ["projects", "locations", *method.id.split(".")]
            place = document
            for part in above:
                place = place.setdefault("resources", {}).setdefault(part, {})
            place.setdefault("methods", {})[name] = method_json(method, version)
    return document


def method_json(method: ApiMethod, version: str) -> Json:
    """One method: its path with one variable for the resource it works on, its parameters and bodies."""
    path, parameters = _path(method)
    queries = {name: _PARAMETERS[name] | {"location": "query"} for name in _queries(method)}
    document: Json = {
        "id": f"healthcare.projects.locations.{method.id}",
        "httpMethod": method.verb,
        "path": f"{version}/{path}",
        "flatPath": f"{version}/{_flat(method.path)}",
        "description": _description(method),
        "parameterOrder": list(parameters),
        "parameters": parameters | queries,
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    }
    request, response = BODIES.get(method.id, ("", "HttpBody"))
    if request:
        document["request"] = {"$ref": request}
    return document | {"response": {"$ref": response}}


def _path(method: ApiMethod) -> tuple[str, dict[str, Json]]:
    """The path with its variables, and the variables."""
    resource, _, action = method.path.partition(":")
    if "/dicomWeb/" in resource and not action:
        parent, _, rest = resource.partition("/dicomWeb/")
        tail = "/metadata" if method.verb == "PATCH" else ""  # literal there, part of the variable in all other paths
        variables = {"parent": _variable(parent), "dicomWebPath": _variable(rest.removesuffix(tail))}
        return "{+parent}/dicomWeb/{+dicomWebPath}" + tail, variables
    *_, verb = method.id.split(".")
    name = _SUBJECTS.get(verb, "name")
    if verb == "deidentify":
        name = "sourceStore" if "dicomStores" in method.id else "sourceDataset"
    if method.id.endswith("dicomWeb.studies.setBlobStorageSettings"):
        return "{+resource}:setBlobStorageSettings", {"resource": _variable(f"{_before(resource, 'studies')}/**")}
    if not resource.endswith("*"):
        parent, _, collection = resource.rpartition("/")
        in_name = verb == "list" and collection in ("locations", "operations")
        name = "name" if in_name else "parent"
        return f"{{+{name}}}/{collection}", {name: _variable(parent)}
    return f"{{+{name}}}" + (action and f":{action}"), {name: _variable(resource)}


def _before(path: str, collection: str) -> str:
    return path.partition(f"/{collection}/")[0] + f"/{collection}"


def _variable(path: str) -> Json:
    pattern = path.replace("**", ".^").replace("*", "[^/]+").replace(".^", ".*")
    return {"type": "string", "location": "path", "required": True, "pattern": f"^{pattern}$", "description": path}


def _flat(path: str) -> str:
    """The path with a variable per id: ``projects/{projectsId}/…``."""
    return re.sub(r"(\w+)/\*+", r"\1/{\1Id}", path)


def _queries(method: ApiMethod) -> tuple[str, ...]:
    verb = method.id.rpartition(".")[2]
    if verb == "getIamPolicy":
        return ("options.requestedPolicyVersion",)
    return ("viewport",) if verb == "retrieveRendered" else _QUERIES.get(method.id, ())


def _description(method: ApiMethod) -> str:
    """What the method is called, its path, and the permission that it needs."""
    needs = f" Needs the permission {method.permission}." if method.permission else ""
    words = re.sub(r"(?<=[a-z])([A-Z])", lambda match: " " + match[1].lower(), method.id.rpartition(".")[2])
    return f"{words.capitalize()}: {method.verb} {method.path}.{needs}"
