"""Saved searches for studies."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from gantry.console.finding import PARAMETERS, name_parameters
from gantry.console.page_call import PageCall, address_of
from gantry.console.refusals import Refused
from gantry.languages import _

_MAX_NAME, _MAX_VALUE = 100, 500  # characters


def list_saved(call: PageCall) -> dict[str, str]:
    """The saved searches of the caller: name → query."""
    return call.context.seams.index.saved_searches.list_searches(call.store, call.api.caller.name)


def save(call: PageCall) -> Response:
    """Raises InvalidArgument, ResourceExhausted, or PermissionDenied for callers who may not search."""
    _require_search(call)
    name = call.form.get("name", "").strip()
    query = {key: call.form[key][:_MAX_VALUE] for key in PARAMETERS if call.form.get(key)}
    if not name or len(name) > _MAX_NAME or not query:
        text = _("a saved search needs a name of at most {count} characters, and at least one condition")
        raise Refused(text.format(count=_MAX_NAME))
    call.context.seams.index.saved_searches.save_search(call.store, call.api.caller.name, name, urlencode(query))
    return call.go(f"{address_of(call.store)}/studies?{urlencode(query)}")


def forget(call: PageCall) -> Response:
    _require_search(call)
    call.context.seams.index.saved_searches.delete_search(call.store, call.api.caller.name, call.form.get("name", ""))
    return call.go(f"{address_of(call.store)}/studies")


def _require_search(call: PageCall) -> None:
    call.api.caller.require("healthcare.dicomStores.dicomWebRead", call.store)


def describe_query(query: str) -> str:
    """The conditions of a query, to read."""
    names = name_parameters()
    return ", ".join(f"{names.get(key, key)}: {value}" for key, value in parse_qsl(query))
