"""The search field in the head of every page: patients, IDs, accession numbers, UIDs, addresses, operations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import quote

from starlette.responses import Response

from gantry.console.finding import list_found, read_search
from gantry.console.frame import find_place
from gantry.console.page_call import Crumb, PageCall, address_of
from gantry.console.rows import Row
from gantry.console.visible import list_visible
from gantry.errors import InvalidArgument, NotFound, PermissionDenied, StatusError
from gantry.languages import _
from gantry.names import DatasetName, DicomStoreName, OperationName, is_other_uid, url_path

_STORES, _DATASETS, _SHOWN = 50, 20, 20  # searched, looked at, studies shown of one store and field
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_FIELDS = ("PatientName", "PatientID", "AccessionNumber")
_SEARCH = "healthcare.dicomStores.dicomWebRead"


@dataclass(frozen=True, slots=True)
class Hit:
    """What a store has. ``queries``: the searches of its page of studies that find it."""

    store: DicomStoreName
    rows: list[Row]
    words: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()


def find(call: PageCall) -> Response:
    """Lead to the one thing that is found, or list what is."""
    text = call.query.get("q", "").strip()[:500]
    place = find_place(call.query.get("at", "").split("/"))
    if address := _find_address(call, text, place):
        return call.go(address)
    stores = list(islice(_list_stores(call, place), _STORES)) if text else []
    if _UID.fullmatch(text) and (address := _find_uid(call, text, stores)):
        return call.go(address)
    hits = [hit for hit in (_find_studies(call, text, store) for store in stores) if hit.rows]
    if not hits and _may_be_other_uid(text) and (address := _find_uid(call, text, stores)):
        return call.go(address)
    return call.show(
        "find.html",
        crumbs=(Crumb(_("Search"), ""),),
        text=text,
        hits=hits,
        place=place,
        stores=len(stores),
        dataset=place.parent if isinstance(place, DicomStoreName) else None,
    )


def _may_be_other_uid(text: str) -> bool:
    """Whether it may be a UID with letters (docs/conformance.md): looked for where no patient has it."""
    return is_other_uid(text) and any(map(str.isdigit, text))


def _find_address(call: PageCall, text: str, place: DicomStoreName | DatasetName | None) -> str:
    """Of a bucket's address the import from it; of a number the operation that has it."""
    if "://" in text and isinstance(place, DicomStoreName):
        return f"{address_of(place)}/import?uri={quote(text, safe='')}"
    if not text.isdigit() or place is None:
        return ""
    name = OperationName.parse(place.parent if isinstance(place, DicomStoreName) else place, text)
    try:
        call.api.get(str(name))
    except StatusError:
        return ""
    return address_of(name)


def _list_stores(call: PageCall, place: DicomStoreName | DatasetName | None) -> Iterator[DicomStoreName]:
    """Those in which the caller may search: the one of the page, else all of its dataset, else of every dataset, and
    then those whose dataset the caller may not see."""
    if isinstance(place, DicomStoreName):
        yield place
        return
    resources = call.context.seams.index.resources
    for dataset in [place] if place is not None else resources.list_dataset_names(_DATASETS, None):
        if call.may("dicomStores.list", dataset):
            for item in call.api.get(f"{dataset}/dicomStores", pageSize=str(_STORES)).get("dicomStores", ()):
                name = DicomStoreName(
                    dataset.project, dataset.location, dataset.dataset, item["name"].rpartition("/")[2]
                )
                if call.api.caller.has(_SEARCH, name):
                    yield name
    if place is None:
        yield from (name for name in list_visible(call).stores if call.api.caller.has(_SEARCH, name))


def _within(call: PageCall, store: DicomStoreName) -> PageCall:
    return replace(call, ids=(store.project, store.location, store.dataset, store.store))


def _find_uid(call: PageCall, uid: str, stores: list[DicomStoreName]) -> str:
    """The page of a study, a series or an instance."""
    for level, field in (
        ("studies", "StudyInstanceUID"),
        ("series", "SeriesInstanceUID"),
        ("instances", "SOPInstanceUID"),
    ):
        for store in stores:
            found = call.api.get(f"{store}/dicomWeb/{level}", **{field: uid, "limit": "1"})
            if found:
                row = Row(found[0])
                parts = ["studies", row.text("0020000D")]
                parts += ["series", row.text("0020000E")] if level != "studies" else []
                parts += ["instances", row.text("00080018")] if level == "instances" else []
                return f"{address_of(store)}/{url_path('/'.join(parts))}"
    return ""


def _find_studies(call: PageCall, text: str, store: DicomStoreName) -> Hit:
    """By each field; a study that several of them find stands there once."""
    rows: dict[str, Row] = {}
    words: tuple[str, ...] = ()
    queries = []
    within = _within(call, store)
    for field in _FIELDS:
        try:
            wanted = read_search(within, {field: text})
            found = list_found(within, wanted, _SHOWN)
        except (InvalidArgument, NotFound, PermissionDenied):  # no value of this field; a store that went meanwhile
            continue
        words += wanted.words
        rows |= {row.uid: row for row in found}
        queries += [f"{field}={quote(text, safe='')}"] if len(found) == _SHOWN else []
    return Hit(store, list(rows.values()), words, tuple(queries))
