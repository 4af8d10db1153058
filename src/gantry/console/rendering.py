"""Pages of the console: templates, which escape all values, and the static files that they need."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Iterator, Sequence
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
from gantry.console.formats import day, decimal, duration, number, size, when
from gantry.console.plurals import counted
from gantry.console.refusals import lang_of
from gantry.errors import NotFound, Status, StatusError
from gantry.languages import LANGUAGES, N_, _, language, ngettext, pgettext
from gantry.matching import search_key
from gantry.names import url_path
from gantry.reasons import ABOUT, About

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
    headers = _HEADERS | {"content-language": language(), "vary": "accept-language, cookie"}
    return Response(text.encode("utf-8", "replace"), status, headers, "text/html; charset=utf-8")


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
    environment.install_gettext_callables(_, ngettext, newstyle=True, pgettext=pgettext)  # type: ignore[attr-defined]
    environment.globals |= {
        "static": _address,
        "address_of": lambda name: f"/console/{url_path(name)}",
        "url_path": url_path,
        "counted": counted,
        "language": language,
        "languages": LANGUAGES,
        "lang_of": lang_of,
    }
    environment.filters |= {"size": size, "number": number, "decimal": decimal, "when": when, "duration": duration}
    environment.filters |= {
        "mark": mark,
        "day": day,
        "title_of": title_of,
        "advice_of": advice_of,
        "humps": break_at_humps,
        "class_name": class_name,
    }
    return environment


def title_of(error: StatusError | Status) -> str:
    """What went wrong, in a few words."""
    return _(_about(error).title)


def advice_of(error: StatusError | Status) -> str:
    """What to do, in general: the message itself is more exact, where it can be understood."""
    return _(_about(error).advice)


def _about(error: StatusError | Status) -> About:
    return ABOUT[(error.status if isinstance(error, StatusError) else error).reason]


_CLASSES = {
    "STANDARD": N_("Standard"),
    "NEARLINE": N_("Nearline"),
    "COLDLINE": N_("Coldline"),
    "ARCHIVE": N_("Archive"),
}


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=_)(?=.)")


def break_at_humps(name: str) -> Markup:
    """A name that may be broken between its words: ``Referenced|SOPInstance|UID``."""
    return Markup("<wbr>").join(_HUMP.split(name))


def class_name(storage_class: str) -> str:
    """A class as people read it; one of a newer version as it is."""
    return _(_CLASSES.get(storage_class, storage_class)) if storage_class else ""


_WORD = re.compile(r"[^\s,^=.·-]+")


def mark(text: str, words: Sequence[str]) -> Markup:
    """The text with the words marked that have one of ``words``, keys of what was searched for, in them."""
    out, end = Markup(""), 0
    for found in _WORD.finditer(text):
        if any(word in search_key(found[0]) for word in words):
            out += Markup("{}<mark>{}</mark>").format(text[end : found.start()], found[0])
            end = found.end()
    return out + text[end:]


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
