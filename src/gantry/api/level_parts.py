"""Answers in parts of all instances below a study, a series or an instance (PS3.18 §10.4.3.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import NamedTuple

from gantry.api.accept import MediaRange, Offer, media_type_text, rank
from gantry.api.call import Call
from gantry.api.multipart import Delimiters
from gantry.api.preconditions import is_known, weaken
from gantry.api.retrieving import describe_left_out, read_pieces
from gantry.api.web import Answer
from gantry.dicom import forms
from gantry.errors import FailedPrecondition, InvalidArgument, NotAcceptable, NotFound, StatusError
from gantry.resources import StoredInstance
from gantry.studies.departure import require_client
from gantry.studies.headers import name_instance
from gantry.studies.metadata import MAX_REMEMBERED_ROWS, make_etag_of
from gantry.studies.parts import Failures, Gathered, Part, Plan, gather_parts
from gantry.studies.retrieve import ANY, Value

logger = logging.getLogger(__name__)


def answer_parts(
    call: Call, what: str, plan: Plan, *about: object, has_parts: Callable[[StoredInstance], bool] = lambda _: True
) -> Answer:
    """The parts that ``plan`` makes of the instances below the path, in the order of its metadata.

    ``what`` they are, in a message; ``about`` are the parameters of the request, Accept apart, for the entity tag,
    which up to MAX_REMEMBERED_ROWS instances have if none of them is left out: one that cannot be read now may be read
    next time. Instances without ``has_parts`` are left out without being read. Raises NotFound where there is none of
    it, and NotAcceptable where none of it has a form that the client accepts.
    """
    first, rest, etag = _list_rows(call, what, call.web_url, call.accepted(), *about)
    headers = {"etag": etag} if etag else {}
    remembered = call.context.remembered
    if etag and is_known(call.headers, etag) and remembered.is_whole(etag):
        return Answer(b"", status=304, headers=headers)
    lacking = _find_lacking(call, what, first, has_parts)
    found = gather_parts(call.context.seams, call.dicom_store, plan, filter(has_parts, chain(first, rest)))
    if not found.root:
        raise _explain(found.left_out, f"{call.path} has no {what}")
    if error := found.left_out.first or lacking.first:
        count = found.left_out.count + lacking.number
        headers = {"warning": describe_left_out(count, error, "part")}
    between = Delimiters()
    body = _write(found, between)
    root = Offer(found.root.partition(";")[0], True)
    content_type = media_type_text(root, "", between.boundary)
    return Answer(remembered.pass_pieces(etag, body, found.unread) if etag else body, content_type, headers=headers)


class Lacking(NamedTuple):
    """How many instances have none of what an answer is made of, and the error of the first one."""

    number: int
    first: StatusError | None


def count_lacking(rows: Iterable[StoredInstance], what: str, has_parts: Callable[[StoredInstance], bool]) -> Lacking:
    """Raises Cancelled where the client has disconnected."""
    first: StatusError | None = None
    number = 0
    for row in rows:
        require_client()
        if not has_parts(row):
            number += 1
            first = first or name_instance(row, FailedPrecondition(f"it has no {what}"))
    return Lacking(number, first)


def _find_lacking(
    call: Call, what: str, first: Sequence[StoredInstance], has_parts: Callable[[StoredInstance], bool]
) -> Lacking:
    """Counted before anything is sent, so that the Warning has all of them, and logged in one line."""
    is_all = len(first) <= MAX_REMEMBERED_ROWS
    rows = first if is_all else call.context.seams.index.instances.list_below(call.dicom_store, call.path)
    lacking = count_lacking(rows, what, has_parts)
    if lacking.number:
        logger.info("%s: %d instances without %s are left out of an answer", call.path, lacking.number, what)
    return lacking


def make_video(
    accepted: Sequence[MediaRange], row: StoredInstance, value: Value, place: str, first: Sequence[str] = ()
) -> Generator[Part, None, None]:
    """The stored video, as the media type of its bytes, of its transfer syntax, or before those as one of ``first``."""
    by_bytes = value.video.media_type if value.video else forms.OCTETS
    types = dict.fromkeys((*first, by_bytes, *forms.video_types(row.transfer_syntax_uid)))
    choices = rank(accepted, [Offer(media_type, True, (ANY,), ANY) for media_type in types])
    if not choices:
        value.close()
        raise NotAcceptable(f"it is a video, {', '.join(types)}, which is not what Accept asks for")
    headers = {"content-type": choices[0].offer.type, "content-location": place}
    yield Part(headers, read_pieces(value, 0, value.size))


def _list_rows(call: Call, *about: object) -> tuple[list[StoredInstance], Iterator[StoredInstance], str]:
    """The first instances below the path, the others, and an entity tag, "" for too many of them. Raises NotFound."""
    rows = call.context.seams.index.instances.list_below(call.dicom_store, call.path)
    first = list(islice(rows, MAX_REMEMBERED_ROWS + 1))
    etag = weaken(make_etag_of(first, *about)) if len(first) <= MAX_REMEMBERED_ROWS else ""
    return first, rows, etag


def _explain(left_out: Failures, nothing: str) -> StatusError:
    """Why there is no part. The request itself is valid where no instance has the form (RFC 9110 §15.5.7)."""
    if left_out.first is None:
        return NotFound(nothing)
    if isinstance(left_out.first, FailedPrecondition | InvalidArgument):
        return NotAcceptable(left_out.first.message)
    return left_out.first


def _write(found: Gathered, between: Delimiters) -> Iterator[bytes]:
    with closing(found.pieces):
        for piece in found.pieces:
            if piece.headers is not None:
                yield between.head(piece.headers)
            yield piece.data
    yield between.end()
