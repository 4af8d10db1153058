"""Studies: searching, and what lies in one down to the instance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from gantry.api.viewer import BASE as VIEWER
from gantry.api.viewer import is_installed
from gantry.console.deleting import ask, confirmed
from gantry.console.searches import PARAMETERS, saved, words_of
from gantry.console.tags import matching, rows_of
from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.errors import StatusError
from gantry.names import ResourcePath, url_path
from gantry.resources import StoredInstance
from gantry.whole_numbers import read_number

PAGE = 50
_DAY, _RANGE = re.compile(r"(\d{4})-(\d\d)-(\d\d)"), re.compile(r"\s*(?:to|–|-)\s*")
_SERIES, _INSTANCES, _TAGS = 500, 200, 1000
_MAX_OFFSET = 10**8
_MOST_SERIES = 5000  # what one search gives
_LEVELS = ("study", "series", "instance")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True, slots=True)
class Row:
    """A study, series or instance as a search finds it."""

    found: dict[str, Any]

    def text(self, tag: str) -> str:
        """The values of an attribute, readable; of a name all component groups, the alphabetic one first."""
        values = self.found.get(tag, {}).get("Value", ())
        return ", ".join(filter(None, map(as_text, values)))

    @property
    def uid(self) -> str:
        return next(self.text(tag) for tag in ("00080018", "0020000E", "0020000D") if tag in self.found)

    @property
    def name(self) -> str:
        return self.text("00100010") or "(no name)"

    @property
    def born(self) -> str:
        return as_date(self.text("00100030"))

    @property
    def date(self) -> str:
        return as_date(self.text("00080020"))


def as_text(value: Any) -> str:
    if isinstance(value, dict):
        return " · ".join(filter(None, (_as_name(value.get(group, "")) for group in _GROUPS)))
    return "" if value is None else str(value)


def _as_name(group: str) -> str:
    family, _, given = group.partition("^")
    return ", ".join(filter(None, (family.strip(), given.replace("^", " ").strip())))


def as_date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else text


def found_studies(view: View, query: dict[str, str], limit: int, offset: int = 0) -> list[Row]:
    asked = {name: value.strip() for name, value in query.items() if value.strip()}
    for name in ("PatientName", "StudyDescription"):
        if name in asked and "*" not in asked[name] and "?" not in asked[name]:
            asked[name] = f"*{asked[name]}*"
    if "StudyDate" in asked:
        asked["StudyDate"] = _RANGE.sub("-", _DAY.sub(r"\1\2\3", asked["StudyDate"]))
    page = {"limit": str(limit), "offset": str(offset), "includefield": "StudyDescription"}
    return [Row(item) for item in view.api.get(f"{view.store}/dicomWeb/studies", **asked, **page)]


def listed(view: View) -> Response:
    query = {name: view.query[name] for name in PARAMETERS if view.query.get(name)}
    offset = read_number(view.query.get("offset", ""), _MAX_OFFSET) or 0
    rows, error = [], None
    try:
        rows = found_studies(view, query, PAGE + 1, offset)
    except StatusError as problem:
        if problem.http in (401, 403, 404):
            raise
        error = problem
    return view.show(
        "studies.html",
        crumbs=crumbs_of(view.store),
        name=view.store,
        rows=rows[:PAGE],
        query=query,
        parameters=PARAMETERS,
        error=error,
        offset=offset,
        before=f"?{urlencode(query | {'offset': max(offset - PAGE, 0)})}" if offset else "",
        after=f"?{urlencode(query | {'offset': offset + PAGE})}" if len(rows) > PAGE else "",
        search=urlencode(query),
        saved=[(name, text, words_of(text)) for name, text in saved(view).items()],
        tab="studies",
    )


def _web(view: View) -> str:
    return f"{view.store}/dicomWeb/{view.path}"


def _here(view: View) -> str:
    """The address of the page of what is shown."""
    return address_of(f"{view.store}/{view.path}")


def study(view: View) -> Response:
    uid = view.ids[4]
    (found, *_) = view.api.get(f"{view.store}/dicomWeb/studies", StudyInstanceUID=uid, includefield="all") or [None]
    if found is None:
        view.api.get(f"{_web(view)}/metadata")  # says why
    offset = read_number(view.query.get("offset", ""), _MAX_OFFSET) or 0
    series = [Row(item) for item in view.api.get(f"{_web(view)}/series", limit=str(_MOST_SERIES))]
    series.sort(key=lambda row: (_order(row, "00200011"), row.uid))
    row = Row(found or {})
    metrics = view.api.get(f"{_web(view)}:getStudyMetrics")
    return view.show(
        "study.html",
        crumbs=_crumbs(view)[:-1],
        store=view.store,
        study=row,
        uid=uid,
        here=_here(view),
        web=f"/v1/{url_path(_web(view))}",
        series=series[offset : offset + _SERIES],
        bytes=int(metrics.get("blobStorageSizeBytes", 0)),
        viewer=_viewer(view),
        **_neighbours(offset, _SERIES, len(series)),
    )


def _viewer(view: View) -> str:
    """The address of the study in OHIF, where that is installed."""
    if not is_installed(view.context.viewer):
        return ""
    return f"{VIEWER}{url_path(view.store)}/viewer?{urlencode({'StudyInstanceUIDs': view.path.study})}"


def series(view: View) -> Response:
    """Its instances by InstanceNumber: all are sorted before the page is cut, from what the index has of each."""
    path = view.path
    offset = read_number(view.query.get("offset", ""), _MAX_OFFSET) or 0
    found = view.api.get(f"{view.store}/dicomWeb/studies/{path.study}/series", SeriesInstanceUID=path.series)
    with view.api.begin("GET", f"{_web(view)}/instances"):
        rows = sorted(view.context.seams.index.instances.list_below(view.store, path), key=_place)
    return view.show(
        "series.html",
        crumbs=_crumbs(view)[:-1],
        store=view.store,
        uid=path.series,
        series=Row(found[0] if found else {}),
        here=_here(view),
        web=f"/v1/{url_path(_web(view))}",
        rows=rows[offset : offset + _INSTANCES],
        viewer=_viewer(view),
        **_neighbours(offset, _INSTANCES, len(rows)),
    )


def _place(row: StoredInstance) -> tuple[float, str]:
    number = row.instance_number
    return math.inf if number is None else number, row.sop_instance_uid


def _neighbours(offset: int, size: int, count: int) -> dict[str, Any]:
    """Addresses of the pages ``before`` and ``after`` one, empty where there is none."""
    return {
        "before": f"?offset={max(offset - size, 0)}" if offset else "",
        "after": f"?offset={offset + size}" if count > offset + size else "",
    }


def instance(view: View) -> Response:
    """A picture of each frame, and the tags; ``q`` narrows these."""
    path = view.path
    (found,) = view.api.get(f"{_web(view)}/metadata")
    row, query = Row(found), view.query.get("q", "").strip()[:100]
    tags = matching(rows_of(found), query)
    shown = [row for row, _ in zip(tags, range(_TAGS + 1), strict=False)]
    info = view.api.get(f"{_web(view)}:getStorageInfo")
    return view.show(
        "instance_tags.html" if view.is_part else "instance.html",
        crumbs=_crumbs(view)[:-1],
        store=view.store,
        path=path,
        here=_here(view),
        web=f"/v1/{url_path(_web(view))}",
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
    """Centre and width of a grey picture: as the instance asks, else all that pixels can be (PS3.3 §C.11.2)."""
    if not row.text("00280004").startswith("MONOCHROME"):
        return None
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
        found = float(row.text(tag).split(",")[0])
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _order(row: Row, tag: str) -> float:
    """What says no number comes last."""
    found = _number_of(row, tag)
    return math.inf if found is None else found


def _rate(row: Row) -> float:
    """Frames per second (PS3.3 §C.7.6.5): RecommendedDisplayFrameRate, CineRate, FrameTime."""
    for tag in ("00082144", "00180040", "00181063"):
        if value := _number_of(row, tag):
            return min(max(1000 / value if tag == "00181063" else value, 1.0), 60.0)
    return 12.0


def _crumbs(view: View) -> tuple[Crumb, ...]:
    here = address_of(view.store)
    names = ("Study", "Series", "Instance")
    crumbs = [*crumbs_of(view.store), Crumb("Studies", f"{here}/studies")]
    uids: list[str] = []
    for level, name, uid in zip(("studies", "series", "instances"), names, view.ids[4:], strict=False):
        uids += [level, uid]
        crumbs.append(Crumb(name, f"{here}/{url_path('/'.join(uids))}"))
    return tuple(crumbs)


def delete_form(view: View, error: StatusError | None = None) -> Response:
    """Of a study, a series or an instance."""
    kind = _LEVELS[len(view.ids) - 5]
    return ask(view, kind, view.ids[-1], _here(view), _crumbs(view), _held(view), error)


def _held(view: View) -> tuple[int, int]:
    """Instances and bytes below the address."""
    level = _LEVELS[len(view.ids) - 5]
    if level == "instance":
        return 1, int(view.api.get(f"{_web(view)}:getStorageInfo")["blobStorageInfo"]["sizeBytes"])
    metrics = view.api.get(f"{_web(view)}:get{level.capitalize()}Metrics")
    return int(metrics.get("instanceCount", 0)), int(metrics.get("blobStorageSizeBytes", 0))


def delete(view: View) -> Response:
    """To what it lay in, where that is still there."""
    try:
        confirmed(view, view.ids[-1])
        view.api.send("DELETE", _web(view))
    except StatusError as error:
        return delete_form(view, error)
    *above, _ = filter(None, view.path)
    path = ResourcePath(*above) if above else None
    index = view.context.seams.index
    if path is None or not index.instances.count_below(index.resources.get_dicom_store(view.store).id, path):
        return view.go(f"{address_of(view.store)}/studies")
    return view.go(address_of(f"{view.store}/{path}"))
