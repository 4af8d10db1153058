"""``PATCH …/metadata`` of v1beta1 (spec §10.2.11)."""

from __future__ import annotations

import json

from gantry.api.body import MAX_BODY_BYTES
from gantry.api.web import Answer, WebCall, WebHandler
from gantry.errors import InvalidArgument
from gantry.json_text import locate_fault, parse_json
from gantry.resources import Method
from gantry.studies import update

_MAX_KEPT = 1 << 20  # with the operation, and read whenever somebody asks for it


@WebHandler
def update_instance(call: WebCall) -> Answer:
    """The body is a JSON Patch of the DICOM JSON object that the metadata has for the instance."""
    context = call.context
    update.update_instance(context.seams, context.uploads, call.dicom_store, call.path, _patch(call), call.web_url)
    context.sweep()
    return _json({})


@WebHandler
def update_series(call: WebCall) -> Answer:
    """The same for every instance of a series; the answer is an operation."""
    return _start(call, Method.UPDATE_SERIES_METADATA)


@WebHandler
def update_study(call: WebCall) -> Answer:
    """The same for every instance of a study; the answer is an operation."""
    return _start(call, Method.UPDATE_STUDY_METADATA)


def _start(call: WebCall, method: Method) -> Answer:
    """What can be told without the instances is told here, before an operation exists."""
    index, store = call.context.seams.index, call.dicom_store
    patch = _patch(call, _MAX_KEPT)
    update.require_patch(patch)
    index.require(store, call.path)
    request = {"path": list(call.path), "patch": patch, "web_url": call.web_url}
    most = call.context.most_operations
    operation = index.create_operation(store.parent, call.version, method, request, str(store), most)
    call.context.notify()
    return _json({"name": str(operation.name)})


def _json(answer: dict[str, str]) -> Answer:
    return Answer(json.dumps(answer).encode() + b"\n", "application/json; charset=UTF-8")


def _patch(call: WebCall, most: int = MAX_BODY_BYTES) -> object:
    held = b""
    while piece := call.read():
        held += piece
        if len(held) > most:
            raise InvalidArgument(f"the patch is larger than {most} bytes")
    try:
        return parse_json(held)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the body is no JSON Patch: it is no JSON{locate_fault(error)}") from None
