"""*Upload files*: the browser sends a folder or files through STOW-RS, in pieces."""

from __future__ import annotations

from starlette.responses import Response

from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.languages import _
from gantry.names import url_path


def show_form(call: PageCall) -> Response:
    call.api.get(str(call.store))
    return call.show(
        "upload.html",
        crumbs=(*crumbs_of(call.store), Crumb(_("Upload"), "")),
        name=call.store,
        here=address_of(call.store),
        stow=f"/v1/{url_path(call.store)}/dicomWeb/studies",
    )
