"""Wiring of what pages for administrators show: from settings and the data directory to values."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from gantry.api.looking import Look
from gantry.api.server_facts import DiskUse, IndexUse, ServerFacts, Source
from gantry.config import DataDirectory, make_buckets
from gantry.index_wiring import IndexPlace
from gantry.settings.loading import Settings
from gantry.settings.shown import show_settings
from gantry.system_errors import describe_os_error


def make_facts(settings: Settings, directory: DataDirectory, sources: Mapping[str, Source]) -> ServerFacts:
    """``sources`` as of ``find_sources``."""
    own = settings.own_bucket
    return ServerFacts(
        settings=show_settings(settings, sources),
        audit_log=os.path.abspath(settings.audit_log) if settings.audit_log else "",
        blobs=own.address if own is not None else "",
        buckets=make_buckets(settings),
        read_disks=Disks(_list_directories(directory), directory.index).read,
        read_index=lambda: _read_index(directory.index),
    )


def _list_directories(directory: DataDirectory) -> dict[str, str]:
    """Place → its directory, of those whose blobs lie in one."""
    return {place: root for place, root in directory.places.items() if place not in directory.places.remote}


def _read_index(index: IndexPlace) -> IndexUse:
    """A database says its size only to who asks it in SQL, which may wait; nobody does."""
    return IndexUse(index.name, None if index.is_server else _measure(index))


def _measure(index: IndexPlace) -> int:
    """Bytes of the index with the files that SQLite keeps beside it (its page "Temporary Files")."""
    paths = (index.file, *(index.file.with_name(f"{index.file.name}{end}") for end in ("-wal", "-shm")))
    return sum(path.stat().st_size for path in paths if path.exists())


class Disks:
    """The disks of the directories of places, and that of the index, each of them once. A disk that gives no answer is
    left behind, by one thread however often it is asked."""

    def __init__(self, places: Mapping[str, str], index: IndexPlace) -> None:
        self._places = dict(places)
        self._index = "" if index.is_server else str(index.file.parent)
        roots = dict.fromkeys((*self._places.values(), *([self._index] if self._index else ())))
        self._roots = {root: _Root(root) for root in roots}

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


class _Room:
    def __init__(self, root: str) -> None:
        """Raises OSError."""
        found = os.statvfs(root)
        self.device = os.stat(root).st_dev
        self.total = found.f_blocks * found.f_frsize or None  # some file systems of libfuse report no blocks at all
        self.free = found.f_bavail * found.f_frsize if self.total else None


class _Root:
    def __init__(self, root: str) -> None:
        self._root = root
        self.room: _Room | None = None
        self.look = Look(self._read)

    def _read(self) -> list[str]:
        try:
            self.room = _Room(self._root)
        except OSError as error:
            return [describe_os_error(error)]
        return []
