"""Which server tests get: one process, or with GANTRY_TEST_REPLICAS=2 so many replicas behind nginx, with one database
of PostgreSQL and one bucket. Consecutive requests reach different replicas, so every suite shows that it makes no
difference which of them answers.

What begins a server that only clients speak to asks here. What is about one process alone is marked
``@pytest.mark.one_process(REASON)``, and left out with replicas.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tests.support import databases, nginx
from tests.support.providers import S3Buckets
from tests.support.s3_server import S3Server
from tests.support.server import GantryServer, find_port, make_client

VARIABLE = "GANTRY_TEST_REPLICAS"
_shared: list[S3Server] = []


def count() -> int:
    """How many replicas this run has behind nginx; 0 where each server is one process."""
    return int(os.environ.get(VARIABLE) or 0)


def start_server(data: Path, buckets: Path, **options: Any) -> GantryServer:
    """A server for clients; ``options`` as for GantryServer."""
    return Replicas(data, buckets, **options) if count() else GantryServer(data, buckets, **options)


def begin() -> None:
    """Say at once what is missing, and start the server of the buckets."""
    if count():
        assert databases.is_server(), f"{VARIABLE} needs {databases.VARIABLE}={databases.POSTGRESQL}"
        nginx.require()
        _shared.append(S3Server(buckets=()).__enter__())


def end() -> None:
    while _shared:
        _shared.pop().__exit__(None, None, None)


class Replicas(GantryServer):
    """As one server: ``data`` is the directory of the first replica, ``process`` its process, ``log`` that of all."""

    def start(self) -> None:
        self.port = self.port or find_port()
        self.env = self._describe()
        options: dict[str, Any] = {"env": self.env, "log": self.log, "command": self.command, "workers": self.workers}
        self.each: list[GantryServer] = []
        try:
            for each in [self.data, *self._others]:
                self.each.append(GantryServer(each, self.buckets, python=self.python, **options))
            self.proxy = nginx.Nginx(self._beside("nginx"), self.port, [one.port for one in self.each])
        except BaseException:
            for one in self.each:
                one.kill9()
            raise
        for each in self._others:  # each replica has its own, with the same in it
            if not (each / "viewer").is_symlink():
                (each / "viewer").symlink_to(self.data / "viewer")
        self.process = self.each[0].process
        self.client = make_client(self.url)

    @property
    def _others(self) -> list[Path]:
        return [self._beside(str(number)) for number in range(2, count() + 1)]

    def _beside(self, name: str) -> Path:
        return self.data.with_name(f"{self.data.name}-{name}")

    def stop(self) -> None:
        self.client.close()
        self.proxy.stop()
        for each in self.each:
            each.stop()

    def kill9(self) -> None:
        self.client.close()
        self.proxy.stop()
        for each in self.each:
            each.kill9()

    def _describe(self) -> dict[str, str]:
        """The environment of each. A settings file that says where the blobs are is that of all of them."""
        made = {"GANTRY_PUBLIC_URL": self.url, "GANTRY_TRUSTED_PROXIES": "127.0.0.1"} | self.env
        made |= databases.environ_of(self.data)
        given = Path(made["GANTRY_CONFIG"]).read_text() if "GANTRY_CONFIG" in made else ""
        if "GANTRY_BLOBS" in made or re.search("^blobs =", given, re.MULTILINE):
            return made
        buckets, config = S3Buckets(_shared[0].url), self._beside("all.toml")
        config.write_text(f"{given}\n{buckets.settings}")
        return made | {"GANTRY_CONFIG": str(config), "GANTRY_BLOBS": f"{buckets.make_bucket()}/store"}
