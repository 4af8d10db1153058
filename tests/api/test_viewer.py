"""``gantry viewer install`` and the pages below ``/viewer/``."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import GantryServer

INDEX = '<script>window.PUBLIC_URL="/"</script><script src="/app-config.js"></script><script src="/app.js"></script>'
FILES = {
    "package/dist/index.html": INDEX,
    "package/dist/app.js": '__webpack_require__.p = "/"; fetch("/x")',
    "package/dist/app.css": "a { background: url(/font.woff2) } b { background: url(data:x) }",
    "package/dist/12.bundle.0123456789abcdef.js": "",
    "package/dist/assets/a.wasm": "\0asm",
    "package/dist/ort/huge.wasm": "x",
    "package/dist/app.js.map": "x",
    "package/README.md": "x",
    "package/dist/../../../outside": "x",
}


def package(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("package/dist/passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path


def install(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gantry", "viewer", "install", "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gantry]:
    """A server of its own with a viewer installed while it runs."""
    directory = tmp_path_factory.mktemp("viewer")
    server = GantryServer(directory / "data", directory / "buckets")
    try:
        made = Gantry(server)
        assert "gantry viewer install" in made.request("GET", "viewer/").text
        done = install(directory / "data", "--from", str(package(directory / "p.tgz", FILES)))
        assert done.returncode == 0, done.stderr
        assert "/viewer/" in done.stdout
        yield made
    finally:
        server.stop()


def test_only_what_a_viewer_needs_is_unpacked(home: Gantry) -> None:
    root = home.server.data / "viewer"
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {"index.html", "app.js", "app.css", "12.bundle.0123456789abcdef.js", "assets/a.wasm"}
    assert not (home.server.data.parent / "outside").exists()


def test_the_stores_to_choose_from(home: Gantry) -> None:
    response = home.request("GET", "viewer/")
    assert f'<a href="/viewer/{home.store}/">' in response.text
    assert "default-src 'self'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("tail", ["/", "", "/viewer?StudyInstanceUIDs=1.2", "/some/route"])
def test_a_store_and_every_route_below_it_is_the_viewer(home: Gantry, tail: str) -> None:
    text = home.request("GET", f"viewer/{home.store}{tail}").text
    assert 'window.PUBLIC_URL="/viewer/"' in text
    assert f'src="/viewer/{home.store}/app-config.js"' in text and 'src="/viewer/app.js"' in text


def test_the_settings_of_a_store_name_no_other_host(home: Gantry) -> None:
    response = home.request("GET", f"viewer/{home.store}/app-config.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    config = json.loads(response.text.removeprefix("window.config = ").rstrip(";\n"))
    assert config["routerBasename"] == f"/viewer/{home.store}"
    (source,) = config["dataSources"]
    web = f"{home.server.url}/v1/{home.store}/dicomWeb"
    assert (source["configuration"]["qidoRoot"], source["configuration"]["wadoRoot"]) == (web, web)
    assert set(re.findall(r"https?://[^/\"]+", response.text)) == {home.server.url}


def test_files(home: Gantry) -> None:
    response = home.request("GET", "viewer/app.js")
    assert response.text == '__webpack_require__.p = "/viewer/"; fetch("/x")'
    assert "url(/viewer/font.woff2)" in home.request("GET", "viewer/app.css").text
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["cache-control"] == "no-cache"
    hashed = home.request("GET", "viewer/12.bundle.0123456789abcdef.js")
    assert "immutable" in hashed.headers["cache-control"]
    assert home.request("GET", "viewer/assets/a.wasm").headers["content-type"] == "application/wasm"


@pytest.mark.parametrize(
    "path",
    [
        "none.js",
        "..%2f..%2findex.sqlite",
        "%2e%2e/index.sqlite",
        "assets",
        "passwd",
        "a//b",
        "a%00b",
        "/".join("abcdefghij"),
        "%ff",
    ],
)
def test_nothing_else_is_given_away(home: Gantry, path: str) -> None:
    assert home.request("GET", f"viewer/{path}").status_code in (400, 404)


def test_a_store_that_is_not_there(home: Gantry) -> None:
    refused(home.request("GET", f"viewer/{home.dataset}/dicomStores/none/"), "NOT_FOUND", "none")


def test_installing_again_replaces_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "two"):
        files = {"package/dist/index.html": text, f"package/dist/{text}.js": ""}
        assert install(tmp_path, "--from", str(package(tmp_path / f"{text}.tgz", files))).returncode == 0
    assert {path.name for path in (tmp_path / "viewer").iterdir()} == {"index.html", "two.js"}
    assert not list(tmp_path.glob("viewer-*"))


@pytest.mark.parametrize("content", [b"", b"no package", None])
def test_what_is_no_viewer_is_not_installed(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.tgz"
    package(path, {"package/index.html": "x"}) if content is None else path.write_bytes(content)
    done = install(tmp_path, "--from", str(path))
    assert done.returncode == 2
    assert str(path) in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "viewer").exists()


def test_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    done = install(tmp_path)
    assert done.returncode == 3
    assert "--from" in done.stderr
