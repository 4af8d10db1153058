"""The proxy of the environment: object storage and its sign-in are reached over it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from urllib3.exceptions import HTTPError

from gantry.errors import FailedPrecondition, StatusError
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.connections import ask_for_token
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.proxies import open_pools

AZURE = RemotePlace("azure", "in", "az://in", "http://azure.invalid", account="lab", sas_token="sv=1&sig=hush")  # noqa: S106
GCS = RemotePlace("gcs", "in", "gs://in", "http://google.invalid", anonymous=True)
PAGES = {"azure": b"<EnumerationResults><Blobs/></EnumerationResults>", "gcs": b"{}"}


@dataclass
class Proxy:
    """``asked`` are method, target and credentials of each request. Tunnels are refused."""

    page: bytes = b"{}"
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def make_handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._note(200, proxy.page)

            def do_CONNECT(self) -> None:
                self._note(407, b"")

            def _note(self, status: int, body: bytes) -> None:
                proxy.asked.append((self.command, self.path, self.headers.get("proxy-authorization", "")))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the output of a test is for what is wrong."""

        return Handler


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    found = Proxy()
    with ThreadingHTTPServer(("127.0.0.1", 0), found.make_handler()) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "wait", lambda *_: None)


@pytest.mark.parametrize("place", [AZURE, GCS], ids=["azure", "gcs"])
@pytest.mark.parametrize("scheme", ["http://", ""], ids=["whole", "host and port"])
def test_plain_requests_go_over_the_proxy(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, place: RemotePlace, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}user:p%40ss@127.0.0.1:{proxy.port}")
    proxy.page = PAGES[place.provider]
    assert list(RemoteBucket(replace(place, concurrency=5 + len(scheme))).list()) == []
    ((method, target, credentials),) = proxy.asked
    assert method == "GET" and target.startswith(f"{place.endpoint}/")
    assert credentials == f"Basic {base64.b64encode(b'user:p@ss').decode()}"


@pytest.mark.parametrize("place", [AZURE, GCS], ids=["azure", "gcs"])
def test_a_proxy_that_refuses_is_named_and_no_secret_is(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, place: RemotePlace
) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:hush@127.0.0.1:{proxy.port}")
    bucket = RemoteBucket(replace(place, endpoint=place.endpoint.replace("http:", "https:")))
    with pytest.raises(StatusError, match="the proxy that the environment names") as caught:
        bucket.exists()
    assert "hush" not in caught.value.message
    assert proxy.asked[0][:2] == ("CONNECT", f"{bucket.place.endpoint.removeprefix('https://')}:443")


def test_tokens_are_asked_for_over_the_proxy_and_metadata_services_are_not(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(HTTPError):
        ask_for_token(GCS, "POST", "https://oauth2.invalid/token", body="secret")
    assert [each[:2] for each in proxy.asked] == [("CONNECT", "oauth2.invalid:443")]
    assert ask_for_token(GCS, "GET", f"http://127.0.0.1:{proxy.port}/metadata").status == 200


@pytest.mark.parametrize("text", ["host", "host:1", ".invalid", "*"])
def test_what_needs_no_proxy_is_asked_directly(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", text)
    name = "host.invalid" if text == ".invalid" else "host"
    assert open_pools(f"http://{name}:1").proxy is None
    assert open_pools(f"http://{name}er:1").proxy is None or text != "*"


@pytest.mark.parametrize("text", ["socks5://127.0.0.1:1080", "http://", "http://[", "http://host:port"])
@pytest.mark.parametrize("place", [AZURE, GCS], ids=["azure", "gcs"])
def test_what_can_be_no_proxy_is_said_so(monkeypatch: pytest.MonkeyPatch, place: RemotePlace, text: str) -> None:
    monkeypatch.setenv("http_proxy", text)
    with pytest.raises(FailedPrecondition, match="HTTPS_PROXY, HTTP_PROXY"):
        RemoteBucket(place).exists()
