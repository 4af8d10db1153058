"""STOW-RS (PS3.18 §10.5) and its answer, and the upsert of v1beta1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain

from gantry.api.accept import Offer, choose
from gantry.api.call import Call
from gantry.api.multipart import parse_content_type, parts
from gantry.api.searching import JSON, XML
from gantry.api.web import Answer, WebHandler
from gantry.api.wire import Json
from gantry.errors import InvalidArgument
from gantry.names import ResourcePath
from gantry.studies.metadata import write_xml
from gantry.studies.store import Incoming, Refused, Stored, store
from gantry.studies.store_json import read_json_parts

PROCESSING_FAILURE = 0x0110
"""The one FailureReason that the API gives (PS3.18 §I.2.2); people read the detail."""

_DICOM, _MULTIPART = "application/dicom", "multipart/related"
_OFFERS = (Offer(XML, False, (), ""), Offer(JSON, False, (), ""), Offer("application/json", False, (), ""))
_PRIVATE_KEYWORDS = {("GOOGLE", "00090097"): "FailureDetail"}
_MAGIC_END = 132


def _handler(replace: bool) -> WebHandler:
    def handle(call: Call) -> Answer:
        study = call.path.study
        offer = (choose(call.accepted(), _OFFERS) or (_OFFERS[0], ""))[0]
        found = store(
            call.context.seams, call.context.uploads, call.dicom_store, _incoming(call, replace), study, replace
        )
        if not found.instances and not found.refused:
            raise InvalidArgument("the request holds no instance")
        answer = json.dumps(answer_json(found, call.web_url, study), ensure_ascii=False)
        status = 409 if found.refused else 200
        if replace:
            call.context.sweep()
        if offer.type == XML:
            return Answer(write_xml(answer, _PRIVATE_KEYWORDS), XML, status)
        return Answer(answer.encode("utf-8", "replace"), JSON, status)

    return WebHandler(handle)


store_instances, update_instances = _handler(replace=False), _handler(replace=True)


# --- the request


def _incoming(call: Call, replace: bool) -> Iterator[Incoming]:
    """By Content-Type, or by the bytes where that says nothing useful. Raises InvalidArgument."""
    text = call.headers.get("content-type", "")
    media_type, parameters = _media_type(text)
    read = call.content.reader()
    if media_type == _MULTIPART:
        root = parameters.get("type", "").lower()
        boundary = parameters.get("boundary", "")
        if root == JSON and not replace:
            return read_json_parts(parts(read, boundary))
        if root not in ("", _DICOM):
            raise InvalidArgument(f"Content-Type: multipart/related with type {root[:100]!r} cannot be stored here")
        return _parts(read, boundary)
    if media_type == _DICOM:
        return iter([Incoming("the instance", call.content.chunks())])
    first = _at_least(read, _MAGIC_END)
    if first[_MAGIC_END - 4 : _MAGIC_END] == b"DICM":
        return iter([Incoming("the instance", chain((first,), call.content.chunks()))])
    raise InvalidArgument(
        f"Content-Type: {text[:100]!r} cannot be stored; send {_DICOM} for one instance, or "
        f'{_MULTIPART}; type="{_DICOM}"; boundary=…'
    )


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """What cannot be read says nothing."""
    try:
        return parse_content_type(text)
    except InvalidArgument:
        return "", {}


def _parts(read: Callable[[], bytes], boundary: str) -> Iterator[Incoming]:
    """What is wrong with the frame of the request ends it, but not what has been stored before."""
    found = parts(read, boundary)
    number = 0
    while True:
        number += 1
        try:
            part = next(found, None)
        except InvalidArgument as error:
            if number == 1:
                raise
            yield Incoming(f"part {number}", iter(()), error)
            return
        if part is None:
            return
        media_type = part.content_type
        if media_type not in ("", _DICOM):
            problem = InvalidArgument(f"has the Content-Type {media_type[:100]!r} and not {_DICOM}")
            yield Incoming(f"part {number}", iter(()), problem)
        else:
            yield Incoming(f"part {number}", part.chunks())


def _at_least(read: Callable[[], bytes], length: int) -> bytes:
    held = b""
    while len(held) < length and (piece := read()):
        held += piece
    return held


# --- the answer


def answer_json(found: Stored, web_url: str, study: str) -> Json:
    """The Store Instances Response (PS3.18 §10.5.3.2), with Google's private elements that say what went wrong."""
    answer: Json = {}
    if uid := study or found.study:
        answer["00081190"] = _element("UR", f"{web_url}/{ResourcePath(uid)}")
    if found.refused:
        answer["00081198"] = {"vr": "SQ", "Value": [_failed(item) for item in found.refused]}
    if found.instances:
        items = [
            _reference(item.sop_class_uid, item.sop_instance_uid)
            | {"00081190": _element("UR", f"{web_url}/{item.path}")}
            for item in found.instances
        ]
        answer["00081199"] = {"vr": "SQ", "Value": items}
    return answer


def _failed(item: Refused) -> Json:
    return _reference(item.sop_class_uid, item.sop_instance_uid) | {
        "00081197": _element("US", PROCESSING_FAILURE),
        "00090010": _element("LO", "GOOGLE"),
        "00091097": _element("LT", item.status.message),
    }


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Json:
    uids = {"00081150": sop_class_uid, "00081155": sop_instance_uid}
    return {tag: _element("UI", uid) for tag, uid in uids.items() if uid}


def _element(vr: str, value: str | int) -> Json:
    return {"vr": vr, "Value": [value]}
