"""Which studies an action is for: those that were ticked, or those that a search finds."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.console.finding import (
    MAX_COUNTED,
    PARAMETERS,
    count_found,
    count_picked,
    list_found,
    read_search,
)
from gantry.console.formats import number
from gantry.console.page_call import PageCall
from gantry.console.refusals import Refused
from gantry.languages import N_, _
from gantry.queries import StudyTotals

MAX_PICKED = MAX_COUNTED
_PAGE = 1000
NOTHING = N_("no study is ticked; tick at least one in the list of studies")


@dataclass(frozen=True, slots=True)
class Picked:
    """``uids`` of studies; ``search``: what was typed, if it was a search."""

    uids: tuple[str, ...] = ()
    search: dict[str, str] | None = None


def read_picked(call: PageCall) -> Picked:
    """From the address of a page, or from its form. Raises InvalidArgument where nothing is chosen."""
    ticked = [*call.request.query_params.getlist("study"), *call.form.get("studies", "").split()]
    if uids := tuple(dict.fromkeys(uid.strip() for uid in ticked if uid.strip())):
        if len(uids) > MAX_PICKED:
            text = _("more than {count} studies are ticked; use a search instead")
            raise Refused(text.format(count=number(MAX_PICKED)))
        return Picked(uids)
    if search := read_conditions(call.query | call.form):
        return Picked(search=search)
    raise Refused(_(NOTHING))


def read_conditions(given: dict[str, str]) -> dict[str, str]:
    """The fields of a search that are not empty."""
    return {name: given[name] for name in PARAMETERS if given.get(name, "").strip()}


def count(call: PageCall, picked: Picked) -> StudyTotals:
    """What the studies hold that the store has. Raises InvalidArgument for a search that finds too many."""
    if picked.search is None:
        return count_picked(call, picked.uids)
    totals = count_found(call, read_search(call, picked.search))
    _require_few(totals.studies)
    return totals


def list_uids(call: PageCall, picked: Picked) -> tuple[str, ...]:
    """The studies, those of a search as it finds them now. Raises InvalidArgument for a search that finds too many."""
    if picked.search is None:
        return picked.uids
    wanted, found = read_search(call, picked.search), list[str]()
    while page := list_found(call, wanted, _PAGE, len(found)):
        found += [study.uid for study in page]
        _require_few(len(found))
    return tuple(found)


def _require_few(studies: int) -> None:
    if studies > MAX_PICKED:
        text = _("the search finds more than {count} studies; narrow it, or choose the whole store")
        raise Refused(text.format(count=number(MAX_PICKED)))
