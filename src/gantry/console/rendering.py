"""Pages of the console: templates, which escape all values, and the static files that they need."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from gantry.api.attachments import attachment_header
from gantry.api.call import Context
from gantry.api.paths import page_path
from gantry.api.streaming import begin_stream
from gantry.api.web import Answer
from gantry.console.plurals import counted
from gantry.errors import NotFound
from gantry.languages import _, language, ngettext
from gantry.matching import search_key
from gantry.names import url_path
from gantry.reasons import ABOUT
from gantry.sizes import format_size

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "private, no-store",
}


def render_page(template: str, status: int = 200, **values: Any) -> Response:
    """Render ``template`` with ``values``."""
    text = _environment().get_template(template).render(values)
    # Names of files may hold bytes that are not text; these are shown as question marks.
    return Response(text.encode("utf-8", "replace"), status, _HEADERS, "text/html; charset=utf-8")


def send_attachment(pieces: Iterator[bytes], kind: str, name: str) -> ASGIApp:
    """A download that is produced while it is sent; an error closes the connection before the end."""
    return begin_stream(Answer(b"", kind, headers={"content-disposition": attachment_header(name)}), pieces)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gantry.console"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.policies["ext.i18n.trimmed"] = True  # as catalogues/extraction.py reads them
    environment.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {
        "static": _address,
        "address_of": lambda name: f"/console/{url_path(name)}",
        "url_path": url_path,
        "counted": counted,
        "language": language,
    }
    environment.filters |= {"size": format_size, "number": number, "when": when, "duration": duration}
    environment.filters |= {"mark": mark, "day": day, "title_of": lambda status: ABOUT[status.reason].title}
    return environment


def number(count: float) -> str:
    return f"{count:,.0f}"


def when(time: datetime | str) -> Markup:
    """A time in UTC, which the script of the page shows in the reader's locale."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    shown = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(shown.isoformat(), shown.strftime("%Y-%m-%d %H:%M:%S"))


def day(value: date) -> str:
    """In the one form that every locale reads alike."""
    return value.isoformat()


_WORD = re.compile(r"[^\s,^=.·-]+")


def mark(text: str, words: Sequence[str]) -> Markup:
    """The text with the words marked that have one of ``words``, keys of what was searched for, in them."""
    out, end = Markup(""), 0
    for found in _WORD.finditer(text):
        if any(word in search_key(found[0]) for word in words):
            out += Markup("{}<mark>{}</mark>").format(text[end : found.start()], found[0])
            end = found.end()
    return out + text[end:]


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _address(name: str) -> str:
    return f"/static/{_digest(name)}/{name}"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def static(context: Context, request: Request) -> Response:
    """``/static/DIGEST/NAME``: a file of ``static/``, which browsers may keep for a year. One of another digest, as a
    server of another version names it, nobody may keep. Raises NotFound."""
    digest, *names = page_path(request.scope) or [""]
    name = "/".join(names)
    if name not in _list_static_names():
        raise NotFound(f"there is no such file: /static/{name}")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if digest == _digest(name) else "no-store",
        "content-security-policy": _HEADERS["content-security-policy"],
        "vary": "accept-encoding",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_compress(name), 200, headers | {"content-encoding": "gzip"}, kind)
    return Response((_STATIC / name).read_bytes(), 200, headers, kind)


@cache
def _compress(name: str) -> bytes:
    # Pages are not compressed: they hold private data next to text that others can choose (the BREACH attack).
    return gzip.compress((_STATIC / name).read_bytes(), mtime=0)


@cache
def _list_static_names() -> frozenset[str]:
    return frozenset(path.name for path in _STATIC.iterdir())
