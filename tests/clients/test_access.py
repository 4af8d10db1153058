"""Unmodified clients against a server that asks who is calling (spec §12.3)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2.credentials import Credentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from tests.clients.gcloud import Gcloud, found
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
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    assert "d" in run(guarded.tokens[ADMIN]).stdout
    for token, words in (("", "Bearer TOKEN"), ("another-token-0000", "not known"), (guarded.tokens["bob"], "denied")):
        done = run(token)
        assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def gcloud(guarded: Guarded, tmp_path: Path) -> Gcloud:
    if not found():
        pytest.skip("NOT TESTED: gcloud is not installed, so nothing here shows that it works with tokens")

    class Place:
        server = guarded.server

    made = Gcloud(Place, tmp_path / "gcloud")  # type: ignore[arg-type]
    del made.environ["CLOUDSDK_AUTH_DISABLE_CREDENTIALS"]
    return made


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
