"""Keys of service accounts as rows, which all servers that share an index have in common."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from gantry.iam.account_keys import AccountKey, KeyRing
from gantry.index.access_tables import account_key, token_secret
from gantry.index.database import Part
from gantry.index.dialect import upsert


class Keys(Part):
    """Promises: ``index_protocols.keys.KeyIndex``."""

    def read(self) -> KeyRing:
        with self.database.read() as connection:
            return read_ring(connection)

    def add_key(self, key: AccountKey) -> None:
        with self.database.write() as connection:
            connection.execute(insert(account_key), asdict(key))

    def remove_key(self, key_id: str) -> bool:
        with self.database.write() as connection:
            return connection.execute(delete(account_key).where(account_key.c.id == key_id)).rowcount > 0

    def keep_secret(self, secret: bytes) -> None:
        with self.database.write() as connection:
            if not _read_secrets(connection):
                connection.execute(insert(token_secret), {"secret": secret})

    def adopt(self, ring: KeyRing) -> None:
        with self.database.write() as connection:
            if ring.secrets[0] in _read_secrets(connection):
                return
            for key in ring.keys.values():
                connection.execute(upsert(account_key).values(asdict(key)).on_conflict_do_nothing())
            for secret in ring.secrets:
                connection.execute(upsert(token_secret).values(secret=secret).on_conflict_do_nothing())

    def close(self) -> None:
        """For keys whose database is used for nothing else."""
        self.database.engine.dispose()


def read_ring(connection: Connection) -> KeyRing:
    rows = connection.execute(select(account_key)).all()
    return KeyRing({row.id: AccountKey(*row) for row in rows}, _read_secrets(connection))


def _read_secrets(connection: Connection) -> tuple[bytes, ...]:
    return tuple(map(bytes, connection.execute(select(token_secret.c.secret).order_by(token_secret.c.id)).scalars()))
