"""What is done with ticked studies: one archive of all, or their deletion."""

from __future__ import annotations

from itertools import chain

from starlette.responses import Response
from starlette.types import ASGIApp

from gantry.console import picking
from gantry.console.deleting import WORD, list_expected, require_confirmation
from gantry.console.formats import number
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.plurals import counted
from gantry.console.refusals import NotHere, Refused
from gantry.console.rendering import send_attachment
from gantry.errors import StatusError
from gantry.languages import _
from gantry.names import ResourcePath, check_uids
from gantry.studies.retrieve import keep_stored, read_instances
from gantry.studies.zipping import ZIP, zip_instances

MAX_DELETED = 200
"""Studies of one form: those of the longest page. Each is deleted by a request of its own."""


def download(call: PageCall) -> ASGIApp:
    """The files as they are stored, in one archive that is written while it is sent. Raises StatusError."""
    paths = [ResourcePath(uid) for uid in picking.read_picked(call).uids]
    index = call.context.seams.index
    store_id = index.resources.get_dicom_store(call.store).id
    for path in paths:
        check_uids(path, other=True)
        with call.api.begin("GET", f"{call.store}/dicomWeb/{path}"):
            if not index.instances.count_below(store_id, path):
                raise NotHere(
                    _("{store} has no {path}; the page Studies lists what it has").format(store=call.store, path=path)
                )
    pieces = (read_instances(call.context.seams, call.store, path, keep_stored).pieces for path in paths)
    return send_attachment(zip_instances(chain.from_iterable(pieces)), ZIP, f"{call.store.store}.zip")


def show_delete_form(call: PageCall, error: StatusError | None = None) -> Response:
    picked = _read_few(call)
    totals = picking.count(call, picked)
    return call.show(
        "delete_studies.html",
        200 if error is None else error.http,
        crumbs=(*crumbs_of(call.store), Crumb(_("Delete"), "")),
        error=error,
        totals=totals,
        studies=picked.uids,
        word=_(WORD),
        expected=list_expected(""),
        here=f"{address_of(call.store)}/delete-studies",
        back=f"{address_of(call.store)}/studies",
    )


def _read_few(call: PageCall) -> picking.Picked:
    picked = picking.read_picked(call)
    if picked.search is not None:
        raise Refused(_(picking.NOTHING))
    if len(picked.uids) > MAX_DELETED:
        raise Refused(_("{count} studies can be deleted at a time; untick some").format(count=number(MAX_DELETED)))
    return picked


def delete(call: PageCall) -> Response:
    """One study after the other. Where one cannot be deleted the message says how many were."""
    done = 0
    try:
        require_confirmation(call, "")
        picked = _read_few(call)
        totals = picking.count(call, picked)
        for uid in picked.uids:
            call.api.send("DELETE", f"{call.store}/dicomWeb/studies/{uid}")
            done += 1
    except StatusError as error:
        so_far = _("deleted so far: {studies}").format(studies=counted(done, "study"))
        return show_delete_form(call, error.within(so_far) if done else error)
    said = _("Deleted: {studies}, {instances}").format(
        studies=counted(totals.studies, "study"), instances=counted(totals.instances, "instance")
    )
    return call.go(f"{address_of(call.store)}/studies", said)
