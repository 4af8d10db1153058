"""The tables of who may come in: sessions, keys, secrets."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table, UniqueConstraint

from gantry.index.columns import Id, metadata
from gantry.index.dialect import TEXT

# Browsers that have signed in; ``key`` is the SHA-256 of their cookie, ``members`` a JSON list.
session = Table(
    "session",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("members", TEXT, nullable=False),
    Column("credential", TEXT, nullable=False),
    Column("ends", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Keys of service accounts, and the secrets that sign tokens: the lowest number signs. Rows of an index that several
# servers may share; those of one in SQLite are files of the data directory (``access.key_files``).
account_key = Table(
    "account_key",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("email", TEXT, nullable=False),
    Column("public_key", TEXT, nullable=False),
    Column("created", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
token_secret = Table(
    "token_secret",
    metadata,
    Column("id", Id, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    UniqueConstraint("secret", name="token_secret_once"),
)
