"""Servers that share an index in PostgreSQL. A server is alive while it has a row, and only then it can write: see
``PostgresDatabase``. Whoever has a row counts up its ``beats`` again and again."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, delete, exists, func, insert, select, update

from gantry.errors import Expelled
from gantry.index.database import Part
from gantry.index.tables import server
from gantry.live_servers import LiveServer

GONE = "this server was silent for too long, so that others have taken over its work; it has to start again"


class Servers(Part):
    """Promises: ``index_protocols.ServerIndex``."""

    heard: float | None = None

    def join(self, name: str, home: str, runs: bool) -> str:
        member = secrets.token_hex(8)
        row = {"id": member, "home": home, "name": name, "runs": runs}
        with self.database.write() as connection:
            connection.execute(delete(server).where(server.c.home == home))
            last = connection.execute(select(func.max(server.c.place))).scalar() or 0
            connection.execute(insert(server), row | {"place": last + 1})
        self.database.member = member
        return member

    def beat(self, state: Mapping[str, Any]) -> list[LiveServer]:
        mine = update(server).where(server.c.id == self.database.member)
        with self.database.pulse() as connection:
            done = connection.execute(mine.values(beats=server.c.beats + 1, state=json.dumps(dict(state))))
            if not done.rowcount:
                raise Expelled(GONE)
            live = [_to_server(row) for row in connection.execute(_IN_ORDER)]
        self.heard = time.monotonic()
        return live

    def expel(self, value: LiveServer) -> bool:
        mine = server.alias()
        is_alive = exists().where(mine.c.id == self.database.member)
        same = server.c.id == value.id, server.c.beats == value.beats
        with self.database.write_soon() as connection:
            return bool(connection.execute(delete(server).where(*same, is_alive)).rowcount)

    def leave(self) -> None:
        # A transaction like all others: those of this server have ended before somebody else takes over what it did.
        with self.database.write(leaves=True) as connection:
            connection.execute(delete(server).where(server.c.id == self.database.member))

    def list_live(self) -> list[LiveServer]:
        with self.database.read() as connection:
            return [_to_server(row) for row in connection.execute(_IN_ORDER)]


_IN_ORDER = select(server).order_by(server.c.place)


def _to_server(row: Row[Any]) -> LiveServer:
    return LiveServer(row.id, row.name, row.runs, row.beats, json.loads(row.state))
