"""Rendered frames (PS3.18 §10.4.1.1.3) and thumbnails (§10.4.1.1.4): what a browser shows."""

from __future__ import annotations

import math
import re

from gantry.api.accept import Offer, media_type_text
from gantry.api.multipart import closing, new_boundary, part_head
from gantry.api.ranges import matches
from gantry.api.retrieving import frame_list, one_row, value_answer, video_offers
from gantry.api.web import Answer, WebCall, WebHandler
from gantry.dicom import forms
from gantry.errors import InvalidArgument
from gantry.queries import FoundInstance
from gantry.studies.metadata import etag_of
from gantry.studies.render import MAX_VIEW_SIDE, View, Viewport, pictures, representative
from gantry.studies.retrieve import PIXEL_DATA, Value, bulk

_OFFERS = tuple(
    Offer(media_type, multipart, (), "") for multipart in (False, True) for media_type in (forms.JPEG, forms.PNG)
)
_THUMBNAIL = Viewport(128, 128)
_INTEGER, _DECIMAL = re.compile(r"-?[0-9]{1,6}"), re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_KNOWN = ("accept", "quality", "viewport", "window")
_IGNORED = frozenset(("$.xgafv", "$alt", "access_token", "alt", "callback", "fields", "key", "oauth_token"))


@WebHandler
def render_instance(call: WebCall) -> Answer:
    """The first frame as a picture, or all of them in a multipart answer; a video as it is."""
    row = one_row(call)
    return _video(call, row) if forms.video_types(row.transfer_syntax_uid) else _render(call, row, None)


def _video(call: WebCall, row: FoundInstance) -> Answer:
    """As it is stored, whole or a range of it, as players ask for it."""
    offer, _ = call.negotiate(video_offers(call, row, (False,)))
    if asked := [name for name, _ in call.parameters if name in _KNOWN and name != "accept"]:
        raise InvalidArgument(f"{asked[0]}: a video is given as it is stored")

    def value() -> Value:
        return bulk(call.context.seams, call.dicom_store, row, PIXEL_DATA)

    return value_answer(call, value, offer.type, etag_of(row, "video", offer.type))


@WebHandler
def render_frames(call: WebCall) -> Answer:
    return _render(call, one_row(call), [number - 1 for number in frame_list(call.ids[7])])


@WebHandler
def thumbnail(call: WebCall) -> Answer:
    """Of a study, a series, an instance or frames: a small picture of what is in the middle of it."""
    row, number = representative(call.context.seams, call.dicom_store, call.path)
    numbers = [frame - 1 for frame in frame_list(call.ids[7])] if len(call.ids) > 7 else [number]
    return _render(call, row, numbers, _THUMBNAIL)


def _render(call: WebCall, row: FoundInstance, numbers: list[int] | None, size: Viewport | None = None) -> Answer:
    offer, _ = call.negotiate(_OFFERS)
    view = _view(call, offer, size)
    if not offer.multipart:
        if numbers is not None and len(numbers) > 1:
            offer = Offer(offer.type, True, (), "")  # a list of frames is always answered in parts
        else:
            numbers = numbers or [0]
    etag = etag_of(row, "rendered", view, numbers, offer.multipart)
    headers = {"etag": etag, "vary": "accept"}
    if matches(call.headers.get("if-none-match", ""), etag):
        return Answer(b"", status=304, headers=headers)
    found = pictures(call.context.seams, call.dicom_store, row, view, numbers)
    if not offer.multipart:
        return Answer(found[0], offer.type, headers=headers)
    boundary = new_boundary()
    parts = (part_head(boundary, {"content-type": offer.type}) + picture for picture in found)
    body = b"".join(parts) + closing(boundary)
    return Answer(body, media_type_text(offer, "", boundary), headers=headers)


def _view(call: WebCall, offer: Offer, size: Viewport | None) -> View:
    asked: dict[str, str] = {}
    for name, value in call.parameters:
        if name not in _KNOWN and name not in _IGNORED:
            raise InvalidArgument(f"{name[:100]!r} is no parameter of rendered resources; they are {', '.join(_KNOWN)}")
        asked.setdefault(name, value)
    return View(
        media_type=offer.type,
        viewport=_viewport(asked["viewport"]) if "viewport" in asked else size,
        window=_window(asked["window"]) if "window" in asked else None,
        quality=_quality(asked["quality"]) if "quality" in asked else View("").quality,
    )


def _viewport(text: str) -> Viewport:
    """``vw,vh`` or ``vw,vh,sx,sy,sw,sh`` (PS3.18 §8.3.5.1.3); the last four may be empty."""
    parts = text.split(",")
    numbers = [int(part) if _INTEGER.fullmatch(part) else None for part in parts]
    empty = [number is None and part != "" for number, part in zip(numbers, parts, strict=True)]
    width, height, *source = (*numbers, *([None] * (6 - len(numbers))))[:6]
    x, y, source_width, source_height = source
    bad = len(parts) not in (2, 6) or any(empty) or not width or not height or (x or 0) < 0 or (y or 0) < 0
    if bad or width is None or height is None or not (0 < width <= MAX_VIEW_SIDE and 0 < height <= MAX_VIEW_SIDE):
        raise InvalidArgument(
            f"viewport: {text[:100]!r} is neither width,height nor width,height,x,y,width,height; "
            f"sides are 1 to {MAX_VIEW_SIDE}"
        )
    if source_width == 0 or source_height == 0:
        raise InvalidArgument(f"viewport: {text[:100]!r} shows a part without size")
    return Viewport(width, height, x or 0, y or 0, source_width, source_height)


def _window(text: str) -> tuple[float, float, str]:
    """``center,width,function`` (PS3.18 §8.3.5.1.4)."""
    center, _, rest = text.partition(",")
    width, _, function = rest.partition(",")
    name = _FUNCTIONS.get(function.strip().lower() or "linear")
    good = _DECIMAL.fullmatch(center) and _DECIMAL.fullmatch(width) and name
    if not good or name is None or not math.isfinite(float(width)) or float(width) <= 0:
        raise InvalidArgument(
            f"window: {text[:100]!r} is not center,width,function with a width above 0 and one of "
            f"{', '.join(_FUNCTIONS)}"
        )
    return float(center), float(width), name


def _quality(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100):
        raise InvalidArgument(f"quality: {text[:100]!r} is not a number from 1 to 100")
    return int(text)
