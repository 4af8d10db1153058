"""OHIF below ``/viewer/``: the viewer that ``gantry viewer install`` fetches, with one DICOM store as its source.

Its files are built for the root of a host; the page is changed when it is sent, so that they are found here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import re
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gantry.api.call import Context
from gantry.api.inside import Inside
from gantry.api.paths import page_path
from gantry.api.sessions import sign_in_first
from gantry.errors import NotFound, Unauthenticated
from gantry.names import DicomStoreName, parse_dicom_store_name, url_path

BASE = "/viewer/"
_HASHED = re.compile(r"\.[0-9a-f]{8,}\.|^[0-9a-f]{16}\.")
_ABSOLUTE = re.compile(r'((?:src|href|content)=")/(?!/)')
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_MAX_SEGMENTS = 8
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_POLICY = Template(
    "default-src 'self'; script-src 'self' $scripts 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; object-src 'self' blob:; frame-src 'self' blob:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}
_EVAL = "'unsafe-eval'"
"""Decoders of JPEG-LS and JPEG 2000 need it, in workers, which have the policy of their script; and the library that
segmentations are read with, in the page."""
_FILE_HEADERS = _HEADERS | {"content-security-policy": _POLICY.substitute(scripts=_EVAL)}
_NO_CACHE = _HEADERS | {"cache-control": "private, no-cache"}
_MISSING_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "no-cache",
}
_MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Viewer</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.3rem; } code { font: 13px ui-monospace, monospace; }
</style></head><body><h1>No viewer is installed</h1>
<p>Fetch OHIF with</p><p><code>gantry viewer install</code></p><p><a href="/console/">Console</a></p></body></html>
"""
# The page uses its own origin: behind a proxy or a tunnel, or as localhost, it differs from the configured address.
_CONFIG = Template("""window.config = $config;
{
  const source = window.config.dataSources[0].configuration;
  for (const root of ["qidoRoot", "wadoRoot", "wadoUriRoot"]) source[root] = location.origin + source[root];
  source.bulkDataURI.prefixWith = location.origin + source.bulkDataURI.prefixWith;
}
""")


def viewer(context: Context, request: Request) -> Response:
    """``/viewer/STORE/…``: OHIF on a DICOM store; ``/viewer/``: the console, to choose one; all else: its files.

    Raises NotFound for a store or a file that does not exist, PermissionDenied for a store that the caller may not see.
    """
    path = page_path(request.scope)
    if path and path[0] != "projects":
        return _file(context.viewer, path)
    try:
        api = Inside(context, request)
    except Unauthenticated:
        return sign_in_first(request)
    if path:
        name = parse_dicom_store_name("/".join(path[:8]))
        api.get(str(name))
    if not is_installed(context.viewer):
        return Response(_MISSING, media_type="text/html; charset=utf-8", headers=_MISSING_HEADERS)
    if not path:
        return RedirectResponse("/console/", 303)
    if path[8:] == ["app-config.js"]:
        headers = _NO_CACHE | {"content-security-policy": "default-src 'none'"}
        return Response(_config(context, name), media_type="text/javascript; charset=utf-8", headers=headers)
    return _index(context.viewer, name)


def is_installed(directory: Path | None) -> bool:
    return directory is not None and (directory / "index.html").is_file()


def _file(directory: Path | None, path: list[str]) -> Response:
    """One file of the build. Raises NotFound for any other path."""
    if directory is None or len(path) > _MAX_SEGMENTS:
        raise NotFound(f"{'/'.join(path)[:200]} is no file of the viewer")
    file = directory.joinpath(*path)
    if not file.is_file() or not file.resolve().is_relative_to(directory.resolve()):
        raise NotFound(f"{'/'.join(path)[:200]} is no file of the viewer")
    kind = _KINDS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    cache = "public, max-age=31536000, immutable" if _HASHED.search(file.name) else "no-cache"
    return Response(file.read_bytes(), media_type=kind, headers=_FILE_HEADERS | {"cache-control": cache})


def _index(directory: Path | None, name: DicomStoreName) -> Response:
    """The page with addresses of files that begin at BASE, and the settings of one store."""
    assert directory is not None  # noqa: S101 - ``viewer`` has checked that it is installed
    text = (directory / "index.html").read_text(encoding="utf-8")
    text = _ABSOLUTE.sub(rf"\1{BASE}", text).replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{BASE}"')
    text = text.replace(f"{BASE}app-config.js", f"{BASE}{url_path(name)}/app-config.js")  # needs no HTML escapes
    policy = {"content-security-policy": _POLICY.substitute(scripts=f"{_EVAL} {_hashes(text)}")}
    return Response(text, media_type="text/html; charset=utf-8", headers=_NO_CACHE | policy)


def _hashes(page: str) -> str:
    """The hashes of a page's inline scripts, which its policy allows (CSP3 §2.3.1)."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE.findall(page))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _config(context: Context, name: DicomStoreName) -> str:
    below = urlsplit(context.public_url).path
    web = f"{below}/v1/{url_path(name)}/dicomWeb"
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "gantry",
        "configuration": {
            "friendlyName": f"{name.dataset}/{name.store}",
            "name": "gantry",
            "qidoRoot": web,
            "wadoRoot": web,
            "wadoUriRoot": web,
            "imageRendering": "wadors",
            "thumbnailRendering": "wadors",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": True,
            "supportsWildcard": not context.strict_search,
            "qidoSupportsIncludeField": True,
            "singlepart": "bulkdata,video",
            "bulkDataURI": {"enabled": True, "startsWith": f"{context.public_url}/v1/", "prefixWith": f"{below}/v1/"},
            "omitQuotationForMultipartRequest": True,
        },
    }
    config = {
        "name": "gantry",
        "routerBasename": f"{BASE}{url_path(name)}",
        "extensions": [],
        "modes": [],
        "showStudyList": True,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": False,
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "gantry",
        "dataSources": [source],
    }
    return _CONFIG.substitute(config=json.dumps(config).replace("</", "<\\/"))
