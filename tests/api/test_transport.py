"""Rules that hold for every JSON method. § numbers are those of the description of the API."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantry.api.methods import METHODS, ApiMethod
from tests.support.answers import refused, violated_field
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection, exchange
from tests.support.server import GantryServer

OF_PROXY = pytest.mark.one_process("nginx answers that itself")

BOM = codecs.BOM_UTF8
MAX_BODY = 10 << 20
SYSTEM_PARAMETERS = {
    "alt": "json",
    "fields": "name",
    "key": "AIza",
    "prettyPrint": "false",
    "quotaUser": "me",
    "access_token": "ya29.x",
    "oauth_token": "ya29.x",
    "callback": "f",
    "$.xgafv": "2",
    "uploadType": "media",
    "upload_protocol": "raw",
}


def post_import(gantry: Gantry, body: bytes, **headers: str) -> str:
    """Start an import with exactly this body, where URI stands for the test's bucket; the operation's name."""
    response = gantry.request("POST", f"v1/{gantry.store}:import", content=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()["name"]


def imported_uri(gantry: Gantry, name: str) -> str:
    """The URI that an import understood: a pattern that matches nothing is named in its error (§6.2.5)."""
    error = gantry.wait(name)["error"]
    return error["details"][0]["sampleErrors"][0]["resource"]


@pytest.fixture
def uri(gantry: Gantry) -> str:
    return f"gs://{gantry.bucket}/nothing.dcm"


class TestBodies:
    """What real clients send, §1.4 to §1.10."""

    @pytest.mark.parametrize("field", ["gcsSource", "gcs_source"])
    def test_camel_case_and_snake_case_are_the_same(self, gantry: Gantry, uri: str, field: str) -> None:
        """§1.4"""
        assert imported_uri(gantry, post_import(gantry, json.dumps({field: {"uri": uri}}).encode())) == uri

    @pytest.mark.parametrize("outer", ["gcsDestination", "gcs_destination"])
    @pytest.mark.parametrize("inner", ["uriPrefix", "uri_prefix"])
    def test_names_may_be_mixed_at_every_level(self, gantry: Gantry, outer: str, inner: str) -> None:
        """§1.4"""
        body = {outer: {inner: f"gs://{gantry.out}"}}
        assert "name" in gantry.call("POST", f"v1/{gantry.store}:export", json=body)

    @pytest.mark.parametrize("other", ["UTC", "Europe/Lisbon"])
    def test_one_field_under_both_names_is_refused(self, gantry: Gantry, other: str) -> None:
        """Which of the two was meant cannot be known."""
        path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-2"
        for body in ({"timeZone": "UTC", "time_zone": other}, {"time_zone": "UTC", "timeZone": other}):
            refused(gantry.request("POST", path, json=body), "INVALID_ARGUMENT", "time_zone")
        assert gantry.request("GET", f"v1/{gantry.dataset}-2").status_code == 404

    def test_single_quotes(self, gantry: Gantry, uri: str) -> None:
        """§1.5"""
        assert imported_uri(gantry, post_import(gantry, f"{{ 'gcsSource': {{ 'uri': '{uri}' }} }}".encode())) == uri

    @pytest.mark.parametrize("body", ['{"gcsSource": {"uri": "URI",},}', "{'gcsSource': {'uri': 'URI',\n},\n}"])
    def test_trailing_commas(self, gantry: Gantry, uri: str, body: str) -> None:
        """§1.6"""
        assert imported_uri(gantry, post_import(gantry, body.replace("URI", uri).encode())) == uri

    @pytest.mark.parametrize("quote", ['"', "'"])
    def test_byte_order_mark_of_powershell(self, gantry: Gantry, uri: str, quote: str) -> None:
        """§1.7: Out-File -Encoding utf8."""
        body = f'{{\r\n  "gcsSource": {{\r\n    "uri": "{uri}"\r\n  }}\r\n}}\r\n'.replace('"', quote)
        assert imported_uri(gantry, post_import(gantry, BOM + body.encode())) == uri

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_utf_16_of_powershell(self, gantry: Gantry, encoding: str) -> None:
        """§1.7: Windows PowerShell's Out-File without -Encoding writes UTF-16 with a byte order mark."""
        uri = f"gs://{gantry.bucket}/größe.dcm"
        body = json.dumps({"gcsSource": {"uri": uri}}, ensure_ascii=False).encode(encoding)
        assert imported_uri(gantry, post_import(gantry, body, **{"content-type": "application/json"})) == uri

    def test_text_beyond_ascii(self, gantry: Gantry) -> None:
        uri = f"gs://{gantry.bucket}/größe 画像 \U0001f9b4.dcm"
        body = json.dumps({"gcsSource": {"uri": uri}}, ensure_ascii=False).encode()
        assert imported_uri(gantry, post_import(gantry, body)) == uri

    @pytest.mark.parametrize("content_type", [None, "application/json", "application/x-www-form-urlencoded"])
    @pytest.mark.parametrize("body", [b"", b"  \r\n", BOM])
    def test_an_empty_body_is_an_empty_object(self, gantry: Gantry, content_type: str | None, body: bytes) -> None:
        """§1.8: curl -d "" sends a form's content type."""
        headers = {"content-type": content_type} if content_type else {}
        path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-empty"
        assert gantry.call("POST", path, content=body, headers=headers)["done"] is True

    @pytest.mark.parametrize(
        "content_type", ["application/json", "application/json; charset=utf-8", 'application/json;charset="UTF-8"']
    )
    def test_content_type_with_and_without_charset(self, gantry: Gantry, uri: str, content_type: str) -> None:
        """§1.8"""
        body = json.dumps({"gcsSource": {"uri": uri}}).encode()
        assert imported_uri(gantry, post_import(gantry, body, **{"content-type": content_type})) == uri

    @pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "hex", "rot13", "x" * 1000, "'", "utf_8\tx"])
    def test_a_charset_that_cannot_be_is_refused_or_overlooked(self, gantry: Gantry, uri: str, charset: str) -> None:
        body = json.dumps({"gcsSource": {"uri": uri}}).encode()
        headers = {"content-type": f"application/json; charset={charset}"}
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=body, headers=headers)
        if response.status_code == 200:
            assert imported_uri(gantry, response.json()["name"]) == uri
        else:
            refused(response, "INVALID_ARGUMENT")

    def test_null_means_unset(self, gantry: Gantry, uri: str) -> None:
        """Proto3 JSON."""
        body = json.dumps({"gcsSource": {"uri": uri}, "blobStorageSettings": None}).encode()
        assert imported_uri(gantry, post_import(gantry, body)) == uri

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"gcsSouce": {"uri": "gs://b/o"}}, "gcsSouce"),
            ({"gcsSource": {"uri": "gs://b/o", "url": "x"}}, "gcsSource.url"),
            ({"gcsSource": {"uri": "gs://b/o"}, "blobStorageSettings": {"class": 1}}, "blobStorageSettings.class"),
        ],
    )
    def test_an_unknown_field_is_named(self, gantry: Gantry, body: dict[str, object], field: str) -> None:
        """§1.10: a typo must not start an empty import."""
        error = refused(gantry.request("POST", f"v1/{gantry.store}:import", json=body), "INVALID_ARGUMENT", field)
        assert violated_field(error) == field
        assert gantry.operations() == []

    @pytest.mark.parametrize("value", [{"gcsSource": "gs://b/o"}, {"gcsSource": {"uri": 7}}, {"gcsSource": [1]}])
    def test_a_value_of_the_wrong_type_is_named(self, gantry: Gantry, value: dict[str, object]) -> None:
        error = refused(gantry.request("POST", f"v1/{gantry.store}:import", json=value), "INVALID_ARGUMENT")
        assert violated_field(error).startswith("gcsSource")

    @pytest.mark.parametrize("body", ["{", '{"gcsSource": {"uri": "x"}', "[]", "7", '"text"', "null", "{}{}", "\x00"])
    def test_what_is_not_one_json_object_is_refused(self, gantry: Gantry, body: str) -> None:
        """§1.9, §1.19"""
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=body.encode())
        refused(response, "INVALID_ARGUMENT", "JSON")
        assert gantry.operations() == []

    def test_bytes_that_are_no_text_are_refused(self, gantry: Gantry) -> None:
        body = b'{"gcsSource": {"uri": "gs://b/\xff"}}'
        refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body), "INVALID_ARGUMENT", "utf-8")

    @pytest.mark.parametrize("opening", ['{"a":', "{'a':", "[", '{"a":['])
    def test_deep_nesting_is_refused(self, gantry: Gantry, opening: str) -> None:
        body = opening * 200_000
        refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body.encode()), "INVALID_ARGUMENT")

    def test_a_well_formed_deep_body_is_refused_too(self, gantry: Gantry) -> None:
        body = "{'a':" * 50_000 + "1" + "}" * 50_000
        refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body.encode()), "INVALID_ARGUMENT")

    def test_a_huge_body_is_refused(self, gantry: Gantry) -> None:
        body = b'{"gcsSource": {"uri": "' + b"x" * MAX_BODY + b'"}}'
        refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body), "INVALID_ARGUMENT", "larger")

    @pytest.mark.parametrize("depth", [101, 500, 900])
    def test_what_python_could_still_read_is_not_deeper_than_the_rest(self, gantry: Gantry, depth: int) -> None:
        body = '{"policy": {"auditConfigs": [' + '{"a":' * depth + "1" + "}" * depth + "]}}"
        answer = gantry.request("POST", f"v1/{gantry.store}:setIamPolicy", content=body)
        refused(answer, "INVALID_ARGUMENT", "nested")

    @pytest.mark.parametrize("number", [b"9" * 5000, b"0x" + b"f" * 9000])
    def test_a_number_of_many_digits_is_refused(self, gantry: Gantry, number: bytes) -> None:
        body = b'{"blobStorageSettings": {"blobStorageClass": ' + number + b"}}"
        refused(gantry.request("POST", f"v1/{gantry.store}:import", content=body), "INVALID_ARGUMENT")

    @pytest.mark.parametrize("text", ["\\ud800", "\\udcff", "\\u0000"])
    def test_half_characters_and_nul_do_no_harm(self, gantry: Gantry, text: str) -> None:
        """JSON can spell what no storage can hold: the answer is a refusal or a finished operation."""
        for uri in (f"gs://{gantry.bucket}/{text}.dcm", f"gs://{gantry.bucket}/{text}*"):
            body = f'{{"gcsSource": {{"uri": "{uri}"}}}}'.encode()
            response = gantry.request("POST", f"v1/{gantry.store}:import", content=body)
            if response.status_code == 200:
                assert gantry.wait(response.json()["name"], seconds=10)["error"]["code"] == 5
            else:
                refused(response, "INVALID_ARGUMENT")

    def test_half_characters_in_a_dataset_do_no_harm(self, gantry: Gantry) -> None:
        key = "projects/\\ud800/locations/us-central1/keyRings/r/cryptoKeys/k"
        body = f'{{"encryptionSpec": {{"kmsKeyName": "{key}"}}}}'.encode()
        path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-half"
        refused(gantry.request("POST", path, content=body), "INVALID_ARGUMENT")


class TestGzip:
    """§1.19a: the Java client compresses every body."""

    @pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
    def test_compressed_body(self, gantry: Gantry, uri: str, name: str) -> None:
        body = gzip.compress(json.dumps({"gcsSource": {"uri": uri}}).encode())
        assert imported_uri(gantry, post_import(gantry, body, **{"content-encoding": name})) == uri

    def test_compressed_body_in_chunks_without_a_length(self, gantry: Gantry, uri: str) -> None:
        body = gzip.compress(json.dumps({"gcsSource": {"uri": uri}}).encode())

        def chunks() -> Iterator[bytes]:
            yield from (body[start : start + 7] for start in range(0, len(body), 7))

        headers = {"content-encoding": "gzip", "content-type": "application/json; charset=UTF-8"}
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=chunks(), headers=headers)
        assert response.request.headers["transfer-encoding"] == "chunked"
        assert imported_uri(gantry, response.json()["name"]) == uri

    def test_compressed_empty_body(self, gantry: Gantry) -> None:
        path = f"v1/{gantry.location}/datasets?datasetId={gantry.dataset_id}-gz"
        assert gantry.call("POST", path, content=gzip.compress(b""), headers={"content-encoding": "gzip"})["done"]

    @pytest.mark.parametrize("body", [b'{"gcsSource": {}}', gzip.compress(b"{}" * 500, mtime=0)[:-9], b"\x1f\x8b"])
    def test_a_false_or_cut_gzip_is_refused(self, gantry: Gantry, body: bytes) -> None:
        headers = {"content-encoding": "gzip"}
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=body, headers=headers)
        refused(response, "INVALID_ARGUMENT", "gzip")

    @pytest.mark.slow
    def test_a_gzip_bomb_is_refused(self, gantry: Gantry) -> None:
        bomb = gzip.compress(b" " * (200 << 20), 9)
        assert len(bomb) < 1 << 20
        headers = {"content-encoding": "gzip"}
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=bomb, headers=headers)
        refused(response, "INVALID_ARGUMENT", "larger")

    def test_other_encodings_are_refused(self, gantry: Gantry) -> None:
        response = gantry.request("POST", f"v1/{gantry.store}:import", content=b"x", headers={"content-encoding": "br"})
        refused(response, "INVALID_ARGUMENT", "br", http=415)


class TestHeadersAndQuery:
    @pytest.mark.parametrize(("name", "value"), SYSTEM_PARAMETERS.items())
    def test_every_system_parameter_is_accepted_on_reads(self, gantry: Gantry, name: str, value: str) -> None:
        """§1.3"""
        assert gantry.call("GET", f"v1/{gantry.store}", params={name: value})["name"] == gantry.store

    def test_all_system_parameters_together_on_writes(self, gantry: Gantry, uri: str) -> None:
        """§1.3"""
        body = {"gcsSource": {"uri": uri}}
        name = gantry.call("POST", f"v1/{gantry.store}:import", json=body, params=SYSTEM_PARAMETERS)["name"]
        assert imported_uri(gantry, name) == uri

    def test_a_bearer_token_is_accepted(self, gantry: Gantry) -> None:
        """§1.2: clients send one even where nobody asks for it."""
        headers = {"authorization": "Bearer ya29.opaque"}
        assert gantry.call("GET", f"v1/{gantry.store}", headers=headers)["name"] == gantry.store

    @pytest.mark.parametrize("accept", ["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "text/html", "x"])
    def test_answers_are_json_whatever_is_accepted(self, gantry: Gantry, accept: str) -> None:
        """§12.4.2"""
        response = gantry.request("GET", f"v1/{gantry.store}", headers={"accept": accept})
        assert response.headers["content-type"] == "application/json; charset=UTF-8"
        assert response.json()["name"] == gantry.store

    def test_expect_100_continue_is_answered_before_the_body(self, gantry: Gantry, uri: str) -> None:
        """§1.19b: Windows PowerShell waits for it."""
        body = f"{{'gcsSource': {{'uri': '{uri}'}}}}".encode()
        head = f"POST /v1/{gantry.store}:import HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with RawConnection(gantry.server) as connection:
            connection.send(head.encode())
            assert connection.receive(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            connection.send(body)
            answer = connection.receive()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert imported_uri(gantry, json.loads(answer.partition(b"\r\n\r\n")[2])["name"]) == uri

    def test_expect_100_continue_does_not_hide_an_error(self, gantry: Gantry) -> None:
        head = f"POST /v1/{gantry.store}:import HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        with RawConnection(gantry.server) as connection:
            connection.send((head + "Content-Length: 2\r\nConnection: close\r\n\r\n").encode())
            connection.receive(b"\r\n\r\n")
            connection.send(b"{}")
            assert connection.receive().startswith(b"HTTP/1.1 400 ")

    def test_a_get_too_long_for_a_url_comes_as_a_form(self, gantry: Gantry) -> None:
        """§1.16: google-api-python-client, past 2,048 characters."""
        for number in range(2):
            gantry.new_store(f"store-{number}")
        form = "pageSize=2&filter=" + "NOT+labels.k%3Dv+AND+" * 100 + "NOT+labels.k%3Dv"
        headers = {"x-http-method-override": "GET", "content-type": "application/x-www-form-urlencoded"}
        path = f"v1/{gantry.dataset}/dicomStores?alt=json"
        answer = gantry.call("POST", path, content=form.encode(), headers=headers)
        assert [item["name"] for item in answer["dicomStores"]] == [gantry.store, f"{gantry.store}-0"]

    @pytest.mark.parametrize("query", ["&".join(["a=1"] * 2000), "%FF=%FF", "%zz", "=", "&&&", "pageSize=1&pageSize=x"])
    def test_odd_queries_do_no_harm(self, gantry: Gantry, query: str) -> None:
        status, _ = exchange(gantry.server, f"GET /v1/{gantry.dataset}/dicomStores?{query} HTTP/1.1")
        assert status in (200, 400)

    def test_a_patch_may_come_as_a_post(self, gantry: Gantry) -> None:
        """§1.19a: the Java client, with a compressed body."""
        headers = {"x-http-method-override": "PATCH", "content-encoding": "gzip"}
        body = gzip.compress(b'{"labels": {"k": "v"}}')
        answer = gantry.call("POST", f"v1/{gantry.store}?updateMask=labels", content=body, headers=headers)
        assert answer["labels"] == {"k": "v"}

    def test_an_override_of_a_get_changes_nothing(self, gantry: Gantry) -> None:
        headers = {"x-http-method-override": "DELETE"}
        assert gantry.call("GET", f"v1/{gantry.store}", headers=headers)["name"] == gantry.store
        assert gantry.call("GET", f"v1/{gantry.store}")["name"] == gantry.store

    @pytest.mark.one_process("nginx answers that itself")
    def test_http_1_0_without_host_is_answered(self, gantry: Gantry) -> None:
        with RawConnection(gantry.server) as connection:
            connection.send(f"GET /v1/{gantry.store} HTTP/1.0\r\n\r\n".encode())
            assert b" 200 " in connection.receive().split(b"\r\n")[0]

    def test_addresses_in_answers_do_not_come_from_the_host_header(self, gantry: Gantry, uri: str) -> None:
        """§12.4.1: clients drop the port from Host; and nobody should choose where links lead."""
        name = gantry.call("POST", f"v1/{gantry.store}:import", json={"gcsSource": {"uri": uri}})["name"]
        answer = gantry.call("GET", f"v1/{name}", headers={"host": "elsewhere.localhost"})
        assert answer["metadata"]["logsUrl"].startswith(f"{gantry.server.url}/logs/")


class TestAnswers:
    def test_content_type_names_the_charset(self, gantry: Gantry) -> None:
        """§1.12, §1.19b: PowerShell reads Latin-1 otherwise."""
        for response in (gantry.request("GET", f"v1/{gantry.store}"), gantry.request("GET", "v1/nothing")):
            assert response.headers["content-type"] == "application/json; charset=UTF-8"

    def test_text_beyond_ascii_is_utf_8(self, gantry: Gantry) -> None:
        dataset = f"größe-{uuid.uuid4().hex[:8]}"
        gantry.call("POST", f"v1/{gantry.location}/datasets", params={"datasetId": dataset})
        response = gantry.request("GET", f"v1/{gantry.location}/datasets/{dataset}")
        assert json.loads(response.content.decode("utf-8"))["name"].endswith(dataset)

    def test_default_values_are_left_out(self, gantry: Gantry) -> None:
        """§1.12"""
        assert gantry.call("GET", f"v1/{gantry.dataset}") == {"name": gantry.dataset}
        assert gantry.call("GET", f"v1/{gantry.store}") == {"name": gantry.store}

    def test_empty_is_an_empty_object(self, gantry: Gantry) -> None:
        """§1.12"""
        assert gantry.call("DELETE", f"v1/{gantry.store}") == {}

    def test_64_bit_integers_are_strings(self, gantry: Gantry) -> None:
        """§1.13"""
        gantry.put(gantry.bucket, "a.txt", b"not DICOM")
        operation = gantry.import_("a.txt")
        assert operation["metadata"]["counter"] == {"failure": "1"}
        assert operation["error"]["code"] == 3

    def test_timestamps_are_rfc_3339_in_utc(self, gantry: Gantry) -> None:
        """§1.14"""
        metadata = gantry.export()["metadata"]
        for field in ("createTime", "endTime"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?Z", metadata[field])
        assert metadata["createTime"] <= metadata["endTime"]

    def test_any_values_carry_their_type(self, gantry: Gantry) -> None:
        """§1.15"""
        operation = gantry.export()
        assert operation["metadata"]["@type"] == "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata"
        assert operation["response"]["@type"].startswith("type.googleapis.com/google.cloud.healthcare.v1.")

    @pytest.mark.parametrize(
        ("verb", "path", "status"),
        [
            ("GET", "v1/{dataset}-missing", "NOT_FOUND"),
            ("GET", "v1/{store}-missing", "NOT_FOUND"),
            ("GET", "v1/{dataset}-missing/dicomStores", "NOT_FOUND"),
            ("GET", "v1/{dataset}/operations/1", "NOT_FOUND"),
            ("POST", "v1/{store}:import", "INVALID_ARGUMENT"),
            ("POST", "v1/{dataset}/dicomStores?dicomStoreId=store", "ALREADY_EXISTS"),
            ("POST", "v1/{store}:deidentify", "UNIMPLEMENTED"),
        ],
    )
    def test_errors_have_the_shape_that_clients_read(self, gantry: Gantry, verb: str, path: str, status: str) -> None:
        """§1.19"""
        refused(gantry.request(verb, path.format(dataset=gantry.dataset, store=gantry.store)), status)


def _example_path(method: ApiMethod) -> str:
    return method.path.replace("**", "a/b").replace("*", "x")


UNIMPLEMENTED = [method for method in METHODS if method.handler is None]


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "nothing",
            "v1",
            "v1/",
            "v2/projects/p/locations",
            "v1/projects",
            "v1/projects/p",
            "v1/projects/p/locations/l/x",
        ],
    )
    @pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
    def test_unknown_paths_are_not_found(self, server: GantryServer, verb: str, path: str) -> None:
        refused(server.request(verb, path), "NOT_FOUND")

    @pytest.mark.parametrize(("verb", "tail"), [("PUT", ""), ("POST", ""), ("GET", ":import"), ("POST", ":imp")])
    def test_a_verb_that_a_path_does_not_have_is_not_found(self, gantry: Gantry, verb: str, tail: str) -> None:
        """§1.1"""
        refused(gantry.request(verb, f"v1/{gantry.store}{tail}"), "NOT_FOUND")

    @pytest.mark.parametrize("method", UNIMPLEMENTED, ids=lambda method: f"{method.verb} {method.path}")
    def test_methods_that_are_not_there_yet_say_so(self, server: GantryServer, method: ApiMethod) -> None:
        """§1.19: 501, in each of the method's versions and in no other."""
        for version in ("v1", "v1beta1", "v1alpha2"):
            response = server.request(method.verb, f"{version}/{_example_path(method)}")
            if version in method.versions:
                refused(response, "UNIMPLEMENTED", method.id)
            else:
                refused(response, "NOT_FOUND")

    @pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha2"])
    def test_all_versions_see_the_same_resources(self, gantry: Gantry, version: str) -> None:
        """§2.4: v1alpha2 is an alias of v1beta1."""
        assert gantry.call("GET", f"{version}/{gantry.store}") == {"name": gantry.store}

    def test_a_project_id_may_hold_a_colon(self, gantry: Gantry) -> None:
        """§1.1: the custom verb follows the last colon, and only in the last segment."""
        project = f"example.com:{gantry.dataset_id}"
        store = gantry.server.create_store("d", "s", project=project)
        assert store.startswith(f"projects/{project}/")
        uri = f"gs://{gantry.bucket}/x.dcm"
        name = gantry.server.import_(store, uri)
        assert name.startswith(f"projects/{project}/locations/us-central1/datasets/d/operations/")
        assert gantry.wait(name)["error"]["code"] == 5
        assert gantry.call("POST", f"v1/{name}:cancel", json={}) == {}
        assert gantry.call("GET", f"v1/projects/{project}/locations")["locations"]

    def test_percent_encoding_means_the_same(self, gantry: Gantry) -> None:
        path = f"v1/{gantry.store}".replace("projects", "%70rojects").replace("store", "s%74ore")
        assert gantry.call("GET", path)["name"] == gantry.store
        status, body = exchange(gantry.server, f"POST /v1/{gantry.store}%3Aexport HTTP/1.1\nContent-Length: 0")
        assert (status, b"uriPrefix" in body) == (400, True)

    @pytest.mark.parametrize(
        "tail",
        [
            "%2Fdatasets",
            "%2f..",
            pytest.param("%00", marks=OF_PROXY),
            "%FF",
            "%C0%AF",
            "%ED%A0%80",
            "/dicomStores%2Fstore",
            "/..%2f..%2f",
        ],
    )
    def test_encoded_slashes_nul_and_broken_utf_8_are_refused(self, gantry: Gantry, tail: str) -> None:
        status, body = exchange(gantry.server, f"GET /v1/{gantry.dataset}{tail} HTTP/1.1")
        assert (status, json.loads(body)["error"]["status"]) == (400, "INVALID_ARGUMENT")

    @pytest.mark.parametrize(
        "tail",
        [
            "/../{dataset}",
            "/%2e%2e/{dataset}",
            "//dicomStores",
            "/./dicomStores",
            pytest.param("/%", marks=OF_PROXY),
            pytest.param("/%zz", marks=OF_PROXY),
            "/dicomStores/*",
            "/operations/**",
        ],
    )
    def test_paths_are_taken_literally(self, gantry: Gantry, tail: str) -> None:
        path = f"/v1/{gantry.dataset}{tail.format(dataset=gantry.dataset_id)}"
        status, body = exchange(gantry.server, f"GET {path} HTTP/1.1")
        assert (status, json.loads(body)["error"]["status"]) == (404, "NOT_FOUND")

    @pytest.mark.parametrize(
        "id", ["0", "-1", "x", "１２", "9223372036854775807", "9223372036854775808", "9999999999999999999", "1" * 400]
    )
    def test_an_operation_id_that_nobody_has_is_not_found(self, gantry: Gantry, id: str) -> None:
        for verb, path in (("GET", id), ("POST", f"{id}:cancel")):
            refused(gantry.request(verb, f"v1/{gantry.dataset}/operations/{path}"), "NOT_FOUND")


class TestErrors:
    """§1.19: the shape of errors, whatever they are about."""

    @pytest.mark.parametrize(
        ("verb", "path"),
        [
            ("PATCH", "v1/{store}?updateMask={long}"),
            ("PATCH", "v1/{dataset}?updateMask=labels,{long}"),
            ("GET", "v1/{dataset}/dicomStores?filter={long}"),
            ("GET", "v1/{dataset}/operations?filter={long}"),
            ("GET", "v1/{dataset}/dicomStores?pageToken={long}"),
            ("GET", "v1/{dataset}/dicomStores/{long}"),
            ("POST", "v1/{dataset}/dicomStores?dicomStoreId={long}"),
            ("POST", "v1/projects/p/locations/{long}/datasets?datasetId=d"),
            ("GET", "v1/{store}/dicomWeb/studies?{long}=1"),
            ("GET", "v1/{store}/dicomWeb/studies?limit={long}"),
            ("GET", "v1/{store}/dicomWeb/studies/{long}/metadata"),
            ("GET", "{long}"),
        ],
    )
    def test_messages_are_short_whatever_was_sent(self, gantry: Gantry, verb: str, path: str) -> None:
        path = path.format(store=gantry.store, dataset=gantry.dataset, long="x" * 30_000)
        answer = gantry.request(verb, path)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) in ((400, 400), (404, 404))
        assert len(error["message"]) <= 1500 and len(answer.content) < 5000

    @pytest.mark.parametrize("field", ["unknown", "labels", "notificationConfig"])
    def test_bodies_are_not_repeated_either(self, gantry: Gantry, field: str) -> None:
        for body in ({field: "x" * 60_000}, {field: {"x" * 60_000: "y" * 60_000}}, {field * 9000: 1}):
            answer = gantry.request("PATCH", f"v1/{gantry.store}?updateMask={field}", json=body)
            assert (answer.status_code, len(answer.content) < 5000) == (400, True), answer.text[:300]

    @pytest.mark.parametrize("text", ["1_0", "+1", " 1", "1 ", "1.0", "１", "٣", "²", "0x1", "1e1", "-1", "9" * 30])
    def test_numbers_are_digits(self, gantry: Gantry, text: str) -> None:
        web = f"v1/{gantry.store}/dicomWeb/studies"
        for path, name in (
            (f"v1/{gantry.dataset}/dicomStores", "pageSize"),
            (f"v1/{gantry.dataset}/operations", "page_size"),
            (f"v1/{gantry.location}/datasets", "pageSize"),
            ("v1/projects/p/locations", "pageSize"),
            (web, "limit"),
            (web, "offset"),
        ):
            refused(gantry.request("GET", path, params={name: text}), "INVALID_ARGUMENT")
        body = {"resourceNames": ["projects/p"], "pageSize": text}
        refused(gantry.request("POST", "v2/entries:list", json=body), "INVALID_ARGUMENT", "pageSize")

    @pytest.mark.parametrize("size", [True, 1.5, -1, [], {}])
    def test_sizes_of_another_kind_are_refused(self, gantry: Gantry, size: object) -> None:
        body = {"resourceNames": ["projects/p"], "pageSize": size}
        refused(gantry.request("POST", "v2/entries:list", json=body), "INVALID_ARGUMENT", "pageSize")

    @pytest.mark.parametrize("size", [1, "1", None, 0, "1000000"])
    def test_sizes_may_be_numbers_or_their_digits(self, gantry: Gantry, size: object) -> None:
        """§1.13"""
        body = {"resourceNames": ["projects/p"], "pageSize": size}
        assert gantry.request("POST", "v2/entries:list", json=body).status_code == 200


class TestAnything:
    """No request makes the server fail: whatever comes, the answer is below 500 or an honest 501."""

    @pytest.mark.slow
    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        body=st.binary(max_size=60), encoding=st.sampled_from(["", "gzip"]), version=st.sampled_from(["v1", "v1beta1"])
    )
    def test_any_bytes_as_a_body(self, gantry: Gantry, body: bytes, encoding: str, version: str) -> None:
        headers = {"content-encoding": encoding} if encoding else {}
        response = gantry.request("PATCH", f"{version}/{gantry.store}", content=body, headers=headers)
        assert response.status_code in (200, 400), (response.status_code, response.text)

    @pytest.mark.slow
    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        fields=st.dictionaries(
            st.sampled_from(["labels", "notificationConfig", "notificationConfigs", "streamConfigs", "stream_configs"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.text(),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(
                        st.sampled_from(["pubsubTopic", "sendForBulkImport", "bigqueryDestination", "tableUri", "k"])
                        | st.text(max_size=5),
                        inner,
                        max_size=3,
                    )
                ),
                max_leaves=6,
            ),
        ),
        mask=st.sampled_from(["", "labels", "*", "notificationConfig.pubsubTopic", "streamConfigs,labels.k"])
        | st.text(max_size=20),
    )
    def test_any_json_in_a_store(self, gantry: Gantry, fields: dict[str, object], mask: str) -> None:
        response = gantry.request("PATCH", f"v1/{gantry.store}", json=fields, params={"updateMask": mask})
        assert response.status_code in (200, 400), (response.status_code, response.text)
        gantry.call("GET", f"v1/{gantry.store}")

    @pytest.mark.slow
    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        path=st.sampled_from(
            ["{dataset}/dicomStores", "{dataset}/operations", "{location}/datasets", "projects/p/locations"]
        ),
        query=st.dictionaries(st.sampled_from(["filter", "pageSize", "pageToken", "alt"]), st.text(max_size=30)),
    )
    def test_any_query_of_a_list(self, gantry: Gantry, path: str, query: dict[str, str]) -> None:
        path = path.format(dataset=gantry.dataset, location=gantry.location)
        response = gantry.request("GET", f"v1/{path}", params=query)
        assert response.status_code in (200, 400), (response.status_code, response.text)
