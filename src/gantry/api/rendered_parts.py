"""Rendered studies and series (PS3.18 §10.4.1.1.3): every picture, in parts of one answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from gantry.api.accept import MediaRange, Offer, rank
from gantry.api.alternatives import begin
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.level_parts import answer_parts, make_video
from gantry.api.rendering import PARAMETERS, parse_view, render_row, require_no_view, warn_of_annotations
from gantry.api.web import Answer, WebHandler
from gantry.dicom import forms
from gantry.errors import FailedPrecondition, NotAcceptable, UnsuitableForm
from gantry.resources import StoredInstance
from gantry.studies.parts import Job, Part
from gantry.studies.render import View, render_images
from gantry.studies.retrieve import PIXEL_DATA, read_bulk

_PICTURES = (forms.JPEG, forms.PNG)
_OFFERS = tuple(
    Offer(media_type, multipart) for multipart in (True, False) for media_type in (*_PICTURES, *forms.VIDEO_TYPES)
)


@partial(WebHandler, lane=Lane.PICTURE, offers=_OFFERS, parameters=lambda: PARAMETERS)
def render_below(call: Call) -> Answer:
    """Every frame of every instance as a picture, and videos as they are stored.

    A picture without parts is sent where the study or series has one instance with pictures. Of several instances one
    picture would be taken for all there is, which is dangerous in a hospital: that is 406, and thumbnails are there.
    """
    for choice in call.rank(_OFFERS):
        if choice.offer.multipart:
            accepted = call.accepted(_OFFERS)
            views = [parse_view(call, offer.type) for offer, _ in rank(accepted, _OFFERS[: len(_PICTURES)])]
            answer = answer_parts(call, "image", partial(_plan, call, accepted, views), views)
            warnings = filter(None, (warn_of_annotations(call).get("warning"), answer.headers.get("warning")))
            text = ", ".join(warnings)
            return replace(answer, headers=answer.headers | {"warning": text}) if text else answer
        only = _find_only(call)
        if only is not None:
            return render_row(call, only)
    raise NotAcceptable(
        f"{call.path} has more than one image, or none; ask for multipart/related, or for the picture of …/thumbnail"
    )


def _find_only(call: Call) -> StoredInstance | None:
    """The only instance with pictures; None where there are more, or none."""
    found: list[StoredInstance] = []
    for row in call.context.seams.index.instances.list_below(call.dicom_store, call.path):
        if _has_pictures(row):
            found.append(row)
        if len(found) > 1:
            return None
    return found[0] if found else None


def _has_pictures(row: StoredInstance) -> bool:
    return bool((row.rows and row.columns) or forms.video_types(row.transfer_syntax_uid))


def _plan(
    call: Call, accepted: Sequence[MediaRange], views: Sequence[View], rows: Iterator[StoredInstance]
) -> Iterator[Job]:
    web_url = call.web_url
    for row in rows:
        yield Job(row, partial(_make_parts, call, web_url, accepted, views, row))


def _make_parts(
    call: Call, web_url: str, accepted: Sequence[MediaRange], views: Sequence[View], row: StoredInstance
) -> Generator[Part, None, None]:
    address = f"{web_url}/{row.path}"
    if not _has_pictures(row):
        raise FailedPrecondition("the instance has no pixel data")
    if forms.video_types(row.transfer_syntax_uid):
        return _make_video(call, address, accepted, row)
    return _make_pictures(call, address, views, row)


def _make_video(
    call: Call, address: str, accepted: Sequence[MediaRange], row: StoredInstance
) -> Generator[Part, None, None]:
    require_no_view(call)
    value = read_bulk(call.context.seams, call.dicom_store, row, PIXEL_DATA)
    return make_video(accepted, row, value, f"{address}/rendered")


def _make_pictures(call: Call, address: str, views: Sequence[View], row: StoredInstance) -> Generator[Part, None, None]:
    view, images = _begin_pictures(call, views, row)
    with closing(images):
        for number, picture in enumerate(images, 1):
            is_alone = number == 1 and (row.number_of_frames or 1) == 1
            place = f"{address}/rendered" if is_alone else f"{address}/frames/{number}/rendered"
            yield Part({"content-type": view.media_type, "content-location": place}, iter((picture,)))


def _begin_pictures(
    call: Call, views: Sequence[View], row: StoredInstance
) -> tuple[View, Generator[bytes, None, None]]:
    """In the first media type that can hold these pixels."""
    failed: UnsuitableForm | None = None
    for view in views:
        try:
            return view, begin(render_images(call.context.seams, call.dicom_store, row, view, None))
        except UnsuitableForm as error:
            failed = failed or error
    raise failed or NotAcceptable("it is an image, and Accept asks for videos")
