"""Resource names: parsed when a request arrives, printed when the answer is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from gantry.errors import InvalidArgument
from gantry.whole_numbers import read_number

API_VERSIONS = ("v1", "v1beta1", "v1alpha2")

_DATASET_ID = re.compile(r"[\w.\-]{1,256}")
_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(?:\.[0-9]+)*")
_SIGN = r"[A-Za-z0-9_~+=@\-]"
OTHER_UID = rf"(?=[A-Za-z0-9_]){_SIGN}+(?:\.(?!(?i:dcm|jpe?g|png)(?!{_SIGN}|\.)){_SIGN}+)*"
"""A regular expression for texts that some programs use as UIDs: what stands as it is in addresses (RFC 3986 §3.3), in
names of files and in searches, and is neither hidden nor an option where it is a name of a file. None ends as files of
an export do: the file of ``a`` would be the directory of ``a.jpg``. Up to ``MAX_UID``."""
MAX_UID = 64  # characters (PS3.5 §9.1)
_DIGITS = re.compile(r"[0-9.]{1,64}")
_OTHER_UID = re.compile(OTHER_UID)
_DOTS = re.compile(r"\.{1,2}(?:[;:].*)?")
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
    """``…/datasets/{dataset}/operations/{digits}``. An operation belongs to its dataset, not to a DICOM store."""

    dataset: DatasetName
    id: int

    @classmethod
    def parse(cls, dataset: DatasetName, text: str) -> OperationName:
        """Text that cannot be the number of an operation becomes -1, which no operation has."""
        number = read_number(text)
        return cls(dataset, -1 if number is None else number)

    def __str__(self) -> str:
        return f"{self.dataset}/operations/{self.id}"


def is_path_segment(text: str) -> bool:
    """Whether a text can be a segment of an address that all clients, proxies and servers read alike.

    Clients and proxies resolve ``.`` and ``..`` (RFC 3986 §5.2.4), also percent-encoded and with parameters after
    ``;``; a method of the API may follow a colon. Characters that are not printed (Unicode categories C and Z, except
    the space) can forge or hide parts of a log line.
    """
    return text != "" and "/" not in text and text.isprintable() and not _DOTS.fullmatch(text)


def check_segments(*texts: str) -> None:
    """Raises InvalidArgument for a text that cannot be a segment of an address."""
    for text in texts:
        if not is_path_segment(text):
            raise InvalidArgument(
                f"{text!r} cannot be part of a name: names are not empty, not '.' or '..', and hold no slash and no "
                "character that cannot be shown"
            )


def is_uid(text: str) -> bool:
    """Whether a text is a UID as PS3.5 §9.1 has it, but for leading zeros in a component, which many in use have."""
    return _UID.fullmatch(text) is not None


def are_uids(texts: Iterable[str]) -> bool:
    """Whether each of them ``is_uid``: a third of the time where there are many."""
    return all(map(_UID.fullmatch, texts))


def is_other_uid(text: str) -> bool:
    """Whether a text is a UID, or another text that a store may accept as one; see ``OTHER_UID``."""
    return len(text) <= MAX_UID and _OTHER_UID.fullmatch(text) is not None


def strip_uid(text: str) -> str:
    """Without blanks around it, and without the NUL that pads UIDs of an odd length in files (PS3.5 §9.1)."""
    return text.strip(" \t\r\n\0")


def split_uids(text: str) -> list[str]:
    """The UIDs of a list, separated by commas or backslashes; what is empty is none."""
    return [uid for part in re.split(r"[,\\]", text) if (uid := strip_uid(part))]


def check_uids(path: ResourcePath, other: bool = False) -> None:
    """Raises InvalidArgument for a text that is not a UID: 1 to 64 digits and periods (PS3.5 §9.1).

    ``other``: what ``is_other_uid`` accepts passes, too.
    """
    for uid in filter(None, path):
        if not _DIGITS.fullmatch(uid) and not (other and is_other_uid(uid)):
            signs = "letters, digits and . _ - ~ + = @" if other else "digits and periods"
            raise InvalidArgument(f"{uid[:100]!r} is no UID, which has 1 to 64 {signs}")


def url_path(name: object) -> str:
    """The name of a resource, or a path below one, percent-encoded for an address (RFC 3986 §3.3)."""
    return quote(str(name), safe="/:")


def check_dataset_id(text: str) -> str:
    """Raises InvalidArgument unless ``text`` is 1-256 letters, digits (any script), ``_``, ``-`` or ``.``."""
    return _check_id("datasetId", _DATASET_ID, text)


def check_dicom_store_id(text: str) -> str:
    """Raises InvalidArgument unless ``text`` is 1-256 of ``A-Z a-z 0-9 _ - .``."""
    return _check_id("dicomStoreId", _DICOM_STORE_ID, text)


def _check_id(field: str, pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text) or not is_path_segment(text):
        raise InvalidArgument(
            f"{field}: {text!r} must be 1 to 256 letters, digits, '_', '-' or '.', and neither '.' nor '..'"
        )
    return text


def parse_dataset_name(text: str) -> DatasetName:
    """The full name as text. Raises InvalidArgument."""
    return DatasetName(*_parse(text, "datasets"))


def parse_dicom_store_name(text: str) -> DicomStoreName:
    """The full name as text. Raises InvalidArgument."""
    return DicomStoreName(*_parse(text, "datasets", "dicomStores"))


def parse_operation_name(text: str) -> OperationName:
    """The full name as text. Raises InvalidArgument."""
    *dataset, number = _parse(text, "datasets", "operations")
    return OperationName.parse(DatasetName(*dataset), number)


def _parse(text: str, *collections: str) -> list[str]:
    """The ids of ``projects/P/locations/L/datasets/D…``."""
    collections = ("projects", "locations", *collections)
    parts = text.split("/")
    if tuple(parts[0::2]) != collections or len(parts) != 2 * len(collections) or "" in parts:
        shape = "/".join(f"{name}/{name[0].upper()}" for name in collections).replace("dicomStores/D", "dicomStores/S")
        raise InvalidArgument(f"{text!r} is not {shape}")
    return parts[1::2]
