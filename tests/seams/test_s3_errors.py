"""What is said where a bucket of S3 cannot be reached: the cause, the bucket, the identity; never a secret."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import CredentialRetrievalError

from gantry.errors import BucketAway, FailedPrecondition, StatusError, Unavailable
from gantry.resources import ObjectMeta
from gantry.storage.remote import retrying, s3_clients
from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.errors import Trouble, _read_moment, describe_region
from gantry.storage.remote.place import RemotePlace
from gantry.storage.remote.s3_pages import parse_page
from tests.seams.blob_store_suite import keys, read
from tests.support.s3_places import SECRET, make_bucket, make_place
from tests.support.s3_server import S3Server

ODD = "a//b"  # a key that the fast client cannot name


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(retrying, "wait", lambda seconds, _: found.append(seconds))
    return found


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without credentials."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "DEFAULT_PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def without_key(bucket: RemoteBucket, **more: Any) -> RemoteBucket:
    return RemoteBucket(replace(bucket.place, access_key_id="", secret_access_key="", **more))


# The clock, overload --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", ODD])
@pytest.mark.parametrize(("seconds", "words"), [(3600, "behind"), (-1200, "ahead")])
def test_a_wrong_clock_is_said_with_the_seconds(
    bucket: RemoteBucket, s3: S3Server, key: str, seconds: int, words: str
) -> None:
    with (
        s3.fail("403 RequestTimeTooSkewed", seconds=seconds),
        pytest.raises(BucketAway, match=rf"clock of this machine is \d+ seconds {words}. Set the clock") as caught,
    ):
        bucket.open_found(ObjectMeta(key, 10))
    said = int(caught.value.message.partition(" seconds ")[0].rpartition(" ")[2])
    assert abs(said - abs(seconds)) < 60


@pytest.mark.parametrize("text", ["Fri, 27 Nov 2026 02:00:00 GMT", "2026-11-27T02:00:00Z", "2026-11-27T02:00:00.000Z"])
def test_moments_of_headers_and_of_xml_are_read(text: str) -> None:
    found = _read_moment(text)
    assert found is not None and found.utcoffset() == timedelta(0) and found.isoformat().startswith("2026-11-27T02:00")


@pytest.mark.parametrize("text", ["", "yesterday"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert _read_moment(text) is None


@pytest.mark.parametrize("kind", ["429 TooManyRequests", "503 SlowDown"])
def test_the_pause_that_the_provider_asks_for_is_kept_from_the_second_time_on(
    bucket: RemoteBucket, s3: S3Server, waits: list[float], kind: str
) -> None:
    """The fast client does not hear it."""
    bucket.put("a", [b"bytes"])
    (found,) = bucket.list()
    with s3.fail(kind, methods=["GetObject"], times=3, seconds=7), bucket.open_found(found) as opened:
        assert b"".join(opened.chunks()) == b"bytes"
    assert waits[0] < 1 and waits[1:] == [7, 7]


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("100000", 60.0), ("soon", 0.0), ("", 0.0), ("-1", 0.0)])
def test_no_provider_may_ask_for_more_than_a_minute(text: str, seconds: float) -> None:
    assert Trouble(headers={"retry-after": text}).retry_after == seconds


# Who asks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", ODD])
def test_a_machine_without_credentials_is_said_so(bucket: RemoteBucket, nobody: pytest.MonkeyPatch, key: str) -> None:
    bucket.put(key, [b"bytes"])
    for act in (lambda b: b.exists(), lambda b: b.open_found(ObjectMeta(key, 5)), lambda b: b.put(key, [b"x"])):
        with pytest.raises(BucketAway, match="the server has no credentials for it"):
            act(without_key(bucket))
    assert read(bucket, key) == b"bytes"


def test_a_chain_of_credentials_that_breaks_is_said_so_without_its_text(
    bucket: RemoteBucket, nobody: pytest.MonkeyPatch
) -> None:
    def load(self: Any) -> None:
        raise CredentialRetrievalError(provider="x", error_msg=f"token {SECRET} of /home/x")

    nobody.setattr("botocore.credentials.EnvProvider.load", load)
    for act in (lambda b: b.exists(), lambda b: b.open_found(ObjectMeta("a", 5))):
        with pytest.raises(BucketAway) as caught:
            act(without_key(bucket))
        assert SECRET not in caught.value.message and "/home" not in caught.value.message


def test_a_profile_that_is_not_there_is_said_so(bucket: RemoteBucket, nobody: pytest.MonkeyPatch) -> None:
    with pytest.raises(BucketAway, match="no credentials"):
        without_key(bucket, profile="none").exists()


@pytest.mark.parametrize("more", [{}, {"access_key_id": "", "secret_access_key": "", "anonymous": True}])
def test_who_needs_no_profile_misses_none(
    bucket: RemoteBucket, nobody: pytest.MonkeyPatch, tmp_path: Path, more: dict[str, Any]
) -> None:
    """The environment may name a profile for other buckets."""
    nobody.setenv("AWS_PROFILE", "others")
    bucket.put("a", [b"bytes"])
    own = RemoteBucket(replace(bucket.place, region="", **more))
    assert own.exists() and read(own, "a") == b"bytes"
    with pytest.raises(BucketAway, match="no credentials"):
        without_key(bucket).exists()
    (tmp_path / "config").write_text("[profile others]\nregion = eu-south-1\n")
    provider: Any = RemoteBucket(replace(own.place, concurrency=9)).client.provider
    assert provider._client.meta.region_name == "eu-south-1", "one that is there says the region"


def test_the_key_that_was_found_is_named_in_part(
    bucket: RemoteBucket, s3: S3Server, nobody: pytest.MonkeyPatch
) -> None:
    nobody.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEMACHINE1234")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket.put("a", [b"bytes"])
    other = without_key(bucket)
    assert read(other, "a") == b"bytes"
    with s3.fail("403 AccessDenied"), pytest.raises(StatusError, match=r"\(key AKIA…1234\) does not have s3:GetObject"):
        other.open_found(ObjectMeta("a", 5))


@pytest.mark.parametrize("asked", [False, True])
def test_the_metadata_service_is_asked_only_where_the_settings_say_so(
    bucket: RemoteBucket, nobody: pytest.MonkeyPatch, asked: bool
) -> None:
    with S3Server() as service:
        nobody.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)
        for act in (lambda b: b.exists(), lambda b: b.open_found(ObjectMeta("a", 5))):
            with pytest.raises(BucketAway, match="no credentials"):
                act(without_key(bucket, instance_metadata=asked))
        assert bool(service.requests.methods) is asked


def test_without_a_signature_nobody_looks_for_credentials(
    bucket: RemoteBucket, s3: S3Server, nobody: pytest.MonkeyPatch
) -> None:
    bucket.put("a", [b"bytes"])
    bucket.put(ODD, [b"more"])
    public = without_key(bucket, anonymous=True)
    assert (keys(public), read(public, "a"), read(public, ODD)) == (["a", ODD], b"bytes", b"more")


# The way there --------------------------------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def fails_with(endpoint: str, words: str, **more: Any) -> None:
    place = RemotePlace("s3", "b", "s3://b", endpoint, access_key_id="AKIA0000", secret_access_key=SECRET, **more)
    for key in ("a", ODD):
        with pytest.raises(Unavailable) as caught:
            RemoteBucket(place).open_found(ObjectMeta(key, 10))
        assert words in caught.value.message, caught.value.message
        assert "127.0.0.1" not in caught.value.message and SECRET not in caught.value.message


@pytest.mark.slow
def test_why_no_answer_came_is_said(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_clients, "_SILENT_SECONDS", 1)
    monkeypatch.setattr(retrying, "ATTEMPTS", 1)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        fails_with(f"http://127.0.0.1:{unused.getsockname()[1]}", "the connection was refused")
    fails_with(f"http://{silent}", "nothing to read in time")


def test_a_certificate_that_nobody_has_signed_is_said_to_be_untrusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "ATTEMPTS", 1)
    certificate, key = make_certificate(tmp_path)
    with serve_tls(certificate, key) as address:
        fails_with(address, "its TLS certificate is not trusted; ca_file")


def make_certificate(directory: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    (directory / "c.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "k.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return directory / "c.pem", directory / "k.pem"


class serve_tls:
    """Accepts connections with TLS, at ``localhost``."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)

    def __enter__(self) -> str:
        self.listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"https://localhost:{self.listening.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            try:
                self.context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    def __exit__(self, *_: object) -> None:
        self.listening.close()


@pytest.mark.parametrize("data", [None, b"", b"garbage", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_ca_file_without_certificates_is_said_so_and_its_path_is_not(
    bucket: RemoteBucket, tmp_path: Path, data: bytes | None
) -> None:
    if data is not None:
        (tmp_path / "ca.pem").write_bytes(data)
    other = RemoteBucket(replace(bucket.place, ca_file=str(tmp_path / "ca.pem")))
    with pytest.raises(FailedPrecondition, match="the ca_file of bucket s3://") as caught:
        other.exists()
    assert str(tmp_path) not in caught.value.message


def test_a_bucket_of_another_region_is_refused_at_once(bucket: RemoteBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """At Amazon: botocore follows to it, and then every object would fail."""
    place = replace(bucket.place, endpoint="", region="eu-west-1")
    other = RemoteBucket(place)
    made: Any = other.client.provider

    def answer(region: str) -> Any:
        return lambda **_: {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": region}}}

    monkeypatch.setattr(made._client, "list_objects_v2", answer("eu-north-1"))
    with pytest.raises(FailedPrecondition, match=r'is in another region, eu-north-1. Write region = "eu-north-1"'):
        other.exists()
    monkeypatch.setattr(made._client, "list_objects_v2", answer("eu-west-1"))
    assert other.exists()


@pytest.mark.parametrize("kind", ["301 PermanentRedirect", "400 AuthorizationHeaderMalformed"])
def test_the_region_of_a_bucket_is_named_with_its_setting(bucket: RemoteBucket, s3: S3Server, kind: str) -> None:
    """By a header, or in the answer as MinIO and Garage say it. Nobody follows."""
    said = r'bucket s3://b-\w+ is in another region, eu-north-1. Write region = "eu-north-1" in its entry'
    acts: list[Any] = [lambda: bucket.exists(), lambda: keys(bucket), lambda: bucket.head("a")]
    acts += [lambda: bucket.open_found(ObjectMeta(ODD, 5)), lambda: bucket.put(ODD, [b"x"])]
    for act in acts:
        with s3.fail(kind, times=2), pytest.raises(FailedPrecondition, match=said):
            act()


@pytest.mark.parametrize("kind", ["301 PermanentRedirect", "400 AuthorizationHeaderMalformed"])
def test_the_fast_client_says_that_the_region_is_another_one(bucket: RemoteBucket, s3: S3Server, kind: str) -> None:
    """It shows no header of the answer."""
    for act in (lambda: bucket.open_found(ObjectMeta("a", 5)), lambda: bucket.put("a", [b"x"])):
        with s3.fail(kind), pytest.raises(FailedPrecondition, match=r"in another region.* in its entry of remote"):
            act()


def test_a_signature_that_is_wrong_in_another_way_is_about_the_credentials(s3: S3Server) -> None:
    """Some servers name their region with every error."""
    bucket = make_bucket(s3, region="eu-north-1")
    for act in (bucket.exists, lambda: bucket.open_found(ObjectMeta("a", 5))):
        with (
            s3.fail("400 AuthorizationHeaderMalformed"),
            pytest.raises(BucketAway, match=r"credentials .* are refused"),
        ):
            act()


@pytest.mark.parametrize("region", ["", "x y", "<b>", "a" * 64])
def test_what_cannot_be_a_region_is_not_shown(region: str) -> None:
    said = describe_region(make_place("http://localhost", "b"), region).message
    assert said == "bucket s3://b is in another region. Set its region in its entry of remote_buckets"


def test_an_error_that_says_200_is_no_empty_bucket(bucket: RemoteBucket, s3: S3Server) -> None:
    bucket.put("a", [b"bytes"])
    with s3.fail("200 InternalError", methods=["ListObjectsV2"], times=2):
        assert keys(bucket) == ["a"]
    with s3.fail("200 InternalError", methods=["ListObjectsV2"]), pytest.raises(BucketAway, match="InternalError"):
        keys(bucket)


@pytest.mark.parametrize("body", [b"<html><body>Sign in</body></html>", b"<Error xmlns='x'><Code>A</Code></Error>"])
def test_what_a_proxy_says_is_no_empty_page(body: bytes) -> None:
    with pytest.raises(Unavailable, match="no page of a listing"):
        parse_page(body)


# Secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_secret_is_in_any_message_or_log(s3: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    token = "a-token-of-the-session" * 4
    bucket = make_bucket(s3, session_token=token)
    caplog.set_level(logging.DEBUG, "gantry")
    said = [repr(bucket.place), repr(bucket), bucket.identity]
    acts: list[Any] = [
        lambda: bucket.exists(),
        lambda: keys(bucket),
        lambda: bucket.head("a"),
        lambda: bucket.open_found(ObjectMeta("a", 5)),
        lambda: bucket.open_found(ObjectMeta(ODD, 5)),
        lambda: bucket.put("a", [b"x"]),
        lambda: bucket.put(ODD, [b"x"]),
        lambda: bucket.delete("a"),
    ]
    codes = (
        "403 AccessDenied",
        "403 InvalidAccessKeyId",
        "400 ExpiredToken",
        "500 InternalError",
        "400 InvalidRequest",
    )
    for kind in (*codes, "reset before"):
        with s3.fail(kind):
            for act in acts:
                try:
                    act()
                except StatusError as error:
                    said += [error.message, repr(error)]
    said.append(caplog.text)
    assert len(said) > 40
    for secret in (SECRET, token, "X-Amz-", "Signature=", s3.url, bucket.place.access_key_id):
        shown = [text for text in said[1:] if secret in text and not (secret == s3.url and text == bucket.identity)]
        assert shown == [], secret
    assert SECRET not in said[0] and token not in said[0]
