"""How far messages about changes have been sent to the topics of stores. Those that stores have already begin with the
feed, which is empty."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from gantry.index.dialect import TEXT

revision = "0020"
down_revision = "0019"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    made = op.create_table(
        "delivery",
        sa.Column("store_id", _Id, primary_key=True, autoincrement=False),
        sa.Column("topic", TEXT, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("check", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    store = sa.table("dicom_store", sa.column("id"), sa.column("settings"))
    rows = [
        {"store_id": store_id, "topic": topic, "number": 0, "part": 0, "offset": 0, "check": 0}
        for store_id, settings in op.get_bind().execute(sa.select(store.c.id, store.c.settings))
        for topic in _list_topics(json.loads(settings))
    ]
    if rows:
        op.bulk_insert(made, rows)


def _list_topics(settings: dict[str, Any]) -> set[str]:
    configs = [settings.get("notification_config") or {}, *(settings.get("notification_configs") or [])]
    return {each["pubsub_topic"] for each in configs if each.get("pubsub_topic")}
