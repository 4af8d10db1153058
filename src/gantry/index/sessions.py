"""Browsers that have signed in."""

from __future__ import annotations

import json

from sqlalchemy import delete, insert, select

from gantry.iam.policies import Principal
from gantry.iam.sessions import Session
from gantry.index.database import Database
from gantry.index.tables import session


class Sessions(Database):
    """``key`` is a digest of what the browser holds; ``now`` is in seconds since 1970."""

    def begin_session(self, key: bytes, begun: Session, now: int) -> None:
        """Sessions that have ended are forgotten in passing."""
        who = begun.who
        row = {"name": who.name, "members": json.dumps(sorted(who.members)), "credential": who.credential}
        with self._write() as connection:
            connection.execute(delete(session).where(session.c.ends <= now))
            connection.execute(insert(session).values(key=key, ends=begun.ends, **row))

    def session(self, key: bytes, now: int) -> Session | None:
        """None for one that never was, or has ended."""
        with self._read() as connection:
            row = connection.execute(select(session).where(session.c.key == key, session.c.ends > now)).first()
        if row is None:
            return None
        return Session(Principal(row.name, frozenset(json.loads(row.members)), row.credential, row.ends), row.ends)

    def end_session(self, key: bytes) -> None:
        with self._write() as connection:
            connection.execute(delete(session).where(session.c.key == key))
