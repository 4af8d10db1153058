"""Which datasets a caller may see, and which DICOM stores of the other datasets."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.console.page_call import PageCall
from gantry.names import DatasetName, DicomStoreName

PAGE = 100
_MAX_CHECKED = 5000  # names per page whose permission is checked: some seconds at most


@dataclass(slots=True)
class Visible:
    """A page of them. ``end`` is the last name that was checked, if there may be more; ``hidden``: there are datasets
    that the caller may not see."""

    datasets: list[DatasetName] = field(default_factory=list)
    stores: list[DicomStoreName] = field(default_factory=list)
    end: DatasetName | DicomStoreName | None = None
    hidden: bool = False


def list_visible(call: PageCall, last: DatasetName | DicomStoreName | None = None) -> Visible:
    """The page behind ``last``.

    One page checks a limited number, so that callers who may see few of very many get an answer soon.
    """
    found = Visible(end=last)
    for _page in range(_MAX_CHECKED // PAGE):
        checked = call.context.seams.index.access.list_with_policies(PAGE + 1, found.end)
        for name, policies in checked[:PAGE]:
            if len(found.datasets) + len(found.stores) == PAGE:
                return found
            _check(call, found, name, policies)
        if len(checked) <= PAGE:
            found.end = None
            break
    return found


def _check(call: PageCall, found: Visible, name: DatasetName | DicomStoreName, policies: tuple[str, ...]) -> None:
    """A store is listed by its dataset, unless that may not be seen."""
    found.end = name
    is_store = isinstance(name, DicomStoreName)
    dataset = name.parent if isinstance(name, DicomStoreName) else name
    sees_dataset = call.api.caller.has_by(policies[:2], "healthcare.datasets.get", dataset)
    if not is_store and sees_dataset:
        found.datasets.append(dataset)
    elif isinstance(name, DicomStoreName) and not sees_dataset:
        found.stores += [name] if call.api.caller.has_by(policies, "healthcare.dicomStores.get", name) else []
    found.hidden = found.hidden or not sees_dataset
