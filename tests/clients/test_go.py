"""What google-api-go-client sends and how strictly it reads, by a program of the standard library alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.missing import not_tested

PROGRAM = Path(__file__).parent / "programs" / "client.go"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built."""
    go = shutil.which("go")
    if not go:
        not_tested("go is not installed, so nothing here shows that Go's wire form works")
    home = tmp_path_factory.mktemp("go")
    environ = os.environ | {"GOCACHE": str(home / "cache"), "GOPATH": str(home / "path"), "GO111MODULE": "off"}
    command = [go, "build", "-o", str(home / "client"), str(PROGRAM)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return home / "client"


def test_import_poll_export_patch_and_errors(gantry: Gantry, program: Path) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    gantry.put(gantry.bucket, "b.dcm", b"not DICOM")
    command = [str(program), gantry.server.url, gantry.store, gantry.bucket, gantry.out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["imported"]["metadata"]["counter"] == {"success": "1", "failure": "1"}
    assert found["exported"]["metadata"]["counter"] == {"success": "1", "failure": "0"}
    sample = found["imported"]["error"]["details"][0]["sampleErrors"][0]
    assert sample["resource"] == f"gs://{gantry.bucket}/b.dcm"
    assert gantry.objects(gantry.out).keys() == {"d/1.2/1.3/1.4.dcm"}
    assert (found["patch_code"], found["patched"]) == (200, {"name": gantry.store, "labels": {"k": "v"}})
    assert (found["missing"]["code"], found["missing"]["status"]) == (404, "NOT_FOUND")
    assert (found["wrong"]["code"], found["wrong"]["status"]) == (400, "INVALID_ARGUMENT")
