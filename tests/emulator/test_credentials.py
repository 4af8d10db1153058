"""Google's clients with the credentials file of an emulator: code as the how-to pages print it, and no account."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.test_node import modules  # noqa: F401 - a fixture
from tests.emulator.running import Emulator

pytestmark = pytest.mark.slow

PARENT = "projects/gantry/locations/us-central1"
STORES = [f"{PARENT}/datasets/radiology/dicomStores/main"]
PYTHON = f"""
import json, sys
from googleapiclient import discovery
options = {{"client_options": {{"api_endpoint": sys.argv[1]}}}} if sys.argv[1:] else {{}}
client = discovery.build("healthcare", "v1", **options)
stores = client.projects().locations().datasets().dicomStores()
print(json.dumps([each["name"] for each in stores.list(parent="{PARENT}/datasets/radiology").execute()["dicomStores"]]))
"""
NODE = f"""
const google = require('@googleapis/healthcare');
const auth = new google.auth.GoogleAuth({{scopes: ['https://www.googleapis.com/auth/cloud-platform']}});
const address = process.argv[2] ? {{rootUrl: process.argv[2]}} : {{}};
const healthcare = google.healthcare({{version: 'v1', auth, ...address}});
healthcare.projects.locations.datasets.dicomStores.list({{parent: '{PARENT}/datasets/radiology'}})
  .then(answer => console.log(JSON.stringify(answer.data.dicomStores.map(each => each.name))));
"""


@pytest.fixture
def node(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "node_modules").symlink_to(request.getfixturevalue("modules"))
    (tmp_path / "program.js").write_text(NODE)
    return ("node", str(tmp_path / "program.js"))


def variables(printed: str) -> dict[str, str]:
    """What a shell has after ``eval "$(gantry emulator credentials FILE)"``."""
    done = subprocess.run(
        ["env", "-i", "sh", "-c", f"{printed}\n/usr/bin/env"], capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("GOOGLE", "CLOUDSDK")))


def credentials(home: Path, server: str, *flags: str) -> dict[str, str]:
    command = [sys.executable, "-m", "gantry", "emulator", "credentials", str(home / "it's.json"), "--server", server]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=True)
    assert json.loads((home / "it's.json").read_text())["type"] == "external_account"
    return variables(done.stdout)


def environ(home: Path, given: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE", "CLOUDSDK", "GANTRY"))}
    return kept | {"HOME": str(home), "CLOUDSDK_CONFIG": str(home / "gcloud"), "NO_GCE_CHECK": "true"} | given


def run(command: tuple[str, ...], env: dict[str, str], before: tuple[str, ...] = ()) -> str:
    done = subprocess.run([*before, *command], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_and_node_with_one_variable_and_an_address(
    emulator: Emulator, tmp_path: Path, node: tuple[str, ...]
) -> None:
    env = environ(tmp_path, credentials(tmp_path, emulator.url))
    assert json.loads(run((sys.executable, "-c", PYTHON, emulator.url), env)) == STORES
    assert json.loads(run((*node, emulator.url), env)) == STORES


def test_gcloud_with_two_variables(emulator: Emulator, tmp_path: Path) -> None:
    """Also its tokens, which the pages give to curl."""
    if shutil.which("gcloud") is None:
        pytest.skip("NOT TESTED: gcloud is not installed")
    env = environ(tmp_path, credentials(tmp_path, emulator.url)) | {"CLOUDSDK_CORE_PROJECT": "gantry"}
    listed = run(("gcloud", "healthcare", "dicom-stores", "list", "--dataset=radiology", "--format=value(name)"), env)
    assert listed.split() in (STORES, ["main"])
    assert run(("gcloud", "auth", "print-access-token"), env) == "emulator\n"
    assert run(("gcloud", "auth", "application-default", "print-access-token"), env) == "emulator\n"


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """What runs a command on a machine of its own, as a container does: with no network but loopback and one address,
    which is ``healthcare.emulator``."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("NOT TESTED: namespaces need Linux, root, unshare and ip")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n10.88.0.2 healthcare.emulator gantry\n")
    script = "ip link set lo up && ip addr add 10.88.0.2/32 dev lo && mount --bind $0 /etc/hosts && echo up && "
    script += "exec sleep 600"
    command = ["unshare", "--net", "--mount", "sh", "-c", script, str(tmp_path / "hosts")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as inside:
        try:
            assert inside.stdout is not None
            if inside.stdout.readline() != "up\n":
                pytest.skip("NOT TESTED: no namespaces here")
            yield ("nsenter", "--target", str(inside.pid), "--net", "--mount")
        finally:
            inside.kill()


def test_as_a_container_with_another_name(namespace: tuple[str, ...], tmp_path: Path) -> None:
    """Reached by a name that is not this machine's, over an address that is not loopback."""
    (tmp_path / "e").mkdir()
    emulator = Emulator(tmp_path / "e", "--store", "radiology/main", before=namespace)
    try:
        address = f"http://gantry:{emulator.port}"
        answer = run(
            ("curl", "-sS", f"{address}/v1/{PARENT}/datasets/radiology/dicomStores"), environ(tmp_path, {}), namespace
        )
        assert [each["name"] for each in json.loads(answer)["dicomStores"]] == STORES
        env = environ(tmp_path, credentials(tmp_path, address))
        assert json.loads(run((sys.executable, "-c", PYTHON, address), env, namespace)) == STORES
    finally:
        emulator.process.terminate()
        emulator.process.wait(60)


def test_python_and_node_without_a_changed_line(
    namespace: tuple[str, ...], tmp_path: Path, node: tuple[str, ...]
) -> None:
    """A universe of one's own: https://healthcare.DOMAIN at port 443, with a certificate that the clients trust."""
    (tmp_path / "e").mkdir()
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=healthcare.emulator",
    ]
    make += ["-addext", "subjectAltName=DNS:healthcare.emulator", "-keyout", key, "-out", certificate]
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: openssl is not installed")
    subprocess.run(make, check=True, capture_output=True)
    flags = ("--store", "radiology/main", "--tls-cert", certificate, "--tls-key", key)
    emulator = Emulator(tmp_path / "e", *flags, before=namespace, port=443)
    try:
        given = credentials(tmp_path, "https://healthcare.emulator", "--universe-domain", "emulator")
        given |= dict.fromkeys(("HTTPLIB2_CA_CERTS", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), certificate)
        env = environ(tmp_path, given)
        assert json.loads(run((sys.executable, "-c", PYTHON), env, namespace)) == STORES
        assert json.loads(run(node, env, namespace)) == STORES
    finally:
        emulator.process.terminate()
        emulator.process.wait(60)
