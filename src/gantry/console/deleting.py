"""Deleting needs a name, or the word "delete", as a confirmation, against deleting by mistake."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from gantry.console.formats import size
from gantry.console.page_call import Crumb, PageCall
from gantry.console.plurals import counted
from gantry.console.refusals import Refused
from gantry.errors import StatusError
from gantry.languages import N_, _
from gantry.matching import search_key

WORD = N_("delete")
"""What is typed to confirm: in the reader's language, or in English."""


class Kind(NamedTuple):
    """The words for what is deleted: on the button, as a question, and afterwards."""

    action: str
    question: str
    done: str


DATASET = Kind(N_("Delete dataset"), N_("Delete dataset?"), N_("Deleted: dataset {name} ({instances}, {size})"))
STORE = Kind(
    N_("Delete DICOM store"), N_("Delete DICOM store?"), N_("Deleted: DICOM store {name} ({instances}, {size})")
)
STUDY = Kind(N_("Delete study"), N_("Delete study?"), N_("Deleted: study {name} ({instances}, {size})"))
SERIES = Kind(N_("Delete series"), N_("Delete series?"), N_("Deleted: series {name} ({instances}, {size})"))
INSTANCE = Kind(N_("Delete instance"), N_("Delete instance?"), N_("Deleted: instance {name} ({instances}, {size})"))


def show_question(
    call: PageCall,
    kind: Kind,
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
        crumbs=(*crumbs, Crumb(_("Delete"), "")),
        kind=kind,
        name=name,
        word=_(WORD),
        expected=list_expected(name, patient),
        patient=patient,
        address=address,
        error=error,
        instances=held[0],
        bytes=held[1],
    )


def list_expected(name: str, patient: str = "") -> list[str]:
    """What confirms, whatever its case: the word, the patient's name as it is shown, and the name of the thing."""
    return [each for each in dict.fromkeys((_(WORD), WORD, patient, name)) if each]


def require_confirmation(call: PageCall, name: str, patient: str = "") -> None:
    """Raises InvalidArgument unless one of them was typed."""
    typed = search_key(call.form.get("confirm", ""))
    if typed not in map(search_key, list_expected(name, patient)):
        raise Refused(_("type {word} to confirm; nothing was deleted").format(word=_(WORD)))


def describe_deleted(kind: Kind, name: str, held: tuple[int, int]) -> str:
    """The message afterwards: what went, and how much."""
    return _(kind.done).format(name=name, instances=counted(held[0], "instance"), size=size(held[1]))
