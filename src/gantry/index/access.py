"""Policies of projects, datasets and DICOM stores, as text that ``iam.policies`` reads and writes; sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, literal, or_, select, tuple_, union_all, update

from gantry.iam.policies import Principal
from gantry.iam.sessions import Session
from gantry.index.access_tables import session
from gantry.index.database import Part
from gantry.index.dialect import upsert
from gantry.index.resource_rows import IS_ALIVE, get_dataset_row, get_store_row
from gantry.index.tables import dataset, dicom_store, project
from gantry.names import DatasetName, DicomStoreName

# Made once: it runs with every call.
_DATASET = [dataset.c[name] == bindparam(name) for name in ("project", "location", "dataset")]
_ALL = union_all(
    select(dicom_store.c.policy)
    .join(dataset, dataset.c.id == dicom_store.c.dataset_id)
    .where(*_DATASET, dicom_store.c.store == bindparam("store"), IS_ALIVE),
    select(dataset.c.policy).where(*_DATASET),
    select(project.c.policy).where(project.c.project == bindparam("project")),
)

_NAME = dataset.c.project, dataset.c.location, dataset.c.dataset
_ABOVE = project.c.policy.label("of_project"), dataset.c.policy.label("of_dataset")
_HAS_CONDITION = '%"condition": {%'  # of a policy as ``Policy.to_text`` writes it


def _list_named(limit: int, after: DatasetName | DicomStoreName | None) -> Select[Any]:
    """Datasets and stores behind ``after``, in order: four parts of a name, and the three policies of each.

    No other stores are looked at than those of so many datasets as there are rows in the answer.
    """
    of_project = project.c.project == dataset.c.project
    page = select(dataset.c.id, *_NAME, *_ABOVE).join(project, of_project, isouter=True)
    last, store = ("", "", ""), ""
    if after is not None:
        last = after.project, after.location, after.dataset
        store = after.store if isinstance(after, DicomStoreName) else ""
        page = page.where(tuple_(*_NAME) >= last)
    some = page.order_by(*_NAME).limit(limit + 1).cte("page")
    name, own = (some.c.project, some.c.location, some.c.dataset), dicom_store.c.policy
    above = some.c.of_project, some.c.of_dataset
    datasets = select(*name, literal("").label("store"), *above, literal("").label("own")).where(tuple_(*name) > last)
    stores = select(*name, dicom_store.c.store, *above, own.label("own"))
    stores = stores.join(dicom_store, dicom_store.c.dataset_id == some.c.id)
    stores = stores.where(IS_ALIVE, or_(own != "", *(each.like(_HAS_CONDITION) for each in above)))
    stores = stores.where(tuple_(*name, dicom_store.c.store) > (*last, store))
    both = union_all(datasets, stores).subquery()
    return select(both).order_by(both.c.project, both.c.location, both.c.dataset, both.c.store).limit(limit)


class Access(Part):
    """Promises: ``index_protocols.AccessIndex``."""

    def list_policies(self, name: str | DatasetName | DicomStoreName) -> tuple[str, ...]:
        names = dict.fromkeys(("project", "location", "dataset", "store"), "")
        names |= {"project": name} if isinstance(name, str) else asdict(name)
        with self.database.read() as connection:
            return tuple(text for text in connection.execute(_ALL, names).scalars() if text)

    def list_with_policies(
        self, limit: int, after: DatasetName | DicomStoreName | None = None
    ) -> list[tuple[DatasetName | DicomStoreName, tuple[str, ...]]]:
        query = _list_named(limit, after)
        with self.database.read() as connection:
            return [
                (DicomStoreName(*row[:4]) if row[3] else DatasetName(*row[:3]), tuple(text or "" for text in row[4:]))
                for row in connection.execute(query)
            ]

    def get_policy(self, name: str | DatasetName | DicomStoreName) -> str:
        with self.database.read() as connection:
            return _own(connection, name)

    def change_policy(self, name: str | DatasetName | DicomStoreName, change: Callable[[str], str]) -> str:
        with self.database.write() as connection:
            text = change(_own(connection, name))
            if isinstance(name, str):
                new = upsert(project).values(project=name, policy=text)
                connection.execute(new.on_conflict_do_update(index_elements=["project"], set_={"policy": text}))
            else:
                table, row = _row(connection, name)
                connection.execute(update(table).where(table.c.id == row.id).values(policy=text))
            return text

    def begin_session(self, key: bytes, begun: Session, now: int) -> None:
        who = begun.who
        row = {"name": who.name, "members": json.dumps(sorted(who.members)), "credential": who.credential}
        with self.database.write() as connection:
            connection.execute(delete(session).where(session.c.ends <= now))
            connection.execute(insert(session).values(key=key, ends=begun.ends, **row))

    def find_session(self, key: bytes, now: int) -> Session | None:
        with self.database.read() as connection:
            row = connection.execute(select(session).where(session.c.key == key, session.c.ends > now)).first()
        if row is None:
            return None
        return Session(Principal(row.name, frozenset(json.loads(row.members)), row.credential, row.ends), row.ends)

    def end_session(self, key: bytes) -> None:
        with self.database.write() as connection:
            connection.execute(delete(session).where(session.c.key == key))


def _own(connection: Connection, name: str | DatasetName | DicomStoreName) -> str:
    if isinstance(name, str):
        return connection.execute(select(project.c.policy).where(project.c.project == name)).scalar() or ""
    return str(_row(connection, name)[1].policy)


def _row(connection: Connection, name: DatasetName | DicomStoreName) -> tuple[Any, Any]:
    if isinstance(name, DicomStoreName):
        return dicom_store, get_store_row(connection, name)
    return dataset, get_dataset_row(connection, name)
