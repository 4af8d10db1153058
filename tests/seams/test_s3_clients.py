"""What the two clients of a bucket of S3 send, and with whose key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import obstore
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError

from gantry.errors import BucketAway
from gantry.resources import ObjectMeta
from gantry.storage.remote import credentials
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.seams.blob_store_suite import read
from tests.support.s3_places import make_bucket, make_place
from tests.support.s3_server import S3Server

ODD = "a//b"  # a key that the fast client cannot name
LARGE = bytes(range(251)) * (9 << 20 >> 8)
"""Longer than what is held in memory, and than one part."""


def record_headers(bucket: RemoteBucket) -> list[dict[str, str]]:
    """Those of the requests that botocore makes from now on."""
    found: list[dict[str, str]] = []
    provider: Any = bucket.client.provider

    def note(request: Any, **_: Any) -> None:
        sent = ((name.lower(), value) for name, value in request.headers.items())
        found.append({name: value.decode() if isinstance(value, bytes) else str(value) for name, value in sent})

    provider._client.meta.events.register("before-send.s3", note)
    return found


@pytest.mark.parametrize(
    ("endpoint", "checksums", "sent"),
    [(True, None, False), (True, True, True), (True, False, False), (False, None, True), (False, False, False)],
)
def test_newer_checksums_are_sent_to_amazon_and_where_the_settings_say_so(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, endpoint: bool, checksums: bool | None, sent: bool
) -> None:
    """botocore finds the address in the environment, so that a server of the tests stands for Amazon's."""
    bucket = make_bucket(s3, checksums=checksums)
    if not endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        bucket = RemoteBucket(replace(bucket.place, endpoint="", path_style=True))
    headers = record_headers(bucket)
    bucket.put(ODD, [b"bytes"])
    assert any("x-amz-checksum-crc32" in each or "x-amz-sdk-checksum-algorithm" in each for each in headers) is sent
    assert any("amz-trailer" in name for each in headers for name in each) is False, "bodies are sent as they are"
    provider: Any = bucket.client.provider
    assert ("checksum_algorithm" in provider._fast.config) is sent


@pytest.mark.parametrize("checksums", [None, True, False])
def test_every_object_that_is_written_has_the_checksum_that_the_settings_want(
    s3: S3Server, checksums: bool | None
) -> None:
    bucket = make_bucket(s3, checksums=checksums)
    for key in (ODD, "small"):  # one by each client
        bucket.put(key, [b"bytes"])
        assert bool(list_checksums(bucket, key)) is (checksums is True), key


def list_checksums(bucket: RemoteBucket, key: str) -> list[str]:
    """Those that the server has got with an object."""
    provider: Any = bucket.client.provider
    said = provider._client.head_object(Bucket=bucket.place.bucket, Key=key, ChecksumMode="ENABLED")
    return [name for name in said if name.startswith("Checksum") and name != "ChecksumType"]


def test_who_pays_is_said_with_every_request(s3: S3Server) -> None:
    bucket = make_bucket(s3, requester_pays=True)
    headers = record_headers(bucket)
    bucket.put(ODD, [b"bytes"])
    bucket.put("large", [LARGE])
    assert read(bucket, ODD) == b"bytes"
    assert read(bucket, "large") == LARGE
    bucket.delete(ODD)
    bucket.delete_prefix("")
    assert len(headers) > 9
    assert [each for each in headers if each.get("x-amz-request-payer") != "requester"] == []


def test_credentials_are_renewed_before_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a role end every hour, while an import may take days."""
    renewed = []

    def renew() -> dict[str, str]:
        renewed.append(None)
        ends = datetime.now(UTC) + timedelta(hours=1)
        return {"access_key": "AKIANEW", "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}

    def make_session(place: RemotePlace) -> Any:
        session = botocore.session.Session()
        soon = datetime.now(UTC) + timedelta(minutes=5)
        session._credentials = RefreshableCredentials("AKIAOLD", "s", "t", soon, renew, "role")
        return session

    monkeypatch.setattr("gantry.storage.remote.s3.make_session", make_session)
    with S3Server(access_key="AKIANEW") as server:
        server.put("in", {}, {})
        place = RemotePlace("s3", "in", "s3://in", server.url, region="eu-west-1")
        bucket = RemoteBucket(place)
        bucket.put("a", [b"bytes"])
        bucket.put(ODD, [b"more"])
        assert (read(bucket, "a"), read(bucket, ODD)) == (b"bytes", b"more")
    assert len(renewed) == 1, "one chain for both clients"


def test_credentials_are_asked_for_again_after_minutes() -> None:
    session = botocore.session.Session()
    session.set_credentials("AKIA", "s")
    ends = credentials.read_credentials(session)()["expires_at"]
    assert timedelta(0) < ends - datetime.now(UTC) <= timedelta(minutes=5)


def test_credentials_that_were_refused_are_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody renews a file that expired while an import waits: nobody has to start the server again."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    with S3Server(access_key="AKIANEW") as server:
        bucket = RemoteBucket(RemotePlace("s3", "in", "s3://in", server.url, region="eu-west-1", profile="lab"))
        for text in ("", "[lab]\naws_access_key_id = AKIAOLD\naws_secret_access_key = s\n"):
            file.write_text(text)
            with pytest.raises(BucketAway):
                bucket.exists()
        file.write_text("[lab]\naws_access_key_id = AKIANEW\naws_secret_access_key = s\n")
        assert bucket.exists()
        bucket.put("a", [b"bytes"])
        assert read(bucket, "a") == b"bytes"


@pytest.mark.parametrize(("name", "begins"), [("a.b.c", "https://s3."), ("abc", "https://abc.s3.")])
def test_a_bucket_with_a_dot_is_named_in_the_path(name: str, begins: str) -> None:
    """The certificate of Amazon, *.s3.REGION.amazonaws.com, does not cover a.b.s3.REGION.amazonaws.com."""
    place = replace(make_place("", name), region="eu-west-3")
    provider: Any = RemoteBucket(place).client.provider
    assert obstore.sign(provider._fast, "GET", "key", timedelta(minutes=1)).startswith(begins)
    asked = {"Bucket": name, "Key": "key"}
    assert provider._client.generate_presigned_url("get_object", asked).startswith(begins)


def test_a_server_that_refuses_to_tell_checksums_is_read_nevertheless(
    bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", [LARGE])
    provider: Any = bucket.client.provider
    head = provider._client.head_object

    def refuse(**asked: Any) -> Any:
        if "ChecksumMode" in asked:
            about = {"Error": {"Code": "400"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(about, "HeadObject")  # type: ignore[arg-type]
        return head(**asked)

    monkeypatch.setattr(provider._client, "head_object", refuse)
    found: list[ObjectMeta] = list(bucket.list())
    with bucket.open_found(found[0]) as opened:
        assert b"".join(opened.chunks()) == LARGE
