"""One call of an API method, as its handler sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantry.api.access import ANYBODY, Access, Caller

if TYPE_CHECKING:
    from gantry.api.audit import Audit
from gantry.names import DatasetName, DicomStoreName, LocationName, OperationName
from gantry.seams import Seams
from gantry.studies.frames import FramePlaces
from gantry.studies.metadata import Remembered
from gantry.studies.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Context:
    """What handlers work with. ``notify`` says that there is a new operation, ``sweep`` that bytes were given up;
    ``locations`` are the places that exist.

    ``uploads`` are the lots of stored instances, ``remembered`` holds answers that are dear to make, ``frame_places``
    where frames lie; ``strict_search`` is a setting. ``viewer`` is the directory of the installed viewer. ``access`` is
    None where nobody is asked who they are, ``audit`` where nothing is written down.
    ``most_operations`` of a project may be under way, 0 for any number.
    """

    seams: Seams
    notify: Callable[[], None]
    uploads: Uploads
    locations: tuple[str, ...]
    public_url: str
    strict_search: bool = False
    viewer: Path | None = None
    remembered: Remembered = field(default_factory=Remembered)
    frame_places: FramePlaces = field(default_factory=FramePlaces)
    access: Access | None = None
    audit: Audit | None = None
    most_operations: int = 0
    sweep: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Call:
    """``ids`` are the variable parts of the path in order; ``body`` is the decoded JSON object."""

    context: Context
    version: str
    ids: tuple[str, ...]
    query: dict[str, str]
    body: dict[str, Any]
    caller: Caller = ANYBODY

    @property
    def location(self) -> LocationName:
        return LocationName(*self.ids[:2])

    @property
    def dataset(self) -> DatasetName:
        return DatasetName(*self.ids[:3])

    @property
    def dicom_store(self) -> DicomStoreName:
        return DicomStoreName(*self.ids[:4])

    @property
    def operation(self) -> OperationName:
        return OperationName.parse(self.dataset, self.ids[3])


Handler = Callable[[Call], dict[str, Any]]
