"""*Upload files*: a folder dragged onto the page, stored by the browser in pieces through STOW-RS."""

from __future__ import annotations

from starlette.responses import Response

from gantry.console.views import Crumb, View, address_of, crumbs_of
from gantry.names import url_path


def form(view: View) -> Response:
    view.api.get(str(view.store))
    return view.show(
        "upload.html",
        crumbs=(*crumbs_of(view.store), Crumb("Upload", "")),
        name=view.store,
        here=address_of(view.store),
        stow=f"/v1/{url_path(view.store)}/dicomWeb/studies",
    )
