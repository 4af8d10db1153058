"""``./run bench databases``: imports and exports with the index in PostgreSQL beside SQLite.

PostgreSQL runs on the same machine, with the settings it has by itself: what is committed is on the disk. It is the one
of a wheel. Its processor time is not in the figures: it would run elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support import postgresql

from benchmarks.beside import KINDS, Kind, Sides, run
from benchmarks.service import Service

_KINDS = (Kind("tiny", 2_700, 4000), *KINDS)


def main(arguments: list[str]) -> int:
    """0; 1 when the run failed or a result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks databases", description=__doc__)
    return run(parser, arguments, _KINDS, lambda work, _: _start(work))


@contextmanager
def _start(work: Path) -> Iterator[Sides]:
    postgresql.require()
    server = postgresql.PostgresServer(postgresql.DURABLE)
    try:
        with closing(postgresql.Databases(server.url)) as databases:
            address = postgresql.to_text(databases.make().set(drivername="postgresql"))
        config = work / "postgresql.toml"
        config.write_text(f"database = {address!r}\n", encoding="utf-8")
        buckets = work / "buckets"
        with (
            Service(work / "postgresql" / "data", buckets, config=config) as there,
            Service(work / "sqlite" / "data", buckets) as here,
        ):
            yield {"PostgreSQL": there, "SQLite": here}
    finally:
        server.close()
