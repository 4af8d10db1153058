"""Searches for studies that somebody has given a name."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from gantry.console.views import View, address_of
from gantry.errors import InvalidArgument

PARAMETERS = {
    "PatientName": "Patient name",
    "PatientID": "Patient ID",
    "AccessionNumber": "Accession number",
    "StudyDate": "Study date",
    "ModalitiesInStudy": "Modality",
    "StudyDescription": "Description",
}
_MAX_NAME, _MAX_VALUE = 100, 500


def saved(view: View) -> dict[str, str]:
    """Name → query of those of the caller."""
    return view.context.seams.index.saved_searches.list_searches(view.store, view.api.caller.name)


def save(view: View) -> Response:
    """Raises InvalidArgument, ResourceExhausted; PermissionDenied for who may not search."""
    _may_search(view)
    name = view.form.get("name", "").strip()
    query = {key: view.form[key][:_MAX_VALUE] for key in PARAMETERS if view.form.get(key)}
    if not name or len(name) > _MAX_NAME or not query:
        raise InvalidArgument(
            f"a saved search needs a name of at most {_MAX_NAME} characters, and something to look for"
        )
    view.context.seams.index.saved_searches.save_search(view.store, view.api.caller.name, name, urlencode(query))
    return view.go(f"{address_of(view.store)}/studies?{urlencode(query)}")


def forget(view: View) -> Response:
    _may_search(view)
    view.context.seams.index.saved_searches.delete_search(view.store, view.api.caller.name, view.form.get("name", ""))
    return view.go(f"{address_of(view.store)}/studies")


def _may_search(view: View) -> None:
    view.api.caller.require("healthcare.dicomStores.dicomWebRead", view.store)


def words_of(query: str) -> str:
    """What a query looks for, readable."""
    return ", ".join(f"{PARAMETERS.get(key, key)}: {value}" for key, value in parse_qsl(query))
