"""A study or series as a ZIP of its files."""

from __future__ import annotations

from starlette.types import ASGIApp

from gantry.console.rendering import attachment
from gantry.console.views import View
from gantry.errors import NotFound
from gantry.names import check_uids
from gantry.studies.retrieve import ANY, read_instances
from gantry.studies.zipping import ZIP, zip_instances


def download(view: View) -> ASGIApp:
    """The files as they are stored; the archive is made while it is sent. Raises StatusError."""
    path = view.path
    check_uids(path)
    index = view.context.seams.index
    with view.api.begin("GET", f"{view.store}/dicomWeb/{path}"):
        store_id = index.resources.get_dicom_store(view.store).id
        if not index.instances.count_below(store_id, path):
            raise NotFound(f"{view.store} holds no {path}; the page of its studies lists those that it has")
    pieces = read_instances(view.context.seams, view.store, path, ANY, explicit=True)
    return attachment(zip_instances(pieces), ZIP, f"{path.series or path.study}.zip")
