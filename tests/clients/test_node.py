"""@googleapis/healthcare for Node.js, unmodified; only its rootUrl is set, and no credentials are given."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.access import ADMIN, Guarded
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.missing import not_tested
from tests.support.server import Json, counts

PACKAGE, VERSION = "@googleapis/healthcare", "26.0.0"
PROGRAM = Path(__file__).parent / "programs" / "client.js"
CACHE = Path(__file__).parents[2] / ".cache" / "npm"


@pytest.fixture(scope="session")
def modules() -> Path:
    """The directory of the package, installed once and kept."""
    if not (shutil.which("node") and shutil.which("npm")):
        not_tested(f"node and npm are not installed, so nothing here shows that {PACKAGE} works")
    CACHE.mkdir(parents=True, exist_ok=True)
    found = CACHE / "node_modules"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        description = found / PACKAGE / "package.json"
        if not description.is_file() or json.loads(description.read_text())["version"] != VERSION:
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)]
            done = subprocess.run(
                [*command, f"{PACKAGE}@{VERSION}"], capture_output=True, text=True, timeout=280, check=False
            )
            if done.returncode:
                not_tested(f"npm cannot install {PACKAGE}@{VERSION}: {done.stderr[-300:]}")
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_import_poll_export_and_errors(gantry: Gantry, modules: Path, version: str, tmp_path: Path) -> None:
    gantry.put(gantry.bucket, "good/a.dcm", make_instance("1.2", "1.3", "1.4"))
    bad = gantry.put(gantry.bucket, "bad/b.dcm", b"not DICOM")
    program = tmp_path / PROGRAM.name
    program.write_bytes(PROGRAM.read_bytes())
    (tmp_path / "node_modules").symlink_to(modules)
    arguments = [gantry.server.url, version, gantry.store, gantry.bucket, gantry.out]
    done = subprocess.run(
        ["node", str(program), *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    assert counts(found["good"]) == counts(found["exported"]) == (1, 0)
    assert found["good"]["metadata"]["@type"].endswith(f".{version}.OperationMetadata")
    assert counts(found["bad"]) == (0, 1)
    assert (found["sample"]["resource"], found["sample"]["error"]["code"]) == (bad, 3)
    assert gantry.objects(gantry.out).keys() == {"d/1.2/1.3/1.4.dcm"}
    assert found["patched"] == {"name": gantry.store, "labels": {"k": "v"}}
    assert len(found["listed"]["operations"]) == 1 and found["listed"]["nextPageToken"]
    assert "must stand at the end" in found["wrong"]["message"]
    assert str(found["wrong"]["status"]) == "400"
    assert "does not exist" in found["missing"]["message"]
    assert str(found["missing"]["status"]) == "404"


@pytest.mark.slow
def test_with_a_token_and_without(modules: Path, tmp_path: Path) -> None:
    """A server that asks who is calling (§12.3): 401 and 403 in words that Node shows."""
    guarded = Guarded(tmp_path, "bob")
    try:
        dataset = "projects/p/locations/us-central1/datasets/d"
        guarded.call("POST", f"v1/{dataset.removesuffix('/d')}?datasetId=d")
        program = tmp_path / "token.js"
        program.write_bytes((PROGRAM.parent / program.name).read_bytes())
        (tmp_path / "node_modules").symlink_to(modules)

        def run(*token: str) -> Json:
            command = ["node", str(program), guarded.server.url, dataset, *token]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
            found: Json = json.loads(done.stdout)
            return found

        assert run(guarded.tokens[ADMIN]) == {"name": dataset}
        denied, nobody = run(guarded.tokens["bob"]), run()
        assert str(denied["status"]) == "403" and "healthcare.datasets.get" in denied["message"]
        assert str(nobody["status"]) == "401" and "Bearer TOKEN" in nobody["message"]
    finally:
        guarded.server.stop()
