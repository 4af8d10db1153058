"""Containers that fail: what is tried again, what fails alone, what makes an operation wait, and the words of each."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gantry.errors import (
    Aborted,
    BucketAway,
    DataLoss,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    StatusError,
    Unavailable,
)
from gantry.storage.remote import azure, retrying
from gantry.storage.remote.azure_pages import parse_page
from gantry.storage.remote.azure_tokens import Ask, Tokens
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.connections import Answer
from gantry.storage.remote.errors import Refusal, translate
from gantry.storage.remote.reading import HELD_BYTES, RemoteObject
from tests.seams.blob_store_suite import keys, read
from tests.support.azure_places import ACCOUNT, AzureServer, make_container, make_place


@pytest.fixture(scope="module")
def process() -> Iterator[AzureServer]:
    with AzureServer(access_key=ACCOUNT) as server:
        yield server


@pytest.fixture
def server(process: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    monkeypatch.setattr(retrying, "FIRST_SECONDS", 0.001)
    return process


@pytest.fixture
def store(server: AzureServer) -> RemoteBucket:
    return make_container(server.url)


def put(store: RemoteBucket, key: str, data: bytes, **headers: str) -> None:
    sent = {"x-ms-blob-type": "BlockBlob"} | {name.replace("_", "-"): text for name, text in headers.items()}
    store.client.provider._requests.send("PUT", key, {}, sent, data)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kind", ["503 ServerBusy", "500 OperationTimedOut", "reset before", "reset in body", "short body", "wrong bit"]
)
def test_a_read_that_fails_once_is_tried_again(server: AzureServer, store: RemoteBucket, kind: str) -> None:
    data = bytes(range(256)) * 400
    store.put("a", [data])
    with server.fail(kind, methods=["GetObject"], times=1, seconds=0) as rule:
        assert read(store, "a") == data
        assert rule.failed == 1


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("404 BlobNotFound", NotFound, "no object of this name"),
        ("409 BlobArchived", FailedPrecondition, "the object is archived"),
        ("412 ConditionNotMet", Aborted, "was changed since it was listed"),
        ("412 LeaseIdMissing", FailedPrecondition, "currently a lease"),
        ("403 AuthorizationPermissionMismatch", PermissionDenied, "blobs/read on bucket az://"),
        ("403 AuthorizationPermissionMismatch", PermissionDenied, f"with a key of account {ACCOUNT}"),
        ("403 AuthenticationFailed", BucketAway, "are refused: AuthenticationFailed"),
        ("404 ContainerNotFound", BucketAway, "is not there any more"),
        ("500 InternalError", Unavailable, "InternalError"),
        ("reset before", Unavailable, "no answer came"),
        ("wrong bit", DataLoss, "their checksum differs"),
    ],
)
def test_what_a_read_that_fails_says(
    server: AzureServer, store: RemoteBucket, kind: str, error: type[StatusError], words: str
) -> None:
    store.put("a", [b"x" * 1000])
    (found,) = store.list()
    with server.fail(kind, methods=["GetObject"], seconds=0) as rule, pytest.raises(error) as raised:
        store.open_found(found)
    assert rule.failed and words in raised.value.message
    assert "127.0.0.1" not in raised.value.message and "RequestId" not in raised.value.message


def test_an_archived_blob_says_so_and_its_tier_is_listed(store: RemoteBucket) -> None:
    put(store, "a", b"x", x_ms_access_tier="Archive")
    (found,) = store.list()
    assert found.storage_class == "Archive"
    with pytest.raises(FailedPrecondition, match="cannot be read before it is restored"):
        store.open("a")


def test_what_is_written_has_the_tier_of_the_settings(server: AzureServer, store: RemoteBucket) -> None:
    cold = RemoteBucket(make_place(server.url, store.place.bucket, storage_class="Cold"))
    cold.put("small", [b"x"])
    cold.put("large", [bytes(HELD_BYTES + 1)])
    assert {found.storage_class for found in store.list()} == {"Cold"}


def test_a_clock_that_differs_is_named(store: RemoteBucket) -> None:
    """Azure says only that the request is not authenticated; its own time is in the header Date."""
    refusal = Refusal(403, "AuthenticationFailed", "…", {"date": "Fri, 26 Jun 2015 23:39:12 GMT"})
    assert "the clock of this machine is" in translate(refusal, store.place, "read").message


def test_credentials_that_are_refused(server: AzureServer, store: RemoteBucket) -> None:
    other = RemoteBucket(make_place(server.url, store.place.bucket, account="other"))
    for act in (other.exists, lambda: other.head("a"), lambda: other.put("a", [b"x"]), lambda: keys(other)):
        with pytest.raises(BucketAway, match="with a key of account other"):
            act()


def test_a_sas_token_is_in_the_query_and_in_no_error(server: AzureServer, store: RemoteBucket) -> None:
    sas = RemoteBucket(make_place(server.url, store.place.bucket, account_key="", sas_token="?sv=1&sig=hush"))  # noqa: S106
    sas.put("a", [b"x"])
    with sas.open("a") as opened:
        sas.copy_from(opened, "b")
    assert read(sas, "b") == b"x"
    with server.fail("403 AuthenticationFailed"), pytest.raises(BucketAway) as raised:
        sas.head("a")
    assert "hush" not in raised.value.message


def test_a_container_that_is_not_there(server: AzureServer) -> None:
    assert not RemoteBucket(make_place(server.url, "none")).exists()


def test_one_that_may_not_be_listed_exists(server: AzureServer, store: RemoteBucket) -> None:
    with server.fail("403 AuthorizationPermissionMismatch", methods=["ListObjectsV2"]):
        assert store.exists()
        with pytest.raises(PermissionDenied, match="blobs/read"):
            keys(store)


@pytest.mark.parametrize("kind", ["503 ServerBusy", "reset before", "reset after"])
def test_blocks_that_fail_are_sent_again(server: AzureServer, store: RemoteBucket, kind: str) -> None:
    """Also the request that commits them, when its answer is lost."""
    data = bytes(range(256)) * (HELD_BYTES // 128)
    methods = ["UploadPart", "CompleteMultipartUpload"]
    with server.fail(kind, methods=methods, each=1, seconds=0) as rule:
        assert store.put("a", [data]) == len(data)
        assert rule.failed >= 2
    with store.open("a") as opened:
        assert b"".join(opened.chunks()) == data
        assert isinstance(opened, RemoteObject) and not opened.is_unchecked


def test_an_upload_that_fails_leaves_the_object_that_was_there(server: AzureServer, store: RemoteBucket) -> None:
    store.put("a", [b"old"])
    with (
        server.fail("403 AuthorizationPermissionMismatch", methods=["CompleteMultipartUpload"]),
        pytest.raises(PermissionDenied, match="blobs/write"),
    ):
        store.put("a", [bytes(HELD_BYTES + 1)])
    assert read(store, "a") == b"old" and keys(store) == ["a"]


def test_a_small_object_is_compared_without_another_request(server: AzureServer, store: RemoteBucket) -> None:
    store.put("a", [b"x"])
    (found,) = store.list()
    server.reset_counts()
    with store.open_found(found) as opened:
        assert isinstance(opened, RemoteObject) and not opened.is_unchecked
    assert server.requests.operations == {"GetObject": 1}


def test_an_object_without_an_md5_is_unchecked(store: RemoteBucket) -> None:
    put(store, "a", b"x", x_ms_meta_nomd5="1")
    with store.open("a") as opened:
        assert isinstance(opened, RemoteObject) and opened.is_unchecked


@pytest.mark.parametrize("md5", ["AAA", "!!!!", "\u00e9"])
def test_what_is_no_md5_is_not_compared(store: RemoteBucket, md5: str) -> None:
    """Whoever writes blocks may say anything."""
    put(store, "a", b"x", x_ms_blob_content_md5=md5)
    with store.open("a") as opened:
        assert isinstance(opened, RemoteObject) and opened.is_unchecked


def test_a_page_without_the_size_of_an_object_is_said_so() -> None:
    blob = b"<Blob><Name>a</Name><Properties><Content-Length>x</Content-Length></Properties></Blob>"
    with pytest.raises(Unavailable, match="does not say how long an object is"):
        parse_page(b"<EnumerationResults><Blobs>%b</Blobs></EnumerationResults>" % blob)


def test_packed_objects_are_unpacked(store: RemoteBucket) -> None:
    packed = gzip.compress(b"plain" * 1000)
    md5 = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    put(store, "a", packed, x_ms_blob_content_encoding="gzip", x_ms_blob_content_md5=md5)
    assert read(store, "a") == b"plain" * 1000


@pytest.mark.parametrize("kind", ["page repeated", "503 ServerBusy", "reset before", "closed in body"])
def test_a_page_of_a_listing_that_fails(
    server: AzureServer, store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("gantry.storage.remote.client.PAGE_KEYS", 3)
    for number in range(10):
        store.put(f"{number}", [b"x"])
    with server.fail(kind, methods=["ListObjectsV2"], times=2, seconds=0) as rule:
        assert keys(store) == [f"{number}" for number in range(10)]
        assert rule.failed


def test_a_listing_out_of_order_says_what_to_set(server: AzureServer, store: RemoteBucket) -> None:
    """As with a hierarchical namespace."""
    for key in ("a", "b"):
        store.put(key, [b"x"])
    with server.fail("unsorted"):
        with pytest.raises(FailedPrecondition, match="not list its keys in the order"):
            keys(store)
        assert keys(RemoteBucket(make_place(server.url, store.place.bucket, is_sorted=False))) == ["a", "b"]


class _Entra(BaseHTTPRequestHandler):
    """Answers what the class says, and notes what it was asked."""

    answers: list[tuple[int, object]] = []  # noqa: RUF012 - one for all requests
    asked: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["content-length"])).decode())
        status, said = self.answers[min(len(self.asked), len(self.answers)) - 1]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the output of a test is for what is wrong."""


@pytest.fixture
def entra() -> Iterator[str]:
    _Entra.asked.clear()
    with HTTPServer(("127.0.0.1", 0), _Entra) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def make_tokens(url: str, store: RemoteBucket) -> Tokens:
    return Tokens(store.place, lambda: Ask("POST", url, {}, "client_secret=hush"))


def test_a_token_is_kept_until_shortly_before_its_end(entra: str, store: RemoteBucket) -> None:
    _Entra.answers = [(200, {"access_token": "one", "expires_in": 3600}), (200, {"access_token": "two"})]
    tokens = make_tokens(entra, store)
    assert [tokens.get(), tokens.get()] == ["one", "one"] and len(_Entra.asked) == 1
    tokens._kept._ends -= 3400
    tokens._kept._asked_at -= 3400
    assert tokens.get() == "two" and len(_Entra.asked) == 2


def test_the_ca_file_of_the_bucket_is_read_where_a_token_is_asked_for(store: RemoteBucket, tmp_path: Path) -> None:
    place = replace(store.place, ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(FailedPrecondition, match="the ca_file of bucket"):
        Tokens(place, lambda: Ask("POST", "https://login.invalid/token", {})).get()


@pytest.mark.parametrize(
    "said",
    [{"expires_in": "3600"}, {"expires_on": "99999999999"}, {}, {"expires_in": "soon"}, {"expires_in": [1]}],
    ids=["seconds", "moment", "nothing", "no number", "no text"],
)
def test_a_token_is_not_asked_for_with_every_request(entra: str, store: RemoteBucket, said: dict[str, object]) -> None:
    """Application services say when a token ends, and not how long it is good for."""
    _Entra.answers = [(200, {"access_token": "one", **said})]
    tokens = make_tokens(entra, store)
    assert [tokens.get(), tokens.get(), tokens.get()] == ["one"] * 3 and len(_Entra.asked) == 1


@pytest.mark.parametrize(
    ("status", "said", "error", "words"),
    [
        (401, {"error": "invalid_client", "error_description": "hush"}, BucketAway, "no token came: invalid_client"),
        (400, [], BucketAway, "HTTP status 400"),
        (200, {}, BucketAway, "HTTP status 200"),
        (503, {"error": "temporarily_unavailable"}, Unavailable, "temporarily_unavailable"),
    ],
)
def test_a_token_that_does_not_come(
    entra: str, store: RemoteBucket, status: int, said: object, error: type[StatusError], words: str
) -> None:
    _Entra.answers = [(status, said)]
    with pytest.raises(error) as raised:
        make_tokens(entra, store).get()
    assert words in raised.value.message and "hush" not in raised.value.message


def test_tokens_open_a_container(
    entra: str, server: AzureServer, store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Workload identity: the file of the token is read when it is needed."""
    file = f"{tmp_path}/token"
    for name, text in {
        "AZURE_CLIENT_ID": "client-1",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_AUTHORITY_HOST": entra,
        "AZURE_FEDERATED_TOKEN_FILE": file,
    }.items():
        monkeypatch.setenv(name, text)
    _Entra.answers = [(200, {"access_token": "good-token", "expires_in": 3600})]
    mine = RemoteBucket(make_place(server.url, store.place.bucket, account_key=""))
    with pytest.raises(BucketAway, match="the file of the token cannot be read"):
        mine.put("a", [b"x"])
    with open(file, "wb") as binary:
        binary.write(b"\xff\xfe")
    with pytest.raises(BucketAway, match="the file of the token cannot be read"):
        mine.put("a", [b"x"])
    with open(file, "w") as opened:
        opened.write("of-the-cluster\n")
    mine.put("a", [b"x"])
    assert read(store, "a") == b"x"
    assert "client_assertion=of-the-cluster" in _Entra.asked[0] and "storage.azure.com%2F.default" in _Entra.asked[0]


def test_a_server_that_keeps_other_bytes_than_were_sent_is_found_out(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider: Any = store.client.provider
    said = Answer(201, {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"")  # of no bytes at all
    monkeypatch.setattr(provider._requests, "send", lambda *_: said)
    with pytest.raises(Unavailable, match="other bytes than those that were sent"):
        provider.put("a", b"bytes")
    provider.put("a", b"")


def test_other_bytes_than_were_asked_for_are_never_taken(
    server: AzureServer, store: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before a server may not know ranges: half of the whole object is as long as its second half."""
    provider: Any = store.client.provider
    send = provider._requests.send
    put(store, "a", bytes(1000) + b"x" * 1000, x_ms_meta_nomd5="1")
    (found,) = store.list()

    def send_without_range(method: str, key: str, query: Any, headers: Any, *more: Any) -> Any:
        kept = {name: text for name, text in (headers or {}).items() if name != "range"}
        return send(method, key, query, kept, *more)

    monkeypatch.setattr(provider._requests, "send", send_without_range)
    rule = server.fail("closed in body", methods=["GetObject"])
    with rule, pytest.raises(Unavailable, match="where 1000 were asked for"):
        store.client.get(found, 1000, 1000)


def test_an_answer_that_is_longer_than_it_may_be_is_not_held(store: RemoteBucket) -> None:
    """The connection is closed: what is left of it would be the next answer."""
    provider: Any = store.client.provider
    store.put("a", [bytes(8 << 20)])
    answer = provider._requests.send("GET", "a", {}, {}, b"", 10)
    assert 10 < len(answer.body) <= 1 << 20
    assert read(store, "a") == bytes(8 << 20)


@pytest.mark.parametrize(
    ("later", "is_copied"),
    [
        ([{"x-ms-copy-status": "pending", "x-ms-copy-progress": f"{number}/9"} for number in range(9)] + [{}], True),
        ([{"x-ms-copy-status": "pending", "x-ms-copy-progress": "1/9"}] * 100, False),
        ([{"x-ms-copy-status": "failed"}], False),
        ([{"x-ms-copy-id": "another"}], False),
    ],
    ids=["goes on", "stands", "fails", "another"],
)
def test_a_copy_that_is_made_later_is_waited_for_while_it_goes_on(
    store: RemoteBucket, monkeypatch: pytest.MonkeyPatch, later: list[dict[str, str]], is_copied: bool
) -> None:
    monkeypatch.setattr(azure, "_COPY_SECONDS", 0.001)
    monkeypatch.setattr(azure, "_STANDING_SECONDS", 0.01)
    store.put("a", [b"x"])
    provider: Any = store.client.provider
    found = store.head("a")
    answers = iter([{"x-ms-copy-status": "pending"}, *later])

    def send(*_: Any) -> Answer:
        return Answer(202, {"x-ms-copy-id": "1", "x-ms-copy-status": "success"} | next(answers), b"")

    monkeypatch.setattr(provider._requests, "send", send)
    with nullcontext() if is_copied else pytest.raises(Aborted, match="given up the copy"):
        provider.copy(store.place, found, "b")
    assert (next(answers, None) is not None) is (len(later) == 100)


def test_a_write_that_another_overtakes_is_said_so(store: RemoteBucket) -> None:
    """Azure drops the blocks of everybody when one commits."""

    def write_meanwhile() -> Iterator[bytes]:
        yield bytes(HELD_BYTES)
        yield bytes(HELD_BYTES + 1)  # two parts are at hand before the first one is sent
        store.put("a", [b"of somebody else"])
        yield b"x"

    with pytest.raises(Aborted, match="written by somebody else meanwhile"):
        store.put("a", write_meanwhile())
    assert read(store, "a") == b"of somebody else"


def test_blocks_of_another_program_are_said_to_be_in_the_way(server: AzureServer, store: RemoteBucket) -> None:
    with (
        server.fail("400 InvalidBlobOrBlock", methods=["UploadPart"]),
        pytest.raises(FailedPrecondition, match="another program has begun to write the object"),
    ):
        store.put("a", [bytes(HELD_BYTES + 1)])


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "gzip,aws-chunked", "identity, gzip"])
def test_every_form_of_gzip_is_unpacked(store: RemoteBucket, encoding: str) -> None:
    put(store, "a", gzip.compress(b"plain"), x_ms_blob_content_encoding=encoding)
    assert read(store, "a") == b"plain"


@pytest.mark.parametrize("encoding", ["", "br", "gzip, br", "identity", "aws-chunked"])
def test_what_is_no_gzip_is_read_as_it_is(store: RemoteBucket, encoding: str) -> None:
    packed = gzip.compress(b"plain")
    put(store, "a", packed, x_ms_blob_content_encoding=encoding)
    assert read(store, "a") == packed


def test_nobody_copies_without_credentials(store: RemoteBucket) -> None:
    provider = store.client.provider
    assert provider.can_copy_from(replace(store.place, bucket="other"))
    for source in (replace(store.place, anonymous=True), replace(store.place, account_key="")):
        assert not provider.can_copy_from(source)
    unsigned = replace(store.place, anonymous=True, account_key="")
    assert not RemoteBucket(unsigned).client.provider.can_copy_from(unsigned)
