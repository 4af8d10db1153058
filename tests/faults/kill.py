"""kill -9 at random moments, and what may lie on the disk afterwards."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing

from gantry.index.sql import SqlIndex
from gantry.storage.extents import object_of
from tests.faults.scene import blobs, files
from tests.support.server import GantryServer


def kill_during(server: GantryServer, operation: str, kills: int, chance: random.Random) -> int:
    """Kill and start again until ``kills`` kills fell while the operation ran, or it has ended; how many did."""
    inside = 0
    while inside < kills:
        time.sleep(chance.uniform(0, 0.12))
        done = server.operation(operation).get("done", False)
        server.kill9()
        server.start()
        if done:
            break
        inside += 1
    return inside


def stored_keys(server: GantryServer) -> set[str]:
    """What the index names, of all DICOM stores."""
    index = SqlIndex(f"sqlite:///{server.data / 'index.sqlite'}")
    try:
        return {item.blob_key for number in index.segments.list_stores() for item in index.instances.walk_store(number)}
    finally:
        index.close()


def transferred(server: GantryServer, operation: str) -> int:
    """Bytes that an operation has read or written, as the index counts them; clients are told of remote buckets."""
    with closing(sqlite3.connect(server.data / "index.sqlite")) as index:
        query = "SELECT transferred_bytes FROM operation WHERE id = ?"
        return int(index.execute(query, (int(operation.rpartition("/")[2]),)).fetchone()[0])


def check_disk(server: GantryServer) -> None:
    """Soon every row has its bytes, and nothing else lies there: no blob, and no file that holds none."""

    def is_so() -> bool:
        named = stored_keys(server)
        return blobs(server.data) == named and files(server.data / "blobs") == set(map(object_of, named))

    server.wait_until(is_so)
