"""The links beside every page: to those of the store or the dataset that it is about, and to those of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from gantry.languages import _
from gantry.names import DatasetName, DicomStoreName, url_path

_BASE = "/console"


class NavLink(NamedTuple):
    title: str
    address: str
    is_current: bool


class NavGroup(NamedTuple):
    """``title`` and ``address`` are of what the pages are about; ``above`` leads to the page with all of its kind."""

    title: str
    links: Sequence[NavLink]
    above: tuple[str, str] = ("", "")


def make_navigation(place: DicomStoreName | DatasetName | None, parts: Sequence[str]) -> list[NavGroup]:
    """``parts``: the segments of the address of the page."""
    if isinstance(place, DicomStoreName):
        return [_of_store(place, parts), _of_server(parts, ("audit", "disk", "settings"))]
    if place is not None:
        return [_of_dataset(place, parts), _of_server(parts, ("buckets", "audit", "disk", "settings"))]
    home = NavGroup("", [NavLink(_("Datasets"), f"{_BASE}/", not parts or parts == ["create"])])
    return [home, _of_server(parts, ("buckets", "access", "audit", "disk", "settings"))]


def _of_store(name: DicomStoreName, parts: Sequence[str]) -> NavGroup:
    here = f"{_BASE}/{url_path(name)}"
    below = parts[8] if len(parts) > 8 else ""
    at = "operations" if parts[6:7] == ["operations"] else below
    links = [
        NavLink(_("Overview"), here, at not in ("studies", "operations", "query", "buckets", "access")),
        NavLink(_("Studies"), f"{here}/studies", at == "studies"),
        NavLink(
            _("Operations"),
            f"{_BASE}/{url_path(name.parent)}/operations?store={quote(name.store, safe='')}",
            at == "operations",
        ),
        NavLink(_("Query"), f"{here}/query", at == "query"),
        NavLink(_("Buckets"), f"{here}/buckets", at == "buckets"),
        NavLink(_("Access"), f"{here}/access", at == "access"),
    ]
    return NavGroup(name.store, links, (_("Data stores"), f"{_BASE}/{url_path(name.parent)}"))


def _of_dataset(name: DatasetName, parts: Sequence[str]) -> NavGroup:
    here = f"{_BASE}/{url_path(name)}"
    below = parts[6] if len(parts) > 6 else ""
    links = [
        NavLink(_("Data stores"), here, below not in ("operations", "access")),
        NavLink(_("Operations"), f"{here}/operations", below == "operations"),
        NavLink(_("Access"), f"{here}/access", below == "access"),
    ]
    return NavGroup(name.dataset, links, (_("All datasets"), f"{_BASE}/"))


def _of_server(parts: Sequence[str], pages: Sequence[str]) -> NavGroup:
    titles = {
        "buckets": _("Buckets"),
        "access": _("Access"),
        "audit": _("Audit"),
        "disk": _("Disk"),
        "settings": _("Settings"),
    }
    current = "access" if parts[:1] == ["projects"] and parts[2:3] == ["access"] else "".join(parts[:1])
    links = [NavLink(titles[page], f"{_BASE}/{page}", page == current) for page in pages]
    return NavGroup(_("Server"), links)
