"""WADO-RS (PS3.18 §10.4): instances, metadata, frames, bulk data."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial, reduce

from gantry.api.accept import Choice, MediaRange, Offer, forbids, media_type_text, rank
from gantry.api.alternatives import begin, make_first
from gantry.api.attachments import attachment_header
from gantry.api.call import Call
from gantry.api.lanes import Lane
from gantry.api.multipart import Delimiters
from gantry.api.preconditions import is_known, weaken
from gantry.api.ranges import parse_range
from gantry.api.searching import DICOM_JSON, OBJECTS, json_array, xml_parts
from gantry.api.web import Answer, WebHandler
from gantry.dicom import forms
from gantry.errors import DataLoss, InvalidArgument, NotAcceptable, StatusError
from gantry.names import ResourcePath
from gantry.resources import StoredInstance
from gantry.studies.frames import Frame, read_frames
from gantry.studies.metadata import make_etag, read_metadata
from gantry.studies.retrieve import (
    ANY,
    PIXEL_DATA,
    Sent,
    Value,
    keep_stored,
    parse_bulk_path,
    read_alone,
    read_bulk,
    read_instance,
    read_instances,
    read_video_type,
)
from gantry.studies.zipping import ZIP, zip_instances

_DICOM_SYNTAXES = (forms.EXPLICIT_LE, ANY, *(uid for uid in forms.PRODUCIBLE if uid != forms.EXPLICIT_LE))
_PARTS, _ONE = (Offer(forms.DICOM, multipart, _DICOM_SYNTAXES, forms.EXPLICIT_LE) for multipart in (True, False))
_ZIP = Offer(ZIP, False, (ANY, *(uid for uid in _DICOM_SYNTAXES if uid != ANY)), ANY)
FRAMES = tuple(
    offer
    for multipart in (True, False)
    for offer in (
        Offer(forms.OCTETS, multipart, (forms.EXPLICIT_LE, ANY), forms.EXPLICIT_LE),
        *(
            Offer(name, multipart, all_, forms.UNNAMED[name][0], forms.UNNAMED[name])
            for name, all_ in forms.FRAME_TYPES
        ),
    )
)
_BULK = tuple(Offer(forms.OCTETS, multipart, (ANY, forms.EXPLICIT_LE), ANY) for multipart in (True, False))
VIDEOS = tuple(Offer(media_type, multipart) for multipart in (True, False) for media_type in forms.VIDEO_TYPES)
"""What ``video_offers`` chooses from."""

_FRAME_TYPE = {uid: media_type for media_type, syntaxes in forms.FRAME_TYPES for uid in syntaxes}
_FRAME_LIST = re.compile(r"[1-9][0-9]{0,18}(?:,[1-9][0-9]{0,18})*")
_MAX_FRAMES = 10_000  # the list of the first so many has 49,000 characters
_WHOLE = 4 << 20  # a value of up to this size is sent in one piece, without a stream
_MAX_WARNING = 500  # characters of the text of a Warning header
_PIECE = 1 << 20  # of a stream: large enough to read at the speed of a disk


@partial(WebHandler, offers=(_PARTS, _ZIP))
def retrieve_many(call: Call) -> Answer:
    """A study or a series, in the parts of an answer or, beyond the API, in one ZIP archive."""
    ranked = call.rank(_offer_stored(call, (_PARTS,) if call.context.strict_search else (_PARTS, _ZIP)))
    offers = dict.fromkeys(offer for offer, _ in ranked)  # each instance has its own transfer syntax
    return make_first((Choice(offer, ANY) for offer in offers), lambda offer, _: _answer_all(call, offer))


def _offer_stored(call: Call, offers: Sequence[Offer]) -> list[Offer]:
    """With the syntaxes that can be made, and those that are stored where Accept names another one."""
    named = {item.transfer_syntax for item in call.accepted()} - {"", *_DICOM_SYNTAXES}
    if not named:
        return [*offers]
    stored = call.context.seams.index.instances.list_transfer_syntaxes(call.dicom_store, call.path)
    return [reduce(_add_stored, stored, offer) for offer in offers]


@partial(WebHandler, offers=(_PARTS, _ONE, _ZIP))
def retrieve_instance(call: Call) -> Answer:
    """As one part of a multipart answer, in a ZIP archive, or alone: then a client can request a range of its bytes."""
    row = find_instance(call)
    stored = row.transfer_syntax_uid
    same = (ANY, stored)

    def answer(offer: Offer, syntax: str) -> Answer:
        if offer.multipart or offer.type == ZIP:
            plan = keep_stored if syntax == ANY else lambda _: (syntax,)
            return _send(call, offer, read_alone(call.context.seams, call.dicom_store, row, plan))
        syntax = ANY if syntax == stored else syntax
        content_type = f"{forms.DICOM}; transfer-syntax={stored if syntax == ANY else syntax}"
        etag = make_etag(row, "instance", syntax)
        return answer_value(
            call, lambda: read_instance(call.context.seams, call.dicom_store, row, syntax), content_type, etag
        )

    offers = (_PARTS, _ONE) if call.context.strict_search else (_PARTS, _ONE, _ZIP)
    return make_first(call.rank([_add_stored(offer, stored) for offer in offers], same), answer, same)


def _add_stored(offer: Offer, stored: str) -> Offer:
    """What is stored can always be sent, also what nobody can make: a video."""
    return (
        offer
        if stored in offer.transfer_syntaxes
        else replace(offer, transfer_syntaxes=(*offer.transfer_syntaxes, stored))
    )


def _answer_all(call: Call, offer: Offer) -> Answer:
    """All instances below the path, each in the first form that Accept has for it."""
    accepted = call.accepted((offer,))

    def plan(stored: str) -> Sequence[str]:
        choices = rank(accepted, [_add_stored(offer, stored)], (ANY, stored))
        syntaxes = dict.fromkeys(stored if syntax == ANY else syntax for _, syntax in choices)
        return [syntax for syntax in syntaxes if syntax == stored or stored in forms.DECODABLE]

    takes_any = all(item.transfer_syntax in ("", ANY) for item in accepted)  # one that is named may be forbidden
    wants_stored = takes_any and all(choice.syntax == ANY for choice in rank(accepted, [offer])[:1])
    chosen = keep_stored if wants_stored else plan
    return _send(call, offer, read_instances(call.context.seams, call.dicom_store, call.path, chosen))


def _send(call: Call, offer: Offer, sent: Sent) -> Answer:
    answer = _in_parts(call, sent) if offer.multipart else _in_archive(call, sent)
    if sent.left_out:
        answer.headers["warning"] = describe_left_out(len(sent.left_out), sent.left_out[0])
    return answer


def _in_parts(call: Call, sent: Sent) -> Answer:
    between, web_url = Delimiters(), call.web_url

    def body() -> Iterator[bytes]:
        for piece in sent.pieces:
            if piece.begins is not None:
                place = f"{web_url}/{ResourcePath(*piece.begins.uids)}"
                content_type = f"{forms.DICOM}; transfer-syntax={piece.syntax}"
                yield between.head({"content-type": content_type, "content-location": place})
            yield piece.data
        yield between.end()

    return Answer(body(), media_type_text(_PARTS, "", between.boundary))


def describe_left_out(count: int, first: StatusError, what: str = "instance") -> str:
    """A Warning header (PS3.18 §8.4.3): how many instances are not in the answer, and why the first one is not."""
    return warn(f"{count} {what}{'s are' if count > 1 else ' is'} left out: {first.message}")


def warn(what: str) -> str:
    """The value of a Warning header (PS3.18 §8.4.3)."""
    text = re.sub(r'[^ -~]|["\\]', "?", what)[:_MAX_WARNING]
    return f'299 gantry "{text}"'


def _in_archive(call: Call, sent: Sent) -> Answer:
    name = call.path.instance or call.path.series or call.path.study
    headers = {"content-disposition": attachment_header(f"{name}.zip")}
    return Answer(zip_instances(sent.pieces), ZIP, headers=headers)


@partial(WebHandler, lane=Lane.READ, offers=OBJECTS)
def retrieve_metadata(call: Call) -> Answer:
    offer, _ = call.negotiate(OBJECTS)
    # XML has texts alone, so that it says all that is stored; JSON has numbers, which clients expect.
    found = read_metadata(call.context.seams, call.dicom_store, call.path, call.web_url, keeps_digits=offer.multipart)
    etag = weaken(f'{found.etag[:-1]}-xml"') if found.etag and offer.multipart else found.etag
    remembered = call.context.remembered
    if etag and is_known(call.headers, etag) and remembered.is_whole(etag):
        return Answer(b"", status=304, headers={"etag": etag})
    headers = {"etag": etag} if etag else {}
    if offer.multipart:
        body, content_type = xml_parts(offer, found.objects, call.web_url)
        return Answer(remembered.pass_pieces(etag, body, found.unread) if etag else body, content_type, headers=headers)
    kept = remembered.get(etag) if etag else None
    if kept is not None:
        return Answer(kept, DICOM_JSON, headers=headers)
    return Answer(remembered.keep_pieces(etag, json_array(found.objects), found.unread), DICOM_JSON, headers=headers)


@partial(WebHandler, offers=FRAMES)
def retrieve_frames(call: Call) -> Answer:
    """Frames by numbers from 1, in their order in the list (PS3.18 §10.4.1.1.6)."""
    numbers = parse_frame_list(call.ids[7])
    row = find_instance(call)
    stored = row.transfer_syntax_uid
    same = (ANY, stored, *((forms.EXPLICIT_LE,) if stored in forms.NATIVE_TARGETS else ()))
    call.rank(FRAMES, same)  # raises where Accept has nothing that frames can be
    choices = rank_frames(call.accepted(FRAMES), FRAMES, row, same)
    fitting = [choice for choice in choices if choice.offer.multipart or len(numbers) == 1]
    if not fitting:
        raise NotAcceptable(
            f"{len(numbers)} frames need a multipart answer; Accept names a single part"
            if choices
            else f"it is stored as {_FRAME_TYPE[stored]}, which Accept forbids"
        )
    return make_first(fitting, partial(_answer_frames, call, row, numbers), same)


def rank_frames(
    accepted: Sequence[MediaRange], offers: Sequence[Offer], row: StoredInstance, stored: Sequence[str]
) -> list[Choice]:
    """As ``accept.rank``. Stored bitstreams have the media type of their transfer syntax, which Accept may forbid."""
    syntax = row.transfer_syntax_uid
    held = _FRAME_TYPE.get(syntax, forms.OCTETS)
    forbidden = {
        multipart: forbids(accepted, Offer(held, multipart, (syntax,), syntax), syntax) for multipart in (True, False)
    }
    return [
        choice
        for choice in rank(accepted, offers, stored)
        if choice.syntax != ANY or held == choice.offer.type or not forbidden[choice.offer.multipart]
    ]


def _answer_frames(call: Call, row: StoredInstance, numbers: Sequence[int], offer: Offer, syntax: str) -> Answer:
    wanted = "" if syntax == ANY else syntax
    content_type = frame_type(row, offer, syntax)

    def find() -> Generator[Frame, None, None]:
        context, indices = call.context, [number - 1 for number in numbers]
        return read_frames(context.seams, context.frame_places, call.dicom_store, row, indices, wanted)

    if not offer.multipart:
        etag = make_etag(row, "frame", numbers, content_type)
        return answer_value(call, lambda: Value.of(_join(find())), content_type, etag)
    headers = {"etag": weaken(make_etag(row, "frames", numbers, content_type, call.web_url))}
    if is_known(call.headers, headers["etag"]):
        return Answer(b"", status=304, headers=headers)
    between = Delimiters()
    root = Offer(content_type.partition(";")[0], True, (), "")
    parts = _frames_in_parts(begin(find()), numbers, content_type, f"{call.web_url}/{call.path}/frames", between)
    return Answer(parts, media_type_text(root, "", between.boundary), headers=headers)


def _join(found: Generator[Frame, None, None]) -> bytes:
    with closing(found):
        return b"".join(piece for frame in found for piece in frame)


def _frames_in_parts(
    found: Generator[Frame, None, None], numbers: Sequence[int], content_type: str, place: str, between: Delimiters
) -> Iterator[bytes]:
    with closing(found):
        for number, frame in zip(numbers, found, strict=True):
            yield between.head({"content-type": content_type, "content-location": f"{place}/{number}"})
            yield from frame
    yield between.end()


def frame_type(row: StoredInstance, offer: Offer, syntax: str) -> str:
    """Stored bitstreams have the media type of their transfer syntax, also if the client accepts ``*``."""
    if syntax == ANY:
        stored = row.transfer_syntax_uid
        return f"{_FRAME_TYPE.get(stored, forms.OCTETS)}; transfer-syntax={stored}"
    return f"{offer.type}; transfer-syntax={syntax}"


def parse_frame_list(text: str) -> list[int]:
    """``1,2,3``. Raises InvalidArgument."""
    numbers = [int(number) for number in text.split(",")] if _FRAME_LIST.fullmatch(text) else []
    if not 0 < len(numbers) <= _MAX_FRAMES:
        raise InvalidArgument(
            f"frames: {text[:100]!r} is not a list of 1 to {_MAX_FRAMES} numbers that begin at 1, like 1,2,3"
        )
    return numbers


@partial(WebHandler, offers=(*_BULK, *VIDEOS))
def retrieve_bulkdata(call: Call) -> Answer:
    path = parse_bulk_path(call.ids[7])
    row = find_instance(call)
    is_video = path == PIXEL_DATA and forms.video_types(row.transfer_syntax_uid)
    offer, _ = call.negotiate(_BULK + video_offers(call, row, (True, False)) if is_video else _BULK)

    def value() -> Value:
        return read_bulk(call.context.seams, call.dicom_store, row, path)

    location = f"{call.web_url}/{call.path}/bulkdata/{call.ids[7].strip('/')}"
    if not offer.multipart:
        return answer_value(call, value, offer.type, make_etag(row, "bulkdata", path, offer.type))
    etag = weaken(make_etag(row, "bulkdata", location, offer.type))
    return _answer_part(call, value, offer, location, "" if call.context.strict_search else etag)


def _answer_part(call: Call, make: Callable[[], Value], offer: Offer, location: str, etag: str) -> Answer:
    """A value in one part, or the requested range of it: the range is that of the value and not of the body, so that
    Content-Range stands in the part, as in multipart/byteranges (RFC 9110 §15.3.7.2).

    PS3.18 had it so up to 2018 (§6.5.5.2.1 then), and clients in JavaScript and Python ask for it; 2019 and later leave
    it open. Without ``etag`` it is sent as a whole, as the API does.
    """
    headers = {"etag": etag, "accept-ranges": "bytes"} if etag else {}
    if etag and is_known(call.headers, etag):
        return Answer(b"", status=304, headers=headers)
    value, between = make(), Delimiters()
    wanted = _choose_range(call, value, etag) if etag else None
    start, length = wanted or (0, value.size)
    part = {"content-type": offer.type, "content-location": location}
    if wanted is not None:
        part["content-range"] = _describe_range(start, length, value.size)

    def body() -> Iterator[bytes]:
        yield between.head(part)
        yield from read_pieces(value, start, length)
        yield between.end()

    return Answer(body(), media_type_text(offer, "", between.boundary), 200 if wanted is None else 206, headers)


def video_offers(call: Call, row: StoredInstance, multipart: Sequence[bool]) -> tuple[Offer, ...]:
    """The media types of a video: the one of its bytes, then those of its transfer syntax."""
    by_bytes = read_video_type(call.context.seams, call.dicom_store, row)
    types = dict.fromkeys((by_bytes, *forms.video_types(row.transfer_syntax_uid)))
    return tuple(Offer(media_type, parts, (), "") for parts in multipart for media_type in types)


# --- one value, whole or in part


def find_instance(call: Call) -> StoredInstance:
    """The instance that the path names. Raises NotFound."""
    return next(call.context.seams.index.instances.list_below(call.dicom_store, call.path))


def answer_value(call: Call, make: Callable[[], Value], content_type: str, etag: str) -> Answer:
    """A whole value, the requested range of it, or 304 if it has not changed (RFC 9110 §13, §14)."""
    headers = {"etag": etag, "accept-ranges": "bytes"}
    if is_known(call.headers, etag):
        return Answer(b"", status=304, headers=headers)
    value = make()
    wanted = _choose_range(call, value, etag)
    start, length = wanted or (0, value.size)
    status = 200 if wanted is None else 206
    if wanted is not None:
        headers["content-range"] = _describe_range(start, length, value.size)
    if length <= _WHOLE:
        return Answer(b"".join(read_pieces(value, start, length)), content_type, status, headers)
    headers["content-length"] = str(length)
    return Answer(read_pieces(value, start, length), content_type, status, headers)


def _choose_range(call: Call, value: Value, etag: str) -> tuple[int, int] | None:
    """Start and length of the range that is asked for, None for the whole. Closes the value where it raises.

    The entity tag of If-Range is compared strongly: a weak one matches nothing (RFC 9110 §13.1.5).
    """
    if "if-range" in call.headers and (call.headers["if-range"] != etag or etag.startswith("W/")):
        return None
    try:
        return parse_range(call.headers.get("range", ""), value.size)
    except BaseException:
        value.close()
        raise


def _describe_range(start: int, length: int, size: int) -> str:
    return f"bytes {start}-{start + length - 1}/{size}"


def read_pieces(value: Value, start: int, length: int) -> Iterator[bytes]:
    """The bytes of a value; closes it. Raises DataLoss if bytes are missing."""
    try:
        while length:
            piece = value.read(start, min(length, _PIECE))
            if not piece:
                raise DataLoss("the file of an instance is shorter than it was")
            yield piece
            start, length = start + len(piece), length - len(piece)
    finally:
        value.close()
