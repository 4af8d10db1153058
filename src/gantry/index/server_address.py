"""Addresses of databases in PostgreSQL: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from gantry.index.dialect import POSTGRESQL


def is_server(url: str | Path) -> bool:
    """Whether it is the address of a database in PostgreSQL."""
    if isinstance(url, Path):
        return False
    try:
        return make_url(url).get_backend_name() == POSTGRESQL
    except ArgumentError:
        return False


def parse_server(url: str) -> URL:
    """With the driver that opens it."""
    return make_url(url).set(drivername=f"{POSTGRESQL}+psycopg")


def name_server(url: str) -> str:
    """What messages call it: without user and password."""
    parts = make_url(url)
    return f"the database {parts.database} on {parts.host or parts.query.get('host') or 'the local socket'}"
