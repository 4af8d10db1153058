"""What the settings say of projects of BigQuery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from gantry.errors import InvalidArgument

_MOST_SHOWN = 100  # characters of what is wrong


@dataclass(frozen=True, slots=True)
class BigQueryPlace:
    """``project`` may hold ``*``. ``endpoint`` is empty for the service itself; an emulator (``http://``) gets no
    credentials. ``credentials_file``: without it Google's usual chain gives them. ``billing_project`` pays for the
    jobs: that of the table where it is empty. ``location`` of the jobs: BigQuery finds that of the dataset itself."""

    project: str
    endpoint: str = ""
    credentials_file: str = ""
    billing_project: str = ""
    location: str = ""

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> BigQueryPlace:
        """Read a table of the settings. Raises InvalidArgument, which names the fault."""
        if not isinstance(value, Mapping) or not isinstance(value.get("project"), str) or not value["project"]:
            raise InvalidArgument('bigquery_projects: each needs a project, project = "my-project"')
        for key, item in value.items():
            _check_type(value["project"], key, item)
        made = cls(**value)
        _check_endpoint(made)
        return made

    @property
    def is_emulator(self) -> bool:
        return self.endpoint.startswith("http:")


_FIELDS = {each.name: each for each in fields(BigQueryPlace)}


def find_place(places: Sequence[BigQueryPlace], project: str) -> BigQueryPlace | None:
    """The first one that covers a project."""
    return next((each for each in places if fnmatchcase(project, each.project)), None)


def _check_type(project: str, key: str, item: object) -> None:
    if key not in _FIELDS:
        near = get_close_matches(key, _FIELDS, 1)
        advice = f"write {near[0]}" if near else "all keys are in docs/howto/tables.md"
        raise InvalidArgument(
            f"bigquery_projects: {key[:_MOST_SHOWN]} of {project!r} is no key of an entry", advice=advice
        )
    if not isinstance(item, str) or not item:
        raise InvalidArgument(f"bigquery_projects: {key} of {project!r} is not a text in quotes")


def _check_endpoint(place: BigQueryPlace) -> None:
    try:
        parts = urlsplit(place.endpoint)
        _, is_right = parts.port, parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_right = False
    if place.endpoint and not is_right:
        raise InvalidArgument(f"bigquery_projects: endpoint of {place.project!r} must be https://HOST[:PORT]")
    if place.is_emulator and place.credentials_file:
        raise InvalidArgument(
            f"bigquery_projects: credentials_file of {place.project!r} would have no effect with http://; leave it out"
        )
