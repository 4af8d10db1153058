"""Rendered frames (PS3.18 §10.4.1.1.3) and thumbnails (§10.4.1.1.4): images that a browser shows."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import count

from gantry.api.accept import Offer, media_type_text
from gantry.api.alternatives import begin, make_first
from gantry.api.call import Call
from gantry.api.documents import DOCUMENTS, REPORTS, find_renderer
from gantry.api.lanes import Lane
from gantry.api.multipart import Delimiters
from gantry.api.preconditions import is_known, weaken
from gantry.api.retrieving import VIDEOS, answer_value, find_instance, parse_frame_list, video_offers, warn
from gantry.api.web import Answer, Later, WebHandler
from gantry.dicom import forms
from gantry.errors import DataLoss, FailedPrecondition, InvalidArgument, StatusError
from gantry.names import ResourcePath
from gantry.resources import StoredInstance
from gantry.studies.metadata import make_etag
from gantry.studies.render import KINDS, MAX_VIEW_SIDE, View, Viewport, list_representatives, render_images
from gantry.studies.retrieve import PIXEL_DATA, Value, read_bulk
from gantry.whole_numbers import read_number

PICTURES = tuple(
    Offer(media_type, multipart, (), "") for multipart in (False, True) for media_type in (forms.JPEG, forms.PNG)
)
_THUMBNAIL = Viewport(128, 128)
_SIDE, _DECIMAL = re.compile(r"[0-9]{1,6}"), re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_DS = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(?:[eE][+-]?[0-9]{1,2})?")
"""A decimal string, which may have an exponent (PS3.5 Table 6.2-1)."""

_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_PROFILES = ("no", "yes", "srgb", "adobergb", "rommrgb", "displayp3")
_KNOWN = ("accept", "quality", "viewport", "window")
PARAMETERS = (*_KNOWN, "annotation", "iccprofile")
_pictures = partial(WebHandler, lane=Lane.PICTURE, offers=PICTURES, parameters=lambda: PARAMETERS)
RENDERED = (*PICTURES, *REPORTS, *DOCUMENTS, *(offer for offer in VIDEOS if not offer.multipart))


@partial(_pictures, offers=RENDERED)
def render_instance(call: Call) -> Answer | Later:
    """The first frame as a picture, or all of them in a multipart answer; a video as it is stored; a report or document
    in a form that people read."""
    row = find_instance(call)
    if make := find_renderer(call, row):
        return Later(Lane.LONG, make)
    return render_row(call, row)


def render_row(call: Call, row: StoredInstance) -> Answer:
    """A picture or a video, as ``render_instance``."""
    return _video(call, row) if forms.video_types(row.transfer_syntax_uid) else _render(call, row, None)


def _video(call: Call, row: StoredInstance) -> Answer:
    """The stored video, whole or the range that a player requests."""
    offer, _ = call.negotiate(video_offers(call, row, (False,)))
    require_no_view(call)

    def value() -> Value:
        return read_bulk(call.context.seams, call.dicom_store, row, PIXEL_DATA)

    return answer_value(call, value, offer.type, make_etag(row, "video", offer.type))


def require_no_view(call: Call) -> None:
    """Raises InvalidArgument where the request asks for a change of a video."""
    if names := [name for name, _ in call.parameters if name in _KNOWN and name != "accept"]:
        raise InvalidArgument(f"{names[0]}: a video is sent as it is stored")


@_pictures
def render_frames(call: Call) -> Answer:
    return _render(call, find_instance(call), [number - 1 for number in parse_frame_list(call.ids[7])])


@_pictures
def render_thumbnail(call: Call) -> Answer:
    """A small picture from the middle of a study, a series or an instance, or of the named frames.

    An instance that has no picture, whatever is wrong with it, is passed over for one beside it.
    """
    parse_view(call, forms.JPEG, _THUMBNAIL)
    named = [frame - 1 for frame in parse_frame_list(call.ids[7])] if len(call.ids) > 7 else None
    failed: StatusError | None = None
    for row, number in list_representatives(call.context.seams, call.dicom_store, call.path):
        try:
            return _render(call, row, [number] if named is None else named, _THUMBNAIL)
        except (FailedPrecondition, InvalidArgument, DataLoss) as error:
            failed = failed or error
    assert failed is not None  # noqa: S101 - there is one instance or more
    raise failed


def _render(call: Call, row: StoredInstance, numbers: list[int] | None, size: Viewport | None = None) -> Answer:
    return make_first(call.rank(PICTURES), partial(_render_as, call, row, numbers, size))


def _render_as(
    call: Call, row: StoredInstance, numbers: list[int] | None, size: Viewport | None, offer: Offer, _: str
) -> Answer:
    view = parse_view(call, offer.type, size)
    if not offer.multipart:
        if numbers is not None and len(numbers) > 1:
            offer = Offer(offer.type, True, (), "")  # a list of frames is always answered in parts
        else:
            numbers = numbers or [0]
    etag = make_etag(row, "rendered", view, numbers)
    if offer.multipart:
        etag = weaken(make_etag(row, "rendered", view, numbers, call.web_url))
    headers = {"etag": etag, **warn_of_annotations(call)}
    if is_known(call.headers, etag):
        return Answer(b"", status=304, headers=headers)
    images = render_images(call.context.seams, call.dicom_store, row, view, numbers)
    if not offer.multipart:
        answer = answer_value(call, lambda: Value.of(next(images)), offer.type, etag)
        return replace(answer, headers=answer.headers | headers)
    between = Delimiters()
    frames = count(1) if numbers is None else (number + 1 for number in numbers)
    places = (f"{call.web_url}/{ResourcePath(*row.uids)}/frames/{number}/rendered" for number in frames)
    body = _in_parts(begin(images), offer.type, places, between)
    return Answer(body, media_type_text(offer, "", between.boundary), headers=headers)


def _in_parts(
    images: Generator[bytes, None, None], content_type: str, places: Iterator[str], between: Delimiters
) -> Iterator[bytes]:
    with closing(images):
        for picture in images:
            yield between.head({"content-type": content_type, "content-location": next(places)}) + picture
    yield between.end()


def parse_view(call: Call, media_type: str, size: Viewport | None = None) -> View:
    values: dict[str, str] = {}  # other parameters are ignored (PS3.18 §8.3)
    for name, value in call.parameters:
        values.setdefault(name, value)
    if call.context.strict_search:
        values = {name: value for name, value in values.items() if name in _KNOWN}
    return View(
        media_type=media_type,
        viewport=_viewport(values["viewport"], size is not None) if "viewport" in values else size,
        window=_window(values["window"]) if "window" in values else None,
        quality=_quality(values["quality"]) if "quality" in values else View("").quality,
        annotations=_annotations(values["annotation"])[0] if "annotation" in values else (),
        icc_profile=_icc_profile(values["iccprofile"]) if "iccprofile" in values else "",
    )


def warn_of_annotations(call: Call) -> dict[str, str]:
    """The header Warning for annotations that are not known, which are left out (PS3.18 §8.3.5.1.1)."""
    text = next((value for name, value in call.parameters if name == "annotation"), "")
    unknown = _annotations(text)[1] if text and not call.context.strict_search else ()
    if not unknown:
        return {}
    return {"warning": warn(f"The following annotation values are not supported: {', '.join(unknown)}")}


def _annotations(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A list of keywords (PS3.18 §8.3.5.1.1): those that are known, and the others."""
    words = [word.strip() for word in text.split(",")]
    if not all(map(_KEYWORD.fullmatch, words)):
        raise InvalidArgument(f"annotation: {text[:100]!r} is not a list of keywords; there are {', '.join(KINDS)}")
    known = tuple(kind for kind in KINDS if kind in map(str.lower, words))
    return known, tuple(dict.fromkeys(word for word in words if word.lower() not in KINDS))


def _icc_profile(text: str) -> str:
    """PS3.18 §8.3.5.1.5. Pictures have no profile unless one is asked for."""
    text = text.lower()  # literals of a grammar are in any case (RFC 5234 §2.3)
    if text not in _PROFILES:
        raise InvalidArgument(f"iccprofile: {text[:100]!r} is none of {', '.join(_PROFILES)}")
    return "" if text == "no" else text


def _viewport(text: str, is_thumbnail: bool) -> Viewport:
    """``vw,vh[,[sx],[sy],[sw],[sh]]`` (PS3.18 §8.3.5.1.3): pixels; the last four are decimals and may be left out. A
    thumbnail has the first two alone.

    The signs of sx and sy mean nothing, those of sw and sh flip. A pixel that is partly in the region is shown whole.
    """
    parts = [part.strip() for part in text.split(",")]
    sides, source = parts[:2], parts[2:]
    if source and is_thumbnail:
        raise InvalidArgument(f"viewport: {text[:100]!r} is not width,height, which is all that a thumbnail takes")
    well_formed = len(sides) == 2 and len(source) <= 4 and all(map(_SIDE.fullmatch, sides))
    if not well_formed or not all(_DECIMAL.fullmatch(part) for part in source if part):
        raise InvalidArgument(
            f"viewport: {text[:100]!r} is neither width,height nor width,height,x,y,width,height; the first two are "
            "whole numbers, any of the others may be left out"
        )
    width, height = map(int, sides)
    if not (0 < width <= MAX_VIEW_SIDE and 0 < height <= MAX_VIEW_SIDE):
        raise InvalidArgument(f"viewport: {text[:100]!r} has a side that is not 1 to {MAX_VIEW_SIDE}")
    numbers = [Fraction(part) if part else None for part in source] + [None] * (4 - len(source))
    if 0 in numbers[2:]:
        raise InvalidArgument(f"viewport: {text[:100]!r} shows a part without size")
    (x, source_width), (y, source_height) = _pixels(numbers[0], numbers[2]), _pixels(numbers[1], numbers[3])
    return Viewport(width, height, x, y, source_width, source_height)


def _pixels(start: Fraction | None, size: Fraction | None) -> tuple[int, int | None]:
    """The start of a side of the region, and how many pixels it touches; negative if it is flipped."""
    begin = abs(start or Fraction(0))
    first = math.floor(begin)
    if size is None:
        return first, None
    count = math.ceil(begin + abs(size)) - first
    return first, count if size > 0 else -count


def _window(text: str) -> tuple[float, float, str]:
    """``center,width,function`` (PS3.18 §8.3.5.1.4): none of them may be left out.

    A width is at least 1 for LINEAR, else above 0 (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3).
    """
    parts = [part.strip() for part in text.split(",")]
    name = _FUNCTIONS.get(parts[-1].lower())
    if len(parts) != 3 or name is None or not all(map(_DS.fullmatch, parts[:2])):
        raise InvalidArgument(
            f"window: {text[:100]!r} is not center,width,function; the function is one of {', '.join(_FUNCTIONS)}"
        )
    center, width = map(float, parts[:2])
    if width <= 0 or (name == "LINEAR" and width < 1):
        least = "at least 1" if name == "LINEAR" else "above 0"
        raise InvalidArgument(f"window: {text[:100]!r} has a width that is not {least}, as {parts[2]} needs")
    return center, width, name


def _quality(text: str) -> int:
    number = read_number(text, 100)
    if not number:
        raise InvalidArgument(f"quality: {text[:100]!r} is not a number from 1 to 100")
    return number
