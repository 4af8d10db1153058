"""Deleting needs the name as a confirmation, against deleting by mistake."""

from __future__ import annotations

from starlette.responses import Response

from gantry.console.page_call import Crumb, PageCall
from gantry.errors import InvalidArgument, StatusError


def show_question(
    call: PageCall,
    kind: str,
    name: str,
    address: str,
    crumbs: tuple[Crumb, ...],
    held: tuple[int, int],
    error: StatusError | None,
) -> Response:
    """The page with the form; ``held``: the number of instances and bytes that would be deleted."""
    return call.show(
        "delete.html",
        200 if error is None else error.http,
        crumbs=(*crumbs, Crumb("Delete", "")),
        kind=kind,
        name=name,
        address=address,
        error=error,
        instances=held[0],
        bytes=held[1],
    )


def require_confirmation(call: PageCall, name: str) -> None:
    """Raises InvalidArgument unless the name was typed."""
    if call.form.get("confirm", "").strip() != name:
        raise InvalidArgument(f"type {name} to confirm; nothing was deleted")
