"""Resource names: parsed once where a request comes in, printed once where an answer goes out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from gantry.errors import InvalidArgument

API_VERSIONS = ("v1", "v1beta1", "v1alpha2")

_DATASET_ID = re.compile(r"[\w.\-]{1,256}")
_DICOM_STORE_ID = re.compile(r"[A-Za-z0-9_.\-]{1,256}")


@dataclass(frozen=True, slots=True)
class LocationName:
    """``projects/{project}/locations/{location}``."""

    project: str
    location: str

    def __str__(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"


@dataclass(frozen=True, slots=True)
class DatasetName:
    """``projects/{project}/locations/{location}/datasets/{dataset}``."""

    project: str
    location: str
    dataset: str

    @property
    def parent(self) -> LocationName:
        return LocationName(self.project, self.location)

    def __str__(self) -> str:
        return f"{self.parent}/datasets/{self.dataset}"


@dataclass(frozen=True, slots=True)
class DicomStoreName:
    """``…/datasets/{dataset}/dicomStores/{store}``."""

    project: str
    location: str
    dataset: str
    store: str

    @property
    def parent(self) -> DatasetName:
        return DatasetName(self.project, self.location, self.dataset)

    def __str__(self) -> str:
        return f"{self.parent}/dicomStores/{self.store}"


class ResourcePath(NamedTuple):
    """``studies/{study}[/series/{series}[/instances/{instance}]]``; a UID is empty where the path ends before it."""

    study: str
    series: str = ""
    instance: str = ""

    def __str__(self) -> str:
        levels = zip(("studies", "series", "instances"), self, strict=True)
        return "/".join(f"{level}/{uid}" for level, uid in levels if uid)


@dataclass(frozen=True, slots=True)
class OperationName:
    """``…/datasets/{dataset}/operations/{digits}``. An operation belongs to the dataset, whatever started it."""

    dataset: DatasetName
    id: int

    @classmethod
    def parse(cls, dataset: DatasetName, text: str) -> OperationName:
        """Text that cannot be the number of an operation becomes -1, which none has."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        return cls(dataset, number if number < 1 << 63 else -1)

    def __str__(self) -> str:
        return f"{self.dataset}/operations/{self.id}"


def check_dataset_id(text: str) -> str:
    """Raises InvalidArgument unless ``text`` is 1-256 letters, digits (any script), ``_``, ``-`` or ``.``."""
    if not _DATASET_ID.fullmatch(text):
        raise InvalidArgument(f"datasetId: {text!r} must be 1 to 256 letters, digits, '_', '-' or '.'")
    return text


def check_dicom_store_id(text: str) -> str:
    """Raises InvalidArgument unless ``text`` is 1-256 of ``A-Z a-z 0-9 _ - .``."""
    if not _DICOM_STORE_ID.fullmatch(text):
        raise InvalidArgument(f"dicomStoreId: {text!r} must be 1 to 256 letters, digits, '_', '-' or '.'")
    return text


def parse_dicom_store_name(text: str) -> DicomStoreName:
    """The full name as text, as it stands in operations and on the command line."""
    parts = text.split("/")
    if len(parts) != 8 or parts[0::2] != ["projects", "locations", "datasets", "dicomStores"] or "" in parts:
        raise InvalidArgument(f"{text!r} is not projects/P/locations/L/datasets/D/dicomStores/S")
    return DicomStoreName(*parts[1::2])
