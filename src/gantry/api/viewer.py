"""OHIF below ``/viewer/``: the viewer that ``gantry viewer install`` has fetched, with one DICOM store as its source.

The files are those of its build for the root of a host; the page is changed on its way so that they are found here.
"""

from __future__ import annotations

import json
import mimetypes
import re
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.call import Context
from gantry.errors import NotFound
from gantry.names import DicomStoreName, parse_dicom_store_name

BASE = "/viewer/"
_STORE = re.compile(r"(projects/[^/]+/locations/[^/]+/datasets/[^/]+/dicomStores/[^/]+)(/.*)?")
_HASHED = re.compile(r"\.[0-9a-f]{8,}\.|^[0-9a-f]{16}\.")
_ABSOLUTE = re.compile(r'((?:src|href|content)=")/(?!/)')
_MAX_SEGMENTS = 8
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Viewer</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.3rem; } li { padding: .3rem 0; overflow-wrap: anywhere; } code { font: 13px ui-monospace, monospace; }
</style></head><body><h1>Viewer</h1>$text</body></html>
""")
_CONFIG = Template("""window.config = $config;
""")


def viewer(context: Context, request: Request) -> Response:
    """``/viewer/``: the DICOM stores; ``/viewer/STORE/…``: OHIF on one of them; anything else below: its files."""
    path = request.url.path.removeprefix(BASE.rstrip("/")).lstrip("/")
    if not path or not is_installed(context.viewer):
        return _overview(context)
    found = _STORE.fullmatch(path)
    if found is None:
        return _file(context.viewer, path)
    name = parse_dicom_store_name(found[1])
    context.seams.index.get_dicom_store(name)
    rest = (found[2] or "").strip("/")
    if rest == "app-config.js":
        return Response(_config(context, name), media_type="text/javascript; charset=utf-8", headers=_no_cache())
    return Response(_index(context.viewer, name), media_type="text/html; charset=utf-8", headers=_HEADERS | _no_cache())


def is_installed(directory: Path | None) -> bool:
    return directory is not None and (directory / "index.html").is_file()


def _no_cache() -> dict[str, str]:
    return {"cache-control": "no-cache"}


def _overview(context: Context) -> Response:
    if not is_installed(context.viewer):
        text = "<p>No viewer is installed. Fetch OHIF with</p><p><code>gantry viewer install</code></p>"
    elif names := context.seams.index.dicom_store_names(1000):
        links = (f'<li><a href="{BASE}{escape(str(name))}/">{escape(str(name))}</a></li>' for name in names)
        text = f"<p>Choose a DICOM store.</p><ul>{''.join(links)}</ul>"
    else:
        text = "<p>There is no DICOM store yet.</p><p><code>gantry stores create DATASET/STORE</code></p>"
    page = _PAGE.substitute(text=text)
    return Response(page, media_type="text/html; charset=utf-8", headers=_HEADERS | _no_cache())


def _file(directory: Path | None, path: str) -> Response:
    """One file of the build. Raises NotFound for anything that is not in it."""
    segments = path.split("/")
    if directory is None or len(segments) > _MAX_SEGMENTS or any(part in ("", ".", "..") for part in segments):
        raise NotFound(f"{path[:200]} is no file of the viewer")
    found = directory.joinpath(*segments)
    if "\0" in path or found.is_symlink() or not found.is_file():
        raise NotFound(f"{path[:200]} is no file of the viewer")
    kind = _KINDS.get(found.suffix) or mimetypes.guess_type(found.name)[0] or "application/octet-stream"
    cache = "public, max-age=31536000, immutable" if _HASHED.search(found.name) else "no-cache"
    return Response(found.read_bytes(), media_type=kind, headers=_HEADERS | {"cache-control": cache})


def _index(directory: Path | None, name: DicomStoreName) -> bytes:
    """The page with addresses of files that begin at BASE, and the settings of one store."""
    assert directory is not None  # noqa: S101 - ``viewer`` has seen that it is installed
    text = (directory / "index.html").read_text(encoding="utf-8")
    text = _ABSOLUTE.sub(rf"\1{BASE}", text).replace('window.PUBLIC_URL="/"', f'window.PUBLIC_URL="{BASE}"')
    return text.replace(f"{BASE}app-config.js", f"{BASE}{name}/app-config.js").encode()


def _config(context: Context, name: DicomStoreName) -> str:
    web = f"{context.public_url}/v1/{name}/dicomWeb"
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
            "supportsWildcard": True,
            "qidoSupportsIncludeField": True,
            "singlepart": "bulkdata,video",
            "bulkDataURI": {"enabled": True},
            "omitQuotationForMultipartRequest": True,
        },
    }
    config = {
        "name": "gantry",
        "routerBasename": f"{BASE}{name}",
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
