"""Cloud Storage that fails, or spoils bytes: what is said, what is tried again, and that nothing wrong is taken."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from google.auth.exceptions import RefreshError, TransportError
from google.oauth2 import service_account

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
from gantry.resources import ObjectMeta
from gantry.storage.remote import retrying
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.connections import Answer
from gantry.storage.remote.errors import Trouble
from gantry.storage.remote.gcs_errors import read_refusal, translate_credentials, translate_refusal
from gantry.storage.remote.gcs_tags import compute_crc32c, make_tag, read_crc32c, read_hash
from gantry.storage.remote.gcs_uploads import Uploads
from gantry.storage.remote.kept_tokens import KeptToken
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import keys, read
from tests.support.gcs_places import make_bucket, read_objects
from tests.support.gcs_server import GcsServer

LARGE = bytes(range(251)) * (20 << 20 >> 8)
"""Longer than what is held in memory, and than two parts."""
PLACE = RemotePlace("gcs", "b", "gs://b")


@pytest.fixture(scope="module")
def server() -> Iterator[GcsServer]:
    with GcsServer() as server:
        yield server


@pytest.fixture
def bucket(server: GcsServer) -> RemoteBucket:
    return make_bucket(server)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(retrying, "wait", lambda seconds, _: found.append(seconds))
    return found


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"bytes", LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "kind", ["503 SlowDown", "500 InternalError", "reset before", "reset in body", "closed in body", "short body"]
)
def test_a_read_that_fails_once_goes_on(server: GcsServer, bucket: RemoteBucket, kind: str, data: bytes) -> None:
    bucket.put("a", [data])
    (found,) = bucket.list()
    with server.fail(kind, methods=["GetObject"], times=2) as rule, bucket.open_found(found) as opened:
        assert b"".join(opened.chunks()) == data
        assert not opened.is_unchecked  # type: ignore[attr-defined]
    assert rule.failed == 2


@pytest.mark.parametrize("data", [b"bytes", LARGE], ids=["small", "large"])
def test_a_wrong_bit_is_never_taken(server: GcsServer, bucket: RemoteBucket, data: bytes) -> None:
    bucket.put("a", [data])
    (found,) = bucket.list()
    with (
        server.fail("wrong bit"),
        pytest.raises(DataLoss, match="checksum differs"),
        bucket.open_found(found) as opened,
    ):
        list(opened.chunks())


def test_a_small_object_that_was_listed_is_read_by_one_request(server: GcsServer, bucket: RemoteBucket) -> None:
    bucket.put("a", [b"bytes"])
    (found,) = bucket.list()
    server.reset_counts()
    with bucket.open_found(found) as opened:
        assert b"".join(opened.chunks()) == b"bytes"
    assert server.requests.operations == {"GetObject": 1}


def test_an_object_without_a_checksum_is_read_and_said_to_be_unchecked(server: GcsServer, bucket: RemoteBucket) -> None:
    """One with a key of the customer, whose listing tells none."""
    server.put(bucket.place.bucket, {"a": b"bytes"}, {"x-without-hash": "1"})
    (found,) = bucket.list()
    assert read_crc32c(found.tag) == ""
    with bucket.open_found(found) as opened:
        assert b"".join(opened.chunks()) == b"bytes"
        assert opened.is_unchecked  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [b"bytes", LARGE], ids=["small", "large"])
def test_packed_objects_are_unpacked(server: GcsServer, bucket: RemoteBucket, data: bytes) -> None:
    server.put(bucket.place.bucket, {"a": gzip.compress(data, 0)}, {"content-encoding": "gzip"})
    assert read(bucket, "a") == data


def test_other_bytes_than_were_asked_for_are_never_taken(
    server: GcsServer, bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before a server may answer with another part of the object."""
    provider: Any = bucket.client.provider
    bucket.put("a", [bytes(1000) + b"x" * 1000])
    (found,) = bucket.list()
    send = provider._http._connections.send

    def send_other_range(method: str, target: str, headers: dict[str, str], *more: Any) -> Any:
        return send(method, target, {**headers, "range": "bytes=0-999"}, *more)

    monkeypatch.setattr(provider._http._connections, "send", send_other_range)
    with pytest.raises(Unavailable, match="where 1000 were asked for"):
        bucket.client.get(found, 1000, 1000)


# Writing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["503 SlowDown", "500 InternalError", "400 BadDigest", "reset before", "reset after"])
@pytest.mark.parametrize("method", ["PutObject", "UploadPart"])
def test_a_write_that_fails_is_tried_again(server: GcsServer, bucket: RemoteBucket, kind: str, method: str) -> None:
    data = LARGE if method == "UploadPart" else b"bytes"
    with server.fail(kind, methods=[method], times=3) as rule:
        assert bucket.put("a", [data]) == len(data)
        assert rule.failed == 3
    assert read_objects(server.url, bucket.place.bucket) == {"a": data}


@pytest.mark.parametrize("after", range(3))
def test_no_answer_to_a_part_spoils_the_object(server: GcsServer, bucket: RemoteBucket, after: int) -> None:
    """Also not the last one, by which the object is made."""
    with server.fail("reset after", methods=["UploadPart"], after=after, times=1) as rule:
        bucket.put("a", [LARGE])
        assert rule.failed == 1
    assert read_objects(server.url, bucket.place.bucket) == {"a": LARGE}


def test_an_upload_that_fails_leaves_no_object_and_is_cancelled(server: GcsServer, bucket: RemoteBucket) -> None:
    with server.fail("403 AccessDenied", methods=["UploadPart"], after=1), pytest.raises(PermissionDenied):
        bucket.put("a", [LARGE])
    assert keys(bucket) == []
    assert server.requests.operations["AbortMultipartUpload"] == 1


@pytest.mark.parametrize("after", range(3))
def test_an_upload_that_is_gone_is_said_so(server: GcsServer, bucket: RemoteBucket, after: int) -> None:
    """It is not an object that is missing."""
    with server.fail("404 NoSuchUpload", methods=["UploadPart"], after=after) as rule:
        with pytest.raises(Aborted, match="has given up the upload of the object"):
            bucket.put("a", [LARGE])
        assert rule.failed == 1
    assert keys(bucket) == []


def test_a_bucket_that_goes_during_an_upload_is_said_so(server: GcsServer, bucket: RemoteBucket) -> None:
    with (
        server.fail("404 NoSuchBucket", methods=["UploadPart"]),
        pytest.raises(BucketAway, match="is not there any more"),
    ):
        bucket.put("a", [LARGE])


class _Front:
    """What stands before a server, below a path: ``location`` is where an upload is, ``asked`` the requests."""

    base = "/front"

    def __init__(self, location: str) -> None:
        self.location, self.asked = location, list[str]()

    def ask(self, method: str, path: str, *_: Any) -> Answer:
        self.asked.append(self.base + path)
        if method == "POST":
            return Answer(200, {"location": self.location}, b"")
        return Answer(200, {}, b"{}")


@pytest.mark.parametrize("origin", ["https://server", "http://elsewhere/front"], ids=["inner", "outer"])
def test_parts_go_below_the_path_of_the_endpoint(origin: str) -> None:
    """Some servers behind a path know of it, some do not."""
    front: Any = _Front(f"{origin}/upload/storage/v1/b/in/o?upload_id=1")
    uploads = Uploads(front, "/upload/storage/v1/b/in/o")
    uploads.end(uploads.begin("a", {}))
    assert front.asked == ["/front/upload/storage/v1/b/in/o", "/front/upload/storage/v1/b/in/o?upload_id=1"]


@pytest.mark.parametrize("location", ["", "https://server", "upload?upload_id=1", "https://server?upload_id=1"])
def test_an_upload_without_a_path_is_none(location: str) -> None:
    front: Any = _Front(location)
    with pytest.raises(Unavailable, match="did not say where"):
        Uploads(front, "/upload").begin("a", {})


def test_parts_of_exactly_one_size_are_an_object(server: GcsServer, bucket: RemoteBucket) -> None:
    for size in (8 << 20, 16 << 20):
        bucket.put("a", [bytes(size)])
        assert bucket.head("a").size == size


@pytest.mark.parametrize("data", [b"bytes", LARGE], ids=["small", "large"])
def test_other_bytes_than_were_sent_are_not_taken_for_written(
    bucket: RemoteBucket, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the server said that it has others."""
    provider: Any = bucket.client.provider
    ask = provider._http.ask

    def spoil(method: str, path: str, *args: Any, **more: Any) -> Any:
        said = ask(method, path, *args, **more)
        return said._replace(body=said.body.replace(compute_crc32c(data).encode(), b"AAAAAA=="))

    monkeypatch.setattr(provider._http, "ask", spoil)
    with pytest.raises((Unavailable, DataLoss), match="other bytes than those that were sent"):
        bucket.put("a", [data])
    assert data is not LARGE or keys(bucket) == [], "the spoilt object is deleted"


def test_storage_classes_are_those_of_the_settings(server: GcsServer) -> None:
    bucket = make_bucket(server, storage_class="NEARLINE")
    bucket.put("small", [b"x"])
    bucket.put("large", [LARGE])
    assert {each.storage_class for each in bucket.list()} == {"NEARLINE"}
    with pytest.raises(FailedPrecondition, match="storage class"):
        RemoteBucket(replace(bucket.place, storage_class="GLACIER")).put("a", [b"x"])


def test_a_copy_is_made_by_the_server_where_both_have_one_identity(
    server: GcsServer, bucket: RemoteBucket, credentials: str
) -> None:
    about = {"anonymous": False, "credentials_file": credentials}
    source, target = (RemoteBucket(replace(each.place, **about)) for each in (bucket, make_bucket(server)))  # type: ignore[arg-type]
    for each in (source, target):
        provider: Any = each.client.provider
        provider._tokens._kept = KeptToken(lambda: ("t", math.inf))
    bucket.put("a/b", [LARGE])
    server.reset_counts()
    with source.open("a/b") as opened:
        target.copy_from(opened, "c//d")
    assert server.requests.operations["CopyObject"] == 2 and server.requests.operations["PutObject"] == 0
    assert read_objects(server.url, target.place.bucket) == {"c//d": LARGE}


def test_a_copy_that_does_not_go_on_is_given_up(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Any = bucket.client.provider
    reached = [0, 1, 2, *[3] * 100]
    answers = iter([{"done": False, "rewriteToken": "t", "totalBytesRewritten": str(each)} for each in reached])
    monkeypatch.setattr(provider, "_ask_json", lambda *_: next(answers))
    with pytest.raises(Aborted, match="does not go on with the copy"):
        provider.copy(bucket.place, ObjectMeta("a", 5), "b")
    assert len(list(answers)) == 100 - 11, "as long as it goes on it is waited for"


# What is said ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    """A service account, with a key that was made for this test."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, *form).decode()
    about = {"type": "service_account", "client_email": "g@p.iam.gserviceaccount.com", "private_key": text}
    about |= {"token_uri": "http://127.0.0.1:9/token", "project_id": "p", "private_key_id": "1"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps(about))
    return str(path)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("403 AccessDenied", PermissionDenied, "storage.objects.get"),
        ("404 NoSuchKey", NotFound, "there is no object of this name"),
        ("404 NoSuchBucket", BucketAway, "is not there any more"),
        ("412 PreconditionFailed", Aborted, "was changed since it was listed"),
        ("500 InternalError", Unavailable, "Backend Error"),
        ("429 TooManyRequests", Unavailable, "asks for fewer requests"),
        ("403 InvalidObjectState", FailedPrecondition, "retention policy"),
        ("reset before", Unavailable, "no answer came"),
    ],
)
def test_what_fails_is_said(
    server: GcsServer, bucket: RemoteBucket, kind: str, error: type[StatusError], words: str
) -> None:
    with server.fail(kind, methods=["GetObject"]), pytest.raises(error, match=words) as caught:
        bucket.open_found(ObjectMeta("a", 5))
    assert "127.0.0.1" not in caught.value.message


def test_the_pause_that_google_asks_for_is_kept(server: GcsServer, bucket: RemoteBucket, waits: list[float]) -> None:
    bucket.put("a", [b"bytes"])
    with server.fail("429 TooManyRequests", methods=["GetObject"], times=2, seconds=7):
        assert read(bucket, "a") == b"bytes"
    assert waits == [7, 7]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("99999999999999999999", 60, 60),
        ("-5", 0, 0),
        ("\u00b2", 0, 0),
        ("soon", 0, 0),
        ("", 0, 0),
        (9999, 60, 60),
        (30, 0.1, 30),
        (-9999, 0, 0),
    ],
    ids=["seconds", "endless", "negative", "superscript", "word", "nothing", "late moment", "moment", "past"],
)
def test_how_long_a_provider_wants_to_be_left_alone(text: str | int, least: float, most: float) -> None:
    """Numbers are moments so many seconds from now."""
    text = text if isinstance(text, str) else formatdate(time.time() + text, usegmt=True)
    assert least <= Trouble(503, headers={"retry-after": text}).retry_after <= most


def test_what_a_write_is_refused_for_is_no_change_of_the_object(server: GcsServer, bucket: RemoteBucket) -> None:
    """Policies of an organization are preconditions, too."""
    with (
        server.fail("412 PreconditionFailed", methods=["PutObject"]),
        pytest.raises(FailedPrecondition, match="refused it: conditionNotMet: At least one of the pre-conditions"),
    ):
        bucket.put("a", [b"x"])


@pytest.mark.parametrize(
    "page",
    [
        {"items": 5},
        {"items": [5]},
        {"items": [{"size": "1"}]},
        {"items": [{"name": 5}]},
        {"items": [{"name": "a", "size": "x"}]},
        {"items": [{"name": "\ud800"}]},
        {"prefixes": 5},
        {"prefixes": [5]},
        {"prefixes": ["\ud800"]},
    ],
    ids=lambda page: json.dumps(page),
)
def test_what_is_no_page_of_a_listing_is_said_so(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, page: dict[str, object]
) -> None:
    provider: Any = bucket.client.provider
    monkeypatch.setattr(provider, "_ask_json", lambda *_: page)
    with pytest.raises(BucketAway, match="what came is no answer of Cloud Storage"):
        keys(bucket)


def test_a_bucket_that_is_not_there(server: GcsServer, bucket: RemoteBucket) -> None:
    assert bucket.exists()
    assert not RemoteBucket(replace(bucket.place, bucket="none-such")).exists()


def test_refusals_by_quota_are_overload_and_holds_are_not_a_right() -> None:
    def describe(status: int, reason: str, place: RemotePlace = PLACE) -> StatusError:
        body = json.dumps({"error": {"code": status, "message": "m", "errors": [{"reason": reason}]}}).encode()
        return translate_refusal(read_refusal(status, {}, body), place, "right", "key", "who")

    assert isinstance(describe(403, "rateLimitExceeded"), Unavailable)
    assert isinstance(describe(403, "objectUnderActiveHold"), FailedPrecondition)
    assert isinstance(describe(408, ""), Unavailable)
    assert isinstance(describe(401, "required"), BucketAway)
    assert isinstance(describe(401, "required", replace(PLACE, anonymous=True)), PermissionDenied)
    assert "(who) does not have right on bucket gs://b" in describe(403, "forbidden").message


def test_what_is_no_json_is_said_without_markup() -> None:
    assert read_refusal(404, {"content-type": "text/plain"}, b"No such\nobject").message == "No such object"
    assert read_refusal(502, {"content-type": "text/html"}, b"<html>x</html>").message == ""
    for body in (b"[]", b'{"error": "x"}', b'{"error": {"errors": 5}}', b"\xff"):
        assert read_refusal(500, {}, body).status == 500


def test_a_machine_without_credentials_is_said_so(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(BucketAway, match="the server has no credentials for it"):
        RemoteBucket(replace(bucket.place, anonymous=False)).exists()


@pytest.mark.parametrize(
    "data", [b"{}", b"\xff\xfe", b"[]", b"", None], ids=["empty", "no text", "list", "no bytes", "none"]
)
def test_a_file_without_credentials_is_said_so(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes | None
) -> None:
    file = tmp_path / "broken.json"
    if data is not None:
        file.write_bytes(data)
    fails_with_file(bucket, monkeypatch, file, "has no credentials of Google that can be read")


def test_a_file_of_credentials_that_cannot_be_read_is_said_so(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not the bucket that does not answer. A directory stands for a file without permission."""
    fails_with_file(bucket, monkeypatch, tmp_path, "cannot be read: it is a directory")


def fails_with_file(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, path: Path, words: str) -> None:
    """Named by the settings, and by the environment."""
    with pytest.raises(BucketAway, match=f"its credentials_file {words}") as caught:
        RemoteBucket(replace(bucket.place, anonymous=False, credentials_file=str(path))).exists()
    assert str(path) not in caught.value.message
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(BucketAway, match=f"the file of GOOGLE_APPLICATION_CREDENTIALS {words}") as caught:
        RemoteBucket(replace(bucket.place, anonymous=False)).exists()
    assert str(path) not in caught.value.message


def test_the_chain_finds_the_file_of_the_environment_and_of_gcloud(
    server: GcsServer, bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: str
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    place = replace(bucket.place, anonymous=False)
    (tmp_path / "application_default_credentials.json").write_text(Path(credentials).read_text())
    provider: Any = RemoteBucket(replace(place, address="gs://one")).client.provider
    assert provider._identity == "g@p.iam.gserviceaccount.com"
    (tmp_path / "application_default_credentials.json").unlink()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
    provider = RemoteBucket(replace(place, address="gs://two")).client.provider
    assert provider._identity == "g@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RefreshError("invalid_grant: Invalid JWT Signature."), BucketAway, "Invalid JWT Signature"),
        (RefreshError("invalid_grant: Bad Request", {"error": "secret"}), BucketAway, "invalid_grant: Bad Request"),
        (RefreshError("No access token at https://10.0.0.1/secret"), BucketAway, "HTTP status 401"),
        (RefreshError("invalid_grant: Check your iat and exp values"), BucketAway, "clock of this machine"),
        (RefreshError("later", retryable=True), Unavailable, "gave no token"),
        (TransportError("https://oauth2.example/secret"), Unavailable, "gave no token"),
    ],
    ids=["signature", "reason", "unknown", "clock", "later", "transport"],
)
def test_credentials_that_are_refused_are_said_with_their_name(error: Any, kind: type[StatusError], words: str) -> None:
    found = translate_credentials(error, PLACE, "g@p")
    assert type(found) is kind and words in found.message and "secret" not in found.message


def test_a_token_is_sent_and_another_is_asked_for_when_it_is_refused(
    credentials: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service account's own requests for tokens go to Google; here they are made by the test."""
    made = iter(("bad", "good"))
    monkeypatch.setattr(service_account.Credentials, "refresh", lambda self, _: setattr(self, "token", next(made)))
    with GcsServer(access_key="good") as server:
        place = RemotePlace("gcs", "in", "gs://in", server.url, credentials_file=credentials)
        bucket = RemoteBucket(place)
        with pytest.raises(BucketAway, match=r"\(g@p.iam.gserviceaccount.com\) are refused: authError"):
            bucket.exists()
        bucket.put("a", [b"bytes"])
        assert keys(bucket) == ["a"]


def test_who_pays_is_said_with_every_request(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = RemoteBucket(replace(bucket.place, billing_project="payer"))
    provider: Any = bucket.client.provider
    targets: list[str] = []
    send = provider._http._connections.send

    def note(method: str, target: str, *more: Any) -> Any:
        targets.append(target)
        return send(method, target, *more)

    monkeypatch.setattr(provider._http._connections, "send", note)
    bucket.put("a", [b"x"])
    bucket.put("large", [LARGE])
    read(bucket, "a")
    bucket.delete_prefix("")
    assert len(targets) > 8 and all("userProject=payer" in each for each in targets)


def test_tags() -> None:
    assert make_tag("1", "") == "1" and read_crc32c(make_tag("1", "AAAAAA==")) == "AAAAAA=="
    assert read_hash("md5=abc,crc32c=n03x6A==") == "n03x6A==" and read_hash("md5=abc") == ""
    assert compute_crc32c(b"123456789") == "4waSgw=="  # RFC 3720, B.4: E3069283
