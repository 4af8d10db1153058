"""``PATCH …/metadata`` of v1beta1."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from gantry.api.accept import Offer
from gantry.api.body import MAX_BODY_BYTES
from gantry.api.call import Call
from gantry.api.operations import start_operation
from gantry.api.responses import JSON
from gantry.api.web import Answer, WebHandler
from gantry.resources import Method
from gantry.studies import update

_JSON = (Offer("application/json", False),)
_MAX_VALUES = 1_000_000  # several lookup tables of 65,536 entries
_BELOW_VERSION = "/projects/"
_MAX_KEPT = 1 << 20  # bytes; stored with the operation, and read each time that it is shown


@partial(WebHandler, offers=_JSON, reads=_JSON)
def update_instance(call: Call) -> Answer:
    """The body is a JSON Patch of the DICOM JSON object that the metadata has for the instance."""
    context = call.context
    update.update_instance(context.seams, context.uploads, call.dicom_store, call.path, _patch(call), call.web_url)
    context.sweep()
    return _json({})


@partial(WebHandler, offers=_JSON, reads=_JSON)
def update_series(call: Call) -> Answer:
    """The same for every instance of a series; the answer is an operation."""
    return _start(call, Method.UPDATE_SERIES_METADATA)


@partial(WebHandler, offers=_JSON, reads=_JSON)
def update_study(call: Call) -> Answer:
    """The same for every instance of a study; the answer is an operation."""
    return _start(call, Method.UPDATE_STUDY_METADATA)


def _start(call: Call, method: Method) -> Answer:
    """Checks what needs no instance before an operation exists. Raises InvalidArgument, NotFound."""
    patch = _patch(call, _MAX_KEPT)
    update.require_patch(patch)
    call.context.seams.index.instances.require(call.dicom_store, call.path)
    return _json(start_operation(call, method, {"path": list(call.path), "patch": patch, "web_url": call.web_url}))


def _json(answer: dict[str, Any]) -> Answer:
    return Answer(json.dumps(answer).encode() + b"\n", JSON)


def _patch(call: Call, most: int = MAX_BODY_BYTES) -> object:
    """Bulk data that was read by another address of this server, or another version, is the same bulk data."""
    patch = call.content.json_value(most, _MAX_VALUES)
    _use_address(patch, call.web_url)
    return patch


def _use_address(patch: object, web_url: str) -> None:
    """Write the BulkDataURIs of this store as they are below ``web_url``."""
    own = web_url.partition(_BELOW_VERSION)[2]
    left = [patch]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            uri = value.get("BulkDataURI")
            if isinstance(uri, str) and (there := uri.partition(_BELOW_VERSION)[2]).startswith(f"{own}/"):
                value["BulkDataURI"] = web_url + there[len(own) :]
