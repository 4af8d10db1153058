"""How full the disks of a server are. One that gives no answer costs its own series alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from gantry.api.looking import Look


class Disks:
    """``directories`` by the names of the settings that name them: ``data``, ``buckets``, and storage classes."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self._directories = directories
        self._found: dict[str, tuple[int, int]] = {}
        self._looks = {name: Look(lambda name=name: self._read(name)) for name in directories}  # type: ignore[misc]

    def _read(self, name: str) -> list[str]:
        self._found.pop(name, None)
        try:
            found = os.statvfs(self._directories[name])
        except OSError:
            return ["cannot be read"]
        self._found[name] = found.f_frsize * found.f_blocks, found.f_frsize * found.f_bavail
        return []

    def collect(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("gantry_disk_size_bytes", "Bytes of the file system of a directory.", labels=["place"])
        free = GaugeMetricFamily("gantry_disk_free_bytes", "Bytes free there for the server's user.", labels=["place"])
        begun = {name: look.begin() for name, look in self._looks.items()}
        for name, look in begun.items():
            if not look.get() and (found := self._found.get(name)):
                size.add_metric([name], found[0])
                free.add_metric([name], found[1])
        yield from (size, free)
