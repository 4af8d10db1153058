"""The Pixel Data of a study, a series or an instance, in parts of one answer (PS3.18 §10.4.1.1.6, §10.4.3.3.6)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import partial

from gantry.api.accept import MediaRange, Offer
from gantry.api.alternatives import begin, make_first
from gantry.api.call import Call
from gantry.api.level_parts import answer_parts, make_video
from gantry.api.retrieving import FRAMES, frame_type, rank_frames, read_pieces
from gantry.api.web import Answer, WebHandler
from gantry.dicom import forms
from gantry.errors import NotAcceptable
from gantry.resources import StoredInstance
from gantry.studies.bulk_values import StoredPixels, open_pixels
from gantry.studies.frames import read_frames
from gantry.studies.looking_up import find_same
from gantry.studies.parts import Job, Part
from gantry.studies.retrieve import ANY, Value

_FRAMES = tuple(offer for offer in FRAMES if offer.multipart)
_VIDEOS = tuple(Offer(media_type, True) for media_type in forms.VIDEO_TYPES)
_OFFERS = (*_FRAMES, *_VIDEOS)
_BATCH, _MOST_BATCH = 64 << 20, 256
"""Bytes and frames that are located at a time: a slide has a million of them."""

_CELL = 6  # bytes of the largest cell: three samples of 16 bits

Parts = Generator[Part, None, None]


@partial(WebHandler, offers=_OFFERS)
def retrieve_pixels_below(call: Call) -> Answer:
    """The pixels of every instance that has any. Uncompressed they are one value, with the address that the metadata
    gives; compressed frames are a part each."""
    call.negotiate(_OFFERS)
    return answer_parts(call, "pixel data", partial(_plan, call, call.accepted(_OFFERS)), "pixeldata")


def _plan(call: Call, accepted: Sequence[MediaRange], rows: Iterator[StoredInstance]) -> Iterator[Job]:
    web_url = call.web_url
    for row in rows:
        yield Job(row, partial(_make_parts, call, f"{web_url}/{row.path}", accepted, row))


def _make_parts(call: Call, address: str, accepted: Sequence[MediaRange], row: StoredInstance) -> Parts:
    with open_pixels(call.context.seams, call.dicom_store, row) as pixels:
        if pixels is not None:
            with closing(_make_first(call, address, accepted, pixels)) as parts:
                yield from parts


def _make_first(call: Call, address: str, accepted: Sequence[MediaRange], pixels: StoredPixels) -> Parts:
    """In the first form that can be made."""
    row, place = pixels.row, f"{address}/{pixels.address}"
    if forms.video_types(row.transfer_syntax_uid):
        return make_video(accepted, row, pixels.read_value(), place, (forms.OCTETS,))
    same = (ANY, row.transfer_syntax_uid, *(() if pixels.is_encapsulated else (forms.EXPLICIT_LE,)))
    choices = rank_frames(accepted, _FRAMES, row, same)
    if not choices:
        raise NotAcceptable("its pixel data cannot become what Accept asks for")

    def make(offer: Offer, syntax: str) -> Parts:
        if _is_value(offer, syntax, pixels):
            return _make_value(place, pixels.read_value())
        return begin(_make_frames(call, address, offer, syntax, pixels))

    return make_first(choices, make, same)


def _is_value(offer: Offer, syntax: str, pixels: StoredPixels) -> bool:
    """Whether the pixels are sent as they stand in the element, or decoded into it."""
    return offer.type == forms.OCTETS and (not pixels.is_encapsulated or syntax == forms.EXPLICIT_LE)


def _make_value(place: str, value: Value) -> Parts:
    content_type = f"{forms.OCTETS}; transfer-syntax={forms.EXPLICIT_LE}"
    yield Part({"content-type": content_type, "content-location": place}, read_pieces(value, 0, value.size))


def _make_frames(call: Call, address: str, offer: Offer, syntax: str, pixels: StoredPixels) -> Parts:
    """Located some at a time. Raises Replaced where the instance is replaced meanwhile."""
    context, store, row, count = call.context, call.dicom_store, pixels.row, pixels.count_frames()
    content_type = frame_type(row, offer, syntax)
    wanted = "" if syntax == ANY else syntax
    step = max(1, min(_MOST_BATCH, _BATCH // ((row.rows or 1) * (row.columns or 1) * _CELL)))
    for first in range(0, count, step):
        if first:
            find_same(context.seams, store, row)
        numbers = range(first, min(first + step, count))
        with closing(read_frames(context.seams, context.frame_places, store, row, numbers, wanted)) as frames:
            for number, frame in enumerate(frames, first + 1):
                place = pixels.address if count == 1 else f"frames/{number}"
                yield Part({"content-type": content_type, "content-location": f"{address}/{place}"}, frame)
