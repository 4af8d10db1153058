"""``PATCH …/metadata`` of v1beta1 (spec §10.2.11)."""

from __future__ import annotations

import json

from gantry.api.body import MAX_BODY_BYTES
from gantry.api.web import Answer, WebCall, WebHandler
from gantry.errors import InvalidArgument
from gantry.studies.update import update_metadata


@WebHandler
def update_instance(call: WebCall) -> Answer:
    """The body is a JSON Patch of the DICOM JSON object that the metadata has for the instance."""
    context = call.context
    found = update_metadata(context.seams, context.uploads, call.dicom_store, call.path, _patch(call), call.web_url)
    if found.refused:
        raise InvalidArgument(found.refused[0].status.message)
    context.notify()
    return Answer(b"{}\n", "application/json; charset=UTF-8")


def _patch(call: WebCall) -> object:
    held = b""
    while piece := call.read():
        held += piece
        if len(held) > MAX_BODY_BYTES:
            raise InvalidArgument(f"the patch is larger than {MAX_BODY_BYTES} bytes")
    try:
        return json.loads(held)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the body is no JSON Patch: {str(error)[:200]}") from None
