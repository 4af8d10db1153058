"""What the S3 server of the tests does when it is to fail, as boto3, obstore and a plain connection see it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import obstore
import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from obstore.exceptions import GenericError

from tests.support.s3.bodies import write_md5
from tests.support.s3_clients import code_of, connect, keys_of, open_store, raw, refusal
from tests.support.s3_server import S3Server

DATA = bytes(range(200))
NAMES = [f"k{number}" for number in range(6)]
PAGES: dict[str, Any] = {"PaginationConfig": {"PageSize": 2}}


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    """With six objects, and no others."""
    client = connect(running)
    for key in keys_of(client):
        client.delete_object(Bucket="in", Key=key)
    running.put("in", dict.fromkeys(NAMES, DATA))
    running.reset_counts()
    return running


@pytest.mark.parametrize(
    "kind",
    [
        *("503 SlowDown", "429 TooManyRequests", "500 InternalError", "400 ExpiredToken", "403 ExpiredToken"),
        *("403 AccessDenied", "403 InvalidObjectState", "403 RequestTimeTooSkewed", "404 NoSuchKey"),
    ],
)
def test_an_error_is_answered_in_place_of_the_object(server: S3Server, kind: str) -> None:
    with server.fail(kind, times=1) as rule:
        status, code = kind.split()
        assert refusal(connect(server).get_object, Bucket="in", Key="k1") == (int(status), code)
        assert raw(server, "GET", "/in/k1")[2] == DATA
    assert rule.failed == 1
    assert server.requests.faults == {kind: 1}


def test_an_error_without_a_body_for_head(server: S3Server) -> None:
    with server.fail("503 SlowDown"):
        assert refusal(connect(server).head_object, Bucket="in", Key="k1")[0] == 503
        assert raw(server, "HEAD", "/in/k1")[2] == b""


def test_too_many_requests_says_when_to_come_back(server: S3Server) -> None:
    with server.fail("429 TooManyRequests", seconds=7):
        assert raw(server, "GET", "/in/k1")[1]["retry-after"] == "7"
    with server.fail("503 SlowDown"):
        assert "retry-after" not in raw(server, "GET", "/in/k1")[1]


def test_a_skewed_clock_is_that_of_the_date(server: S3Server) -> None:
    before = parsedate_to_datetime(raw(server, "GET", "/in/k1")[1]["date"])
    with server.fail("403 RequestTimeTooSkewed", seconds=3600):
        after = parsedate_to_datetime(raw(server, "GET", "/in/k1")[1]["date"])
    assert (after - before).total_seconds() >= 3600


@pytest.mark.slow
def test_a_client_that_asks_again_gets_the_object(server: S3Server) -> None:
    with server.fail("503 SlowDown", each=2) as rule:
        client = connect(server, retries={"total_max_attempts": 3, "mode": "standard"})
        assert client.get_object(Bucket="in", Key="k1")["Body"].read() == DATA
        assert bytes(obstore.get(open_store(server, retries=3), "k2").bytes()) == DATA
    assert rule.failed == 4


def test_a_connection_is_reset_before_the_answer(server: S3Server) -> None:
    with server.fail("reset before", times=2):
        with pytest.raises(ConnectionResetError):
            raw(server, "GET", "/in/k1")
        with pytest.raises(ConnectionClosedError):
            connect(server).put_object(Bucket="in", Key="new", Body=b"")
    assert keys_of(connect(server)) == NAMES


def test_a_put_is_done_though_the_connection_is_reset(server: S3Server) -> None:
    with server.fail("reset after") as rule:
        with pytest.raises(ConnectionResetError):
            raw(server, "PUT", "/in/new", b"data")
        with pytest.raises(ConnectionResetError):
            raw(server, "DELETE", "/in/k1")
        assert raw(server, "GET", "/in/new")[2] == b"data"
    assert rule.failed == 2
    assert keys_of(connect(server)) == [*(name for name in NAMES if name != "k1"), "new"]


@pytest.mark.parametrize(
    ("kind", "error"), [("reset in body", ConnectionResetError), ("closed in body", http.client.IncompleteRead)]
)
def test_a_body_ends_before_its_declared_length(server: S3Server, kind: str, error: type[Exception]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    with server.fail(kind):
        connection.request("GET", "/in/k1")
        answer = connection.getresponse()
        assert answer.getheader("content-length") == "200"
        assert answer.read(100) == DATA[:100]
        with pytest.raises(error):
            answer.read()
    with server.fail(kind, times=1), pytest.raises(GenericError, match="body error"):
        obstore.get(open_store(server), "k1").bytes()
    connection.close()


def test_a_short_body_looks_whole_but_has_the_etag_of_the_object(server: S3Server) -> None:
    with server.fail("short body"):
        found = connect(server).get_object(Bucket="in", Key="k1")
        assert (found["ContentLength"], found["Body"].read()) == (100, DATA[:100])
        assert found["ETag"] == connect(server).head_object(Bucket="in", Key="k1")["ETag"]


def test_wrong_bytes_differ_in_one_bit(server: S3Server) -> None:
    with server.fail("wrong bit", times=1):
        found = raw(server, "GET", "/in/k1", Range="bytes=50-149")[2]
    changed = int.from_bytes(found, "big") ^ int.from_bytes(DATA[50:150], "big")
    assert changed.bit_count() == 1
    assert raw(server, "GET", "/in/k1")[2] == DATA


@pytest.mark.parametrize("kind", ["stall", "stall in body"])
def test_a_stall_outlasts_the_client_or_ends(server: S3Server, kind: str) -> None:
    with server.fail(kind, seconds=30), pytest.raises(ReadTimeoutError):
        connect(server, read_timeout=0.3).get_object(Bucket="in", Key="k1")["Body"].read()
    with server.fail(kind, seconds=0.1) as rule:
        assert raw(server, "GET", "/in/k1")[2] == DATA
    assert rule.failed == 1


def test_latency_is_added_to_every_request(server: S3Server) -> None:
    server.set_latency(30)
    with pytest.raises(ReadTimeoutError):
        connect(server, read_timeout=0.3).head_bucket(Bucket="in")
    server.set_latency(0.01)
    assert raw(server, "GET", "/in/k1")[2] == DATA
    server.set_latency(0)


def test_listed_objects_are_gone(server: S3Server) -> None:
    with server.fail("404 NoSuchKey", keys="^k[12]$"):
        client = connect(server)
        assert keys_of(client) == NAMES
        assert refusal(client.get_object, Bucket="in", Key="k1") == (404, "NoSuchKey")
        assert refusal(client.head_object, Bucket="in", Key="k2")[0] == 404
        assert client.get_object(Bucket="in", Key="k3")["Body"].read() == DATA


@pytest.mark.parametrize(
    ("turn", "expected"), [(0, ["k0", "k1", *NAMES]), (1, [*NAMES[:4], *NAMES[2:]]), (2, [*NAMES, "k4", "k5"])]
)
def test_a_page_of_a_listing_is_repeated(server: S3Server, turn: int, expected: list[str]) -> None:
    with server.fail("page repeated", after=turn, times=1) as rule:
        pages = [connect(server).list_objects_v2(Bucket="in", MaxKeys=2)]
        while token := pages[-1].get("NextContinuationToken"):
            pages.append(connect(server).list_objects_v2(Bucket="in", MaxKeys=2, ContinuationToken=token))
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == expected
    assert rule.failed == 1


def test_keys_are_missing_from_a_listing(server: S3Server) -> None:
    with server.fail("key missing", keys="k[14]") as rule:
        assert keys_of(connect(server), **PAGES) == ["k0", "k2", "k3", "k5"]
        assert [entry["path"] for page in obstore.list(open_store(server)) for entry in page] == [
            "k0",
            "k2",
            "k3",
            "k5",
        ]
    assert rule.failed == 4
    assert server.requests.faults == {"key missing": 4}
    with server.fail("key missing", times=1):
        assert keys_of(connect(server), **PAGES) == NAMES[1:]


def test_a_listing_is_unsorted(server: S3Server) -> None:
    with server.fail("unsorted"):
        assert keys_of(connect(server), **PAGES) == ["k1", "k0", "k3", "k2", "k5", "k4"]


def test_start_after_is_ignored(server: S3Server) -> None:
    client = connect(server)
    with server.fail("start-after ignored") as rule:
        assert keys_of(client, StartAfter="k3", **PAGES) == NAMES
        assert keys_of(client) == NAMES
    assert rule.failed == len(NAMES) / 2  # a client sends it again with every token
    assert keys_of(client, StartAfter="k3", **PAGES) == ["k4", "k5"]


def test_the_second_page_of_a_listing_is_refused(server: S3Server) -> None:
    with server.fail("503 SlowDown", methods=("ListObjectsV2",), after=1, times=1) as rule:
        client = connect(server)
        token = client.list_objects_v2(Bucket="in", MaxKeys=2)["NextContinuationToken"]
        asked = {"Bucket": "in", "MaxKeys": 2, "ContinuationToken": token}
        assert refusal(client.list_objects_v2, **asked) == (503, "SlowDown")
        assert [entry["Key"] for entry in client.list_objects_v2(**asked)["Contents"]] == ["k2", "k3"]
    assert rule.failed == 1


def test_deletion_of_many_is_not_implemented(server: S3Server) -> None:
    client = connect(server)
    with server.fail("501 NotImplemented", methods=("DeleteObjects",)):
        asked: dict[str, Any] = {"Bucket": "in", "Delete": {"Objects": [{"Key": "k1"}]}}
        assert refusal(client.delete_objects, **asked) == (501, "NotImplemented")
        client.delete_object(Bucket="in", Key="k2")
    assert keys_of(client) == [name for name in NAMES if name != "k2"]


def test_a_deletion_of_many_fails_in_part(server: S3Server) -> None:
    client = connect(server)
    with server.fail("delete partly", keys="k[24]", each=1) as rule:
        found = client.delete_objects(Bucket="in", Delete={"Objects": [{"Key": key} for key in NAMES], "Quiet": True})
        assert [(entry["Key"], entry["Code"]) for entry in found["Errors"]] == [
            ("k2", "InternalError"),
            ("k4", "InternalError"),
        ]
        assert keys_of(client) == ["k2", "k4"]
        body = b"<Delete><Object><Key>k2</Key></Object></Delete>"
        assert (
            b"<Deleted><Key>k2</Key></Deleted>"
            in raw(server, "POST", "/in?delete", body, Content_MD5=write_md5(body))[2]
        )
    assert rule.failed == 2


def read_statuses(server: S3Server, names: list[str]) -> dict[str, int]:
    return {name: raw(server, "GET", f"/in/{name}")[0] for name in names}


def test_a_share_fails_the_same_for_a_seed_in_any_order(server: S3Server) -> None:
    names = [f"none-{number}" for number in range(100)]
    found = []
    for seed, order in ((1, names), (1, names[::-1]), (2, names)):
        with server.fail("500 InternalError", share=0.3, seed=seed) as rule:
            found.append(read_statuses(server, order))
            assert 15 <= rule.failed <= 45
            assert sum(status == 500 for status in found[-1].values()) == rule.failed
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_only_keys_and_methods_of_the_rule_fail(server: S3Server) -> None:
    with server.fail("403 AccessDenied", keys="k[12]", methods=("PUT", "HeadObject")) as rule:
        asked = [("GET", "k1"), ("PUT", "k1"), ("HEAD", "k2"), ("PUT", "k3"), ("DELETE", "k2")]
        assert [raw(server, method, f"/in/{key}")[0] for method, key in asked] == [200, 403, 403, 200, 204]
    assert rule.failed == 2


def test_a_rule_stops_and_of_two_the_first_counts(server: S3Server) -> None:
    first, second = server.fail("500 InternalError", times=1), server.fail("404 NoSuchKey")
    assert [raw(server, "GET", "/in/k1")[0] for _ in range(2)] == [500, 404]
    second.stop()
    second.stop()
    assert raw(server, "GET", "/in/k1")[0] == 200
    first.stop()
    assert (first.failed, second.failed) == (1, 1)


def test_an_error_of_a_fault_has_the_code_of_s3(server: S3Server) -> None:
    with server.fail("503 SlowDown"):
        status, headers, body = raw(server, "GET", "/in/k1")
    assert (status, headers["content-type"], code_of(body)) == (503, "application/xml", "SlowDown")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "503 Slow"},
        {"kind": "slow"},
        {"kind": "stall", "keys": "("},
        {"kind": "stall", "methods": ("GetObjects",)},
        {"kind": "stall", "share": 2},
    ],
)
def test_what_is_no_rule_is_refused(server: S3Server, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no kind of fault|no regular expression|no such operation|share is from"):
        server.fail(**wrong)
    assert raw(server, "GET", "/in/k1")[0] == 200
