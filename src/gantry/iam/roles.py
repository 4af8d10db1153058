"""Roles and the permissions in them (spec §12.1): the predefined ones, the basic ones, and those of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gantry.errors import InvalidArgument

_DATASETS = ("create", "deidentify", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update")
_STORES = (
    *("create", "deidentify", "delete", "dicomWebDelete", "dicomWebRead", "dicomWebUpdate", "dicomWebWrite", "export"),
    *("get", "getIamPolicy", "import", "list", "setIamPolicy", "update"),
)
_OPERATIONS = ("cancel", "get", "list")
_LOCATIONS = ("healthcare.locations.get", "healthcare.locations.list")
_PROJECT = ("resourcemanager.projects.get", "resourcemanager.projects.list")
_PROJECT_POLICIES = ("resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy")
_LOGS = "logging.logEntries.list"
AUDIT_LOGS = "logging.privateLogEntries.list"
"""Of who did what: Cloud Logging's permission for the logs of data access ("Access control with IAM")."""
_BIGQUERY_METADATA = ("bigquery.datasets.get", "bigquery.tables.get", "bigquery.tables.list")
_JOBS, _GET_DATA = "bigquery.jobs.create", "bigquery.tables.getData"


def _of(kind: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"healthcare.{kind}.{name}" for name in names)


PERMISSIONS = frozenset(
    (
        *_of("datasets", _DATASETS),
        *_of("dicomStores", _STORES),
        *_of("operations", _OPERATIONS),
        *(*_LOCATIONS, *_PROJECT, *_PROJECT_POLICIES, _LOGS, AUDIT_LOGS),
        *(*_BIGQUERY_METADATA, _JOBS, _GET_DATA),
    )
)
"""Every permission that a method requires."""


def _role(datasets: str, stores: str, operations: str) -> frozenset[str]:
    of_kinds = (("datasets", datasets), ("dicomStores", stores), ("operations", operations))
    return frozenset(_LOCATIONS + _PROJECT).union(*(_of(kind, names.split()) for kind, names in of_kinds))


_READING = ("get", "list", "getIamPolicy", "dicomWebRead")
_VIEWER = frozenset(name for name in PERMISSIONS if name.rpartition(".")[2] in _READING) - {AUDIT_LOGS}
_SETTING_POLICIES = ("healthcare.datasets.setIamPolicy", "healthcare.dicomStores.setIamPolicy", _PROJECT_POLICIES[1])
PREDEFINED: Mapping[str, frozenset[str]] = {
    "roles/viewer": _VIEWER,
    "roles/editor": PERMISSIONS.difference((*_SETTING_POLICIES, AUDIT_LOGS)),
    "roles/owner": PERMISSIONS,
    "roles/logging.privateLogViewer": frozenset((*_PROJECT, _LOGS, AUDIT_LOGS)),
    "roles/bigquery.jobUser": frozenset((*_PROJECT, _JOBS)),
    "roles/bigquery.dataViewer": frozenset((*_PROJECT, *_BIGQUERY_METADATA, _GET_DATA)),
    "roles/bigquery.user": frozenset((*_PROJECT, *_BIGQUERY_METADATA, _JOBS)),
    "roles/healthcare.datasetViewer": _role("get list", "", "get"),
    "roles/healthcare.datasetAdmin": _role(" ".join(_DATASETS), "", "cancel get list"),
    "roles/healthcare.dicomStoreViewer": _role("get list", "get list", "get"),
    "roles/healthcare.dicomStoreAdmin": _role(
        "get list", "create deidentify delete dicomWebDelete get getIamPolicy list setIamPolicy update", "cancel get"
    ),
    "roles/healthcare.dicomViewer": _role("get list", "dicomWebRead export get list", "get"),
    "roles/healthcare.dicomEditor": _role(
        "get list", "dicomWebDelete dicomWebRead dicomWebUpdate dicomWebWrite export get import list", "cancel get"
    ),
}


class Roles:
    """The permissions of each role. ``custom`` is role → permissions. Raises InvalidArgument for a wrong name."""

    def __init__(self, custom: Mapping[str, Iterable[str]] | None = None) -> None:
        self._known = dict(PREDEFINED)
        for name, permissions in (custom or {}).items():
            if not name.startswith(("projects/", "organizations/")) or "/roles/" not in name:
                raise InvalidArgument(f"custom role {name!r} must be named projects/PROJECT/roles/NAME")
            found = frozenset(permissions)
            if wrong := sorted(found - PERMISSIONS):
                raise InvalidArgument(f"custom role {name!r}: there is no permission {wrong[0]!r}")
            self._known[name] = found

    def __contains__(self, role: str) -> bool:
        return role in self._known

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._known)

    def grants(self, role: str, permission: str) -> bool:
        """False for a role that does not exist (any more)."""
        return permission in self._known.get(role, ())
