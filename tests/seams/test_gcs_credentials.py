"""Credentials of Google: what the extra installs is enough for them, and the metadata service of a machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.auth.exceptions import TransportError

from gantry.errors import BucketAway
from gantry.storage.remote import gcs_credentials, retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.gcs_credentials import Tokens
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import keys
from tests.seams.test_s3_errors import make_certificate, serve_tls
from tests.support.gcs_server import GcsServer

_USER = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "t"}
_FEDERATED = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "/none"},
}
_ACCOUNT = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/g@p.iam:generateAccessToken"

ALONE = """
import sys
from importlib.machinery import PathFinder

class Installed(PathFinder):
    def find_spec(self, name, *more):
        if name.partition(".")[0] in ("requests", "packaging", "certifi", "botocore", "obstore", "google.auth.aio"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Installed())
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace

for about in ({"anonymous": True}, {"instance_metadata": True}, *({"credentials_file": each} for each in sys.argv[1:])):
    print(RemoteBucket(RemotePlace("gcs", "in", "gs://in", **about)).client.provider._identity)
"""


def test_what_the_extra_installs_is_enough(tmp_path: Path) -> None:
    """google.auth imports libraries that it does not bring: requests for metadata, packaging for its urllib3."""
    files = [tmp_path / "user.json", tmp_path / "federated.json"]
    for file, about in zip(files, (_USER, _FEDERATED), strict=True):
        file.write_text(json.dumps(about))
    command = [sys.executable, "-c", ALONE, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("about", "who"),
    [
        (_USER, "a user"),
        (_USER | {"account": "me@lab.org"}, "user me@lab.org"),
        (_FEDERATED, "a federated identity"),
        (
            _FEDERATED
            | {
                "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/g@p.iam:generateAccessToken"
            },
            "g@p.iam",
        ),
    ],
    ids=["user", "named user", "federated", "federated as a service account"],
)
def test_who_asks_is_named(tmp_path: Path, about: dict[str, object], who: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(about))
    assert Tokens(RemotePlace("gcs", "in", "gs://in", credentials_file=str(file))).identity == who
    assert Tokens(RemotePlace("gcs", "in", "gs://in", anonymous=True)).identity == ""


@pytest.mark.parametrize("is_trusted", [False, True])
def test_the_ca_file_is_trusted_where_a_token_is_asked_for(tmp_path: Path, is_trusted: bool) -> None:
    """A firewall that looks into TLS stands before the sign-in service too."""
    certificate, key = make_certificate(tmp_path)
    with serve_tls(certificate, key) as address:
        place = RemotePlace("gcs", "in", "gs://in", ca_file=str(certificate) if is_trusted else "")
        with pytest.raises(TransportError) as caught:
            gcs_credentials._send(place, f"{address}/token", "POST", b"")
        assert ("CERTIFICATE_VERIFY_FAILED" in str(caught.value)) is not is_trusted


class _Metadata(BaseHTTPRequestHandler):
    """Knows one account, unless it answers with ``status`` or without its flavor."""

    status, flavor = 200, "Google"
    token: object = {"access_token": "of-machine", "expires_in": 3600, "token_type": "Bearer"}
    asked: list[str] = []  # noqa: RUF012 - one for all requests

    def do_GET(self) -> None:
        self.asked.append(self.path)
        assert self.headers["metadata-flavor"] == "Google"
        self.send_response(self.status)
        if self.flavor:
            self.send_header("Metadata-Flavor", self.flavor)
        self.end_headers()
        self.wfile.write(b"g@p.iam" if self.path.endswith("/email") else json.dumps(self.token).encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the output of a test is for what is wrong."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[_Metadata]]:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr(retrying, "ATTEMPTS", 1)
    handler = type("Handler", (_Metadata,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def test_the_service_account_of_a_machine_is_used_where_the_settings_say_so(machine: type[_Metadata]) -> None:
    with GcsServer(access_key="of-machine") as server:
        place = RemotePlace("gcs", "in", "gs://in", server.url, instance_metadata=True)
        bucket = RemoteBucket(place)
        bucket.put("a", [b"bytes"])
        assert keys(bucket) == ["a"]
        assert [each.rpartition("/")[2].partition("?")[0] for each in machine.asked] == ["token", "email"]
        with pytest.raises(BucketAway, match="has no credentials"):
            RemoteBucket(replace(place, instance_metadata=False)).exists()
        assert len(machine.asked) == 2
        machine.token = {"access_token": "other", "expires_in": 3600}
        with pytest.raises(BucketAway, match=r"credentials \(g@p.iam\) are refused"):
            RemoteBucket(replace(place, address="gs://alias")).exists()


@pytest.mark.parametrize(
    ("status", "flavor", "token", "words"),
    [
        (404, "Google", {}, "the machine has no service account: its metadata service answers with HTTP status 404"),
        (503, "Google", {}, "Google gave no token for the credentials"),
        (200, "", {"access_token": "x", "expires_in": 9}, "Google gave no token for the credentials"),
        (200, "Google", [], "Google gave no token for the credentials"),
        (200, "Google", {"access_token": "x"}, "Google gave no token for the credentials"),
        (200, "Google", {"access_token": "x", "expires_in": "soon"}, "Google gave no token for the credentials"),
    ],
    ids=["no account", "overload", "another server", "list", "no end", "no number"],
)
def test_a_machine_without_a_token(
    machine: type[_Metadata], status: int, flavor: str, token: object, words: str
) -> None:
    machine.status, machine.flavor, machine.token = status, flavor, token
    place = RemotePlace("gcs", "in", "gs://in", "http://127.0.0.1:9", instance_metadata=True, concurrency=status)
    with pytest.raises(BucketAway, match=words):
        RemoteBucket(place).exists()
