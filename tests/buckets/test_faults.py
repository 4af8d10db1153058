"""Buckets that fail: each object that can be read is stored once, each that cannot is a failure with the reason, and a
bucket that is away as a whole makes the operation wait."""

from __future__ import annotations

import pytest

from gantry.errors import Wait
from tests.buckets.remote import Remote
from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.s3_server import S3Server
from tests.support.server import Json, counts

pytestmark = pytest.mark.slow


def fill(remote: Remote, count: int = 20) -> dict[str, bytes]:
    """Objects ``NN.dcm`` with different UIDs."""
    made = {f"{number:02}.dcm": make_instance("1.2", "1.2.3", f"1.2.3.{number}") for number in range(count)}
    for key, data in made.items():
        remote.put(key, data)
    return made


def require_all_stored(remote: Remote, made: dict[str, bytes], done: Json) -> None:
    assert counts(done) == (len(made), 0), remote.gantry.failures(done)
    assert sorted(remote.gantry.stored().values()) == sorted(made.values())


@pytest.mark.parametrize(
    "kind",
    [
        "503 SlowDown",
        "429 TooManyRequests",
        "500 InternalError",
        "reset before",
        "reset in body",
        "short body",
        "wrong bit",
    ],
)
def test_a_request_that_fails_once_is_tried_again(remote: Remote, s3_server: S3Server, kind: str) -> None:
    made = fill(remote)
    with s3_server.fail(kind, methods=["GetObject"], share=0.5, each=1, seed=1) as rule:
        require_all_stored(remote, made, remote.gantry.import_(f"s3://{remote.bucket}/**"))
        assert rule.failed > 3


@pytest.mark.parametrize("kind", ["503 SlowDown", "500 InternalError", "reset before"])
def test_a_page_of_a_listing_that_fails_is_asked_for_again(remote: Remote, s3_server: S3Server, kind: str) -> None:
    made = fill(remote)
    with s3_server.fail(kind, methods=["ListObjectsV2"], times=3) as rule:
        require_all_stored(remote, made, remote.gantry.import_(f"s3://{remote.bucket}/**"))
        assert rule.failed == 3


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("500 InternalError", 14, "InternalError"),
        ("503 SlowDown", 14, "SlowDown"),
        ("wrong bit", 15, "checksum differs"),
        ("reset in body", 14, "no answer came"),
        ("short body", 14, "was cut 5 times"),
        ("403 AccessDenied", 7, "s3:GetObject"),
        ("403 InvalidObjectState", 9, "Restore it"),
        ("404 NoSuchKey", 5, "no object of this name"),
    ],
)
def test_an_object_that_cannot_be_read_is_a_failure_alone(
    remote: Remote, s3_server: S3Server, kind: str, code: int, words: str
) -> None:
    made = fill(remote)
    with s3_server.fail(kind, keys=r"0[37]\.dcm"):
        done = remote.gantry.import_(f"s3://{remote.bucket}/**")
    assert counts(done) == (18, 2)
    failures = remote.gantry.failures(done)
    assert sorted(failures) == [f"s3://{remote.bucket}/0{number}.dcm" for number in (3, 7)]
    for status in failures.values():
        assert status["code"] == code and words in status["message"], status
        assert "127.0.0.1" not in status["message"] and "Traceback" not in status["message"]
    expected = [data for key, data in made.items() if key not in ("03.dcm", "07.dcm")]
    assert sorted(remote.gantry.stored().values()) == sorted(expected)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("403 ExpiredToken", "are refused: ExpiredToken"),
        ("403 RequestTimeTooSkewed", "the clock of this machine is"),
        ("reset before", "does not answer"),
        ("500 InternalError", "does not answer"),
    ],
)
def test_an_operation_waits_for_a_bucket_that_is_away(
    remote: Remote, s3_server: S3Server, kind: str, words: str
) -> None:
    made = fill(remote)
    gantry = remote.gantry
    body = {"gcsSource": {"uri": f"s3://{remote.bucket}/**"}}

    def waiting() -> str:
        return str(gantry.call("GET", f"v1/{name}")["metadata"].get("waiting", ""))

    with s3_server.fail(kind, methods=["GET", "HEAD"]):
        name = gantry.call("POST", f"v1/{gantry.store}:import", json=body)["name"]
        gantry.server.wait_until(lambda: waiting() != "", seconds=60)
        assert Wait.BUCKET.name in waiting() and words in waiting(), waiting()
    require_all_stored(remote, made, gantry.wait(name))


@pytest.mark.parametrize("kind", ["page repeated", "start-after ignored"])
def test_a_listing_that_repeats_itself_counts_nothing_twice(remote: Remote, s3_server: S3Server, kind: str) -> None:
    made = fill(remote)
    with s3_server.fail(kind, times=5):
        require_all_stored(remote, made, remote.gantry.import_(f"s3://{remote.bucket}/**"))


def test_a_listing_out_of_order_ends_the_import_and_says_what_to_set(remote: Remote, s3_server: S3Server) -> None:
    fill(remote)
    with s3_server.fail("unsorted"):
        done = remote.gantry.import_(f"s3://{remote.bucket}/**")
    assert done["error"]["code"] == 9 and "is_sorted = false" in done["error"]["message"]


def test_a_bucket_that_does_not_sort_is_imported_whole(remote: Remote, s3_server: S3Server) -> None:
    name = remote.make_bucket("jumbled")
    made = {f"{number:02}.dcm": make_instance("1.2", "1.2.3", f"1.2.3.{number}") for number in range(20)}
    for key, data in made.items():
        remote.put(key, data, name)
    with s3_server.fail("unsorted") as rule:
        require_all_stored(remote, made, remote.gantry.import_(f"gs://{name}/**"))
        assert rule.failed


@pytest.mark.parametrize("kind", ["503 SlowDown", "reset before", "reset after", "500 InternalError"])
def test_an_export_tries_again_and_leaves_no_part_behind(remote: Remote, s3_server: S3Server, kind: str) -> None:
    made = fill(remote)
    large = instance(("1.2", "1.2.3", "1.2.3.99"), PixelData=bytes(20 << 20))
    remote.put("99.dcm", large)
    made["99.dcm"] = large
    assert counts(remote.gantry.import_(f"s3://{remote.bucket}/**")) == (21, 0)
    with s3_server.fail(kind, methods=["PutObject", "UploadPart"], share=0.5, each=1, seed=2) as rule:
        assert counts(remote.gantry.export(f"s3://{remote.out}")) == (21, 0)
        assert rule.failed > 3
    assert sorted(remote.objects().values()) == sorted(made.values())
    assert "Uploads" not in remote.client.list_multipart_uploads(Bucket=remote.out)


@pytest.mark.parametrize(
    ("kind", "code", "words"), [("403 AccessDenied", 7, "s3:PutObject"), ("500 InternalError", 14, "InternalError")]
)
def test_an_object_that_cannot_be_written_is_a_failure_alone(
    remote: Remote, s3_server: S3Server, kind: str, code: int, words: str
) -> None:
    fill(remote)
    large = instance(("1.2", "1.2.3", "1.2.3.99"), PixelData=bytes(20 << 20))
    remote.put("99.dcm", large)
    assert counts(remote.gantry.import_(f"s3://{remote.bucket}/**")) == (21, 0)
    with s3_server.fail(kind, keys=r"\.(3|99)\.dcm", methods=["PutObject", "UploadPart"]):
        done = remote.gantry.export(f"s3://{remote.out}")
    assert counts(done) == (19, 2)
    for status in remote.gantry.failures(done).values():
        assert status["code"] == code and words in status["message"], status
    assert len(remote.objects()) == 19
    assert "Uploads" not in remote.client.list_multipart_uploads(Bucket=remote.out)


@pytest.mark.parametrize("page", ["preview", "folders"])
def test_a_page_of_the_console_does_not_wait_for_a_bucket_that_hangs(
    remote: Remote, s3_server: S3Server, page: str
) -> None:
    """A few threads answer all pages."""
    fill(remote, 1)
    server, store = remote.gantry.server, remote.gantry.store
    for after in (0, 1):  # of the requests of a page
        s3_server.reset_counts()
        with s3_server.fail("stall", methods=["ListObjectsV2"], after=after, seconds=25):
            found = server.request("GET", f"console/{store}/import/{page}", params={"bucket": f"s3://{remote.bucket}"})
            assert s3_server.requests.statuses.total() == after, "it is answered before the bucket is"
        assert f"bucket s3://{remote.bucket} has given no answer for 5 seconds" in found.text
