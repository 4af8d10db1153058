"""How full the disks of a server are. One that gives no answer costs its own series alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from gantry.disk_room import Disk


class Disks:
    """``directories`` by the names of the settings that name them: ``data``, ``buckets``, and storage classes."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        self._disks = {name: Disk(str(directory)) for name, directory in directories.items()}

    def collect(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("gantry_disk_size_bytes", "Bytes of the file system of a directory.", labels=["place"])
        free = GaugeMetricFamily("gantry_disk_free_bytes", "Bytes free there for the server's user.", labels=["place"])
        begun = [(name, disk, disk.look.begin()) for name, disk in self._disks.items()]
        for name, disk, look in begun:
            room = None if look.get() else disk.room
            if room is not None and room.total is not None and room.free is not None:
                size.add_metric([name], room.total)
                free.add_metric([name], room.free)
        yield from (size, free)
