"""docs/howto/coming-from.md: its commands, with a real gcloud, Orthanc, DCMTK and a server that speaks S3."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.dicomweb.instances import packaged, uids_of
from tests.docs.test_readme import ROOT, shell
from tests.support.dicom import make_instance
from tests.support.orthanc import run_orthanc
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "howto" / "coming-from.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FILES = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_small_odd.dcm")
SYNTAXES = ("uncompr", "rle", "j2k-lossy", "uncompr")
STORESCP = shutil.which("storescp", path="/usr/bin:/usr/local/bin")
"""Of DCMTK: pynetdicom installs a command of that name, too."""
EXPORT = "gantry export gs://out/all --store hospital/ct\n"


def block(holding: str) -> str:
    (found,) = [text for text in BLOCKS if holding in text]
    return found


START = block("gantry serve") + "mkdir -p buckets/out\n"


def exported(home: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (home / "buckets" / "out").rglob("*.dcm"))


@pytest.fixture
def stored(tmp_path: Path) -> list[bytes]:
    """The files of the tests, also as ``tmp_path/files``."""
    (tmp_path / "files").mkdir()
    (tmp_path / "buckets").mkdir()
    for name in FILES:
        (tmp_path / "files" / name).write_bytes(packaged(name))
    return sorted(packaged(name) for name in FILES)


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="NOT TESTED: gcloud is not installed")
def test_from_google(stored: list[bytes], tmp_path: Path) -> None:
    """A second store of this server plays Google's part."""
    (tmp_path / "buckets" / "moved").mkdir()
    theirs = "gantry stores create theirs/all\ngantry upload files --store theirs/all\n"
    moving = block("export gcs") + block("gs://BUCKET/all/**.dcm")
    names = {"STORE": "all", "DATASET": "theirs", "LOCATION": "us-central1", "BUCKET": "moved"}
    moving = re.sub(r"\b(" + "|".join(names) + r")\b", lambda found: names[found[0]], moving)
    done = shell(START + theirs + block("CLOUDSDK_AUTH_DISABLE_CREDENTIALS") + moving + EXPORT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "instanceCount: '4'" in done.stdout and re.search(r"^instances +4$", done.stdout, re.MULTILINE)
    assert exported(tmp_path) == stored


def fill(orthanc: httpx.Client) -> None:
    for name in FILES:
        orthanc.post("/instances", content=packaged(name)).raise_for_status()


@pytest.mark.parametrize("compressed", [False, True])
def test_from_orthanc_over_dicomweb(stored: list[bytes], tmp_path: Path, compressed: bool) -> None:
    with run_orthanc(tmp_path, DicomWeb={"Enable": True}, StorageCompression=compressed) as orthanc:
        fill(orthanc)
        moving = block("dicom-web/servers/gantry/stow").replace("http://127.0.0.1:8042", str(orthanc.base_url))
        done = shell(START + moving * 2 + EXPORT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "failed-studies").exists()
    assert '"CountInstances" : 4' in done.stdout and re.search(r"^instances +4$", done.stdout, re.MULTILINE)
    assert exported(tmp_path) == stored


def move_storage_area(home: Path, *, compressed: bool) -> subprocess.CompletedProcess[str]:
    with run_orthanc(home, DicomWeb={"Enable": True}, StorageCompression=compressed) as orthanc:
        fill(orthanc)
    moving = block("buckets/orthanc").replace("/var/lib/orthanc/db-v6", str(home / "orthanc"))
    return shell(START + moving + EXPORT, home)


def test_from_the_storage_area_of_orthanc(stored: list[bytes], tmp_path: Path) -> None:
    done = move_storage_area(tmp_path, compressed=False)
    assert done.returncode == 0, done.stderr
    assert "4 succeeded" in done.stdout and exported(tmp_path) == stored
    assert (tmp_path / "orthanc" / "index").exists()


def test_a_compressed_storage_area_fails_as_the_page_says(stored: list[bytes], tmp_path: Path) -> None:
    done = move_storage_area(tmp_path, compressed=True)
    assert done.returncode == 1
    assert "0 succeeded, 8 failed" in done.stdout and "not a DICOM file" in done.stdout, done.stdout


@pytest.mark.skipif(STORESCP is None, reason="NOT TESTED: DCMTK is missing: apt-get install dcmtk")
def test_from_dcm4chee_by_way_of_a_receiver(stored: list[bytes], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    start = START + "server=$!\ntrap 'kill $server $receiver; wait' EXIT\n"
    receiving = block("storescp").replace("storescp", str(STORESCP), 1).replace("11112", port)
    receiving = receiving.replace("&", "& receiver=$!")
    call = f"{Path(str(STORESCP)).with_name('storescu')} -aec STORESCP 127.0.0.1 {port}"
    sending = f"for each in $(seq 30); do {call.replace('storescu', 'echoscu')} && break || sleep 1; done\n" + "".join(
        f"{call} --propose-{syntax} files/{name}\n" for name, syntax in zip(FILES, SYNTAXES, strict=True)
    )
    done = shell(start + receiving + sending + block("upload received") + EXPORT, tmp_path)
    assert "4 stored, 0 already there, 0 failed" in done.stdout, done.stdout + done.stderr
    assert {uids_of(data) for data in exported(tmp_path)} == {uids_of(data) for data in stored}


def test_from_aws(tmp_path: Path) -> None:
    """Three objects, one of which is not DICOM and one of which comes twice."""
    data = make_instance("1.2.3", "1.2.3.4", "1.2.3.4.5")
    (tmp_path / "buckets").mkdir()
    with S3Server(buckets=("hospital-incoming",)) as server:
        server.put("hospital-incoming", {"dicom/a.dcm": data, "dicom/sub/b.dcm": data, "dicom/c.txt": b"hello"})
        entry = f'[[remote_buckets]]\nname = "s3://hospital-incoming"\nendpoint = "{server.url}"\nanonymous = true\n'
        (tmp_path / "gantry.toml").write_text(entry)
        settings = "export GANTRY_CONFIG=gantry.toml\n"
        importing = block("s3://hospital-incoming").rstrip() + " || test $? = 1\n"
        number = "operation=$(gantry operations list --dataset hospital --json |"
        number += " sed -n 's#.*/operations/\\([0-9]*\\)\".*#\\1#p' | head -1)\n"
        reading = block("job-output-manifest.json").replace("OPERATION", "$operation")
        reading = reading.replace("> failure.ndjson", "> failure.ndjson || test $? = 1")
        done = shell(settings + START + importing + number + reading, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "job-output-manifest.json").read_text())
    assert manifest["metadata"]["counter"] == {"success": "2", "failure": "1"} and "error" in manifest
    (failure,) = map(json.loads, (tmp_path / "failure.ndjson").read_text().splitlines())
    assert failure["jsonPayload"]["source"] == "s3://hospital-incoming/dicom/c.txt"
    assert failure["jsonPayload"]["error"]["details"][0]["reason"] == "NOT_DICOM"
    stored, _ = map(json.loads, (tmp_path / "success.ndjson").read_text().splitlines())
    assert stored["sopInstanceUID"] == "1.2.3.4.5"
