"""Who may use a database of PostgreSQL: one server alone, or several, whose transactions take turns.

A server has an advisory lock of the session that it writes in, for itself or together with others; those have a second
one for each transaction that writes, from its beginning to its end. A session ends with its process, and where the
network is gone without a word in a minute. Where a server freezes in the middle of a transaction PostgreSQL ends it, so
that the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection

from gantry.errors import Interrupted, retry_later
from gantry.index.database import WAIT
from gantry.index.refusals import RETRY_SECONDS

LOCK = 0x67616E747279
"""The key of the lock of sessions: "gantry"."""
WRITE_LOCK = LOCK + 1
"""That of transactions of servers that share a database."""
TAKE_TURN = f"SELECT pg_advisory_xact_lock({WRITE_LOCK})"

_LOCK_SECONDS = 10  # for the end of an earlier connection
_STAY = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
"""A limit that a database may have for its sessions: with this one the lock would end. PostgreSQL 13 has none."""
_END_FROZEN = "SET idle_in_transaction_session_timeout = '15s'; SET statement_timeout = '60s'"
"""Far more than a transaction takes, and its longest statement."""


class Taken(Interrupted):
    """Somebody else has the lock."""


def take_lock(connection: psycopg.Connection[Any], _record: Any) -> None:
    """Raises Interrupted while a session of this server or of another one has it."""
    _wait_for_lock(connection, f"SELECT pg_advisory_lock({LOCK})")


def share_lock(connection: psycopg.Connection[Any], _record: Any) -> None:
    """With those that do the same. Raises Interrupted while another session has it for itself."""
    connection.execute(_END_FROZEN)
    _wait_for_lock(connection, f"SELECT pg_advisory_lock_shared({LOCK})")


@contextmanager
def be_alone(connection: Connection) -> Iterator[None]:
    """In the block no other server is there. Raises Interrupted where one is."""
    driver: Any = connection.connection.driver_connection
    driver.execute(f"SELECT pg_advisory_unlock_shared({LOCK})")
    try:
        _wait_for_lock(driver, f"SELECT pg_advisory_lock({LOCK})", _IN_USE)
        try:
            yield
        finally:
            driver.execute(f"SELECT pg_advisory_unlock({LOCK})")
    finally:
        _wait_for_lock(driver, f"SELECT pg_advisory_lock_shared({LOCK})")


_IN_USE = "other servers of Gantry use this database, whose schema has to be brought up to date; stop them first"


def _wait_for_lock(
    connection: psycopg.Connection[Any],
    take: str,
    refusal: str = "another server of Gantry uses this database; stop it first",
) -> None:
    connection.execute(_STAY)
    connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    try:
        connection.execute(take)
    except psycopg.errors.LockNotAvailable:
        error = Taken(refusal)
        raise retry_later(error, RETRY_SECONDS) from None
    connection.execute(f"SET lock_timeout = '{WAIT}s'")
