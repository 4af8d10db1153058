"""``gantry viewer install`` and the pages below ``/viewer/``."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import prepared
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server

INDEX = '<script>window.PUBLIC_URL="/"</script><script src="/app-config.js"></script><script src="/app.js"></script>'
FILES = {
    "package/dist/index.html": INDEX,
    "package/dist/app.js": """__webpack_require__.p = "/"; window.browserImportFunction('/x.js'); fetch("/x")""",
    "package/dist/app.css": "a { background: url(/font.woff2) } b { background: url(data:x) }",
    "package/dist/12.bundle.0123456789abcdef.js": "",
    "package/dist/assets/a.wasm": "\0asm",
    "package/dist/ort/huge.wasm": "x",
    "package/dist/app.js.map": "x",
    "package/README.md": "x",
    "package/dist/../../../outside": "x",
}


def package(path: Path, files: dict[str, str]) -> Path:
    """A tarball of ``files`` and a link."""
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
    return prepared.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gantry]:
    """A server of its own with a viewer installed while it runs."""
    directory = tmp_path_factory.mktemp("viewer")
    server = start_server(directory / "data", directory / "buckets")
    try:
        made = Gantry(server)
        assert "gantry viewer install" in made.request("GET", "viewer/").text
        assert "gantry viewer install" in made.request("GET", f"viewer/{made.store}/").text
        refused(made.request("GET", "viewer/app.js"), "NOT_FOUND", "app.js")
        done = install(directory / "data", "--from", str(package(directory / "p.tgz", FILES)))
        assert done.returncode == 0, done.stderr
        assert "/viewer/" in done.stdout
        yield made
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("strict", ["true", "false"])
def test_the_viewer_is_told_what_the_search_of_this_store_can_do(tmp_path: Path, strict: str) -> None:
    """With wildcards OHIF puts asterisks around what is typed, which strict mode takes for characters."""
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_STRICT_SEARCH": strict})
    try:
        made = Gantry(server)
        package(tmp_path / "p.tgz", FILES)
        assert install(tmp_path / "data", "--from", str(tmp_path / "p.tgz")).returncode == 0
        text = made.request("GET", f"viewer/{made.store}/app-config.js").text
    finally:
        server.stop()
    config, _ = json.JSONDecoder().raw_decode(text.removeprefix("window.config = "))
    assert config["dataSources"][0]["configuration"]["supportsWildcard"] is (strict == "false")


def test_only_what_a_viewer_needs_is_unpacked(home: Gantry) -> None:
    root = home.server.data / "viewer"
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == {"index.html", "app.js", "app.css", "12.bundle.0123456789abcdef.js", "assets/a.wasm"}
    assert not (home.server.data.parent / "outside").exists()


def test_stores_are_chosen_in_the_console(home: Gantry) -> None:
    assert home.request("GET", "viewer/").headers["location"] == "/console/"
    assert f'href="/viewer/{home.store}/"' in home.request("GET", f"console/{home.store}").text


@pytest.mark.parametrize("tail", ["/", "", "/viewer?StudyInstanceUIDs=1.2", "/some/route"])
def test_a_store_and_every_route_below_it_is_the_viewer(home: Gantry, tail: str) -> None:
    text = home.request("GET", f"viewer/{home.store}{tail}").text
    assert 'window.PUBLIC_URL="/viewer/"' in text
    assert f'src="/viewer/{home.store}/app-config.js"' in text and 'src="/viewer/app.js"' in text


def test_the_settings_of_a_store_name_no_other_host(home: Gantry) -> None:
    response = home.request("GET", f"viewer/{home.store}/app-config.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    config, end = json.JSONDecoder().raw_decode(response.text.removeprefix("window.config = "))
    assert config["routerBasename"] == f"/viewer/{home.store}"
    (source,) = config["dataSources"]
    web = f"/v1/{home.store}/dicomWeb"
    assert (source["configuration"]["qidoRoot"], source["configuration"]["wadoRoot"]) == (web, web)
    assert "location.origin" in response.text[end:], "the page may be opened under another name than the server knows"
    assert set(re.findall(r"https?://[^/\"]+", response.text)) == {home.server.url}


def test_the_policy_names_each_script_of_the_page_and_no_other_host(home: Gantry) -> None:
    response = home.request("GET", f"viewer/{home.store}/")
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    (script,) = re.findall("<script>(.*?)</script>", response.text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'unsafe-eval' 'sha256-{digest}' 'wasm-unsafe-eval' blob:"
    assert policy["object-src"] == "'self' blob:", "the browser's viewer of PDFs"
    assert policy["connect-src"] == "'self' data: blob:"
    assert not re.search(r"https?:|\*", response.headers["content-security-policy"])
    assert response.headers["x-content-type-options"] == "nosniff"


def test_files(home: Gantry) -> None:
    response = home.request("GET", "viewer/app.js")
    imported = "window.browserImportFunction('/viewer/x.js')"
    assert response.text == f'__webpack_require__.p = "/viewer/"; {imported}; fetch("/x")'
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


def test_a_link_out_of_the_directory_is_no_file(home: Gantry) -> None:
    root = home.server.data / "viewer"
    (root / "out").symlink_to(home.server.data)
    try:
        refused(home.request("GET", "viewer/out/index.sqlite"), "NOT_FOUND", "index.sqlite")
    finally:
        (root / "out").unlink()


def test_a_page_can_be_asked_for_by_head_and_not_by_post(home: Gantry) -> None:
    head = home.request("HEAD", "viewer/app.js")
    assert (head.status_code, head.content) == (200, b"")
    assert home.request("POST", "viewer/app.js").status_code == 405


def test_a_store_that_is_not_there(home: Gantry) -> None:
    refused(home.request("GET", f"viewer/{home.dataset}/dicomStores/none/"), "NOT_FOUND", "none")


def test_installing_again_replaces_what_was_there(tmp_path: Path) -> None:
    for text in ("one", "two"):
        files = {"package/dist/index.html": text, f"package/dist/{text}.js": ""}
        assert install(tmp_path, "--from", str(package(tmp_path / f"{text}.tgz", files))).returncode == 0
    assert {path.name for path in (tmp_path / "viewer").iterdir()} == {"index.html", "two.js"}
    assert not list(tmp_path.glob("viewer-*"))


WHOLE = gzip.compress(os.urandom(100_000))


@pytest.mark.parametrize("content", [b"", b"no package", WHOLE, WHOLE[:5000], None])
def test_what_is_no_viewer_is_not_installed(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.tgz"
    package(path, {"package/index.html": "x", "package/dist": "x"}) if content is None else path.write_bytes(content)
    done = install(tmp_path, "--from", str(path))
    assert done.returncode == 2
    assert str(path) in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "viewer").exists()


def test_a_package_that_is_damaged_leaves_what_was_there(tmp_path: Path) -> None:
    """Damage that is still an archive shows in the checksum at the end and nowhere else."""
    whole = package(tmp_path / "p.tgz", FILES | {"package/dist/big.js": os.urandom(200_000).hex()})
    assert install(tmp_path, "--from", str(whole)).returncode == 0
    data = bytearray(whole.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 400):
        data[at] ^= 0x55
    (tmp_path / "damaged.tgz").write_bytes(data)
    (tmp_path / "short.tgz").write_bytes(whole.read_bytes()[:-90_000])
    checksum = bytearray(whole.read_bytes())
    checksum[-8] ^= 1
    (tmp_path / "checksum.tgz").write_bytes(checksum)
    for name in ("damaged.tgz", "checksum.tgz", "short.tgz", "none.tgz"):
        done = install(tmp_path, "--from", str(tmp_path / name))
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert name in done.stderr
    assert (tmp_path / "viewer" / "big.js").is_file()
    assert not list(tmp_path.glob("viewer-*"))


@pytest.mark.slow
def test_a_package_that_is_too_large(tmp_path: Path) -> None:
    path = package(tmp_path / "p.tgz", {f"package/dist/{number}.js": "" for number in range(5001)})
    done = install(tmp_path, "--from", str(path))
    assert (done.returncode, "larger than a viewer" in done.stderr) == (2, True)


def test_a_directory_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    done = install(tmp_path / "data", "--from", str(package(tmp_path / "p.tgz", FILES)))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "data" in done.stderr


class Registry(BaseHTTPRequestHandler):
    """npm's, with the packages of ``packages`` by version; 9.9.9 is described and not the one that was promised."""

    packages: dict[str, bytes]

    def do_GET(self) -> None:
        version = self.path.rpartition("/")[2]
        data = self.packages.get(version.removesuffix(".tgz"))
        if data is not None and not version.endswith(".tgz"):
            promised = data if version != "9.9.9" else b""
            integrity = f"sha512-{base64.b64encode(hashlib.sha512(promised).digest()).decode()}"
            tarball = f"http://{self.headers['host']}/{version}.tgz"
            data = json.dumps({"dist": {"tarball": tarball, "integrity": integrity}}).encode()
        self.send_response(404 if data is None else 200)
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, format: str, *_: object) -> None:
        return


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    data = package(tmp_path / "made.tgz", FILES).read_bytes()
    Registry.packages = dict.fromkeys(("1.0.0", "9.9.9", "3.13.2"), data)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}/")
    yield
    server.shutdown()
    server.server_close()


def test_a_download_that_is_what_the_registry_says(tmp_path: Path, registry: None) -> None:
    done = install(tmp_path, "--version", "1.0.0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "viewer" / "index.html").is_file()


@pytest.mark.parametrize(("version", "words"), [("9.9.9", "SHA-512"), ("3.13.2", "SHA-512"), ("0.0.1", "no version")])
def test_a_download_that_is_something_else(tmp_path: Path, registry: None, version: str, words: str) -> None:
    """Of the version that was tried the program itself knows the sum, whatever a registry says."""
    done = install(tmp_path, "--version", version)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "viewer").exists()


def test_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    done = install(tmp_path)
    assert done.returncode == 3
    assert "--from" in done.stderr and "gantry serve" not in done.stderr
