"""projects.locations.datasets.dicomStores.import (§5, §6)."""

from __future__ import annotations

import json

import httpx
import pytest

from gantry.storage.extents import OWN_BYTES
from tests.support.answers import refused, violated_field
from tests.support.blobs import find_blobs
from tests.support.dicom import IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE, make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json, counts, pending

OF_PROXY = pytest.mark.one_process("nginx answers that itself")

NOT_DICOM = b"not DICOM"


def request_import(gantry: Gantry, body: Json, store: str = "") -> httpx.Response:
    return gantry.request("POST", f"v1/{store or gantry.store}:import", json=body)


class TestRequest:
    """What is wrong with the request is told at once, and no operation is made."""

    @pytest.mark.parametrize("body", [{}, {"gcsSource": {}}, {"gcsSource": {"uri": ""}}, {"gcsSource": None}])
    def test_a_source_is_required(self, gantry: Gantry, body: Json) -> None:
        """§1.11"""
        error = refused(request_import(gantry, body), "INVALID_ARGUMENT", "gcsSource.uri")
        assert violated_field(error) == "gcsSource.uri"
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        "uri",
        [
            "gs://b",
            "gs://b/",
            "gs://",
            "gs:///x.dcm",
            "b/x.dcm",
            "/etc/passwd",
            "gs:/b/x.dcm",
            "gs//b/x.dcm",
            "GS://b/x.dcm",
            "http://b/x.dcm",
            "https://storage.googleapis.com/b/x.dcm",
            "s3://b/x.dcm",
            "az://b/x.dcm",
            "file:///b/x.dcm",
            "gs://b*/x.dcm",
            "gs://b?/x.dcm",
            "gs://*/x.dcm",
            "gs://**",
            "gs://../x.dcm",
            "gs://./x.dcm",
            "gs://B/x.dcm",
            "gs://b\\c/x.dcm",
            "gs://b/\0",
            "gs://b/" + "x" * 1025,
        ],
    )
    def test_all_other_forms_of_a_uri_are_refused(self, gantry: Gantry, uri: str) -> None:
        """§6.1"""
        refused(request_import(gantry, {"gcsSource": {"uri": uri}}), "INVALID_ARGUMENT")
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        "pattern",
        ["d/**/x.dcm", "d/*/**", "**/?.dcm", "d/**a*", "***", "****", "d/**/", "**/**", "?/**", "d/**.d?m",
         "d/**.dcm/x", "d/**.", "d/**x", "d/**/*.dcm"],
    )  # fmt: skip
    def test_two_stars_elsewhere_than_at_the_end_are_refused(self, gantry: Gantry, pattern: str) -> None:
        """§6.1"""
        response = request_import(gantry, {"gcsSource": {"uri": f"gs://{gantry.bucket}/{pattern}"}})
        refused(response, "INVALID_ARGUMENT", pattern)
        assert gantry.operations() == []

    @pytest.mark.parametrize("value", ["COLD", "standard", 5, -1, ["STANDARD"], True, 1.5])
    def test_an_unknown_storage_class_is_refused(self, gantry: Gantry, value: object) -> None:
        """§6"""
        body = {"gcsSource": {"uri": "gs://b/x"}, "blobStorageSettings": {"blobStorageClass": value}}
        refused(request_import(gantry, body), "INVALID_ARGUMENT", "blobStorageClass")
        assert gantry.operations() == []

    @pytest.mark.parametrize(
        ("value", "expected"),
        [("STANDARD", "STANDARD"), ("NEARLINE", "NEARLINE"), ("COLDLINE", "COLDLINE"), ("ARCHIVE", "ARCHIVE"),
         ("BLOB_STORAGE_CLASS_UNSPECIFIED", "STANDARD"), (0, "STANDARD"), (1, "STANDARD"), (2, "NEARLINE"),
         (3, "COLDLINE"), (4, "ARCHIVE"), (None, "STANDARD")],
    )  # fmt: skip
    def test_storage_classes_by_name_and_by_number(self, gantry: Gantry, value: object, expected: str) -> None:
        """§6, §1.14"""
        gantry.put(gantry.bucket, "x.dcm", make_instance("1.2", "1.3", "1.4"))
        operation = gantry.import_("x.dcm", blobStorageSettings={"blobStorageClass": value})
        assert counts(operation) == (1, 0)
        path = f"v1/{gantry.store}/dicomWeb/studies/1.2/series/1.3/instances/1.4:getStorageInfo"
        assert gantry.call("GET", path)["blobStorageInfo"]["storageClass"] == expected

    def test_a_missing_store_is_not_found(self, gantry: Gantry) -> None:
        body = {"gcsSource": {"uri": "gs://b/x"}}
        refused(request_import(gantry, body, f"{gantry.store}-missing"), "NOT_FOUND", "missing")
        assert gantry.operations() == []


class TestWildcards:
    """The decision table of §6.1. Objects that are not DICOM name themselves in the error log when they match."""

    OBJECTS = (
        "d/Example.dcm", "d/Example1.dcm", "d/Example22.dcm", "d/Example01.dcm", "d/e/Example1.dcm", "d/a.dcm",
        "d/e/f.dcm", "d/a.DCM", "e/a.dcm", "a.dcm", "b", "dd.dcm", "d.tar.gz", "d/x.tar.gz", "d/e/y.tar.gz", "d/z.gz",
        "p/x/1.dcm", "q/x/2.dcm", "q/x/22.dcm", "[1].dcm", "1.dcm", "d/é.dcm", "d/e\u0301.dcm", "d/new\nline.dcm",
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("d/Example*.dcm", "d/Example.dcm d/Example1.dcm d/Example22.dcm d/Example01.dcm"),
            ("d/Example?.dcm", "d/Example1.dcm"),
            ("d/Example??.dcm", "d/Example22.dcm d/Example01.dcm"),
            ("d/?xample1.dcm", "d/Example1.dcm"),
            ("*.dcm", "a.dcm dd.dcm [1].dcm 1.dcm"),
            ("*/x/?.dcm", "p/x/1.dcm q/x/2.dcm"),
            ("*/*/*.dcm", "d/e/Example1.dcm d/e/f.dcm p/x/1.dcm q/x/2.dcm q/x/22.dcm"),
            ("d/**.tar.gz", "d/x.tar.gz d/e/y.tar.gz"),
            ("**.gz", "d.tar.gz d/x.tar.gz d/e/y.tar.gz d/z.gz"),
            ("d/**.DCM", "d/a.DCM"),
            ("?", "b"),
            ("*", "a.dcm b dd.dcm d.tar.gz [1].dcm 1.dcm"),
            ("[1].dcm", "[1].dcm"),
            ("[1]*", "[1].dcm"),
            ("a.dcm", "a.dcm"),
            ("d/a.*", "d/a.dcm d/a.DCM"),
            ("d/é.dcm", "d/é.dcm"),
            ("d/e\u0301.dcm", "d/e\u0301.dcm"),
            ("d/?.dcm", "d/a.dcm d/é.dcm"),
            ("a?dcm", "a.dcm"),
            ("d?a.dcm", ""),
            ("a+.dcm", ""),
            ("A.dcm", ""),
            (".*", ""),
            ("d", ""),
            ("d/", ""),
            ("d/e", ""),
            ("./a.dcm", ""),
            ("d/../a.dcm", ""),
            ("/a.dcm", ""),
            ("d//a.dcm", ""),
            ("nothing/**", ""),
        ],
    )
    def test_exactly_these_objects_match(self, gantry: Gantry, pattern: str, expected: str) -> None:
        self.check(gantry, pattern, set(expected.split()))

    def test_everything_below_a_directory(self, gantry: Gantry) -> None:
        self.check(gantry, "d/**", {key for key in self.OBJECTS if key.startswith("d/")})

    def test_two_stars_after_letters_are_a_prefix(self, gantry: Gantry) -> None:
        self.check(gantry, "d**", {key for key in self.OBJECTS if key.startswith("d")})

    def test_everything(self, gantry: Gantry) -> None:
        self.check(gantry, "**", set(self.OBJECTS))

    def test_an_extension_below_a_directory(self, gantry: Gantry) -> None:
        self.check(gantry, "d/**.dcm", {key for key in self.OBJECTS if key.startswith("d/") and key.endswith(".dcm")})

    def test_direct_children_only(self, gantry: Gantry) -> None:
        self.check(gantry, "d/*", {key for key in self.OBJECTS if key.startswith("d/") and key.count("/") == 1})

    def check(self, gantry: Gantry, pattern: str, expected: set[str]) -> None:
        for key in self.OBJECTS:
            gantry.put(gantry.bucket, key, NOT_DICOM)
        operation = gantry.import_(pattern)
        if expected:
            assert gantry.failures(operation).keys() == expected
            assert counts(operation) == (0, len(expected))
        else:
            assert operation["error"]["code"] == 5, operation["error"]
            assert counts(operation) == (0, 0)

    def test_empty_directories_are_no_objects(self, gantry: Gantry) -> None:
        """§6.1: what stands for a directory marker is skipped silently."""
        (gantry.server.buckets / gantry.bucket / "empty").mkdir()
        gantry.put(gantry.bucket, "full/x.dcm", make_instance())
        assert counts(gantry.import_("**")) == (1, 0)


class TestOutcomes:
    def test_a_new_instance_is_stored_byte_for_byte(self, gantry: Gantry) -> None:
        """§6.2.1"""
        data = make_instance("1.2", "1.2.3", "1.2.3.4", pixel_bytes=b"abc" * 1000)
        gantry.put(gantry.bucket, "any/where.bin", data)
        operation = gantry.import_("any/where.bin")
        assert counts(operation) == (1, 0)
        assert gantry.stored() == {"1.2/1.2.3/1.2.3.4": data}

    @pytest.mark.parametrize(
        "transfer_syntax", [IMPLICIT_LITTLE_ENDIAN, JPEG_BASELINE, "1.2.840.10008.1.2.4.202", "1.2.826.0.1.9999"]
    )
    def test_every_transfer_syntax_is_stored(self, gantry: Gantry, transfer_syntax: str) -> None:
        """§6.2.6: all SOP classes and transfer syntaxes."""
        data = make_instance("1.2", "1.2.3", "1.2.3.4", transfer_syntax=transfer_syntax, sop_class="1.2.826.0.1.8888")
        gantry.put(gantry.bucket, "x.dcm", data)
        assert counts(gantry.import_("x.dcm")) == (1, 0)
        assert gantry.stored() == {"1.2/1.2.3/1.2.3.4": data}

    def test_the_same_import_again_succeeds_and_changes_nothing(self, gantry: Gantry) -> None:
        """§6.2.2, §17.7"""
        for number in range(5):
            gantry.put(gantry.bucket, f"{number}.dcm", make_instance(sop=f"1.2.{number}"))
        first = gantry.import_("**")
        before = gantry.stored()
        second = gantry.import_("**")
        assert counts(first) == counts(second) == (5, 0)
        assert "response" in second
        assert gantry.stored() == before

    def test_copies_of_one_file_are_one_instance(self, gantry: Gantry) -> None:
        """§6.2.2"""
        data = make_instance(sop="1.2.3")
        for name in ("a", "b", "c/d"):
            gantry.put(gantry.bucket, name, data)
        assert counts(gantry.import_("**")) == (3, 0)
        assert list(gantry.stored().values()) == [data]

    def test_other_content_under_the_same_uids_is_refused_and_the_first_kept(self, gantry: Gantry) -> None:
        """§6.2.3, §17.7"""
        first, other = make_instance(sop="1.2.3", patient_id="A"), make_instance(sop="1.2.3", patient_id="B")
        gantry.put(gantry.bucket, "x.dcm", first)
        gantry.import_("x.dcm")
        gantry.put(gantry.bucket, "x.dcm", other)
        operation = gantry.import_("x.dcm")
        assert counts(operation) == (0, 1)
        status = gantry.failures(operation)["x.dcm"]
        assert status["code"] == operation["error"]["code"] == 6
        assert "differs" in status["message"]
        assert list(gantry.stored().values()) == [first]

    def test_of_different_files_with_the_same_uids_one_is_stored(self, gantry: Gantry) -> None:
        """§6.2.3: within one import."""
        files = {f"{name}.dcm": make_instance(sop="1.2.3", patient_id=name) for name in "abcd"}
        for key, data in files.items():
            gantry.put(gantry.bucket, key, data)
        operation = gantry.import_("**")
        assert counts(operation) == (1, 3)
        (kept,) = files.keys() - gantry.failures(operation).keys()
        assert list(gantry.stored().values()) == [files[kept]]

    def test_the_same_instance_uid_in_another_series_is_another_instance(self, gantry: Gantry) -> None:
        """§12.4.7: identity is the whole path."""
        for study, series in (("1.1", "1.3"), ("1.2", "1.3"), ("1.2", "1.4")):
            gantry.put(gantry.bucket, f"{study}-{series}", make_instance(study, series, "123.456"))
        assert counts(gantry.import_("**")) == (3, 0)
        assert gantry.stored().keys() == {"1.1/1.3/123.456", "1.2/1.3/123.456", "1.2/1.4/123.456"}

    def test_stores_are_apart(self, gantry: Gantry) -> None:
        gantry.put(gantry.bucket, "x.dcm", make_instance())
        other = gantry.new_store("other")
        gantry.import_("x.dcm", store=other)
        assert (len(gantry.stored()), len(gantry.stored(other))) == (0, 1)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            pytest.param(b"", "empty DICOM instance", id="empty"),
            pytest.param(NOT_DICOM, "", id="text"),
            pytest.param(b"\0" * 128 + b"DICM", "", id="preamble alone"),
            pytest.param(make_instance()[128:], "", id="no preamble"),
            pytest.param(make_instance()[:-5], "", id="cut"),
            pytest.param(make_instance(study=None), "StudyInstanceUID", id="no study"),
            pytest.param(make_instance(series=None), "SeriesInstanceUID", id="no series"),
            pytest.param(make_instance(sop=None), "SOPInstanceUID", id="no instance"),
            pytest.param(make_instance(study=""), "StudyInstanceUID", id="empty study"),
            pytest.param(make_instance(sop="1.2.x"), "SOPInstanceUID", id="letters in a UID"),
            pytest.param(make_instance(sop="1.2/../3"), "SOPInstanceUID", id="path in a UID"),
            pytest.param(make_instance(series="1." + "2" * 63), "SeriesInstanceUID", id="65 characters"),
            pytest.param(make_instance(transfer_syntax=None), "TransferSyntaxUID", id="no transfer syntax"),
        ],
    )
    def test_one_bad_object_fails_and_its_neighbours_are_stored(self, gantry: Gantry, data: bytes, words: str) -> None:
        """§6.2.4, §6.2.6, §17.6"""
        gantry.put(gantry.bucket, "a.dcm", make_instance(sop="1.2.1"))
        uri = gantry.put(gantry.bucket, "b.dcm", data)
        gantry.put(gantry.bucket, "c.dcm", make_instance(sop="1.2.2"))
        operation = gantry.import_("**")
        assert counts(operation) == (2, 1)
        assert "response" not in operation
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert (sample["resource"], sample["error"]["code"], operation["error"]["code"]) == (uri, 3, 3)
        assert words in sample["error"]["message"]
        assert gantry.failures(operation) == {"b.dcm": sample["error"]}
        assert len(gantry.stored()) == 2

    def test_a_pattern_that_matches_nothing_is_an_error_that_names_it(self, gantry: Gantry) -> None:
        """§6.2.5"""
        for pattern in ("missing.dcm", "missing/**"):
            error = gantry.import_(pattern)["error"]
            uri = f"gs://{gantry.bucket}/{pattern}"
            assert (error["code"], uri in error["message"]) == (5, True)
            assert error["details"][0]["sampleErrors"][0]["resource"] == uri

    def test_a_missing_bucket_is_told_by_the_operation(self, gantry: Gantry) -> None:
        """§6.2.7, §5.3.3; §1.17: the call answers before it looks."""
        uri = f"gs://{gantry.bucket}-missing/**"
        operation = gantry.import_(uri)
        assert operation["error"]["code"] == 5
        (sample,) = operation["error"]["details"][0]["sampleErrors"]
        assert sample["resource"] == uri
        assert (sample["error"]["code"], sample["error"]["message"]) == (5, operation["error"]["message"])
        assert counts(operation) == (0, 0)


class TestOperation:
    @pytest.mark.parametrize("version", ["v1", "v1beta1"])
    @pytest.mark.parametrize("read_with", ["v1", "v1beta1"])
    def test_success(self, gantry: Gantry, version: str, read_with: str) -> None:
        """§5.1, §5.2, §17.5: names carry the version of the call that started it, whichever reads it."""
        gantry.put(gantry.bucket, "x.dcm", make_instance())
        name = gantry.import_("x.dcm", version=version)["name"]
        operation = gantry.call("GET", f"{read_with}/{name}")
        package = f"google.cloud.healthcare.{version}"
        metadata = operation["metadata"]
        assert operation.keys() == {"name", "metadata", "done", "response"}
        assert operation["name"].startswith(f"{gantry.dataset}/operations/")
        assert operation["name"].rpartition("/")[2].isdigit()
        assert metadata.keys() == {"@type", "apiMethodName", "createTime", "endTime", "logsUrl", "counter"}
        assert metadata["@type"] == f"type.googleapis.com/{package}.OperationMetadata"
        assert metadata["apiMethodName"] == f"{package}.dicom.DicomService.ImportDicomData"
        assert metadata["counter"] == {"success": "1"}
        assert operation["response"] == {"@type": f"type.googleapis.com/{package}.dicom.ImportDicomDataResponse"}

    def test_partial_failure(self, gantry: Gantry) -> None:
        """§5.3.1, §5.3.2: the fields that the Node sample reads."""
        gantry.put(gantry.bucket, "a.dcm", make_instance())
        uri = gantry.put(gantry.bucket, "b.txt", NOT_DICOM)
        operation = gantry.import_("**", version="v1beta1")
        detail, _ = operation["error"]["details"]
        assert operation.keys() == {"name", "metadata", "done", "error"}
        package = "google.cloud.healthcare.v1beta1"
        assert detail["@type"] == f"type.googleapis.com/{package}.dicom.ImportDicomDataErrorDetails"
        (sample,) = detail["sampleErrors"]
        assert sample.keys() == {"resource", "error"}
        assert sample["resource"] == uri
        assert sample["error"].keys() == {"code", "message", "details"}
        assert operation["metadata"]["counter"] == {"success": "1", "failure": "1"}

    def test_at_most_ten_samples_while_the_log_has_all(self, gantry: Gantry) -> None:
        """§5.3.5"""
        for number in range(25):
            gantry.put(gantry.bucket, f"{number:02d}.txt", NOT_DICOM)
        operation = gantry.import_("**")
        samples = operation["error"]["details"][0]["sampleErrors"]
        assert [sample["resource"].rpartition("/")[2] for sample in samples] == [f"{n:02d}.txt" for n in range(10)]
        assert len(gantry.failures(operation)) == 25

    def test_the_code_is_the_common_one_or_unknown(self, gantry: Gantry) -> None:
        """§5.3.4"""
        gantry.put(gantry.bucket, "1.dcm", make_instance(sop="1.2.3", patient_id="A"))
        gantry.put(gantry.bucket, "2.dcm", make_instance(sop="1.2.3", patient_id="B"))
        assert gantry.import_("?.dcm")["error"]["code"] == 6
        gantry.put(gantry.bucket, "3.dcm", NOT_DICOM)
        assert gantry.import_("3.dcm")["error"]["code"] == 3
        assert gantry.import_("?.dcm")["error"]["code"] == 2

    @pytest.mark.slow
    def test_progress_while_it_runs(self, gantry: Gantry, big_bucket: str) -> None:
        """§5.1.3, §17.5: counters add up, nothing goes backwards, pending falls once the listing has ended."""
        name = gantry.server.import_(gantry.store, f"gs://{big_bucket}/**")
        seen: list[tuple[int, int, int]] = []
        operation: Json = {}
        while not operation.get("done"):
            operation = gantry.server.operation(name)
            seen.append((*counts(operation), pending(operation)))
            assert operation.get("done") or not operation.keys() & {"response", "error"}
            assert operation.get("done") or "endTime" not in operation["metadata"]
        assert seen[-1] == (3000, 0, 0)
        assert [success for success, _, _ in seen] == sorted(success for success, _, _ in seen)
        assert all(sum(one) <= 3000 for one in seen)
        complete = [one for one in seen if sum(one) == 3000]
        assert seen[seen.index(complete[0]) :] == complete, "the number of objects changed after the listing had ended"
        left = [remaining for _, _, remaining in complete]
        assert left == sorted(left, reverse=True)
        assert len(set(left)) > 2, "pending never fell before the end"


class TestLog:
    """§5.1.6, §6.3: where logsUrl leads."""

    SCRIPT = "<script>alert(1);'\"&.dcm"

    def run(self, gantry: Gantry) -> Json:
        gantry.put(gantry.bucket, self.SCRIPT, NOT_DICOM)
        return gantry.import_("*")

    def test_as_json(self, gantry: Gantry) -> None:
        operation = self.run(gantry)
        response = httpx.get(operation["metadata"]["logsUrl"])
        assert response.headers["content-type"].startswith("application/json")
        (entry,) = response.json()["entries"]
        assert entry["severity"] == "ERROR"
        assert entry["resource"] == {
            "type": "healthcare_dicom_store",
            "labels": {
                "project_id": "p",
                "location": "us-central1",
                "dataset_id": gantry.dataset_id,
                "dicom_store_id": gantry.store_id,
            },
        }
        assert entry["operation"] == {"id": operation["name"].rpartition("/")[2], "producer": "import_dicom"}
        payload = entry["jsonPayload"]
        assert payload["@type"] == "type.googleapis.com/google.cloud.healthcare.logging.ImportDicomLogEntry"
        assert payload["source"] == f"gs://{gantry.bucket}/{self.SCRIPT}"
        assert payload["error"] == operation["error"]["details"][0]["sampleErrors"][0]["error"]

    def test_as_a_page_that_runs_nothing(self, gantry: Gantry) -> None:
        operation = self.run(gantry)
        html = {"accept": "text/html,*/*;q=0.8"}
        response = httpx.get(operation["metadata"]["logsUrl"], headers=html, follow_redirects=True)
        assert response.url.path == f"/console/{operation['name']}"
        response = httpx.get(f"{response.url}/errors", headers=html)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in response.headers["content-security-policy"]
        assert "<script>alert" not in response.text
        assert "&lt;script&gt;alert(1);&#39;&#34;&amp;.dcm" in response.text

    def test_page_after_page(self, gantry: Gantry) -> None:
        for number in range(7):
            gantry.put(gantry.bucket, f"{number}.txt", NOT_DICOM)
        url = gantry.import_("*")["metadata"]["logsUrl"]
        found: list[str] = []
        token = ""
        while token or not found:
            page = httpx.get(url, params={"pageSize": 3, "pageToken": token}).json()
            found += [entry["jsonPayload"]["source"] for entry in page["entries"]]
            token = page.get("nextPageToken", "")
        assert found == [f"gs://{gantry.bucket}/{number}.txt" for number in range(7)]

    def test_of_an_operation_without_errors(self, gantry: Gantry) -> None:
        url = gantry.export()["metadata"]["logsUrl"]
        assert httpx.get(url).json() == {}

    @pytest.mark.parametrize(
        "tail", ["1", "x", "", "9999999999999999999", "1/2", pytest.param("%00", marks=OF_PROXY), "%FF"]
    )
    def test_of_no_operation(self, gantry: Gantry, tail: str) -> None:
        response = gantry.request("GET", f"logs/{gantry.dataset}/operations/{tail}")
        assert response.status_code in (400, 404), response.text
        assert json.loads(response.text)["error"]["status"] in ("INVALID_ARGUMENT", "NOT_FOUND")

    def test_a_name_that_is_not_utf_8_is_told_with_question_marks(self, gantry: Gantry) -> None:
        """§6.3"""
        path = gantry.server.buckets / gantry.bucket
        with open(bytes(path) + b"/caf\xe9.dcm", "wb") as file:
            file.write(make_instance())
        operation = gantry.import_("*")
        assert counts(operation) == (0, 1)
        assert gantry.failures(operation).keys() == {"caf?.dcm"}


@pytest.mark.parametrize("pixels", [bytes(16), bytes(OWN_BYTES)], ids=["in a segment", "in a file of its own"])
@pytest.mark.parametrize("damage", ["gone", "empty", "lost"])
@pytest.mark.one_process("looks into the data directory")
def test_a_stored_instance_whose_bytes_are_gone_gets_them_back(gantry: Gantry, damage: str, pixels: bytes) -> None:
    """Its row has no good bytes, so those of the import are taken: the next reader gets them, not a success alone."""
    before = set(find_blobs(gantry.server.data / "blobs"))
    content = make_instance("1.2", "1.3", "1.4", pixels)
    gantry.put(gantry.bucket, "a.dcm", content)
    assert counts(gantry.import_("a.dcm")) == (1, 0)
    found = find_blobs(gantry.server.data / "blobs")
    (key,) = set(found) - before
    blob = found[key]
    assert blob.path.suffix == (".seg" if len(pixels) == 16 else ".dcm")
    blob.path.chmod(0o600)
    if damage == "gone":
        blob.path.unlink()
    elif damage == "empty":
        blob.path.write_bytes(b"")
    else:
        blob.remove()
    gantry.put(gantry.bucket, "b.dcm", make_instance("1.2", "1.3", "1.5"))
    operation = gantry.import_("**")
    assert counts(operation) == (2, 0), gantry.failures(operation)
    assert gantry.stored()["1.2/1.3/1.4"] == content
