"""Every curl command of the how-to pages, run by a shell with the real curl (§17.1, §17.2)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pages import samples
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="NOT TESTED: curl is not installed")


def run(gantry: Gantry, directory: Path, sample: str, **names: str) -> Json:
    """What the command prints. ``gcloud`` is a function here that gives a token, as it would for the reader."""
    script = "gcloud() { echo ya29.token; }\n" + samples.fill(sample, gantry, **names)
    command = ["sh", "-c", script]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def finished(gantry: Gantry, directory: Path, started: Json, version: str, method: str, success: int) -> None:
    """The start answered with a name and nothing else; asking as the page does gives what the page shows."""
    assert started.keys() == {"name"}
    parent, _, id = started["name"].rpartition("/")
    assert (parent, id.isdigit()) == (f"{gantry.dataset}/operations", True)
    assert counts(gantry.wait(started["name"])) == (success, 0)
    operation = run(gantry, directory, samples.GET_OPERATION, VERSION=version, OPERATION_ID=id)
    package = f"google.cloud.healthcare.{version}"
    metadata = operation["metadata"]
    assert operation.keys() == {"name", "metadata", "done", "response"}
    assert (operation["name"], operation["done"]) == (started["name"], True)
    assert metadata.keys() == {"@type", "apiMethodName", "createTime", "endTime", "logsUrl", "counter"}
    assert metadata["@type"] == f"type.googleapis.com/{package}.OperationMetadata"
    assert metadata["apiMethodName"] == f"{package}.dicom.DicomService.{method}"
    assert metadata["counter"] == {"success": str(success)}
    assert operation["response"].keys() == {"@type"}


def test_import_from_a_request_file(gantry: Gantry, tmp_path: Path) -> None:
    gantry.put(gantry.bucket, "path/to/file.dcm", make_instance())
    names = {"BUCKET/PATH/TO/FILE": f"{gantry.bucket}/path/to/file"}
    started = run(gantry, tmp_path, samples.IMPORT_FROM_FILE, **names)
    finished(gantry, tmp_path, started, "v1", "ImportDicomData", 1)
    assert len(gantry.stored()) == 1


@pytest.mark.parametrize("storage_class", ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"])
def test_import_with_a_storage_class(gantry: Gantry, tmp_path: Path, storage_class: str) -> None:
    gantry.put(gantry.bucket, "path/to/file.dcm", make_instance())
    names = {"BUCKET/PATH/TO/FILE": f"{gantry.bucket}/path/to/file", "STORAGE_CLASS": storage_class}
    started = run(gantry, tmp_path, samples.IMPORT_WITH_STORAGE_CLASS, **names)
    finished(gantry, tmp_path, started, "v1beta1", "ImportDicomData", 1)


def test_import_of_a_wildcard(gantry: Gantry, tmp_path: Path) -> None:
    for key in ("a.dcm", "b.dcm", "d/c.dcm", "e.txt"):
        gantry.put(gantry.bucket, key, make_instance())
    started = run(gantry, tmp_path, samples.IMPORT_INLINE, BUCKET=gantry.bucket)
    finished(gantry, tmp_path, started, "v1", "ImportDicomData", 2)


def test_export(gantry: Gantry, tmp_path: Path) -> None:
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.2", "1.3", "1.4"))
    gantry.import_("a.dcm")
    started = run(gantry, tmp_path, samples.EXPORT, **{"BUCKET/DIRECTORY": f"{gantry.out}/directory"})
    finished(gantry, tmp_path, started, "v1", "ExportDicomData", 1)
    assert gantry.objects(gantry.out).keys() == {"directory/1.2/1.3/1.4.dcm"}


def test_export_with_the_filter_file_of_the_page(gantry: Gantry, tmp_path: Path) -> None:
    """§17.9: series 123.456 stands below two studies; instances 111 to 333 lie in one of them."""
    selected = {
        ("1.123.456.789", "1", "1"),
        ("1.123.456.789", "2", "1"),
        ("1.666.333.111", "123.456", "1"),
        ("1.666.333.111", "567.890", "1"),
        ("1.888.999.222", "123.456", "111"),
        ("1.888.999.222", "123.456", "222"),
        ("1.888.999.222", "123.456", "333"),
    }
    others = {
        ("1.123.456.78", "1", "1"),
        ("1.666.333.111", "123.4567", "1"),
        ("1.888.999.222", "123.456", "444"),
        ("1.888.999.222", "567.890", "111"),
    }
    for uids in selected | others:
        gantry.put(gantry.bucket, "-".join(uids), make_instance(*uids))
    assert counts(gantry.import_("*")) == (11, 0)
    gantry.put(gantry.bucket, "directory/filter.txt", samples.FILTER_FILE.encode())
    names = {
        "BUCKET/DIRECTORY/FILTER_FILE": f"{gantry.bucket}/directory/filter.txt",
        "BUCKET/DIRECTORY": f"{gantry.out}/directory",
    }
    started = run(gantry, tmp_path, samples.EXPORT_WITH_FILTER, **names)
    finished(gantry, tmp_path, started, "v1beta1", "ExportDicomData", 7)
    assert gantry.objects(gantry.out).keys() == {f"directory/{'/'.join(uids)}.dcm" for uids in selected}
