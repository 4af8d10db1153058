"""Rows that are made again for blobs which have none: for an index that was lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import insert, select, update

from gantry.errors import AlreadyExists
from gantry.index.counting import seal_segments
from gantry.index.database import Part
from gantry.index.resource_rows import to_settings
from gantry.index.rests import find_garbage
from gantry.index.tables import dataset, dicom_store, generation, segment
from gantry.names import DicomStoreName
from gantry.resources import DicomStore


class Restoration(Part):
    """Promises: ``index_protocols.RestorationIndex``."""

    def find_stores(self, store_ids: Collection[int]) -> dict[int, DicomStoreName | None]:
        names = dataset.c.project, dataset.c.location, dataset.c.dataset
        query = select(dicom_store.c.id, dicom_store.c.deleted, *names, dicom_store.c.store)
        query = query.outerjoin_from(dicom_store, dataset, dataset.c.id == dicom_store.c.dataset_id)
        with self.database.read() as connection:
            rows = connection.execute(query.where(dicom_store.c.id.in_(store_ids))).all()
        return {row.id: None if row.deleted or row.project is None else DicomStoreName(*row[2:]) for row in rows}

    def restore_store(self, store_id: int, name: DicomStoreName) -> None:
        parent = {"project": name.project, "location": name.location, "dataset": name.dataset}
        with self.database.write() as connection:
            same = [dataset.c[column] == value for column, value in parent.items()]
            number = connection.execute(select(dataset.c.id).where(*same)).scalar()
            if number is None:
                found = connection.execute(insert(dataset), parent).inserted_primary_key
                number = found[0] if found else None
            taken = dicom_store.c.dataset_id == number, dicom_store.c.store == name.store, ~dicom_store.c.deleted
            if connection.execute(select(dicom_store.c.id).where(*taken)).first() is not None:
                raise AlreadyExists(f"DICOM store {name} exists already, with other blobs")
            row = {"id": store_id, "dataset_id": number, "store": name.store, "settings": to_settings(DicomStore(name))}
            connection.execute(insert(dicom_store), row)

    def list_garbage(self, keys: Collection[str]) -> set[str]:
        with self.database.read() as connection:
            return find_garbage(connection, keys)

    def seal(self, segments: Sequence[str]) -> None:
        named = select(segment.c.key).where(segment.c.key.in_(segments), segment.c.live_instances > 0)
        with self.database.write() as connection:
            seal_segments(connection, list(connection.execute(named).scalars()))

    def end(self) -> None:
        with self.database.write() as connection:
            connection.execute(update(generation).values(rebuilding=False))
