"""One request for a page of the console: the caller, the resource, and how to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gantry.api.call import Context
from gantry.api.inside import Inside
from gantry.api.paths import page_path
from gantry.console.frame import make_frame
from gantry.console.rendering import render_page
from gantry.console.said import forget_said, say_next, take_said
from gantry.console.speaking import address_of_page
from gantry.languages import _
from gantry.names import DatasetName, DicomStoreName, ResourcePath, url_path

BASE = "/console"


@dataclass(frozen=True, slots=True)
class Crumb:
    title: str
    address: str


@dataclass(frozen=True, slots=True)
class PageCall:
    """``ids``: the variable parts of the address. ``form``: the fields of a POST, the last one of each name."""

    context: Context
    request: Request
    api: Inside
    ids: tuple[str, ...]
    form: dict[str, str] = field(default_factory=dict)

    @property
    def dataset(self) -> DatasetName:
        return DatasetName(*self.ids[:3])

    @property
    def store(self) -> DicomStoreName:
        return DicomStoreName(*self.ids[:4])

    @property
    def path(self) -> ResourcePath:
        """The UIDs of the address."""
        return ResourcePath(*self.ids[4:])

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    @property
    def is_part(self) -> bool:
        """Whether the request is for a part of a page, sent by htmx."""
        return "hx-request" in self.request.headers

    def may(self, permission: str, resource: Any) -> bool:
        return self.api.caller.has(f"healthcare.{permission}", resource)

    def show(self, template: str, status: int = 200, *, crumbs: tuple[Crumb, ...] = (), **values: Any) -> Response:
        who = self.api.caller.name.partition(":")[2]
        here = (Crumb(_("Datasets"), f"{BASE}/"), *crumbs)
        said = "" if self.is_part else take_said(self.request)
        store = self.query.get("store", "")
        frame = values.pop("frame", None) or make_frame(self.context, self.api, page_path(self.request.scope), store)
        around = {"base": BASE, "who": who, "crumbs": here, "said": said, "frame": frame}
        page = render_page(template, status, page_address=address_of_page(self.request), **around, **values)
        if said:
            forget_said(page)
        return page

    def go(self, address: str, said: str = "") -> Response:
        """Redirect to a page, which shows what was ``said``."""
        answer = RedirectResponse(f"{BASE}/{address}" if not address.startswith("/") else address, 303)
        if said:
            say_next(self.request, answer, said)
        return answer


def address_of(name: object) -> str:
    """The address of the page of a resource."""
    return f"{BASE}/{url_path(name)}"


def crumbs_of(name: DatasetName | DicomStoreName) -> tuple[Crumb, ...]:
    if isinstance(name, DicomStoreName):
        return (*crumbs_of(name.parent), Crumb(name.store, address_of(name)))
    return (Crumb(name.dataset, address_of(name)),)
