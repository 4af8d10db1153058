"""Deleting needs a name, or the word "delete", as a confirmation, against deleting by mistake."""

from __future__ import annotations

from starlette.responses import Response

from gantry.console.page_call import Crumb, PageCall
from gantry.console.plurals import counted
from gantry.errors import InvalidArgument, StatusError
from gantry.matching import search_key
from gantry.sizes import format_size

WORD = "delete"


def show_question(
    call: PageCall,
    kind: str,
    name: str,
    address: str,
    crumbs: tuple[Crumb, ...],
    held: tuple[int, int],
    error: StatusError | None,
    patient: str = "",
) -> Response:
    """The page with the form; ``held``: the number of instances and bytes that would be deleted. ``patient`` is a name
    that confirms as well."""
    return call.show(
        "delete.html",
        200 if error is None else error.http,
        crumbs=(*crumbs, Crumb("Delete", "")),
        kind=kind,
        name=name,
        expected=list_expected(name, patient),
        patient=patient,
        address=address,
        error=error,
        instances=held[0],
        bytes=held[1],
    )


def list_expected(name: str, patient: str = "") -> list[str]:
    """What confirms, whatever its case: the word, the patient's name as it is shown, and the name of the thing."""
    return [each for each in (WORD, patient, name) if each]


def require_confirmation(call: PageCall, name: str, patient: str = "") -> None:
    """Raises InvalidArgument unless one of them was typed."""
    typed = search_key(call.form.get("confirm", ""))
    if typed not in map(search_key, list_expected(name, patient)):
        raise InvalidArgument(f"type {WORD} to confirm; nothing was deleted")


def describe_deleted(what: str, held: tuple[int, int]) -> str:
    """The message afterwards: what went, and how much."""
    return f"Deleted: {what} ({counted(held[0], 'instance')}, {format_size(held[1])})"
