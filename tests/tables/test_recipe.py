"""What people do with tables of metadata: the recipe of the how-to page, gcloud, a whole corpus, many instances."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.clients.gcloud import Gcloud, found
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.missing import not_tested
from tests.support.server import counts
from tests.tables.warehouse import Tables, destination, export

pytestmark = pytest.mark.slow

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
QUERY = (
    "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) "
    f"FROM t WHERE SOPClassUID = '{CT}'"
)


def test_export_query_filter_export_and_change_of_class(gantry: Gantry, tables: Tables) -> None:
    for number in range(20):
        sop_class = CT if number % 4 else MR
        data = make_instance(f"1.{number % 3}", f"1.{number % 3}.{number % 4}", f"1.9.{number}", sop_class=sop_class)
        gantry.put(gantry.bucket, f"{number}.dcm", data)
    assert counts(gantry.import_("**")) == (20, 0)
    assert counts(export(gantry, tables.uri(gantry))) == (20, 0)
    paths = [path for (path,) in tables.view(gantry, QUERY)]
    assert len(paths) == 15
    uri = gantry.put(gantry.bucket, "filter.csv", "\n".join(["f0_", *paths, ""]).encode())
    exported = gantry.export("chosen", filterConfig={"resourcePathsGcsUri": uri})
    assert counts(exported) == (15, 0)
    names = {"chosen/" + "/".join(path.split("/")[2::2]) + ".dcm" for path in paths}
    assert gantry.objects(gantry.out).keys() == names
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}, "filterConfig": {"resourcePathsGcsUri": uri}}
    change = gantry.call("POST", f"v1beta1/{gantry.store}:setBlobStorageSettings", json=body)
    assert counts(gantry.wait(change["name"])) == (15, 0)
    assert counts(export(gantry, tables.uri(gantry), force=True)) == (20, 0)
    classes = tables.query(gantry, columns="StorageClass, SOPClassUID, count(*)", rest="GROUP BY ALL ORDER BY ALL")
    assert classes == [("ARCHIVE", CT, 15), ("STANDARD", MR, 5)]


def test_gcloud(gantry: Gantry, tables: Tables, tmp_path: Path) -> None:
    """§13"""
    if not found():
        pytest.skip("NOT TESTED: gcloud is not installed")
    gcloud = Gcloud(gantry, tmp_path / "gcloud")
    gantry.put(gantry.bucket, "a.dcm", make_instance("1.1", "1.1.1", "1.1.1.1"))
    gantry.put(gantry.bucket, "b.dcm", make_instance("1.2", "1.2.1", "1.2.1.1"))
    filter_uri = gantry.put(gantry.bucket, "filter.txt", b"/studies/1.2\n")
    gantry.import_("*.dcm")
    command = ("dicom-stores", "export", "bq", "store", f"--dataset={gantry.dataset_id}")
    table = f"--bq-table={tables.uri(gantry)}"
    done = gcloud(*command, table)
    assert (done.code, done.out) == (0, f"name: {gantry.store}\n"), done.err
    again = gcloud(*command, table)
    assert again.code == 1 and "writeDisposition is WRITE_EMPTY" in again.out + again.err
    for more, rows in (("--overwrite-table", 2), ("--write-disposition=write-append", 4)):
        assert gcloud(*command, table, more).code == 0
        assert len(tables.uids(gantry)) == rows
    filtered = gcloud(
        *command, table, "--write-disposition=write-truncate", f"--filter-config-gcs-uri={filter_uri}", track="beta"
    )
    assert filtered.code == 0, filtered.err
    assert tables.uids(gantry) == [("1.2", "1.2.1", "1.2.1.1")]


@pytest.mark.parametrize("schema", ["schemaFlattened", "schemaJson"])
def test_a_corpus_has_all_its_rows(gantry: Gantry, tables: Tables, schema: str) -> None:
    root = Path(os.environ.get("GANTRY_CORPUS", "/nowhere"), "data", "ok")
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    if not files:
        not_tested("GANTRY_CORPUS is not set: no corpus to export")
    for number, path in enumerate(files):
        gantry.put(gantry.bucket, f"{number}.dcm", path.read_bytes())
    gantry.import_("**")
    stored = sorted(tuple(key.split("/")) for key in gantry.stored())
    operation = export(gantry, tables.uri(gantry), **{schema: {}})
    assert counts(operation) == (len(stored), 0), operation
    assert tables.uids(gantry) == stored
    if schema == "schemaJson":
        for study, series, sop, metadata in tables.query(
            gantry, columns="StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, Metadata", rest="LIMIT 20"
        ):
            found = json.loads(metadata)
            assert (found["0020000D"]["Value"], found["00080018"]["Value"]) == ([study], [sop]) and series


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_twenty_thousand_instances(gantry: Gantry, tables: Tables) -> None:
    for number in range(20_000):
        study, series = number // 500, number // 100
        data = make_instance(f"1.{study}", f"1.{series}.1", f"1.8.{number}")
        gantry.put(gantry.bucket, f"{study}/{number}.dcm", data)
    done = gantry.wait(gantry.server.import_(gantry.store, f"gs://{gantry.bucket}/**"), seconds=500)
    assert counts(done) == (20_000, 0)
    body = destination(tables.uri(gantry))
    name = gantry.call("POST", f"v1/{gantry.store}:export", json=body)["name"]
    assert counts(gantry.wait(name, seconds=500)) == (20_000, 0)
    assert tables.query(gantry, columns="count(*), count(DISTINCT SOPInstanceUID)") == [(20_000, 20_000)]
    assert 2 <= len(list((tables.base(gantry) / "t").iterdir())) < 20
    assert tables.left(gantry) == []
