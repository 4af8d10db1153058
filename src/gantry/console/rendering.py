"""Pages of the console: templates, which escape whatever they show, and the files that these need."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from gantry.api.call import Context
from gantry.errors import NotFound

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def page(template: str, status: int = 200, **values: Any) -> Response:
    """``template`` with ``values``, as a page of its own."""
    text = _environment().get_template(template).render(values)
    return Response(text, status, _HEADERS, "text/html; charset=utf-8")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("gantry.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.globals["static"] = _address
    return made


def _address(name: str) -> str:
    return f"/static/{_digest(name)}/{name}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def static(context: Context, request: Request) -> Response:
    """``/static/DIGEST/NAME``: one of the files beside this module, for ever. Raises NotFound."""
    _, _, name = request.url.path.removeprefix("/static/").partition("/")
    if name not in _names():
        raise NotFound(f"there is no such file: {request.url.path[:200]}")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
    return Response((_STATIC / name).read_bytes(), 200, headers, kind)


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in _STATIC.iterdir())
