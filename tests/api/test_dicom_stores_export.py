"""projects.locations.datasets.dicomStores.export to object storage (§7)."""

from __future__ import annotations

import httpx
import pytest

from tests.support.answers import refused, violated_field
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts, pending

A = ("1.1", "1.1.1", "1.1.1.1")
B = ("1.1", "1.1.1", "1.1.1.2")
C = ("1.1", "1.1.2", "1.1.1.1")
D = ("1.2", "1.1.1", "1.1.1.1")
STORED = {"/".join(uids) + ".dcm": make_instance(*uids) for uids in (A, B, C, D)}


def request_export(gantry: Gantry, body: Json) -> httpx.Response:
    return gantry.request("POST", f"v1/{gantry.store}:export", json=body)


def destination(gantry: Gantry, tail: str = "") -> Json:
    return {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}{tail}"}}


@pytest.fixture
def filled(gantry: Gantry) -> Gantry:
    """Four instances in three series of two studies; the same UIDs occur in several places."""
    for number, data in enumerate(STORED.values()):
        gantry.put(gantry.bucket, f"{number}.dcm", data)
    assert counts(gantry.import_("**")) == (4, 0)
    return gantry


class TestRequest:
    @pytest.mark.parametrize("body", [{}, {"gcsDestination": {}}, {"gcsDestination": {"uriPrefix": ""}}])
    def test_a_destination_is_required(self, gantry: Gantry, body: Json) -> None:
        """§1.11"""
        refused(request_export(gantry, body), "INVALID_ARGUMENT", "gcsDestination")
        assert gantry.operations() == []

    def test_two_destinations_are_refused(self, gantry: Gantry) -> None:
        """§1.11"""
        body = destination(gantry) | {"bigqueryDestination": {"tableUri": "bq://p.d.t"}}
        refused(request_export(gantry, body), "INVALID_ARGUMENT", "bigqueryDestination")
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        "prefix",
        ["b/d", "s3://b/d", "http://b/d", "gs://", "gs://B", "gs://b/*", "gs://b/d?", "gs://b/**", "gs://b/\0"],
    )
    def test_other_addresses_are_refused(self, gantry: Gantry, prefix: str) -> None:
        """§7.1.1"""
        refused(request_export(gantry, {"gcsDestination": {"uriPrefix": prefix}}), "INVALID_ARGUMENT")
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        "mime_type",
        ["text/plain", "application/dicom; transfer-syntax=1.2.3", "dicom", "application/dicom;x", "image/gif"],
    )
    def test_an_unknown_type_is_refused_at_once(self, gantry: Gantry, mime_type: str) -> None:
        """§7.1.5"""
        body = {"gcsDestination": {"uriPrefix": f"gs://{gantry.out}", "mimeType": mime_type}}
        assert violated_field(refused(request_export(gantry, body), "INVALID_ARGUMENT")) == "gcsDestination.mimeType"
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        "uri", ["", "b/f", "gs://b", "gs://b/", "gs://b/*.csv", "gs://b/f?", "http://b/f", "gs://B/f"]
    )
    def test_a_filter_is_one_object(self, gantry: Gantry, uri: str) -> None:
        """§7.2.5"""
        body = destination(gantry) | {"filterConfig": {"resourcePathsGcsUri": uri}}
        refused(request_export(gantry, body), "INVALID_ARGUMENT")
        assert gantry.operations() == []

    def test_a_missing_store_is_not_found(self, gantry: Gantry) -> None:
        response = gantry.request("POST", f"v1/{gantry.store}-missing:export", json=destination(gantry))
        refused(response, "NOT_FOUND")


class TestFiles:
    @pytest.mark.parametrize(
        ("tail", "prefix"), [("", ""), ("/", ""), ("/d", "d/"), ("/d/", "d/"), ("/d/e f/ü", "d/e f/ü/")]
    )
    def test_layout_below_a_bucket_or_a_directory(self, filled: Gantry, tail: str, prefix: str) -> None:
        """§7.1.1, §7.1.2, §17.8"""
        operation = filled.export(f"gs://{filled.out}{tail}")
        assert counts(operation) == (4, 0)
        assert filled.objects(filled.out) == {prefix + key: data for key, data in STORED.items()}

    def test_the_store_keeps_what_was_exported(self, filled: Gantry) -> None:
        filled.export("d")
        assert {f"{key}.dcm": data for key, data in filled.stored().items()} == STORED

    def test_what_is_there_is_overwritten_and_the_rest_left_alone(self, filled: Gantry) -> None:
        """§7.1.3, §17.8"""
        filled.put(filled.out, "/".join(A) + ".dcm", b"old and much longer" * 1000)
        filled.put(filled.out, "1.1/notes.txt", b"mine")
        for _ in range(2):
            assert counts(filled.export()) == (4, 0)
            assert filled.objects(filled.out) == STORED | {"1.1/notes.txt": b"mine"}

    @pytest.mark.parametrize(
        "mime_type",
        ["application/dicom", "application/dicom; transfer-syntax=*", "application/dicom;transfer-syntax=*", ""],
    )
    def test_dicom_as_it_was_uploaded(self, filled: Gantry, mime_type: str) -> None:
        """§7.1.4: the Node sample sends the bare type."""
        name = filled.call(
            "POST",
            f"v1/{filled.store}:export",
            json={"gcsDestination": {"uriPrefix": f"gs://{filled.out}", "mimeType": mime_type}},
        )["name"]
        assert counts(filled.wait(name)) == (4, 0)
        assert filled.objects(filled.out) == STORED

    def test_an_empty_store_exports_nothing_and_succeeds(self, gantry: Gantry) -> None:
        """§7.3"""
        operation = gantry.export()
        assert "response" in operation
        assert "counter" not in operation["metadata"]
        assert gantry.objects(gantry.out) == {}

    def test_an_export_can_be_imported_again(self, filled: Gantry) -> None:
        filled.export("again")
        other = filled.new_store("other")
        assert counts(filled.import_(f"gs://{filled.out}/again/**.dcm", store=other)) == (4, 0)
        assert filled.stored(other) == filled.stored()

    def test_a_place_that_is_taken_fails_one_instance_and_not_the_others(self, filled: Gantry) -> None:
        """§5.3.2: the resource is the instance's path."""
        filled.put(filled.out, "/".join(A) + ".dcm/in-the-way", b"x")
        operation = filled.export()
        assert counts(operation) == (3, 1)
        detail, _ = operation["error"]["details"]
        assert detail["@type"] == "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataErrorDetails"
        (sample,) = detail["sampleErrors"]
        assert sample["resource"].endswith(f"studies/{A[0]}/series/{A[1]}/instances/{A[2]}")
        assert operation["error"]["code"] == sample["error"]["code"]
        assert list(filled.failures(operation)) == [sample["resource"]]


class TestOperation:
    @pytest.mark.parametrize("version", ["v1", "v1beta1"])
    def test_success(self, filled: Gantry, version: str) -> None:
        """§5.1, §5.2"""
        operation = filled.export(version=version)
        package = f"google.cloud.healthcare.{version}"
        metadata = operation["metadata"]
        assert operation.keys() == {"name", "metadata", "done", "response"}
        assert metadata.keys() == {"@type", "apiMethodName", "createTime", "endTime", "logsUrl", "counter"}
        assert metadata["@type"] == f"type.googleapis.com/{package}.OperationMetadata"
        assert metadata["apiMethodName"] == f"{package}.dicom.DicomService.ExportDicomData"
        assert metadata["counter"] == {"success": "4"}
        assert operation["response"] == {"@type": f"type.googleapis.com/{package}.dicom.ExportDicomDataResponse"}

    def test_a_missing_bucket_is_told_by_the_operation(self, filled: Gantry) -> None:
        """§5.3.3, §5.3.4"""
        operation = filled.export(f"gs://{filled.out}-missing/d")
        assert operation["error"]["code"] == 5
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert sample["resource"].rstrip("/") == f"gs://{filled.out}-missing/d"
        assert not (filled.server.buckets / f"{filled.out}-missing").exists()

    @pytest.mark.slow
    def test_progress_while_it_runs(self, gantry: Gantry, big_bucket: str) -> None:
        """§5.1.3"""
        assert counts(gantry.import_(f"gs://{big_bucket}/**")) == (3000, 0)
        name = gantry.server.export(gantry.store, f"gs://{gantry.out}")
        seen: list[tuple[int, int, int]] = []
        operation: Json = {}
        while not operation.get("done"):
            operation = gantry.server.operation(name)
            seen.append((*counts(operation), pending(operation)))
        assert seen[-1] == (3000, 0, 0)
        assert {sum(one) for one in seen} <= {0, 3000}
        left = [remaining for _, _, remaining in seen if remaining]
        assert left == sorted(left, reverse=True)
        assert len(set(left)) > 1
        assert len(gantry.objects(gantry.out)) == 3000


class TestFilter:
    """§7.2, §17.9"""

    def run(self, gantry: Gantry, text: bytes) -> tuple[Json, set[str]]:
        """An export with a filter file of these bytes; the operation and the keys of what was written."""
        uri = gantry.put(gantry.bucket, "filters/filter.csv", text)
        operation = gantry.export(filterConfig={"resourcePathsGcsUri": uri})
        keys = gantry.objects(gantry.out).keys()
        assert counts(operation)[0] == len(keys)
        return operation, set(keys)

    def select(self, gantry: Gantry, text: bytes) -> set[str]:
        """As ``run``, where every line must be understood."""
        operation, keys = self.run(gantry, text)
        assert "response" in operation, operation
        assert counts(operation)[1] == 0
        return keys

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (["/studies/1.1"], [A, B, C]),
            (["/studies/1.1/series/1.1.1"], [A, B]),
            (["/studies/1.1/series/1.1.1/instances/1.1.1.2"], [B]),
            (["/studies/1.2", "/studies/1.1/series/1.1.2", "/studies/1.1/series/1.1.1/instances/1.1.1.1"], [A, C, D]),
            (["/studies/1.1", "/studies/1.1/series/1.1.1", "/studies/1.1"], [A, B, C]),
            (["/studies/1.2/series/1.1.1/instances/1.1.1.1"], [D]),
        ],
    )
    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_studies_series_and_instances(
        self, filled: Gantry, lines: list[str], expected: list[tuple[str, str, str]], end: bytes
    ) -> None:
        """§7.2.1: levels may be mixed; an instance is selected once; identity is the whole path (§12.4.7)."""
        keys = {"/".join(uids) + ".dcm" for uids in expected}
        assert self.select(filled, end.join(line.encode() for line in lines) + end) == keys
        assert all(filled.objects(filled.out)[key] == STORED[key] for key in keys)

    @pytest.mark.parametrize(
        "text",
        [
            b"/studies/1.2",
            b"f0_\n/studies/1.2\n",
            b'"f0_"\n"/studies/1.2"\n',
            b"\xef\xbb\xbff0_\r\n/studies/1.2\r\n",
            b"\xef\xbb\xbf/studies/1.2\r\n",
            b"\n\n/studies/1.2\n\n\r\n",
        ],
    )
    def test_as_bigquery_and_editors_write_it(self, filled: Gantry, text: bytes) -> None:
        """§7.2.3: a header line, quotes, a final newline or none, empty lines."""
        assert self.select(filled, text) == {"/".join(D) + ".dcm"}

    @pytest.mark.parametrize("text", [b"", b"\n", b"f0_\n", b"\xef\xbb\xbf"])
    def test_an_empty_file_selects_nothing_and_never_everything(self, filled: Gantry, text: bytes) -> None:
        """§7.2.5"""
        assert self.select(filled, text) == set()

    @pytest.mark.parametrize("text", [b"", b"\n\n", b"f0_\r\n", b"\xff\xfe\r\0\n\0"])
    def test_a_file_that_names_nothing_is_a_warning(self, filled: Gantry, text: bytes) -> None:
        operation, keys = self.run(filled, text)
        assert (keys, counts(operation)) == (set(), (0, 0))
        assert "error" not in operation
        (entry,) = filled.request("GET", f"logs/{operation['name']}").json()["entries"]
        assert entry["severity"] == "WARNING"
        assert entry["jsonPayload"]["resourceName"] == f"gs://{filled.bucket}/filters/filter.csv"
        assert "names nothing" in entry["jsonPayload"]["error"]["message"]

    def test_a_bare_uid_in_the_first_line_is_a_failure_and_no_header(self, filled: Gantry) -> None:
        operation, keys = self.run(filled, b"1.2\n/studies/1.2\n")
        assert (keys, counts(operation)) == ({"/".join(D) + ".dcm"}, (1, 1))
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert sample["resource"].endswith("#line=1")

    def test_full_names_of_this_store_and_of_others(self, filled: Gantry) -> None:
        name = f"{filled.store}/dicomWeb/studies/1.2"
        lines = [name, f"https://healthcare.googleapis.com/v1/{name}", name.replace("/store/", "/other/")]
        operation, keys = self.run(filled, "\r\n".join(lines).encode("utf-16"))
        assert (keys, counts(operation)) == ({"/".join(D) + ".dcm"}, (1, 1))
        assert f"is not in this DICOM store, {filled.store}" in operation["error"]["message"]

    @pytest.mark.parametrize(
        "line", [b"/studies/1.3", b"/studies/1.1/series/9", b"/studies/1.1/series/1.1.1/instances/9"]
    )
    def test_a_path_that_matches_nothing_is_a_warning_and_no_failure(self, filled: Gantry, line: bytes) -> None:
        """§7.2.6"""
        operation, keys = self.run(filled, line + b"\n/studies/1.2\n")
        assert keys == {"/".join(D) + ".dcm"}
        assert (operation["response"]["@type"].rpartition(".")[2], counts(operation)) == (
            "ExportDicomDataResponse",
            (1, 0),
        )
        (entry,) = filled.request("GET", f"logs/{operation['name']}").json()["entries"]
        assert (entry["severity"], entry["jsonPayload"]["error"]["code"]) == ("WARNING", 5)
        assert entry["jsonPayload"]["resourceName"] == f"gs://{filled.bucket}/filters/filter.csv#line=1"
        assert entry["jsonPayload"]["error"]["message"] == f"{line[1:].decode()} names nothing in this DICOM store"
        page = filled.request("GET", f"console/{operation['name']}/errors").text
        assert "names nothing in this DICOM store" in page

    def test_warnings_are_never_given_as_the_reason_of_a_failure(self, filled: Gantry) -> None:
        """§5.3: ``sampleErrors`` and the message name what failed."""
        operation, _ = self.run(filled, b"/studies/1.9\n/studies/1.2\nopaque\n")
        assert counts(operation) == (1, 1)
        assert operation["error"]["code"] == 3
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert sample["resource"].endswith("#line=3")
        assert "#line=3: 'opaque' is not a path" in operation["error"]["message"]

    @pytest.mark.parametrize(
        "line",
        [b"studies", b"opaque", b"/studies/", b"/studies/abc", b"/series/1.1.1", b"/studies/1.1/instances/1.1.1.1",
         b"/studies/1.1/series", b"/studies/*", b"/studies/1.1,/studies/1.2", b"\xff\xfe", b"/studies/" + b"1" * 3000],
    )  # fmt: skip
    def test_a_line_that_is_no_path_is_a_failure_and_the_good_lines_count(self, filled: Gantry, line: bytes) -> None:
        """§7.2.6"""
        operation, keys = self.run(filled, b"/studies/1.2\n" + line + b"\n/studies/1.1/series/1.1.2\n")
        assert keys == {"/".join(D) + ".dcm", "/".join(C) + ".dcm"}
        assert counts(operation) == (2, 1)
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert sample["resource"] == f"gs://{filled.bucket}/filters/filter.csv#line=2"
        assert sample["error"]["code"] == 3
        assert len(filled.failures(operation)) == 1

    def test_only_the_first_line_can_be_a_header(self, filled: Gantry) -> None:
        """§7.2.6: and only without a slash."""
        operation, keys = self.run(filled, b"path/of\n/studies/1.2\n")
        assert (keys, counts(operation)) == ({"/".join(D) + ".dcm"}, (1, 1))

    @pytest.mark.parametrize("uri", ["gs://{bucket}/missing.csv", "gs://{bucket}-missing/filter.csv"])
    def test_a_missing_file_fails_the_operation_and_exports_nothing(self, filled: Gantry, uri: str) -> None:
        """§7.2.5"""
        uri = uri.format(bucket=filled.bucket)
        operation = filled.export(filterConfig={"resourcePathsGcsUri": uri})
        assert operation["error"]["code"] == 5
        assert operation["error"]["message"].startswith(f"the filter file {uri} cannot be read: ")
        assert [sample["resource"] for sample in operation["error"]["details"][0]["sampleErrors"]] == [uri]
        assert filled.objects(filled.out) == {}

    @pytest.mark.slow
    def test_many_lines(self, filled: Gantry) -> None:
        """§7.2.3"""
        lines = [f"/studies/1.9/series/1.9.{number}" for number in range(20_000)]
        text = "\n".join([*lines, "/studies/1.2", *lines]) + "\n"
        assert self.select(filled, text.encode()) == {"/".join(D) + ".dcm"}

    def test_two_exports_with_other_filters_at_once(self, filled: Gantry) -> None:
        names = []
        for number, study in enumerate(("1.1", "1.2")):
            uri = filled.put(filled.bucket, f"filter{number}", f"/studies/{study}\n".encode())
            body = {"filterConfig": {"resourcePathsGcsUri": uri}}
            names.append(filled.server.export(filled.store, f"gs://{filled.out}/{number}", **body))
        assert [counts(filled.wait(name)) for name in names] == [(3, 0), (1, 0)]
        assert filled.objects(filled.out).keys() == {
            *(f"0/{'/'.join(uids)}.dcm" for uids in (A, B, C)),
            f"1/{'/'.join(D)}.dcm",
        }
