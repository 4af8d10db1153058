"""Tables get the changes of stores, too, from the upgrade on; and it is known of which feed a place is."""

import json
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0021"
down_revision = "0020"

_NOTHING = {"number": 0, "part": 0, "offset": 0, "check": 0}


def upgrade() -> None:
    op.execute("ALTER TABLE delivery RENAME COLUMN topic TO receiver")
    op.add_column("delivery", sa.Column("era", TEXT, nullable=False, server_default=""))
    op.add_column("delivery", sa.Column("planned", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("change_feed", sa.Column("receivers", sa.BigInteger, nullable=False, server_default="0"))
    connection, delivery = op.get_bind(), _table("delivery", "store_id", "receiver", "era", *_NOTHING)
    era = connection.execute(sa.select(sa.column("era")).select_from(_table("change_feed"))).scalar() or ""
    connection.execute(sa.update(delivery).values(era=era))
    store = _table("dicom_store", "id", "settings")
    rows = [
        {"store_id": store_id, "receiver": table, "era": era} | _find_end(connection, store_id)
        for store_id, settings in connection.execute(sa.select(store.c.id, store.c.settings)).all()
        for table in _list_tables(json.loads(settings))
    ]
    if rows:
        connection.execute(sa.insert(delivery), rows)


def _list_tables(settings: dict[str, Any]) -> set[str]:
    configs = [each.get("bigquery_destination") or {} for each in settings.get("stream_configs") or []]
    return {each["table_uri"] for each in configs if each.get("table_uri")}


def _find_end(connection: sa.Connection, store_id: int) -> dict[str, int]:
    """The place after all that has happened in a store."""
    start, pack = _table("change_start", "store_id", "number", "part", "checksum"), _table("change_pack", *_PACK)
    columns = start.c.number, start.c.part, start.c.checksum
    first = connection.execute(sa.select(*columns).where(start.c.store_id == store_id)).first()
    order = pack.c.number.desc(), pack.c.part.desc()
    last = connection.execute(sa.select(pack).where(pack.c.store_id == store_id).order_by(*order).limit(1)).first()
    if last is not None and (first is None or (last.number, last.part) > (first.number, first.part)):
        check = zlib.crc32(last.data, zlib.crc32(str(last.time).encode()))
        return {"number": last.number, "part": last.part, "offset": 0, "check": check}
    return _NOTHING if first is None else {**_NOTHING, **dict(zip(("number", "part", "check"), first, strict=True))}


_PACK = ("store_id", "number", "part", "time", "data")


def _table(name: str, *columns: str) -> Any:
    return sa.table(name, *map(sa.column, columns))
