"""Values that tests of the index put in and compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update

from gantry.errors import Code, Status
from gantry.header_packs import pack
from gantry.index.sql import SqlIndex
from gantry.index.tables import study
from gantry.names import DatasetName, DicomStoreName, LocationName, ResourcePath
from gantry.queries import FoundStudy, Level, Match, Operator, Query
from gantry.resources import (
    Description,
    DicomStore,
    Failure,
    Instance,
    Method,
    Metrics,
    Operation,
    Selected,
    SeriesAttributes,
    StudyAttributes,
)

LOCATION = LocationName("p", "us-central1")
DATASET = DatasetName("p", "us-central1", "d")
STORE = DicomStoreName("p", "us-central1", "d", "s")
RUNNER = "runner-1"


def item(number: int, study: str = "1.2", series: str = "1.2.1", prefix: str = "b") -> Instance:
    """Different in every field, so that no column can be taken for another."""
    return Instance(
        study, series, f"9.{number}", "1.2.840.1", "1.2.840.2", f"{prefix}/{number}", 100 + number, "NEARLINE"
    )


def failed(number: int, code: Code = Code.NOT_FOUND) -> Failure:
    return Failure(f"gs://b/{number}", Status(code, f"message {number}"))


def selected(*paths: tuple[str, str, str]) -> tuple[Selected, ...]:
    return tuple(Selected(f"line {number}", ResourcePath(*path)) for number, path in enumerate(paths))


def stored(index: SqlIndex, store: DicomStore, **how: Any) -> list[Instance]:
    return [found.to_instance() for found in index.instances.walk_store(store.id, **how)]


STUDY_SAID = StudyAttributes("Doe^John", "P1", study_date="20240105", study_description="Old hip")
SERIES_SAID = SeriesAttributes("CT", "1")


def said(new: Instance, study: StudyAttributes = STUDY_SAID, series: SeriesAttributes = SERIES_SAID) -> Instance:
    """With a description of its own."""
    description = Description(study, series, 7, None, 2, 3, 8, pack([b"header"]), 1, 0, 6)
    return new._replace(description=description)


def age(index: SqlIndex) -> None:
    """All studies are described by an older reader."""
    with index.database.write() as connection:
        connection.execute(update(study).values(described_by=0))


def found_by(index: SqlIndex, field: str, operator: Operator, wanted: str) -> list[FoundStudy]:
    match = Match(Level.STUDY, field, operator, (wanted,))
    return index.search.search_studies(STORE, Query(Level.STUDY, ResourcePath(""), (match,), limit=10))


# Number of an instance → its study and series.
SPREAD = {1: ("1.2", "5"), 2: ("1.2", "5"), 3: ("1.2", "6"), 4: ("1.3", "5")}


def metrics_of(items: Sequence[Instance]) -> Metrics:
    """Counted one by one."""
    return Metrics(
        studies=len({found.study_instance_uid for found in items}),
        series=len({found.uids[:2] for found in items}),
        instances=len(items),
        blob_bytes=sum(found.size for found in items),
        structured_bytes=sum(found.structured_size for found in items),
    )


def begin(index: SqlIndex, runner: str = RUNNER) -> Operation:
    """A new operation on STORE, claimed by ``runner``."""
    made = index.operations.create_operation(DATASET, "v1", Method.IMPORT_DICOM_DATA, {"uri": "gs://b/**"}, str(STORE))
    while (claimed := index.operations.claim_operation(runner)) is not None:
        if claimed.name == made.name:
            return claimed
    raise AssertionError("the operation could not be claimed")
