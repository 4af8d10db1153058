"""An index as an older Gantry has left it: with what its reader made of the headers, and in its schema."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import select, update

import gantry.index
from gantry.index.insertion import tell_modalities
from gantry.index.retelling import retell_series, retell_study
from gantry.index.sql import SqlIndex
from gantry.index.tables import series, study
from gantry.resources import SeriesAttributes, StudyAttributes

GARBLED = StudyAttributes(
    patient_name="Yam=ada^Taro",
    study_date="19000101",
    study_description="$B gar",
    members='"00100010":{"vr":"PN","Value":[{"Alphabetic":"Yam","Ideographic":"ada^Taro"}]}',
)


def index_of_schema(path: Path, revision: str) -> sqlite3.Connection:
    """A new and empty one."""
    upgrade_to(f"sqlite:///{path}", revision)
    return sqlite3.connect(path)


def upgrade_to(url: str, revision: str) -> None:
    """Make the tables of a schema, or bring those that are there up to it."""
    config = Config()
    config.set_main_option("script_location", str(Path(gantry.index.__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.upgrade(config, revision)


_ROWS = """
INSERT INTO dataset (id, project, location, dataset) VALUES (1, 'p', 'us-central1', 'd');
INSERT INTO dicom_store (id, dataset_id, store, settings) VALUES (1, 1, 's', '{}');
INSERT INTO study (id, store_id, study_instance_uid) VALUES (1, 1, '1.2');
INSERT INTO series (id, study_id, series_instance_uid, instance_count, blob_bytes) VALUES (1, 1, '1.2.1', 3, 3);
INSERT INTO instance (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, blob_key, size, storage_class,
    storage_class_update_time, create_time)
    SELECT 1, '1.2.1.' || column1, '1', '1', 'main/1/7/' || column1 || '.dcm', 1, 'STANDARD', 0, 0
    FROM (VALUES (1), (2), (3));
INSERT INTO operation (id, dataset_id, store_id, store, version, method, request, create_time, end_time, checkpoint)
    VALUES (7, 1, 1, '', 'v1', 'dicom.DicomService.ImportDicomData', '{}', 0, 0, x''),
    (8, 1, 1, 'projects/p/locations/us-central1/datasets/d/dicomStores/s', 'v1',
    'dicom.DicomService.ExportDicomData', '{}', 0, NULL, x'');
INSERT INTO failure (operation_id, seq, time, resource, code, message) VALUES (7, 1, 0, 'a', 3, 'b');
INSERT INTO garbage VALUES ('main/1/7/9.dcm');
"""
"""In columns that every schema has."""

REVISIONS = [f"{number:04d}" for number in range(1, 25)]
"""Every schema before the present one."""


def fill_older(index: sqlite3.Connection) -> None:
    """A store with three instances, operations and garbage, in an index of any schema."""
    index.executescript(_ROWS)


def make_unmarked(path: Path) -> None:
    """An index as a version without marks has written it."""
    with closing(sqlite3.connect(path)) as index, index:
        for table in (
            "generation",
            "generation_place",
            "trail",
            "series_request",
            "account_key",
            "token_secret",
            "server",
            "change_pack",
            "delivery",
            "change_start",
            "change_feed",
        ):
            index.execute(f"DROP TABLE {table}")
        index.execute("DROP INDEX series_start")
        later = (
            ("series", "start_time"),
            *(("operation", name) for name in ("transferred_bytes", "unchecked", "files")),
        )
        for table, column in (*later, ("upload", "server"), ("failure", "reason"), ("operation", "error_reason")):
            index.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        index.execute("UPDATE alembic_version SET version_num = '0011'")


def garble(data: Path, spare: str = "") -> None:
    """Studies say ``GARBLED``, and series nothing, as where an older reader could not read their headers.

    The study ``spare`` it has read well.
    """
    index = SqlIndex(f"sqlite:///{data / 'index.sqlite'}")
    with index.database.write() as connection:
        for row in connection.execute(select(study).where(study.c.study_instance_uid != spare)).all():
            for each in connection.execute(select(series).where(series.c.study_id == row.id)).all():
                retell_series(connection, each, SeriesAttributes())
            tell_modalities(connection, {row.id})
            retell_study(connection, connection.execute(select(study).where(study.c.id == row.id)).one(), GARBLED)
        connection.execute(update(study).values(described_by=0))
    index.close()


def put_back(data: Path) -> None:
    """The index as one of schema 0008, the last one that did not know which reader has described a study."""
    present, new = data / "index.sqlite", data / "older.sqlite"
    old = index_of_schema(new, "0008")
    old.execute("ATTACH ? AS present", (str(present),))
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT NULL AND name NOT LIKE 'sqlite%'"
    for (name,) in old.execute(f"{tables} AND name NOT LIKE 'study_text%' AND name <> 'alembic_version'").fetchall():
        columns = ", ".join(f'"{row[1]}"' for row in old.execute(f"PRAGMA table_info({name})"))
        old.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM present.{name}")
    fields = "rowid, patient_name, patient_id, accession_number, referring_physician_name, study_description"
    old.execute(f"INSERT INTO study_text ({fields}) SELECT {fields} FROM present.study_text")
    old.commit()
    old.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{present}{suffix}").unlink(missing_ok=True)
    new.rename(present)


def contents(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row that says or finds something, and every count."""
    queries = {
        "study": "SELECT * FROM study ORDER BY id",
        "series": "SELECT * FROM series ORDER BY id",
        "requests": "SELECT * FROM series_request ORDER BY 1, 2, 3",
        "terms": "SELECT * FROM study_term ORDER BY 1, 2, 3, 4",
        "modalities": "SELECT * FROM study_modality ORDER BY 1, 2, 3, 4",
        "text": "SELECT rowid, * FROM study_text ORDER BY rowid",
        "tally": "SELECT * FROM tally ORDER BY 1, 2, 3",
        "instances": "SELECT * FROM instance ORDER BY 1, 2",
    }
    with sqlite3.connect(data / "index.sqlite") as index:
        return {name: index.execute(query).fetchall() for name, query in queries.items()}


def outdated(data: Path) -> int:
    """Studies that nobody has described anew."""
    with sqlite3.connect(data / "index.sqlite") as index:
        return int(index.execute("SELECT count(*) FROM study WHERE described_by = 0").fetchone()[0])
