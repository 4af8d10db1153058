"""The values that services and adapters exchange. Frozen, no I/O, no JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from gantry.counters import NO_OBJECTS, NO_TRANSFER, ProgressCounter, Transfer
from gantry.errors import Code, Status, Wait
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
    """``id`` is a number of the index that is never reused; it names the store's directory of blobs."""

    name: DicomStoreName
    id: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    notification_config: dict[str, Any] | None = None
    notification_configs: list[dict[str, Any]] = field(default_factory=list)
    stream_configs: list[dict[str, Any]] = field(default_factory=list)


class ObjectMeta(NamedTuple):
    """One entry of a listing: key and size in bytes. ``problem`` says why it cannot be opened, if so. ``tag`` (an ETag)
    tells this version from others, ``storage_class`` is the provider's; "" where they are not known."""

    key: str
    size: int
    problem: str = ""
    tag: str = ""
    storage_class: str = ""


class StudyAttributes(NamedTuple):
    """Attributes of a study for searches; "" where absent. ``members`` and ``more_members`` are members of a DICOM JSON
    object, joined by commas: those that every search returns, and those that only ``includefield`` returns."""

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
    """Attributes of a series, as those of a study."""

    modality: str = ""
    series_number: str = ""
    series_description: str = ""
    start_date: str = ""
    members: str = ""
    more_members: str = ""
    start_time: str = ""


READER = 1
"""Version of the code that reads the attributes of studies and series. Increase it when that code reads a header
differently: rows of older versions are then updated in the background."""


class HeaderAttributes(NamedTuple):
    """The attributes of study and series in one header. ``whole`` is False where one could not be read."""

    study: StudyAttributes = StudyAttributes()
    series: SeriesAttributes = SeriesAttributes()
    whole: bool = False


class OutdatedStudy(NamedTuple):
    """A study whose row was written by an older READER; ``said`` are the attributes of its row.

    ``position`` is its place in the order of ``list_outdated_studies``.
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
    """A series of an ``OutdatedStudy``."""

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
    """What the index keeps of an instance's header. Instances of one batch share attributes and pack of their series.

    ``pack`` holds ``packed`` headers, this one at ``number``; it is empty where the header is too long to be kept.
    ``size`` is the number of bytes that the index counts for it.
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
    """An instance to be stored: its UIDs, the key of its blob, its size in bytes.

    ``resource`` is where it came from. ``description`` is set where its header could be read.
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
        """Bytes of the header that the index keeps, else ``uids_size``."""
        return self.description.size if self.description is not None else self.uids_size

    @property
    def uids_size(self) -> int:
        """Characters of the five UIDs."""
        return sum(map(len, self[:5]))


class StoredInstance(NamedTuple):
    """An instance in the index.

    The first eight fields are those of ``Instance``. ``series_id`` is the id of the series in the index,
    ``create_time`` in microseconds since 1970 UTC. The header is number ``pack_number`` in the pack ``pack_id``, or
    only in the file if there is no pack; ``pack_number`` is None where the header was never read.
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

    ``blob_key`` is the new key of its bytes; it differs from the old key if they were copied.
    """

    instance: StoredInstance
    storage_class: str
    blob_key: str

    @property
    def copied(self) -> bool:
        return self.blob_key != self.instance.blob_key


class StorageInfo(NamedTuple):
    """How one instance is stored. Sizes in bytes; ``structured_size`` is that of its header in the index."""

    size: int
    storage_class: str
    update_time: datetime
    structured_size: int


class Metrics(NamedTuple):
    """Counts and bytes of a DICOM store, a study or a series."""

    studies: int
    series: int
    instances: int
    blob_bytes: int
    structured_bytes: int


class Segment(NamedTuple):
    """An object that holds the bytes of several instances of a DICOM store.

    ``bytes`` is where the last instance ends that was ever stored in it; ``live_bytes`` is what those take that are
    still there, each in whole blocks of ``storage.extents.ALIGNMENT``: as much as a disk counts for them.
    """

    store_id: int
    key: str
    bytes: int
    live_instances: int
    live_bytes: int


class SegmentTotals(NamedTuple):
    """The segments of a DICOM store in one place, added up. ``store`` is None for a store that is deleted.
    ``small_segments`` are those of less than ``SMALL_BYTES``."""

    store: DicomStoreName | None
    store_id: int
    place: str
    segments: int
    bytes: int
    live_instances: int
    live_bytes: int
    small_segments: int

    @property
    def freed_bytes(self) -> int:
        """What was deleted out of segments that are still there."""
        return self.bytes - self.live_bytes


class Selected(NamedTuple):
    """A path in a filter file. ``resource`` names its line."""

    resource: str
    path: ResourcePath


class Failure(NamedTuple):
    """What went wrong with one object or instance. ``resource`` names it."""

    resource: str
    status: Status


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcomes of one batch, ready to be committed in one transaction.

    ``checkpoint`` is the last position of the batch in its listing: work resumes after it.
    ``instances`` are new rows; ``success`` counts successes without a row (duplicates, exported instances).
    ``listed`` is how many objects have been counted so far. ``blob_prefix`` is the prefix of the batch's new blobs:
    blobs of the operation that sort after the last committed prefix are not in use. ``garbage`` are blobs of the
    batch that get no row. ``selection`` are paths of a filter file: the instances they name now are stored with the
    operation, and a path that names none becomes a warning in the log.
    ``changes`` are storage classes for existing rows, ``replacements`` new contents. ``warnings`` are logged and not
    counted. ``segments`` are the keys of all segments that were written for the batch: they are sealed by its commit,
    and one that no row names becomes garbage. ``transfer`` is what the batch has read or written in a bucket.
    ``is_end``: nothing but warnings, which are written when the operation ends. A batch of their own would be committed
    again after a crash before the end.
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
    segments: tuple[str, ...] = ()
    transfer: Transfer = NO_TRANSFER
    is_end: bool = False

    @property
    def succeeded(self) -> int:
        return len(self.instances) + len(self.changes) + len(self.replacements) + self.success


class Committed(NamedTuple):
    """Result of a commit: whether a cancel was requested, how many changes and replacements failed because their rows
    had changed, how many log entries were written, and the codes of those that failed."""

    cancel_requested: bool
    lost: int = 0
    logged: int = 0
    codes: tuple[Code, ...] = ()


class Replacement(NamedTuple):
    """New bytes and a new header for an instance that was read as ``before``.

    ``after`` has the same UIDs. ``study_before`` and ``series_before`` are the attributes in the old header.
    """

    before: StoredInstance
    after: Instance
    study_before: StudyAttributes
    series_before: SeriesAttributes


class Method(StrEnum):
    """The method that started an operation: the last part of ``apiMethodName``."""

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
    """A long-running operation. ``request`` is the validated request, enough to resume after a crash."""

    name: OperationName
    version: str
    method: Method
    create_time: datetime
    request: dict[str, Any] = field(default_factory=dict)
    store: DicomStoreName | None = None
    store_id: int = 0
    end_time: datetime | None = None
    counter: ProgressCounter = NO_OBJECTS
    transfer: Transfer = NO_TRANSFER
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
        """The object that an error of the whole operation names: the address in its request, else its store."""
        fields = ("uri", "uri_prefix", "table_uri", "filter_uri")
        return str(next((self.request[field] for field in fields if self.request.get(field)), self.store))


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation waits: what for, since when, and what to do. ``next_attempt`` is None while it is being tried."""

    cause: Wait
    since: datetime
    next_attempt: datetime | None
    message: str


CANCELLED = Status(Code.CANCELLED, "the operation was cancelled; what was done before remains")
"""The error of a cancelled operation."""


class Growth(NamedTuple):
    """Instances and bytes that a store gained (or lost) on a ``day`` (days since 1970), of one storage class."""

    day: int
    storage_class: str
    instances: int
    blob_bytes: int
