"""The setting ``executor``: which engine runs the batches of operations, and where it is."""

from __future__ import annotations

import re
from typing import NamedTuple

POOL = "processes"
"""The process pool of the server itself."""

DASK, RAY = "dask", "ray"

WANTED = (
    "processes, dask://HOST:PORT, dask+tls://HOST:PORT with executor_ca, executor_cert and executor_key, "
    "or ray://HOST:PORT"
)
_ADDRESS = re.compile(
    r"(dask|ray(?=:))(\+tls)?://([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]):(\d{1,5})"
)
_LAST_PORT = 65_535


class Engine(NamedTuple):
    """``is_tls``: connections are encrypted, and both ends have certificates."""

    name: str
    host: str
    port: int
    is_tls: bool

    @property
    def scheduler(self) -> str:
        """As the engine's own commands spell it."""
        return f"ray://{self.host}:{self.port}" if self.name == RAY else self.replace_end(self.host, self.port)

    def replace_end(self, host: str, port: int) -> str:
        """The address of another process that speaks as the scheduler of Dask does."""
        return f"{'tls' if self.is_tls else 'tcp'}://{host}:{port}"


def parse_engine(text: str) -> Engine | None:
    """None for the process pool. Raises ValueError."""
    if text == POOL:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[4]) <= _LAST_PORT:
        raise ValueError
    return Engine(found[1], found[3], int(found[4]), bool(found[2]))


def is_executor(text: str) -> bool:
    """Whether the setting is one that is known. Raises ValueError."""
    return parse_engine(text) is None or True


class Certificates(NamedTuple):
    """Paths of files in PEM: of the authority that both ends trust, of a certificate of its own, and of its key."""

    ca: str = ""
    cert: str = ""
    key: str = ""
