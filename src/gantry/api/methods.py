"""The method table: one line per API method. Routing, permissions, coverage and documentation come from it."""

from __future__ import annotations

from gantry.api import (
    bulk_parts,
    capabilities,
    changes,
    iam,
    operations,
    pixel_parts,
    rendered_parts,
    rendering,
    resources,
    retrieving,
    searching,
    storage,
    storing,
    updating,
    wado_uri,
)
from gantry.api.method import BETA, ApiMethod, list_allowed
from gantry.errors import MethodNotAllowed, NotFound
from gantry.names import API_VERSIONS


def _below(id_prefix: str, path: str, permission_prefix: str, *rows: ApiMethod) -> tuple[ApiMethod, ...]:
    return tuple(
        row._replace(
            id=id_prefix + row.id,
            path=path + row.path,
            permission=row.permission and f"healthcare.{permission_prefix}{row.permission}",
        )
        for row in rows
    )


M = ApiMethod
_LOCATION = "projects/*/locations/*"
_DATASET = f"{_LOCATION}/datasets/*"
_STORE = f"{_DATASET}/dicomStores/*"
_WEB = f"{_STORE}/dicomWeb"
_STUDY, _SERIES = f"{_WEB}/studies/*", f"{_WEB}/studies/*/series/*"
_INSTANCE = f"{_SERIES}/instances/*"

METHODS: tuple[ApiMethod, ...] = (
    M("get", "GET", _LOCATION, "healthcare.locations.get", resources.get_location),
    M("list", "GET", "projects/*/locations", "healthcare.locations.list", resources.list_locations),
    *_below(
        "datasets.", f"{_LOCATION}/datasets", "datasets.",
        M("create", "POST", "", "create", resources.create_dataset),
        M("list", "GET", "", "list", resources.list_datasets),
        M("get", "GET", "/*", "get", resources.get_dataset),
        M("patch", "PATCH", "/*", "update", resources.patch_dataset),
        M("delete", "DELETE", "/*", "delete", resources.delete_dataset),
        M("deidentify", "POST", "/*:deidentify", "deidentify"),
        M("getIamPolicy", "GET", "/*:getIamPolicy", "getIamPolicy", iam.get_policy),
        M("setIamPolicy", "POST", "/*:setIamPolicy", "setIamPolicy", iam.set_policy),
        M("testIamPermissions", "POST", "/*:testIamPermissions", "", iam.test_permissions),
    ),
    *_below(
        "datasets.operations.", f"{_DATASET}/operations", "operations.",
        M("get", "GET", "/*", "get", operations.get_operation),
        M("list", "GET", "", "list", operations.list_operations),
        M("cancel", "POST", "/*:cancel", "cancel", operations.cancel_operation),
    ),
    *_below(
        "datasets.dicomStores.", f"{_DATASET}/dicomStores", "dicomStores.",
        M("create", "POST", "", "create", resources.create_dicom_store),
        M("list", "GET", "", "list", resources.list_dicom_stores),
        M("get", "GET", "/*", "get", resources.get_dicom_store),
        M("patch", "PATCH", "/*", "update", resources.patch_dicom_store),
        M("delete", "DELETE", "/*", "delete", resources.delete_dicom_store),
        M("import", "POST", "/*:import", "import", operations.import_dicom_data),
        M("export", "POST", "/*:export", "export", operations.export_dicom_data),
        M("deidentify", "POST", "/*:deidentify", "deidentify"),
        M("setBlobStorageSettings", "POST", "/*:setBlobStorageSettings", "dicomWebWrite", storage.set_by_filter),
        M("getDICOMStoreMetrics", "GET", "/*:getDICOMStoreMetrics", "get", storage.get_dicom_store_metrics),
        M("getIamPolicy", "GET", "/*:getIamPolicy", "getIamPolicy", iam.get_policy),
        M("setIamPolicy", "POST", "/*:setIamPolicy", "setIamPolicy", iam.set_policy),
        M("testIamPermissions", "POST", "/*:testIamPermissions", "", iam.test_permissions),
    ),
    *_below(
        "datasets.dicomStores.", _WEB, "dicomStores.dicomWeb",
        M("searchForStudies", "GET", "/studies", "Read", searching.search_studies),
        M("searchForSeries", "GET", "/series", "Read", searching.search_series),
        M("searchForInstances", "GET", "/instances", "Read", searching.search_instances),
        M("storeInstances", "POST", "/studies", "Write", storing.store_instances),
        M("updateInstances", "PUT", "/studies", "Update", storing.update_instances, BETA),
    ),
    *_below(
        "datasets.dicomStores.dicomWeb.studies.", _STUDY, "dicomStores.dicomWeb",
        M("getStudyMetrics", "GET", ":getStudyMetrics", "Read", storage.get_study_metrics),
        M("setBlobStorageSettings", "POST", ":setBlobStorageSettings", "Write", storage.set_below),
        M("setBlobStorageSettings", "POST", "/series/*:setBlobStorageSettings", "Write", storage.set_below),
        M("setBlobStorageSettings", "POST", "/series/*/instances/*:setBlobStorageSettings", "Write", storage.set_below),
        M("series.getSeriesMetrics", "GET", "/series/*:getSeriesMetrics", "Read", storage.get_series_metrics),
        M("series.instances.getStorageInfo", "GET", "/series/*/instances/*:getStorageInfo", "Read", storage.get_info),
    ),
    *_below(
        "datasets.dicomStores.studies.", _STUDY, "dicomStores.dicomWeb",
        M("retrieveStudy", "GET", "", "Read", retrieving.retrieve_many),
        M("retrieveMetadata", "GET", "/metadata", "Read", retrieving.retrieve_metadata),
        M("searchForInstances", "GET", "/instances", "Read", searching.search_instances),
        M("searchForSeries", "GET", "/series", "Read", searching.search_series),
        M("storeInstances", "POST", "", "Write", storing.store_instances),
        M("updateInstances", "PUT", "", "Update", storing.update_instances, BETA),
        M("updateMetadata", "PATCH", "/metadata", "Update", updating.update_study, BETA),
        M("delete", "DELETE", "", "Delete", storage.delete_study),
    ),
    *_below(
        "datasets.dicomStores.studies.series.", _SERIES, "dicomStores.dicomWeb",
        M("retrieveSeries", "GET", "", "Read", retrieving.retrieve_many),
        M("retrieveMetadata", "GET", "/metadata", "Read", retrieving.retrieve_metadata),
        M("searchForInstances", "GET", "/instances", "Read", searching.search_instances),
        M("updateMetadata", "PATCH", "/metadata", "Update", updating.update_series, BETA),
        M("delete", "DELETE", "", "Delete", storage.delete_series),
    ),
    *_below(
        "datasets.dicomStores.studies.series.instances.", _INSTANCE, "dicomStores.dicomWeb",
        M("retrieveInstance", "GET", "", "Read", retrieving.retrieve_instance),
        M("retrieveMetadata", "GET", "/metadata", "Read", retrieving.retrieve_metadata),
        M("retrieveRendered", "GET", "/rendered", "Read", rendering.render_instance),
        M("frames.retrieveFrames", "GET", "/frames/*", "Read", retrieving.retrieve_frames),
        M("frames.retrieveRendered", "GET", "/frames/*/rendered", "Read", rendering.render_frames),
        M("bulkdata.retrieveBulkdata", "GET", "/bulkdata/**", "Read", retrieving.retrieve_bulkdata),
        M("updateMetadata", "PATCH", "/metadata", "Update", updating.update_instance, BETA),
        M("delete", "DELETE", "", "Delete", storage.delete_instance),
    ),
)  # fmt: skip


_INSTEAD = {"deidentify": "de-identify the files before they are stored here"}
"""What to do instead of calling a method that is not implemented; clients show this message."""


def instead_of(method: ApiMethod) -> str:
    return _INSTEAD.get(method.id.rpartition(".")[2], "leave this call out")


_CAPABILITIES = capabilities.make_handler(f"{_WEB}/", lambda: METHODS + OWN)
_PROJECT, _DICOM_WEB = "resourcemanager.projects.", "healthcare.dicomStores.dicomWeb"
OWN: tuple[ApiMethod, ...] = (
    M("datasets.dicomStores.changeFeed", "GET", f"{_STORE}:changeFeed", f"{_DICOM_WEB}Read", changes.list_changes),
    *(
        M("retrieveThumbnail", "GET", f"{path}/thumbnail", f"{_DICOM_WEB}Read", rendering.render_thumbnail)
        for path in (_STUDY, _SERIES, _INSTANCE, f"{_INSTANCE}/frames/*")
    ),
    *(
        M(
            *("retrieveByUri", "GET", path, f"{_DICOM_WEB}Read", wado_uri.retrieve),
            is_added=True,
            query_ids=wado_uri.UIDS,
            audited=_INSTANCE,
        )
        for path in (_WEB, f"{_WEB}/", f"{_WEB}/wado")
    ),
    *(
        M("retrieveCapabilities", "OPTIONS", path, f"{_DICOM_WEB}Read", _CAPABILITIES, is_added=True)
        for path in (_WEB, f"{_WEB}/")
    ),
    *(
        M(f"retrieve{name}", "GET", f"{path}/{name.lower()}", f"{_DICOM_WEB}Read", handler, is_added=True)
        for name, handler, paths in (
            ("Rendered", rendered_parts.render_below, (_STUDY, _SERIES)),
            ("Bulkdata", bulk_parts.retrieve_bulk_below, (_STUDY, _SERIES, _INSTANCE)),
            ("Pixeldata", pixel_parts.retrieve_pixels_below, (_STUDY, _SERIES, _INSTANCE)),
        )
        for path in paths
    ),
    M("projects.getIamPolicy", "POST", "projects/*:getIamPolicy", f"{_PROJECT}getIamPolicy", iam.get_policy, ("v1",)),
    M("projects.setIamPolicy", "POST", "projects/*:setIamPolicy", f"{_PROJECT}setIamPolicy", iam.set_policy, ("v1",)),
    M("projects.testIamPermissions", "POST", "projects/*:testIamPermissions", "", iam.test_permissions, ("v1",)),
)
"""The change feed; services of PS3.18 that the API does not have (§8.9, §9, §10.4.1.1.3 to .6); policies of projects,
as in Resource Manager."""

SHOW_PAGE = M("gantry.showPage", "GET", "pages", "")
SIGN_IN = M("gantry.signIn", "POST", "sign-in", "")
SIGN_OUT = M("gantry.signOut", "POST", "sign-out", "")
GIVE_TOKEN = M("gantry.giveToken", "POST", "token", "")
LIST_DATASETS = M("datasets.list", "GET", "datasets", "")
SHOW_SETTINGS = M("gantry.showSettings", "GET", "settings", "")
SHOW_DISK = M("gantry.showDisk", "GET", "disk", "")
SHOW_AUDIT = M("gantry.showAuditLog", "GET", "audit", "")
SHOW_BUCKETS = M("gantry.showBuckets", "GET", "buckets", "")
CHECK_BUCKET = M("gantry.checkBucket", "POST", "buckets", "")
CHECK_BUCKET_FOR_STORE = M("datasets.dicomStores.checkBucket", "POST", _STORE, "")
PREVIEW_IMPORT = M("datasets.dicomStores.previewImport", "GET", _STORE, "healthcare.dicomStores.import")
"""What pages do without a method of the API. These are recorded in the audit log, and have no path."""


_DICOM_WEB = "dicomWeb"
"""Below it a wrong verb is 405, as PS3.18 §8.5 has it. The API around it answers as Google's does: 404."""


class _Node:
    """One path segment in the tree of all paths. ``methods`` by (verb, custom verb)."""

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.methods: dict[tuple[str, str], ApiMethod] = {}


def _tree() -> _Node:
    root = _Node()
    for method in METHODS + OWN:
        path, _, custom = method.path.partition(":")
        node = root
        for segment in path.split("/"):
            node = node.children.setdefault(segment, _Node())
        node.methods[method.verb, custom] = method
    return root


_ROOT = _tree()


def route(verb: str, version: str, segments: list[str], strict: bool = False) -> tuple[ApiMethod, tuple[str, ...]]:
    """The method of a path below the version, and its ids; ``strict`` leaves out what is added to the API. Raises
    NotFound, MethodNotAllowed.

    A custom verb follows the last colon of the last segment: project ids may hold colons, and UIDs never do. A colon
    with nothing behind it is of the id, so that what is deleted has exactly the name in the path.
    """
    if segments[-1].startswith(":"):
        # The reference writes …/series/UID/:verb in places.
        segments = [*segments[:-2], "".join(segments[-2:])]
    last, _, custom = segments[-1].rpartition(":")
    others: list[str] = []
    for tail, action in ((last, custom), (segments[-1], "")) if last and custom else ((segments[-1], ""),):
        node, ids = _find([*segments[:-1], tail])
        for (its_verb, its_action), method in node.methods.items() if node else ():
            if its_action == action and version in method.versions and not (strict and method.is_added):
                if its_verb == verb:
                    return method, ids
                others.append(its_verb)
        if others and _DICOM_WEB in segments:
            break  # no UID holds a colon: this is the method that is meant
    message = f"no such method: {verb} /{version}/{'/'.join(segments)}"
    if segments[0] in API_VERSIONS:
        message += "; the version stands there twice: leave it out of the address of the server, or of the path"
    if others and _DICOM_WEB in segments:
        error = MethodNotAllowed(message)
        error.allowed = list_allowed(others)
        raise error
    raise NotFound(message)


def _find(segments: list[str]) -> tuple[_Node | None, tuple[str, ...]]:
    """The node of a path, and its ids. Only a path of bulk data may end in a slash."""
    node = _ROOT
    ids: list[str] = []
    for position, segment in enumerate(segments):
        if segment in node.children and not segment.startswith("*"):
            node = node.children[segment]
        elif "**" in node.children:
            return node.children["**"], (*ids, "/".join(segments[position:]))
        elif segment and "*" in node.children:
            node = node.children["*"]
            ids.append(segment)
        else:
            return None, ()
    return node, tuple(ids)
