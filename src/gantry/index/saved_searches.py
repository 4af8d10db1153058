"""Searches that people have given names."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from gantry.errors import ResourceExhausted
from gantry.index.database import Part
from gantry.index.dialect import upsert
from gantry.index.resource_rows import get_store_row
from gantry.index.tables import saved_search
from gantry.names import DicomStoreName

MOST = 100  # of one person in one store


class SavedSearches(Part):
    """Promises: ``index_protocols.SavedSearchIndex``."""

    def save_search(self, store: DicomStoreName, owner: str, name: str, query: str) -> None:
        with self.database.write() as connection:
            store_id = get_store_row(connection, store).id
            mine = saved_search.c.store_id == store_id, saved_search.c.owner == owner
            others = select(func.count()).where(*mine, saved_search.c.name != name)
            if connection.execute(others).scalar_one() >= MOST:
                raise ResourceExhausted(f"there are {MOST} saved searches; delete one first")
            row = {"store_id": store_id, "owner": owner, "name": name, "query": query}
            keys = ["store_id", "owner", "name"]
            new = upsert(saved_search).values(row)
            connection.execute(new.on_conflict_do_update(index_elements=keys, set_={"query": query}))

    def list_searches(self, store: DicomStoreName, owner: str) -> dict[str, str]:
        with self.database.read() as connection:
            mine = saved_search.c.store_id == get_store_row(connection, store).id, saved_search.c.owner == owner
            rows = connection.execute(select(saved_search).where(*mine).order_by(saved_search.c.name))
            return {row.name: row.query for row in rows}

    def delete_search(self, store: DicomStoreName, owner: str, name: str) -> None:
        with self.database.write() as connection:
            store_id = get_store_row(connection, store).id
            same = saved_search.c.store_id == store_id, saved_search.c.owner == owner, saved_search.c.name == name
            connection.execute(delete(saved_search).where(*same))
