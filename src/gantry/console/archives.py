"""A study or series as a ZIP of its files."""

from __future__ import annotations

from starlette.types import ASGIApp

from gantry.console.rendering import attachment
from gantry.console.views import View
from gantry.studies.retrieve import ANY, instances
from gantry.studies.zipping import ZIP, zip_instances


def download(view: View) -> ASGIApp:
    """The files as they are stored; the archive is made while it is sent."""
    path = view.path
    view.api.get(f"{view.store}/dicomWeb/{path}/instances", limit="1")  # who may not read is told so
    pieces = instances(view.context.seams, view.store, path, ANY, explicit=True)
    return attachment(zip_instances(pieces), ZIP, f"{path.series or path.study}.zip")
