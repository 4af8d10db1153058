"""Studies: search, and the pages of a study, series and instance."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from gantry.api.viewer import BASE as VIEWER
from gantry.api.viewer import is_installed
from gantry.console.deleting import INSTANCE, SERIES, STUDY, describe_deleted, require_confirmation, show_question
from gantry.console.finding import find_studies
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.rows import Row
from gantry.console.tags import filter_tags, list_tags
from gantry.errors import StatusError
from gantry.languages import _
from gantry.names import ResourcePath, url_path
from gantry.resources import StoredInstance
from gantry.whole_numbers import read_number

_SERIES, _INSTANCES, _TAGS = 500, 200, 1000  # shown on one page
_OTHERS = 200  # studies of a patient that are looked at
_MAX_OFFSET = 10**8
_MAX_SERIES = 5000  # the limit of one search
_LEVELS = ("study", "series", "instance")
_LEAST_WIDTH, _MOST_GREY = 1e-9, 1e12  # of a window: pixels have 32 bits, and are rescaled
_KINDS = (STUDY, SERIES, INSTANCE)


def _web(call: PageCall) -> str:
    return f"{call.store}/dicomWeb/{call.path}"


def _here(call: PageCall) -> str:
    """The address of this page."""
    return address_of(f"{call.store}/{call.path}")


def show_study(call: PageCall) -> Response:
    uid = call.ids[4]
    (found, *_) = call.api.get(f"{call.store}/dicomWeb/studies", StudyInstanceUID=uid, includefield="all") or [None]
    if found is None:
        call.api.get(f"{_web(call)}/metadata")  # raises the reason
    offset = read_number(call.query.get("offset", ""), _MAX_OFFSET) or 0
    shown = {
        "limit": str(_MAX_SERIES),
        "includefield": "SeriesNumber,NumberOfSeriesRelatedInstances",
    }  # a strict server
    series = [Row(item) for item in call.api.get(f"{_web(call)}/series", **shown)]
    series.sort(key=lambda row: (_order(row, "00200011"), row.uid))
    row = Row(found or {})
    metrics = call.api.get(f"{_web(call)}:getStudyMetrics")
    return call.show(
        "study.html",
        crumbs=crumbs_of_path(call)[:-1],
        store=call.store,
        study=row,
        uid=uid,
        here=_here(call),
        web=f"/v1/{url_path(_web(call))}",
        series=series[offset : offset + _SERIES],
        bytes=int(metrics.get("blobStorageSizeBytes", 0)),
        classes=call.context.seams.index.metrics.list_classes(call.store, call.path),
        viewer=_viewer(call),
        others=_find_others(call, row),
        **_neighbours(offset, _SERIES, len(series)),
    )


class Others(NamedTuple):
    """The other studies of a patient. ``older`` and ``newer``: UIDs of the next ones by date, empty without one;
    ``query`` finds all ``studies`` in the list of studies."""

    studies: int = 1
    older: str = ""
    newer: str = ""
    query: str = ""


def _find_others(call: PageCall, study: Row) -> Others:
    patient = study.text("00100020")
    if not patient or '"' in patient:
        return Others()
    query = {"PatientID": f'"{patient}"'}
    uids = [row.uid for row in find_studies(call, query, _OTHERS)]
    at = uids.index(call.path.study) if call.path.study in uids else len(uids)
    older, newer = uids[at + 1 : at + 2], uids[max(at - 1, 0) : at]
    return Others(len(uids), "".join(older), "".join(newer), urlencode(query))


def _viewer(call: PageCall) -> str:
    """The address of the study in OHIF; "" if OHIF is not installed."""
    if not is_installed(call.context.viewer):
        return ""
    return f"{VIEWER}{url_path(call.store)}/viewer?{urlencode({'StudyInstanceUIDs': call.path.study})}"


def show_series(call: PageCall) -> Response:
    """A page of the instances of a series, sorted by InstanceNumber from the index."""
    path = call.path
    offset = read_number(call.query.get("offset", ""), _MAX_OFFSET) or 0
    found = call.api.get(f"{call.store}/dicomWeb/studies/{path.study}/series", SeriesInstanceUID=path.series)
    with call.api.begin("GET", f"{_web(call)}/instances"):
        rows = sorted(call.context.seams.index.instances.list_below(call.store, path), key=_place)
    return call.show(
        "series.html",
        crumbs=crumbs_of_path(call)[:-1],
        store=call.store,
        uid=path.series,
        series=Row(found[0] if found else {}),
        here=_here(call),
        web=f"/v1/{url_path(_web(call))}",
        rows=rows[offset : offset + _INSTANCES],
        count=len(rows),
        bytes=sum(row.size for row in rows),
        classes=call.context.seams.index.metrics.list_classes(call.store, path),
        viewer=_viewer(call),
        **_neighbours(offset, _INSTANCES, len(rows)),
    )


def _place(row: StoredInstance) -> tuple[float, str]:
    number = row.instance_number
    return math.inf if number is None else number, row.sop_instance_uid


def _neighbours(offset: int, size: int, count: int) -> dict[str, Any]:
    """The addresses of the pages ``before`` and ``after``; empty without one."""
    return {
        "before": f"?offset={max(offset - size, 0)}" if offset else "",
        "after": f"?offset={offset + size}" if count > offset + size else "",
    }


def show_instance(call: PageCall) -> Response:
    """The frames and the tags of an instance; ``q`` filters the tags."""
    path = call.path
    (found,) = call.api.get(f"{_web(call)}/metadata")
    row, query = Row(found), call.query.get("q", "").strip()[:100]
    tags = filter_tags(list_tags(found), query)
    shown = list(islice(tags, _TAGS + 1))
    info = call.api.get(f"{_web(call)}:getStorageInfo")
    return call.show(
        "instance_tags.html" if call.is_part else "instance.html",
        crumbs=crumbs_of_path(call)[:-1],
        store=call.store,
        path=path,
        here=_here(call),
        web=f"/v1/{url_path(_web(call))}",
        row=row,
        frames=max(1, int(_number_of(row, "00280008") or 1)),
        has_pixels="7FE00010" in found or "7FE00008" in found or "7FE00009" in found,
        window=_window(row),
        rate=_rate(row),
        tags=shown[:_TAGS],
        more=len(shown) > _TAGS,
        query=query,
        info=info.get("blobStorageInfo", {}),
    )


def _window(row: Row) -> tuple[float, float] | None:
    """Centre and width of a grey picture: of the instance, else of the whole range of pixel values (PS3.3 §C.11.2).

    None for numbers that no picture has: nobody could set them.
    """
    if not row.text("00280004").startswith("MONOCHROME"):
        return None
    window = _find_window(row)
    return window if window and abs(window[0]) <= _MOST_GREY and _LEAST_WIDTH <= window[1] <= _MOST_GREY else None


def _find_window(row: Row) -> tuple[float, float] | None:
    centre, width = (_number_of(row, tag) for tag in ("00281050", "00281051"))
    if centre is not None and width is not None and width > 0:
        return centre, width
    bits, slope, intercept = (_number_of(row, tag) for tag in ("00280101", "00281053", "00281052"))
    if bits is None or not 1 <= bits <= 32:
        return None
    slope, intercept = slope or 1.0, intercept or 0.0
    lowest = -(2 ** (bits - 1)) if row.text("00280103") == "1" else 0.0
    return slope * (lowest + 2 ** (bits - 1)) + intercept, abs(slope) * 2**bits


def _number_of(row: Row, tag: str) -> float | None:
    """The first value."""
    try:
        value = float(row.text(tag).split(",")[0])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _order(row: Row, tag: str) -> float:
    """The number to sort by; rows without one come last."""
    value = _number_of(row, tag)
    return math.inf if value is None else value


def _rate(row: Row) -> float:
    """Frames per second (PS3.3 §C.7.6.5): RecommendedDisplayFrameRate, CineRate, FrameTime."""
    for tag in ("00082144", "00180040", "00181063"):
        if value := _number_of(row, tag):
            return min(max(1000 / value if tag == "00181063" else value, 1.0), 60.0)
    return 12.0


def crumbs_of_path(call: PageCall) -> tuple[Crumb, ...]:
    here = address_of(call.store)
    names = (_("Study"), _("Series"), _("Instance"))
    crumbs = [*crumbs_of(call.store), Crumb(_("Studies"), f"{here}/studies")]
    uids: list[str] = []
    for level, name, uid in zip(("studies", "series", "instances"), names, call.ids[4:], strict=False):
        uids += [level, uid]
        crumbs.append(Crumb(name, f"{here}/{url_path('/'.join(uids))}"))
    return tuple(crumbs)


def show_delete_form(call: PageCall, error: StatusError | None = None) -> Response:
    """The form to delete a study, series or instance."""
    kind = _KINDS[len(call.ids) - 5]
    patient = find_patient(call)
    return show_question(call, kind, call.ids[-1], _here(call), crumbs_of_path(call), count_held(call), error, patient)


def find_patient(call: PageCall) -> str:
    """The name of the patient of the study, as it is shown; "" without one."""
    found = call.api.get(f"{call.store}/dicomWeb/studies", StudyInstanceUID=call.path.study)
    return Row(found[0]).patient if found else ""


def count_held(call: PageCall) -> tuple[int, int]:
    """The number of instances and bytes that would be deleted."""
    level = _LEVELS[len(call.ids) - 5]
    if level == "instance":
        return 1, int(call.api.get(f"{_web(call)}:getStorageInfo")["blobStorageInfo"]["sizeBytes"])
    metrics = call.api.get(f"{_web(call)}:get{level.capitalize()}Metrics")
    return int(metrics.get("instanceCount", 0)), int(metrics.get("blobStorageSizeBytes", 0))


def delete(call: PageCall) -> Response:
    """Delete, then show the parent, if it still exists."""
    try:
        patient, held = find_patient(call), count_held(call)
        require_confirmation(call, call.ids[-1], patient)
        call.api.send("DELETE", _web(call))
    except StatusError as error:
        return show_delete_form(call, error)
    said = describe_deleted(_KINDS[len(call.ids) - 5], patient or call.ids[-1], held)
    *above, _last = filter(None, call.path)
    path = ResourcePath(*above) if above else None
    index = call.context.seams.index
    if path is None or not index.instances.count_below(index.resources.get_dicom_store(call.store).id, path):
        return call.go(f"{address_of(call.store)}/studies", said)
    return call.go(address_of(f"{call.store}/{path}"), said)
