"""What Google's Java client sends (§12.4.2), sent by the JDK: the library itself is in no registry we install from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.missing import not_tested
from tests.support.server import Json, counts

PROGRAM = Path(__file__).parent / "programs" / "Client.java"


@pytest.fixture(scope="session")
def java() -> str:
    found = shutil.which("java")
    modules = subprocess.run([found or "false", "--list-modules"], capture_output=True, text=True, check=False).stdout
    if not found or "jdk.compiler" not in modules or "java.net.http" not in modules:
        not_tested("no JDK of version 11 or later, so nothing here shows that Java's wire form works")
    return found


@pytest.mark.slow
def test_gzip_chunks_override_and_accept(gantry: Gantry, java: str) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    gantry.put(gantry.bucket, "b.dcm", b"not DICOM")
    command = [java, str(PROGRAM), gantry.server.url, gantry.store, gantry.bucket, gantry.out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, tuple[int, Json]] = {}
    polled: list[Json] = []
    for line in done.stdout.splitlines():
        name, status, body = line.split("\t")
        answers[name] = int(status), json.loads(body)
        if name == "poll":
            polled.append(json.loads(body))
    imported, exported = (item for item in polled if item.get("done"))
    assert (counts(imported), counts(exported)) == ((1, 1), (1, 0))
    assert imported["error"]["details"][0]["sampleErrors"][0]["resource"] == f"gs://{gantry.bucket}/b.dcm"
    assert gantry.objects(gantry.out).keys() == {"d/1.2/1.3/1.4.dcm"}
    assert answers["patch"] == (200, {"name": gantry.store, "labels": {"k": "v"}})
    assert [answers[name][0] for name in ("import", "export", "missing", "wrong")] == [200, 200, 404, 400]
    assert answers["wrong"][1]["error"]["status"] == "INVALID_ARGUMENT"
