"""The values that travel between the rooms. Frozen, no I/O, no JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from gantry.errors import Code, Status
from gantry.names import DatasetName, DicomStoreName, OperationName, ResourcePath


class BlobStorageClass(StrEnum):
    """Storage class of an instance's bytes."""

    STANDARD = "STANDARD"
    NEARLINE = "NEARLINE"
    COLDLINE = "COLDLINE"
    ARCHIVE = "ARCHIVE"


@dataclass(frozen=True, slots=True)
class Dataset:
    name: DatasetName
    time_zone: str = ""
    kms_key_name: str = ""


@dataclass(frozen=True, slots=True)
class DicomStore:
    """``id`` is the index's own number, never reused; it names the store's directory of blobs."""

    name: DicomStoreName
    id: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    notification_config: dict[str, Any] | None = None
    notification_configs: list[dict[str, Any]] = field(default_factory=list)
    stream_configs: list[dict[str, Any]] = field(default_factory=list)


class ObjectMeta(NamedTuple):
    """One entry of a listing: key and size in bytes. ``problem`` says why the entry cannot be opened, if so."""

    key: str
    size: int
    problem: str = ""


class StudyAttributes(NamedTuple):
    """What a study is found by; "" where absent. ``members`` and ``more_members`` are members of a DICOM JSON object,
    joined by commas: what a search answers by default, and what only ``includefield`` asks for."""

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    referring_physician_name: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    study_id: str = ""
    members: str = ""
    more_members: str = ""


class SeriesAttributes(NamedTuple):
    """The same of a series."""

    modality: str = ""
    series_number: str = ""
    series_description: str = ""
    start_date: str = ""
    members: str = ""
    more_members: str = ""


READER = 1
"""Which reader describes studies and series. One more whenever it says something else of a header than before: rows of
an older one are then described anew in the background."""


class HeaderAttributes(NamedTuple):
    """What one header says of its study and series. ``whole`` is False where an attribute could not be read."""

    study: StudyAttributes = StudyAttributes()
    series: SeriesAttributes = SeriesAttributes()
    whole: bool = False


class OutdatedStudy(NamedTuple):
    """A study that an older reader has described; ``said`` and the counts are those of its row when it was read.

    ``position`` is its place among all of them.
    """

    position: tuple[int, int]
    study_instance_uid: str
    said: StudyAttributes
    series_count: int
    instance_count: int

    @property
    def id(self) -> int:
        return self.position[1]


class OutdatedSeries(NamedTuple):
    """A series of such a study."""

    id: int
    series_instance_uid: str
    said: SeriesAttributes
    instance_count: int


Uids = tuple[str, str, str]
"""Study, Series and SOP Instance UID: what identifies an instance inside a DICOM store."""


def path_of(uids: Uids) -> str:
    """The DICOMweb path of an instance, below ``dicomWeb/``."""
    study, series, instance = uids
    return f"studies/{study}/series/{series}/instances/{instance}"


class Description(NamedTuple):
    """What an instance's header says. Instances of one batch share the attributes and the pack of their series.

    ``pack`` holds ``packed`` headers, this one's at ``number``; it is empty where the header is too long to be kept.
    ``size`` is how many bytes the index counts for it.
    """

    study: StudyAttributes
    series: SeriesAttributes
    instance_number: int | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    pack: bytes
    packed: int
    number: int
    size: int


class Instance(NamedTuple):
    """An instance that is to be stored: its identity, where its bytes are, how many.

    ``resource`` is where it came from. ``description`` is there where its header could be read.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    blob_key: str
    size: int
    storage_class: str = BlobStorageClass.STANDARD.value
    resource: str = ""
    description: Description | None = None

    @property
    def path(self) -> str:
        """DICOMweb path below ``dicomWeb/``."""
        return path_of(self.uids)

    @property
    def uids(self) -> Uids:
        """Identity inside a DICOM store."""
        return self[:3]

    @property
    def structured_size(self) -> int:
        """Bytes of the header that the index keeps; without one, of the text of five UIDs."""
        return self.description.size if self.description is not None else self.uids_size

    @property
    def uids_size(self) -> int:
        """Characters of the five UIDs."""
        return sum(map(len, self[:5]))


class StoredInstance(NamedTuple):
    """An instance as the index has it: the one value that every reader of stored instances gets.

    The first eight fields are those of ``Instance``. ``series_id`` is the index's number of the series, ``create_time``
    in microseconds since 1970 UTC. The header is number ``pack_number`` of the pack ``pack_id``, without a pack in the
    file alone; ``pack_number`` is None where the header was never read.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    blob_key: str
    size: int
    storage_class: str
    series_id: int
    create_time: int
    instance_number: int | None
    number_of_frames: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    pack_id: int | None
    pack_number: int | None

    @property
    def path(self) -> str:
        """DICOMweb path below ``dicomWeb/``."""
        return path_of(self.uids)

    @property
    def uids(self) -> Uids:
        """Identity inside a DICOM store."""
        return self[:3]

    @property
    def position(self) -> str:
        """Its place in walks that follow the numbers of series."""
        return f"{self.series_id}/{self.sop_instance_uid}"

    @property
    def order(self) -> tuple[int, bool, int, int]:
        """When it was stored. A batch has one time; its packs and their headers are in the order of the instances."""
        number = -1 if self.pack_number is None else self.pack_number
        return self.create_time, self.pack_id is None, self.pack_id or 0, number

    def to_instance(self) -> Instance:
        """What would be stored to get it again, without a description."""
        return Instance(*self[:8])


class Change(NamedTuple):
    """A storage class for an instance that was read as ``instance``.

    ``blob_key`` is where its bytes are from then on; another key than before means that they were copied.
    """

    instance: StoredInstance
    storage_class: str
    blob_key: str

    @property
    def copied(self) -> bool:
        return self.blob_key != self.instance.blob_key


class StorageInfo(NamedTuple):
    """How one instance is stored. Sizes in bytes; ``structured_size`` is that of what the index keeps of its header."""

    size: int
    storage_class: str
    update_time: datetime
    structured_size: int


class Metrics(NamedTuple):
    """What lies below a DICOM store, a study or a series."""

    studies: int
    series: int
    instances: int
    blob_bytes: int
    structured_bytes: int


class Selected(NamedTuple):
    """A path that a filter file names. ``resource`` is the line."""

    resource: str
    path: ResourcePath


class Failure(NamedTuple):
    """What went wrong with one object or instance. ``resource`` names it."""

    resource: str
    status: Status


@dataclass(frozen=True, slots=True)
class ProgressCounter:
    """Counts of an operation. ``listed`` is how many objects are known to belong to it, once counted."""

    listed: int = 0
    success: int = 0
    failure: int = 0

    @property
    def pending(self) -> int:
        return max(0, self.listed - self.success - self.failure)


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcomes of one batch, ready to be committed in one transaction.

    ``checkpoint`` is the last position of the batch in its listing: work resumes after it.
    ``instances`` are new rows; ``success`` counts what succeeded without one (duplicates, exported instances).
    ``listed`` is how many objects have been counted so far. ``blob_prefix`` is where the batch's new blobs lie:
    blobs of the operation that sort after the last committed prefix belong to nobody. ``garbage`` are blobs of the
    batch that get no row. ``selection`` are paths of a filter file: what they name now is remembered with the
    operation, and those that name nothing go to the log as warnings.
    ``changes`` are storage classes for rows that are there, ``replacements`` new contents. ``warnings`` go to the log
    and are not counted.
    """

    checkpoint: str
    instances: tuple[Instance, ...] = ()
    success: int = 0
    failures: tuple[Failure, ...] = ()
    listed: int = 0
    blob_prefix: str = ""
    garbage: tuple[str, ...] = ()
    selection: tuple[Selected, ...] = ()
    changes: tuple[Change, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    warnings: tuple[Failure, ...] = ()

    @property
    def succeeded(self) -> int:
        return len(self.instances) + len(self.changes) + len(self.replacements) + self.success


class Committed(NamedTuple):
    """What a commit found: whether a cancel was asked for, how many changes and replacements came too late and failed,
    and how many entries of the log were written."""

    cancel_requested: bool
    lost: int = 0
    logged: int = 0


class Replacement(NamedTuple):
    """New bytes and a new header for an instance that was read as ``before``.

    ``after`` has the same UIDs. ``study_before`` and ``series_before`` are what the old header said of both.
    """

    before: StoredInstance
    after: Instance
    study_before: StudyAttributes
    series_before: SeriesAttributes


class Method(StrEnum):
    """What started an operation: the tail of ``apiMethodName`` and the type of its answer."""

    CREATE_DATASET = "dataset.DatasetService.CreateDataset"
    IMPORT_DICOM_DATA = "dicom.DicomService.ImportDicomData"
    EXPORT_DICOM_DATA = "dicom.DicomService.ExportDicomData"
    SET_BLOB_STORAGE_SETTINGS = "storageinfo.StorageInfoService.SetBlobStorageSettings"
    DELETE_STUDY = "dicomweb.DicomWebService.DeleteStudy"
    DELETE_SERIES = "dicomweb.DicomWebService.DeleteSeries"
    UPDATE_STUDY_METADATA = "dicomweb.DicomWebService.UpdateStudyMetadata"
    UPDATE_SERIES_METADATA = "dicomweb.DicomWebService.UpdateSeriesMetadata"


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation. ``request`` is the validated request, enough to begin again after a crash."""

    name: OperationName
    version: str
    method: Method
    create_time: datetime
    request: dict[str, Any] = field(default_factory=dict)
    store: DicomStoreName | None = None
    store_id: int = 0
    end_time: datetime | None = None
    counter: ProgressCounter = ProgressCounter()
    checkpoint: str = ""
    blob_prefix: str = ""
    attempt: int = 0
    cancel_requested: bool = False
    error: Status | None = None
    samples: tuple[Failure, ...] = ()

    @property
    def done(self) -> bool:
        return self.end_time is not None

    @property
    def subject(self) -> str:
        """What an error of the whole operation is about: the address that it was started with, else its store."""
        fields = ("uri", "uri_prefix", "filter_uri")
        return str(next((self.request[field] for field in fields if self.request.get(field)), self.store))


CANCELLED = Status(Code.CANCELLED, "the operation was cancelled; what was done before remains")
"""How an operation ends that somebody has cancelled."""


class Growth(NamedTuple):
    """What a store gained (or lost) on a ``day`` since 1970, of one storage class."""

    day: int
    storage_class: str
    instances: int
    blob_bytes: int
