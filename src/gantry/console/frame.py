"""What every page has around it: the search field for everything, and what is running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.api.call import Context
from gantry.api.inside import Inside
from gantry.console.navigation import NavGroup, make_navigation
from gantry.errors import StatusError
from gantry.names import DatasetName, DicomStoreName

_MOST = 20  # running operations that are counted


@dataclass(frozen=True, slots=True)
class Running:
    """The operations of a dataset that are not done, up to ``_MOST``. ``percent``: of their objects, None while none of
    these is counted."""

    count: int = 0
    percent: int | None = None


_NOTHING = Running()


@dataclass(frozen=True, slots=True)
class Frame:
    """``place`` is the store or the dataset that the page is about; ``navigation`` are the links beside it."""

    place: DicomStoreName | DatasetName | None = None
    dataset: DatasetName | None = None
    running: Running = _NOTHING
    navigation: Sequence[NavGroup] = ()


def make_frame(context: Context, api: Inside, parts: Sequence[str], store: str = "") -> Frame:
    """``parts``: the segments of the address of the page; ``store``: the one whose operations it lists."""
    place = find_place(parts)
    if place is None:
        return Frame(navigation=make_navigation(None, parts))
    dataset = place.parent if isinstance(place, DicomStoreName) else place
    if store and parts[6:] == ["operations"]:
        place = DicomStoreName(dataset.project, dataset.location, dataset.dataset, store)
    return Frame(place, dataset, _find_running(context, api, dataset), make_navigation(place, parts))


def find_place(parts: Sequence[str]) -> DicomStoreName | DatasetName | None:
    if len(parts) < 6 or (parts[0], parts[2], parts[4]) != ("projects", "locations", "datasets"):
        return None
    if len(parts) >= 8 and parts[6] == "dicomStores":
        return DicomStoreName(parts[1], parts[3], parts[5], parts[7])
    return DatasetName(parts[1], parts[3], parts[5])


def _find_running(context: Context, api: Inside, dataset: DatasetName) -> Running:
    """Nothing for those who may not list operations, and where the dataset does not exist."""
    if not api.caller.has("healthcare.operations.list", dataset):
        return Running()
    try:
        found = context.seams.index.operations.list_operations(dataset, _MOST, done=False)
    except StatusError:
        return Running()
    listed = sum(each.counter.listed for each in found)
    done = sum(each.counter.success + each.counter.failure for each in found)
    return Running(len(found), 100 * done // listed if listed else None)
