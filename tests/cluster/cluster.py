"""Servers on one database of PostgreSQL and one bucket of S3, each a process with a data directory of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url

from gantry.settings.loading import Settings, load_settings
from tests.buckets.blob_home import BlobHome
from tests.support.directories import name_of
from tests.support.postgresql import Databases, PostgresServer, require, to_text
from tests.support.providers import S3Buckets
from tests.support.s3_server import S3Server
from tests.support.server import GantryServer

WEB, RUNNER = ("serve", "--no-runner"), ("run",)
ROLES = {"web-1": WEB, "web-2": WEB, "runner-1": RUNNER, "runner-2": RUNNER}
KILLS = (
    pytest.param(2000, 6, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    pytest.param(20_000, 16, marks=[pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1800)]),
)
"""Objects of an import, and how many processes are killed meanwhile."""


class Cluster:
    """``postgres`` and ``s3`` are the servers beneath. ``start`` adds one of Gantry's, by name."""

    def __init__(self, home: Path, postgres: PostgresServer, s3: S3Server) -> None:
        self.home, self.postgres, self.s3 = home, postgres, s3
        self.buckets = S3Buckets(s3.url)
        self.blobs = BlobHome(home, self.buckets)
        with closing(Databases(postgres.url)) as databases:
            self._url = databases.make()
        self.database = to_text(self._url.set(drivername="postgresql"))
        self.servers: dict[str, GantryServer] = {}
        self.env: dict[str, str] = {}  # more for each server

    def start(self, name: str, command: tuple[str, ...]) -> GantryServer:
        env = {"GANTRY_CONFIG": str(self.blobs.config), "GANTRY_DATABASE": self.database, **self.env}
        made = GantryServer(self.home / name, self.home / "buckets", env=env, command=command)
        self.servers[name] = made
        return made

    def load(self, name: str) -> Settings:
        flags = {"data": str(self.home / name), "database": self.database}
        return load_settings(flags, {}, str(self.blobs.config))

    def fill(self, objects: dict[str, bytes]) -> str:
        """The address of a new bucket with these objects."""
        bucket = self.buckets.make_bucket()
        self.s3.put(name_of(bucket), dict(objects))
        return bucket

    def query(self, statement: str) -> list[Any]:
        with create_engine(make_url(to_text(self._url)), poolclass=NullPool).connect() as connection:
            return list(connection.exec_driver_sql(statement))

    def live(self) -> list[tuple[str, bool]]:
        """(name, whether it runs operations) of the servers that are alive, in the order in which they came."""
        return [(name, runs) for name, runs in self.query("SELECT name, runs FROM server ORDER BY place")]

    def find_runner(self, name: str) -> GantryServer | None:
        """The server that runs an operation."""
        running = self.query(
            f"SELECT server.name FROM operation JOIN server ON server.id = runner "
            f"WHERE operation.id = {int(name.rpartition('/')[2])}"
        )
        pids = {str(each.process.pid): each for each in self.servers.values()}
        return pids.get(running[0][0].rpartition(":")[2]) if running else None

    def await_runner(self, name: str, at: GantryServer) -> GantryServer:
        found: list[GantryServer] = []

        def look() -> bool:
            found[:] = [each for each in [self.find_runner(name)] if each is not None]
            return bool(found)

        at.wait_until(look)
        return found[0]

    def states(self) -> list[dict[str, Any]]:
        return [json.loads(state) for (state,) in self.query("SELECT state FROM server ORDER BY place")]

    def stop(self) -> None:
        for each in self.servers.values():
            if each.process.poll() is None:
                each.stop()

    def kill(self) -> None:
        for each in self.servers.values():
            if each.process.poll() is None:
                each.kill9()


@contextmanager
def clusters(home: Path) -> Iterator[Callable[[], Cluster]]:
    """Makes clusters, with the same servers beneath."""
    require()
    made: list[Cluster] = []
    postgres = PostgresServer()
    try:
        with S3Server(buckets=()) as s3:

            def make() -> Cluster:
                made.append(Cluster(home / str(len(made)), postgres, s3))
                return made[-1]

            yield make
            for each in made:
                each.kill()
    finally:
        postgres.close()
