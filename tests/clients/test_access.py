"""Unmodified clients against a server that asks who is calling (spec §12.3)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from gantry.access.reloading import SECONDS
from tests.clients.gcloud import Gcloud, found
from tests.support import prepared
from tests.support.access import ADMIN, Guarded
from tests.support.server import PROJECT


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("access"), "bob")
    made.call("POST", f"v1/projects/{PROJECT}/locations/us-central1/datasets?datasetId=d")
    yield made
    made.server.stop()


DATASET = f"projects/{PROJECT}/locations/us-central1/datasets/d"


def client(guarded: Guarded, credentials: Any) -> Any:
    options = {"api_endpoint": guarded.server.url}
    built = discovery.build("healthcare", "v1", client_options=options, credentials=credentials, static_discovery=True)
    return built.projects().locations().datasets()


def test_python(guarded: Guarded) -> None:
    ada, bob = (client(guarded, Credentials(guarded.tokens[name])) for name in (ADMIN, "bob"))
    assert ada.get(name=DATASET).execute()["name"] == DATASET
    with pytest.raises(HttpError) as refused:
        bob.get(name=DATASET).execute()
    assert refused.value.status_code == 403
    assert "healthcare.datasets.get" in refused.value.reason
    for nobody in (AnonymousCredentials(), Credentials("nobodys-token-0000")):
        with pytest.raises(GoogleAuthError, match="refresh"):  # what google-auth does about a 401
            client(guarded, nobody).get(name=DATASET).execute()


def test_our_own_command_line(guarded: Guarded) -> None:
    def run(token: str) -> subprocess.CompletedProcess[str]:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GANTRY_")}
        environ |= {"GANTRY_SERVER": guarded.server.url, "GANTRY_PROJECT": PROJECT} | {"GANTRY_TOKEN": token}
        command = [sys.executable, "-m", "gantry", "datasets", "list"]
        return prepared.run(command, capture_output=True, text=True, env=environ)

    assert "d" in run(guarded.tokens[ADMIN]).stdout
    for token, words in (("", "Bearer TOKEN"), ("another-token-0000", "not known"), (guarded.tokens["bob"], "denied")):
        done = run(token)
        assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr


def gantry(guarded: Guarded, *arguments: str) -> str:
    """Our own command on the server's data."""
    environ = guarded.server.environ | {"GANTRY_DATA": str(guarded.server.data), "GANTRY_SERVER": guarded.server.url}
    command = [sys.executable, "-m", "gantry", *arguments]
    return str(prepared.run(command, capture_output=True, text=True, env=environ, check=True).stdout)


@pytest.fixture(scope="module")
def key(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of a service account that may see datasets."""
    path = tmp_path_factory.mktemp("keys") / "pacs.json"
    email = gantry(guarded, "service-accounts", "create", "pacs", "--out", str(path), "--project", PROJECT).strip()
    binding = {"role": "roles/healthcare.datasetViewer", "members": [f"serviceAccount:{email}"]}
    policy = {"policy": {"bindings": [binding]}}
    guarded.call("POST", f"v1/projects/{PROJECT}:setIamPolicy", json=policy)
    time.sleep(SECONDS + 0.1)  # what another process has made counts within a second
    return path


def test_application_default_credentials(guarded: Guarded, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's google-auth with a key file of ours and nothing else: it asks our endpoint for a token (§12.4.6)."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    assert project == PROJECT
    assert client(guarded, credentials).get(name=DATASET).execute()["name"] == DATASET


def test_a_token_signed_by_the_client_itself(guarded: Guarded, key: Path) -> None:
    """As google-auth does without asking any endpoint (§12.3)."""
    credentials = service_account.Credentials.from_service_account_file(
        str(key), scopes=["https://www.googleapis.com/auth/cloud-platform"], always_use_jwt_access=True
    )
    credentials._create_self_signed_jwt(None)
    assert client(guarded, credentials).get(name=DATASET).execute()["name"] == DATASET


def test_the_token_endpoint_says_what_is_wrong(guarded: Guarded) -> None:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    for form, error in (
        ({}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": grant, "assertion": "x"}, "invalid_grant"),
    ):
        response = guarded.request("", "POST", "token", data=form)
        assert (response.status_code, response.json()["error"]) == (400, error), response.text
        assert response.headers["cache-control"] == "no-store"
    assert guarded.request("", "GET", "token").status_code == 405


def test_keys_are_listed_and_deleted(guarded: Guarded, tmp_path: Path) -> None:
    path = tmp_path / "short.json"
    gantry(guarded, "service-accounts", "create", "short", "--out", str(path))
    assert path.stat().st_mode & 0o077 == 0
    listed = json.loads(gantry(guarded, "service-accounts", "list", "--json"))
    (mine,) = [each for each in listed if each["email"] == "short@gantry.iam.gantry"]
    assert mine["keyId"] in gantry(guarded, "service-accounts", "list")
    gantry(guarded, "service-accounts", "delete", mine["keyId"])
    assert mine["keyId"] not in gantry(guarded, "service-accounts", "list")


@pytest.fixture
def gcloud(guarded: Guarded, tmp_path: Path) -> Gcloud:
    if not found():
        pytest.skip("NOT TESTED: gcloud is not installed, so nothing here shows that it works with tokens")

    class Place:
        server = guarded.server

    made = Gcloud(Place, tmp_path / "gcloud")  # type: ignore[arg-type]
    del made.environ["CLOUDSDK_AUTH_DISABLE_CREDENTIALS"]
    return made


@pytest.mark.slow
def test_gcloud_with_a_service_account(gcloud: Gcloud, key: Path) -> None:
    """gcloud auth activate-service-account, then its own commands and print-access-token (§12.4.6)."""
    activate = [found(), "auth", "activate-service-account", f"--key-file={key}"]
    done = subprocess.run(activate, env=gcloud.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert gcloud("datasets", "describe", "d", "--format=json").json["name"] == DATASET


@pytest.mark.slow
def test_gcloud(guarded: Guarded, gcloud: Gcloud, tmp_path: Path) -> None:
    """A token of ours in a file is all it needs; policies by its own commands."""

    def as_(name: str) -> None:
        token = tmp_path / name
        token.write_text(guarded.tokens.get(name, "nobodys-token-0000"))
        gcloud.environ["CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"] = str(token)

    as_("bob")
    denied = gcloud("datasets", "describe", "d")
    assert denied.code == 1 and "PERMISSION_DENIED" in denied.err
    as_(ADMIN)
    bind = ("datasets", "add-iam-policy-binding", "d", "--member=user:bob@example.org")
    assert gcloud(*bind, "--role=roles/healthcare.datasetViewer").code == 0
    policy = gcloud("datasets", "get-iam-policy", "d", "--format=json").json
    assert policy["bindings"] == [{"role": "roles/healthcare.datasetViewer", "members": ["user:bob@example.org"]}]
    as_("bob")
    assert gcloud("datasets", "describe", "d", "--format=json").json["name"] == DATASET
    as_(ADMIN)
    unbind = ("datasets", "remove-iam-policy-binding", "d", "--member=user:bob@example.org")
    assert gcloud(*unbind, "--role=roles/healthcare.datasetViewer").code == 0
    as_("bob")
    assert gcloud("datasets", "describe", "d").code == 1
    as_("nobody")
    unknown = gcloud("datasets", "describe", "d")
    assert unknown.code == 1 and "UNAUTHENTICATED" in unknown.err
