"""WADO-URI (PS3.18 §9): one instance, by parameters of the address.

The parameters become those of WADO-RS, and its handlers answer: there is one negotiation, one reader, one renderer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import takewhile

from starlette.datastructures import Headers

from gantry.api import documents
from gantry.api.accept import Offer
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.parameters import Pair
from gantry.api.rendering import PICTURES, RENDERED, render_frames, render_instance
from gantry.api.retrieving import find_instance, retrieve_instance, video_offers
from gantry.api.web import Answer, Later, WebHandler
from gantry.dicom import forms
from gantry.errors import InvalidArgument, NotAcceptable
from gantry.names import ResourcePath, is_path_segment, strip_uid
from gantry.resources import StoredInstance
from gantry.studies.render import MAX_VIEW_SIDE
from gantry.studies.reports import is_report
from gantry.studies.retrieve import ANY
from gantry.whole_numbers import read_number

UIDS = ("studyUID", "seriesUID", "objectUID")
_SIZES = ("rows", "columns", "region")
_RENDERING = ("annotation", "frameNumber", "imageQuality", *_SIZES, "windowCenter", "windowWidth")
_REFUSED = {
    "anonymize": "this server de-identifies nothing; de-identify files before they are stored here",
    "presentationUID": "presentation states are not applied; leave it out, or send windowCenter and windowWidth",
    "presentationSeriesUID": "presentation states are not applied; leave it out, or send windowCenter and windowWidth",
}
PARAMETERS = ("requestType", *UIDS, "contentType", "charset", "transferSyntax", *_RENDERING)
_NAMES = {
    "window": "windowCenter, windowWidth",
    "viewport": "rows, columns, region",
    "quality": "imageQuality",
    "frames": "frameNumber",
}
"""Parameter of WADO-RS → those that it was made of, for messages."""

_SYNTAX = re.compile(r"\*|[0-9.]{1,64}")
_PART = re.compile(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?|\.[0-9]{1,9}")
_DICOM = Offer(forms.DICOM, False, (), "")
_IMAGES = tuple(offer for offer in PICTURES if not offer.multipart)


def _retrieve(call: Call) -> Later:
    """One instance as a DICOM file or in a form that people see. Raises InvalidArgument, NotFound, NotAcceptable."""
    asked: dict[str, str] = {}  # names are case-sensitive (§9.1.2); the first of several counts
    for name, value in call.parameters:
        asked.setdefault(name, value)
    path = _read_path(asked)
    call = _ask(replace(call, ids=(*call.ids[:4], *path)), _read_accept(call, asked))
    row = find_instance(call)
    types = _choose_types(call, row, asked)
    if types == [forms.DICOM]:
        return _retrieve_file(call, asked)
    accept = ("accept", ", ".join(types))
    if documents.find_renderer(call, row):
        if is_report(row):
            _require_utf8(asked)
        return _later(render_instance, _ask(call, [accept]), Lane.LONG)
    pairs = [accept, *_translate(asked, row)]
    if "frameNumber" in asked:
        number = asked["frameNumber"]
        if forms.video_types(row.transfer_syntax_uid):
            raise InvalidArgument("frameNumber: a video is sent as it is stored")
        if not number.isdecimal():
            raise InvalidArgument(f"frameNumber: {number[:100]!r} is not the number of one frame, from 1")
        return _later(render_frames, _ask(replace(call, ids=(*call.ids, number)), pairs))
    return _later(render_instance, _ask(call, pairs))


_OFFERS = (*(offer for offer in RENDERED if not offer.multipart), _DICOM)
retrieve = WebHandler(_retrieve, Lane.READ, _OFFERS, lambda: PARAMETERS)


def _read_path(asked: Mapping[str, str]) -> ResourcePath:
    """The UIDs (§9.1.2.1). Raises InvalidArgument for a request that is none of this service, or cannot be served."""
    if asked.get("requestType") != "WADO":
        raise InvalidArgument(
            f"requestType: {asked.get('requestType', '')[:100]!r} is not WADO; "
            "an instance is retrieved with ?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…"
        )
    asked = {name: strip_uid(value) if name in UIDS else value for name, value in asked.items()}
    for name in UIDS:
        if not asked.get(name):
            raise InvalidArgument(f"{name}: the UID is missing; studyUID, seriesUID and objectUID name an instance")
        if not is_path_segment(asked[name]):
            raise InvalidArgument(f"{name}: {asked[name][:100]!r} is not a UID")
    for name, why in _REFUSED.items():
        if name in asked:
            raise InvalidArgument(f"{name}: {why}")
    return ResourcePath(*(asked[name] for name in UIDS))


def _read_accept(call: Call, asked: Mapping[str, str]) -> list[Pair]:
    """``contentType`` is the query parameter of acceptable media types (§9.1.2.2): it replaces the header."""
    if asked.get("contentType"):
        return [("accept", asked["contentType"])]
    return [pair for pair in call.pairs if pair[0] == "accept"]


def _ask(call: Call, pairs: list[Pair]) -> Call:
    """With these parameters alone; where they name media types the header does not count."""
    if not pairs:
        return replace(call, pairs=pairs)
    headers = Headers(raw=[(name, value) for name, value in call.headers.raw if name != b"accept"])
    return replace(call, pairs=pairs, headers=headers)


def _choose_types(call: Call, row: StoredInstance, asked: Mapping[str, str]) -> list[str]:
    """The file alone, or all rendered media types that are acceptable, the preferred first. A rendered form that
    cannot be made is never replaced by the file: a page expects a picture."""
    wants_picture = [name for name in _RENDERING if name in asked]
    choices = [offer.type for offer, _ in call.rank(_list_offers(call, row, bool(wants_picture)))]
    if choices[0] != forms.DICOM:
        return list(takewhile(lambda media_type: media_type != forms.DICOM, choices))
    if wants_picture:
        raise InvalidArgument(f"{wants_picture[0]}: it is for pictures, and contentType asks for {forms.DICOM}")
    return choices[:1]


def _list_offers(call: Call, row: StoredInstance, wants_picture: bool) -> tuple[Offer, ...]:
    """The default first: a picture of one frame, a page of a report, a document, a video; else the file (§8.7.4)."""
    if documents.find_renderer(call, row):
        try:
            return (*documents.list_offers(call, row), _DICOM)
        except NotAcceptable:  # nothing but the file
            return (_DICOM,)
    if forms.video_types(row.transfer_syntax_uid):
        return (*video_offers(call, row, (False,)), _DICOM)
    if not (row.rows and row.columns):
        return (_DICOM, *_IMAGES) if wants_picture else (_DICOM,)
    is_one = (row.number_of_frames or 1) == 1 or wants_picture
    return (*_IMAGES, _DICOM) if is_one else (_DICOM, *_IMAGES)


def _retrieve_file(call: Call, asked: Mapping[str, str]) -> Later:
    """In Explicit VR Little Endian unless another transfer syntax is named (§9.4.1.2); what cannot be converted to it
    is sent as it is stored, as nobody has asked for the other one."""
    syntax = asked.get("transferSyntax", "")
    if syntax and not _SYNTAX.fullmatch(syntax):
        raise InvalidArgument(f"transferSyntax: {syntax[:100]!r} is neither a UID nor *")
    named = f"{forms.DICOM}; transfer-syntax={syntax or ANY}"
    accept = named if syntax else f"{forms.DICOM}; transfer-syntax={forms.EXPLICIT_LE}, {named}; q=0.5"
    return _later(retrieve_instance, _ask(call, [("accept", accept)]))


def _later(handler: WebHandler, call: Call, lane: Lane | None = None) -> Later:
    return Later(lane or handler.lane, partial(_answer, handler, call))


def _answer(handler: WebHandler, call: Call) -> Answer:
    """Raises the errors of a handler with the names of our parameters."""
    try:
        answer = handler.call(call)
        return answer.make() if isinstance(answer, Later) else answer
    except InvalidArgument as error:
        name, colon, rest = error.what.partition(":")
        if not colon or name not in _NAMES:
            raise
        raise type(error)(f"{_NAMES[name]}:{rest}", error.details, error.advice, error.kind) from None


# --- parameters of pictures


def _translate(asked: Mapping[str, str], row: StoredInstance) -> list[Pair]:
    """The parameters of §9.5.1.2 as those of §8.3.5. ``annotation`` has the same name in both."""
    pairs = [("annotation", asked["annotation"])] if "annotation" in asked else []
    if "windowCenter" in asked or "windowWidth" in asked:
        for name, other in (("windowCenter", "windowWidth"), ("windowWidth", "windowCenter")):
            if name not in asked:
                raise InvalidArgument(f"{name}: it is missing, and {other} means nothing without it")
        pairs.append(("window", f"{asked['windowCenter']},{asked['windowWidth']},linear"))
    if "imageQuality" in asked:
        pairs.append(("quality", asked["imageQuality"]))
    if any(name in asked for name in _SIZES):
        pairs.append(("viewport", _write_viewport(asked, row)))
    return pairs


def _write_viewport(asked: Mapping[str, str], row: StoredInstance) -> str:
    """The size to fit into, without limit where it is left out, and the part of the picture in pixels."""
    size = {name: _read_side(name, asked[name]) for name in ("columns", "rows") if name in asked}
    if "region" not in asked:
        return f"{size.get('columns', MAX_VIEW_SIDE)},{size.get('rows', MAX_VIEW_SIDE)}"
    left, top, right, bottom = _read_region(asked["region"])
    width, height = row.columns or 0, row.rows or 0
    x, y, part_width, part_height = left * width, top * height, (right - left) * width, (bottom - top) * height
    if not size:  # as many pixels as the part touches
        size = {"columns": _count(x, part_width), "rows": _count(y, part_height)}
    columns, rows = size.get("columns", MAX_VIEW_SIDE), size.get("rows", MAX_VIEW_SIDE)
    return f"{columns},{rows},{x:f},{y:f},{part_width:f},{part_height:f}"


def _count(start: Decimal, length: Decimal) -> int:
    return min(max(1, math.ceil(start + length) - math.floor(start)), MAX_VIEW_SIDE)


def _read_side(name: str, text: str) -> int:
    number = read_number(text, MAX_VIEW_SIDE)
    if not number:
        raise InvalidArgument(f"{name}: {text[:100]!r} is not a number from 1 to {MAX_VIEW_SIDE}")
    return number


def _read_region(text: str) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Left, top, right and bottom, as parts of the picture from 0 to 1 (§9.5.1.2)."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 4 and all(map(_PART.fullmatch, parts)):
        left, top, right, bottom = map(Decimal, parts)
        if left < right and top < bottom:
            return left, top, right, bottom
    raise InvalidArgument(
        f"region: {text[:100]!r} is not left,top,right,bottom, four decimals from 0 to 1 that enclose a part"
    )


def _require_utf8(asked: Mapping[str, str]) -> None:
    """Raises NotAcceptable for a ``charset`` (§9.1.2.2) without the one that pages of reports are in."""
    names = [name.partition(";")[0].strip().strip('"').lower() for name in asked.get("charset", "").split(",")]
    if any(names) and not {"utf-8", "utf8", "iso_ir 192", "*"} & set(names):
        raise NotAcceptable(f"charset: {asked['charset'][:100]!r} has no utf-8, which this answer is written in")
