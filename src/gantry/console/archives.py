"""A study or series as a ZIP of its files."""

from __future__ import annotations

from starlette.types import ASGIApp

from gantry.console.page_call import PageCall
from gantry.console.refusals import NotHere
from gantry.console.rendering import send_attachment
from gantry.languages import _
from gantry.names import check_uids
from gantry.studies.retrieve import keep_stored, read_instances
from gantry.studies.zipping import ZIP, zip_instances


def download(call: PageCall) -> ASGIApp:
    """Send the files as they are stored, in an archive that is written while it is sent. Raises StatusError."""
    path = call.path
    check_uids(path, other=True)
    index = call.context.seams.index
    with call.api.begin("GET", f"{call.store}/dicomWeb/{path}"):
        store_id = index.resources.get_dicom_store(call.store).id
        if not index.instances.count_below(store_id, path):
            check_uids(path)
            raise NotHere(
                _("{store} has no {path}; the page Studies lists what it has").format(store=call.store, path=path)
            )
    pieces = read_instances(call.context.seams, call.store, path, keep_stored).pieces
    return send_attachment(zip_instances(pieces), ZIP, f"{path.series or path.study}.zip")
