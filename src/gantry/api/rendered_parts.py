"""Rendered studies and series (PS3.18 §10.4.1.1.3): every picture, in parts of one answer."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice, takewhile

from gantry.api.accept import MediaRange, Offer, rank
from gantry.api.alternatives import begin
from gantry.api.call import Call
from gantry.api.documents import DOCUMENTS, REPORTS, find_renderer
from gantry.api.lanes import Lane
from gantry.api.level_parts import Lacking, answer_parts, count_lacking, make_video
from gantry.api.rendering import PARAMETERS, parse_view, render_row, require_no_view, warn_of_annotations
from gantry.api.retrieving import describe_left_out
from gantry.api.web import Answer, Later, WebHandler
from gantry.dicom import forms
from gantry.errors import NotAcceptable, UnsuitableForm
from gantry.resources import StoredInstance
from gantry.studies.parts import Job, Part
from gantry.studies.render import View, render_images
from gantry.studies.retrieve import PIXEL_DATA, read_bulk

_WHAT = "image"
_PICTURES = (forms.JPEG, forms.PNG)
_OFFERS = tuple(
    Offer(media_type, multipart) for multipart in (True, False) for media_type in (*_PICTURES, *forms.VIDEO_TYPES)
)


@partial(WebHandler, lane=Lane.PICTURE, offers=(*_OFFERS, *REPORTS, *DOCUMENTS), parameters=lambda: PARAMETERS)
def render_below(call: Call) -> Answer | Later:
    """Every frame of every instance as a picture, and videos as they are stored.

    A picture without parts is sent where the study or series has one picture alone; a Warning says how many instances
    have none. Of several pictures one would be taken for all there is, which is dangerous in a hospital: that is 406,
    and thumbnails are there. A study or series that is one report or document is that of its instance.
    """
    if make := _find_only_renderer(call):
        return Later(Lane.LONG, make)
    for choice in call.rank(_OFFERS):
        if choice.offer.multipart:
            accepted = call.accepted(_OFFERS)
            views = [parse_view(call, offer.type) for offer, _ in rank(accepted, _OFFERS[: len(_PICTURES)])]
            plan = partial(_plan, call, accepted, views)
            return _warn(answer_parts(call, _WHAT, plan, views, has_parts=_has_pictures), warn_of_annotations(call))
        only, lacking = _find_only(call)
        if only is not None:
            warning = describe_left_out(lacking.number, lacking.first) if lacking.first else ""
            return _warn(render_row(call, only), {"warning": warning})
    raise NotAcceptable(
        f"{call.path} has more than one image, or none; ask for multipart/related, or for the picture of …/thumbnail"
    )


def _find_only_renderer(call: Call) -> Callable[[], Answer] | None:
    """What answers with a report or document, where it is all there is."""
    rows = list(islice(call.context.seams.index.instances.list_below(call.dicom_store, call.path), 2))
    return find_renderer(call, rows[0]) if len(rows) == 1 else None


def _warn(answer: Answer, more: Mapping[str, str]) -> Answer:
    """The answer with one more value of the header Warning, if that is not empty."""
    text = ", ".join(filter(None, (more.get("warning"), answer.headers.get("warning"))))
    return replace(answer, headers={**answer.headers, "warning": text}) if text else answer


def _find_only(call: Call) -> tuple[StoredInstance | None, Lacking]:
    """The only instance with a picture, and those that have none. No instance where there are more pictures, or none:
    an image of several frames has several, a video is one."""
    found: list[StoredInstance] = []

    def is_picture(row: StoredInstance) -> bool:
        if has := _has_pictures(row):
            found.append(row)
        return has

    rows = call.context.seams.index.instances.list_below(call.dicom_store, call.path)
    lacking = count_lacking(takewhile(lambda _: len(found) < 2, rows), _WHAT, is_picture)
    only = found[0] if len(found) == 1 else None
    if only and (only.number_of_frames or 1) > 1 and not forms.video_types(only.transfer_syntax_uid):
        return None, lacking
    return only, lacking


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
