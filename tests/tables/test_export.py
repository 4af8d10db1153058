"""``:export`` with ``bigqueryDestination`` into directories (§8.1)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.answers import refused, violated_field
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts
from tests.tables.warehouse import PROJECT, Tables, destination, export

A = ("1.1", "1.1.1", "1.1.1.1")
B = ("1.1", "1.1.1", "1.1.1.2")
C = ("1.2", "1.1.1", "1.1.1.1")


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    for number, uids in enumerate((A, B, C)):
        gantry.put(gantry.bucket, f"{number}.dcm", make_instance(*uids))
    assert counts(gantry.import_("**")) == (3, 0)
    return gantry


class TestRequest:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (destination("bq://p.d"), "tableUri"),
            (destination("gs://p.d.t"), "tableUri"),
            (destination(""), "tableUri"),
            (destination("bq://warehouse.d/../e.t"), "tableUri"),
            (destination("bq://warehouse.d.../t"), "tableUri"),
            (destination("bq://warehouse.d.t/u"), "tableUri"),
            (destination("bq://warehouse.d.t$20240101"), "tableUri"),
            (destination("bq://warehouse.d.t "), "tableUri"),
            (destination("bq://warehouse.d-e.t"), "tableUri"),
            (destination(f"bq://warehouse.d.{'t' * 201}"), "tableUri"),
            (destination(f"bq://warehouse.d.{'t' * 2000}"), "tableUri"),
            (destination("bq://warehouse.d.t", writeDisposition="WRITE_OVER"), "writeDisposition"),
            (destination("bq://warehouse.d.t", schemaFlattened={}, schemaJson={}), "schemaFlattened"),
            (destination("bq://warehouse.d.t", changeDataCaptureConfig={}), "changeDataCaptureConfig"),
        ],
    )
    def test_wrong_fields_are_named(self, gantry: Gantry, tables: Tables, body: Json, field: str) -> None:
        response = gantry.request("POST", f"v1beta1/{gantry.store}:export", json=body)
        assert violated_field(refused(response, "INVALID_ARGUMENT")) == f"bigqueryDestination.{field}"
        assert gantry.operations() == []

    def test_two_destinations(self, gantry: Gantry) -> None:
        body = destination("bq://warehouse.d.t") | {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}"}}
        response = gantry.request("POST", f"v1/{gantry.store}:export", json=body)
        assert violated_field(refused(response, "INVALID_ARGUMENT")) == "bigqueryDestination"

    def test_a_project_without_a_place(self, gantry: Gantry) -> None:
        response = gantry.request("POST", f"v1/{gantry.store}:export", json=destination("bq://other.d.t"))
        error = refused(response, "FAILED_PRECONDITION")
        assert "bq://other.d.t" in error["message"] and "setting bigquery" in error["message"]
        assert gantry.operations() == []

    def test_change_data_capture_is_not_there(self, gantry: Gantry) -> None:
        body = destination("bq://warehouse.d.t", schemaJson={}, changeDataCaptureConfig={})
        refused(gantry.request("POST", f"v1beta1/{gantry.store}:export", json=body), "UNIMPLEMENTED")


class TestRows:
    def test_one_row_for_each_instance(self, filled: Gantry, tables: Tables) -> None:
        operation = export(filled, tables.uri(filled))
        assert counts(operation) == (3, 0)
        assert operation["response"] == {
            "@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataResponse"
        }
        assert operation["metadata"]["apiMethodName"].endswith("DicomService.ExportDicomData")
        assert tables.uids(filled) == sorted((A, B, C))
        columns = "Modality, PatientID, Rows, StorageClass, Type"
        assert set(tables.query(filled, columns=columns)) == {("OT", "P1", 1, "STANDARD", "INSERT")}
        path = f"v1/{filled.store}/dicomWeb/" + "studies/{}/series/{}/instances/{}".format(*A)
        info = filled.call("GET", f"{path}:getStorageInfo")
        sizes = tables.query(
            filled, columns="BlobStorageSize, StructuredStorageSize", rest=f"WHERE SOPInstanceUID = '{A[2]}' LIMIT 1"
        )
        assert sizes == [(int(info["blobStorageInfo"]["sizeBytes"]), int(info["structuredStorageInfo"]["sizeBytes"]))]
        assert tables.left(filled) == []

    def test_the_view_beside_it(self, filled: Gantry, tables: Tables) -> None:
        export(filled, tables.uri(filled, "a table-1"), includeSourceStore=True, schemaJson={})
        found = tables.view(filled, """SELECT SourceDicomStore, Metadata->>'$.00080060.Value[0]' FROM "a table-1" """)
        assert found == [(filled.store, "OT")] * 3

    def test_a_filter(self, filled: Gantry, tables: Tables) -> None:
        lines = f"f0_\n/studies/{A[0]}/series/{A[1]}/instances/{A[2]}\n/studies/{C[0]}\nnothing/\n"
        uri = filled.put(filled.bucket, "filter.csv", lines.encode())
        operation = export(filled, tables.uri(filled), uri)
        assert counts(operation) == (2, 1)
        assert tables.uids(filled) == [A, C]
        assert operation["error"]["details"][0]["sampleErrors"][0]["resource"] == f"{uri}#line=4"

    def test_an_empty_store_has_an_empty_table(self, gantry: Gantry, tables: Tables) -> None:
        operation = export(gantry, tables.uri(gantry))
        assert counts(operation) == (0, 0) and "error" not in operation
        assert tables.query(gantry, columns="SOPInstanceUID") == []
        assert tables.view(gantry, "SELECT count(*) FROM t") == [(0,)]


class TestDispositions:
    @pytest.mark.parametrize(
        ("more", "before", "outcome"),
        [
            ({}, 3, "ALREADY_EXISTS"),
            ({}, 0, 3),
            ({"writeDisposition": "WRITE_EMPTY"}, 3, "ALREADY_EXISTS"),
            ({"writeDisposition": "WRITE_EMPTY"}, 0, 3),
            ({"writeDisposition": "WRITE_EMPTY", "force": True}, 3, "ALREADY_EXISTS"),
            ({"writeDisposition": "WRITE_TRUNCATE"}, 3, 3),
            ({"writeDisposition": "WRITE_TRUNCATE", "force": False}, 3, 3),
            ({"writeDisposition": "WRITE_APPEND"}, 3, 6),
            ({"writeDisposition": "WRITE_APPEND"}, 0, 3),
            ({"writeDisposition": 3}, 3, 6),
            ({"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED", "force": True}, 3, 3),
            ({"force": True}, 3, 3),
            ({"force": False}, 3, "ALREADY_EXISTS"),
            ({"force": False}, 0, "ALREADY_EXISTS"),
        ],
    )
    def test_a_table_that_is_there(
        self, filled: Gantry, tables: Tables, more: Json, before: int, outcome: int | str
    ) -> None:
        nothing = "" if before else filled.put(filled.bucket, "nothing.csv", b"/studies/9.9\n")
        assert counts(export(filled, tables.uri(filled), nothing)) == (before, 0)
        operation = export(filled, tables.uri(filled), **more)
        if isinstance(outcome, str):
            assert operation["error"]["code"] == 6
            sample = operation["error"]["details"][0]["sampleErrors"][0]
            assert sample["resource"] == tables.uri(filled)
        else:
            assert "error" not in operation
        rows = outcome if isinstance(outcome, int) else before
        assert len(tables.uids(filled)) == rows
        assert tables.view(filled, "SELECT count(*) FROM t") == [(rows,)]
        assert tables.left(filled) == []

    @pytest.mark.parametrize("more", [{}, {"force": True}, {"force": False}, {"writeDisposition": "WRITE_APPEND"}])
    def test_a_table_that_is_not_there(self, filled: Gantry, tables: Tables, more: Json) -> None:
        assert counts(export(filled, tables.uri(filled), **more)) == (3, 0)
        assert len(tables.uids(filled)) == 3

    def test_appended_rows_with_more_columns(self, filled: Gantry, tables: Tables) -> None:
        """All files have the same columns, old ones too."""
        export(filled, tables.uri(filled))
        export(filled, tables.uri(filled), includeSourceStore=True, writeDisposition="WRITE_APPEND")
        assert sorted(tables.query(filled, columns="SourceDicomStore, count(*)", rest="GROUP BY 1"), key=str) == [
            (filled.store, 3),
            (None, 3),
        ]
        assert tables.uids(filled) == sorted((A, A, B, B, C, C))

    def test_another_schema_is_not_appended(self, filled: Gantry, tables: Tables) -> None:
        export(filled, tables.uri(filled))
        operation = export(filled, tables.uri(filled), schemaJson={}, writeDisposition="WRITE_APPEND")
        assert operation["error"]["code"] == 9 and "schemaFlattened" in operation["error"]["message"]
        export(filled, tables.uri(filled), schemaJson={}, writeDisposition="WRITE_TRUNCATE")
        assert len(tables.query(filled, columns="Metadata")) == 3

    def test_a_directory_in_the_way_stays(self, filled: Gantry, tables: Tables) -> None:
        mine = tables.base(filled) / "t"
        mine.mkdir(parents=True)
        (mine / "notes.txt").write_text("mine")
        operation = export(filled, tables.uri(filled), writeDisposition="WRITE_TRUNCATE")
        assert operation["error"]["code"] == 9 and "is taken" in operation["error"]["message"]
        assert (mine / "notes.txt").read_text() == "mine"


def test_several_exports_at_a_time(filled: Gantry, tables: Tables) -> None:
    """Each sees the table as a whole; appended rows of all are there."""
    body = destination(tables.uri(filled), writeDisposition="WRITE_APPEND")
    names = [filled.call("POST", f"v1/{filled.store}:export", json=body)["name"] for _ in range(4)]
    assert [counts(filled.wait(name)) for name in names] == [(3, 0)] * 4
    assert len(tables.uids(filled)) == 12
    assert tables.view(filled, "SELECT count(*) FROM t") == [(12,)]


def test_of_several_only_one_fills_an_empty_table(filled: Gantry, tables: Tables) -> None:
    body = destination(tables.uri(filled))
    names = [filled.call("POST", f"v1/{filled.store}:export", json=body)["name"] for _ in range(4)]
    ended: list[Any] = [filled.wait(name).get("error", {}).get("code") for name in names]
    assert sorted(ended, key=str) == [6, 6, 6, None]
    assert len(tables.uids(filled)) == 3
    assert PROJECT in tables.uri(filled)
