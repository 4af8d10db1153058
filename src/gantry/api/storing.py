"""STOW-RS (PS3.18 §10.5) and its answer, and the upsert of v1beta1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from gantry.api.accept import Offer, choose
from gantry.api.body import Body
from gantry.api.call import Call
from gantry.api.messages import Json
from gantry.api.multipart import MULTIPART, parse_content_type, parts
from gantry.api.searching import DICOM_JSON, DICOM_XML
from gantry.api.web import Answer, WebHandler
from gantry.dicom.forms import DICOM
from gantry.errors import InvalidArgument, StatusError, UnsupportedMediaType
from gantry.names import ResourcePath, check_uids
from gantry.studies.metadata import write_xml
from gantry.studies.store import Incoming, Refused, Stored, store
from gantry.studies.store_json import read_json_parts

PROCESSING_FAILURE = 0x0110
"""The one FailureReason of the API (PS3.18 §I.2.2); FailureDetail has the text for people."""

_OFFERS = (Offer(DICOM_XML, False, (), ""), Offer(DICOM_JSON, False, (), ""), Offer("application/json", False, (), ""))
_BODIES, _JSON_BODY = (Offer(DICOM, True), Offer(DICOM, False)), Offer(DICOM_JSON, True)
_PRIVATE_KEYWORDS = {("GOOGLE", "00090097"): "FailureDetail"}
_MAGIC_END = 132  # of the preamble and "DICM" (PS3.10 §7.1)


def _handler(replace: bool) -> WebHandler:
    def handle(call: Call) -> Answer:
        study = call.path.study
        check_uids(ResourcePath(study), other=True)
        offer = (choose(call.accepted(_OFFERS), _OFFERS) or (_OFFERS[0], ""))[0]
        context = call.context
        incoming = _incoming(call, replace)
        stored = store(
            context.seams, context.uploads, call.dicom_store, incoming, study, replace, context.strict_search
        )
        if not stored.instances and not stored.refused:
            raise InvalidArgument("the request holds no instance")
        answer = json.dumps(answer_json(stored, call.web_url, study), ensure_ascii=False)
        status = 409 if stored.refused else 200
        if replace:
            call.context.sweep()
        if offer.type == DICOM_XML:
            return Answer(write_xml(answer, _PRIVATE_KEYWORDS), DICOM_XML, status)
        return Answer(answer.encode("utf-8", "replace"), DICOM_JSON, status)

    return WebHandler(handle, offers=_OFFERS, reads=_BODIES if replace else (*_BODIES, _JSON_BODY))


store_instances, update_instances = _handler(replace=False), _handler(replace=True)


# --- the request


def _incoming(call: Call, replace: bool) -> Iterator[Incoming]:
    """The instances, found by Content-Type, or by the bytes if it is not useful. Raises InvalidArgument."""
    text = call.headers.get("content-type", "")
    media_type, parameters = _media_type(text)
    read = call.content.reader()
    if media_type == MULTIPART:
        root = parameters.get("type", "").lower()
        boundary = parameters.get("boundary", "")
        if root == _JSON_BODY.type and not replace:
            return read_json_parts(parts(read, boundary))
        if root not in ("", DICOM):
            raise _unsupported(call, f"multipart/related with type {root[:100]!r} cannot be stored here")
        return _parts(read, boundary)
    if media_type == DICOM_JSON and not replace and not call.context.strict_search:
        return read_json_parts(iter((_Whole(call.content, call.headers),)))
    if media_type == DICOM:
        return iter([Incoming("the instance", call.content.chunks())])
    first = _at_least(read, _MAGIC_END)
    if first[_MAGIC_END - 4 : _MAGIC_END] == b"DICM":
        return iter([Incoming("the instance", chain((first,), call.content.chunks()))])
    raise _unsupported(
        call,
        f'{text[:100]!r} cannot be stored; send {DICOM} for one instance, or {MULTIPART}; type="{DICOM}"; boundary=…',
    )


@dataclass(frozen=True, slots=True)
class _Whole:
    """A body that is one part: instances as DICOM JSON need no other one if they have no bulk data."""

    content: Body
    headers: Mapping[str, str]
    content_type: str = DICOM_JSON

    def chunks(self) -> Iterator[bytes]:
        return self.content.chunks()


def _unsupported(call: Call, what: str) -> InvalidArgument:
    """415 (PS3.18 §10.5.3.1), or 400 as the API has it."""
    kind = InvalidArgument if call.context.strict_search else UnsupportedMediaType
    return kind(f"Content-Type: {what}")


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """The media type of a header and its parameters; "" if it cannot be read."""
    try:
        return parse_content_type(text)
    except InvalidArgument:
        return "", {}


def _parts(read: Callable[[], bytes], boundary: str) -> Iterator[Incoming]:
    """A fault in the multipart structure, or a slow client, ends the reading; the parts before it are stored."""
    rest = parts(read, boundary)
    number, broken = 0, list[StatusError]()
    while not broken:
        number += 1
        try:
            part = next(rest, None)
        except StatusError as error:
            if number == 1:
                raise
            yield Incoming(f"part {number}", iter(()), error)
            return
        if part is None:
            return
        media_type = part.content_type
        if media_type not in ("", DICOM):
            problem = InvalidArgument(f"has the Content-Type {media_type[:100]!r} and not {DICOM}")
            yield Incoming(f"part {number}", iter(()), problem)
        else:
            yield Incoming(f"part {number}", _noting(part.chunks(), broken))


def _noting(chunks: Iterator[bytes], broken: list[StatusError]) -> Iterator[bytes]:
    """Behind a part whose bytes do not come, no other one can begin."""
    try:
        yield from chunks
    except StatusError as error:
        broken.append(error)
        raise


def _at_least(read: Callable[[], bytes], length: int) -> bytes:
    held = b""
    while len(held) < length and (piece := read()):
        held += piece
    return held


# --- the answer


def answer_json(stored: Stored, web_url: str, study: str) -> Json:
    """The Store Instances Response (PS3.18 §10.5.3.2), with Google's private element for the message of a failure, and
    one of our own for its reason (docs/howto/failures.md)."""
    answer: Json = {}
    if uid := study or stored.study:
        answer["00081190"] = _element("UR", f"{web_url}/{ResourcePath(uid)}")
    if stored.refused:
        answer["00081198"] = {"vr": "SQ", "Value": [_failed(item) for item in stored.refused]}
    if stored.instances:
        items = [
            _reference(item.sop_class_uid, item.sop_instance_uid)
            | {"00081190": _element("UR", f"{web_url}/{item.path}")}
            for item in stored.instances
        ]
        answer["00081199"] = {"vr": "SQ", "Value": items}
    return answer


def _failed(item: Refused) -> Json:
    return _reference(item.sop_class_uid, item.sop_instance_uid) | {
        "00081197": _element("US", PROCESSING_FAILURE),
        "00090010": _element("LO", "GOOGLE"),
        "00090011": _element("LO", "GANTRY"),
        "00091097": _element("LT", item.status.message),
        "00091101": _element("LO", item.status.reason.value),
    }


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Json:
    uids = {"00081150": sop_class_uid, "00081155": sop_instance_uid}
    return {tag: _element("UI", uid) for tag, uid in uids.items() if uid}


def _element(vr: str, value: str | int) -> Json:
    return {"vr": vr, "Value": [value]}
