"""Wiring of what pages for administrators show: from settings and the data directory to values."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from gantry.api.server_facts import DiskUse, IndexUse, ServerFacts, Source
from gantry.config import DataDirectory, make_buckets
from gantry.disk_room import Disk
from gantry.index_wiring import IndexPlace
from gantry.settings.loading import Settings
from gantry.settings.shown import show_settings


def make_facts(settings: Settings, directory: DataDirectory, sources: Mapping[str, Source]) -> ServerFacts:
    """``sources`` as of ``find_sources``."""
    own = settings.own_bucket
    return ServerFacts(
        settings=show_settings(settings, sources),
        audit_log=os.path.abspath(settings.audit_log) if settings.audit_log else "",
        blobs=own.address if own is not None else "",
        buckets=make_buckets(settings),
        read_disks=Disks(_list_directories(directory), directory.index).read,
        index=IndexUse(directory.index.name, directory.index.is_server),
    )


def _list_directories(directory: DataDirectory) -> dict[str, str]:
    """Place → its directory, of those whose blobs lie in one."""
    return {place: root for place, root in directory.places.items() if place not in directory.places.remote}


class Disks:
    """The disks of the directories of places, and that of the index, each of them once."""

    def __init__(self, places: Mapping[str, str], index: IndexPlace) -> None:
        self._places = dict(places)
        self._index = "" if index.is_server else str(index.file.parent)
        roots = dict.fromkeys((*self._places.values(), *([self._index] if self._index else ())))
        self._roots = {root: Disk(root) for root in roots}

    def read(self) -> list[DiskUse]:
        begun = [(root, each, each.look.begin()) for root, each in self._roots.items()]
        found: dict[object, list[str]] = defaultdict(list)
        problems: dict[object, str] = {}
        for root, each, look in begun:
            problem = "; ".join(look.get())
            device: object = root if problem or each.room is None else each.room.device
            found[device].append(root)
            problems[device] = problem
        return [self._describe(roots, problems[device]) for device, roots in found.items()]

    def _describe(self, roots: Sequence[str], problem: str) -> DiskUse:
        holds = tuple(place for place, root in self._places.items() if root in roots)
        room = self._roots[roots[0]].room
        known = room is not None and not problem
        return DiskUse(
            tuple(roots),
            holds,
            self._index in roots,
            room.total if room is not None and known else None,
            room.free if room is not None and known else None,
            problem,
        )
