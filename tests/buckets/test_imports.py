"""Imports from buckets of S3 and exports to them, through the API."""

from __future__ import annotations

import gzip

import pytest

from tests.buckets.remote import Remote
from tests.dicomweb.instances import instance
from tests.support.dicom import make_instance
from tests.support.odd_keys import ODD_KEYS
from tests.support.server import counts, pending

UIDS = "1.2.11", "1.2.11.4"


@pytest.mark.slow
def test_every_key_is_imported_and_read_under_its_exact_name(remote: Remote) -> None:
    expected = {}
    for number, key in enumerate(ODD_KEYS):
        data = make_instance("1.2.3", "1.2.3.4", f"1.2.3.4.{number}")
        remote.put(key, data)
        expected[f"1.2.3.4.{number}"] = data
    remote.put("broken/ü\x02.dcm", b"no DICOM")
    done = remote.gantry.import_(f"s3://{remote.bucket}/**")
    assert counts(done) == (len(ODD_KEYS), 1) and not pending(done)
    assert list(remote.gantry.failures(done)) == [f"s3://{remote.bucket}/broken/ü\x02.dcm"]
    assert {uids.rpartition("/")[2]: data for uids, data in remote.gantry.stored().items()} == expected


@pytest.mark.parametrize("address", ["gs://lab-", "s3://lab-"])
def test_an_address_of_cloud_storage_may_be_a_bucket_of_s3(remote: Remote, address: str) -> None:
    name = remote.make_bucket("lab")
    data = make_instance("1.2.5", "1.2.5.4", "1.2.5.4.1")
    remote.put("in/1.dcm", data, name)
    uri = f"{address}{name.removeprefix('lab-')}/in/*.dcm"
    assert counts(remote.gantry.import_(uri)) == (1, 0)
    done = remote.gantry.export(f"{address}{name.removeprefix('lab-')}/out")
    assert counts(done) == (1, 0)
    assert remote.objects(name)["out/1.2.5/1.2.5.4/1.2.5.4.1.dcm"] == data


def test_a_bucket_may_have_another_name_there(remote: Remote) -> None:
    remote.client.create_bucket(Bucket="real", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    remote.put("x", make_instance("1.2.6", "1.2.6.4", "1.2.6.4.1"), "real")
    remote.put("y", b"no DICOM", "real")
    done = remote.gantry.import_("gs://alias/**")
    assert counts(done) == (1, 1)
    assert list(remote.gantry.failures(done)) == ["gs://alias/y"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**", {0, 1, 2, 3, 4, 5}),
        ("d/**", {1, 2, 3, 4, 5}),
        ("d/*.dcm", {1, 2}),
        ("*/1.dcm", {1}),
        ("d/e/?.dcm", {3}),
        ("*.dcm", {0}),
        ("d/**.img", {4}),
        ("d/1.dcm", {1}),
        ("d/e*", {5}),
        ("*/*/*", {3, 4}),
    ],
)
def test_wildcards(remote: Remote, pattern: str, found: set[int]) -> None:
    """Markers of folders, which have no bytes, are left out."""
    for number, key in enumerate(["0.dcm", "d/1.dcm", "d/2.dcm", "d/e/3.dcm", "d/e/f.img", "d/e0"]):
        remote.put(key, make_instance("1.2.7", "1.2.7.4", f"1.2.7.4.{number}"))
    remote.put("d/", b"")
    remote.put("d/e/", b"")
    done = remote.gantry.import_(f"s3://{remote.bucket}/{pattern}")
    assert counts(done) == (len(found), 0)
    assert {int(uids.rpartition(".")[2]) for uids in remote.gantry.stored()} == found


@pytest.mark.slow
def test_what_passed_through_is_counted(remote: Remote) -> None:
    """What is unpacked here has its size in the bucket. Objects under a key of KMS have no checksum there."""
    name = remote.make_bucket("kms")
    small, large = (instance((*UIDS, f"{UIDS[1]}.{n}"), PixelData=bytes(4 + (n << 20))) for n in (0, 9))
    packed = gzip.compress(instance((*UIDS, f"{UIDS[1]}.7"), PatientName="Packed"))
    for bucket in (remote.bucket, name):
        remote.put("1-small", small, bucket)
        remote.put("2-large", large, bucket)
    remote.put("3-packed", packed, ContentEncoding="gzip")
    remote.put("4-none", b"no DICOM")
    done = remote.gantry.import_(f"s3://{remote.bucket}/**")
    sizes = len(small), len(large), len(packed), len(b"no DICOM")
    assert counts(done) == (3, 1) and done["metadata"]["transfer"] == {"bytes": str(sum(sizes))}
    again = remote.gantry.import_(f"s3://{name}/**")
    assert again["metadata"]["transfer"] == {"bytes": str(sum(sizes[:2])), "uncheckedObjects": "2"}
    written = remote.gantry.export(f"s3://{remote.out}")["metadata"]["transfer"]
    files = remote.objects().values()
    assert written == {"bytes": str(sum(map(len, files))), "files": str(len(files))}


def test_an_empty_object_is_a_failure_with_its_name(remote: Remote) -> None:
    remote.put("empty.dcm", b"")
    done = remote.gantry.import_(f"s3://{remote.bucket}/**")
    assert counts(done) == (0, 1)
    assert list(remote.gantry.failures(done)) == [f"s3://{remote.bucket}/empty.dcm"]


@pytest.mark.slow
def test_large_objects_pass_in_pieces(remote: Remote) -> None:
    """Longer than what is read by one request, and than one part of an upload."""
    pixels = bytes(range(256)) * (20 << 12)
    data = instance(("1.2.8", "1.2.8.4", "1.2.8.4.1"), PixelData=pixels)
    assert len(data) > 20 << 20
    remote.put("large.dcm", data)
    assert counts(remote.gantry.import_(f"s3://{remote.bucket}/large.dcm")) == (1, 0)
    assert counts(remote.gantry.export(f"s3://{remote.out}")) == (1, 0)
    assert remote.objects() == {"1.2.8/1.2.8.4/1.2.8.4.1.dcm": data}
    assert "Uploads" not in remote.client.list_multipart_uploads(Bucket=remote.out)


@pytest.mark.slow
def test_many_objects_go_out_and_in_again(remote: Remote) -> None:
    count = 300
    for number in range(count):
        data = make_instance("1.2.9", f"1.2.9.{number % 3}", f"1.2.9.4.{number}")
        remote.put(f"in/{number:04}.dcm", data)
    done = remote.gantry.import_(f"s3://{remote.bucket}/in/**.dcm")
    assert counts(done) == (count, 0) and not pending(done)
    assert counts(remote.gantry.export(f"s3://{remote.out}/x")) == (count, 0)
    stored = {f"x/{uids}.dcm": data for uids, data in remote.gantry.stored().items()}
    assert remote.objects() == stored and len(stored) == count


def test_a_filter_file_in_a_bucket(remote: Remote) -> None:
    for number in range(2):
        remote.put(str(number), make_instance(f"1.3.{number}", f"1.3.{number}.1", f"1.3.{number}.1.1"))
    assert counts(remote.gantry.import_(f"s3://{remote.bucket}/*")) == (2, 0)
    remote.put("filter.txt", b"/studies/1.3.1\n")
    config = {"resourcePathsGcsUri": f"s3://{remote.bucket}/filter.txt"}
    assert counts(remote.gantry.export(f"s3://{remote.out}", filterConfig=config)) == (1, 0)
    assert list(remote.objects()) == ["1.3.1/1.3.1.1/1.3.1.1.1.dcm"]


def test_a_bucket_that_does_not_exist(remote: Remote) -> None:
    for done in (remote.gantry.import_("s3://none-such/**"), remote.gantry.export("s3://none-such/x")):
        assert done["error"]["code"] == 5
        assert "s3://none-such does not exist" in done["error"]["message"]


def test_a_pattern_without_a_match(remote: Remote) -> None:
    remote.put("a/1.dcm", b"x")
    done = remote.gantry.import_(f"s3://{remote.bucket}/b/**")
    assert done["error"]["code"] == 5
    assert f"nothing begins with s3://{remote.bucket}/b/" in done["error"]["message"]


@pytest.mark.parametrize("uri", ["az://lab/**", "az://lab/x"])
def test_an_address_that_the_settings_do_not_name_is_refused_at_once(remote: Remote, uri: str) -> None:
    gantry = remote.gantry
    for method, body in (
        ("import", {"gcsSource": {"uri": uri}}),
        ("export", {"gcsDestination": {"uriPrefix": "az://lab/x"}}),
        (
            "export",
            {
                "gcsDestination": {"uriPrefix": f"s3://{remote.out}"},
                "filterConfig": {"resourcePathsGcsUri": "az://lab/x"},
            },
        ),
    ):
        answer = gantry.request("POST", f"v1/{gantry.store}:{method}", json=body)
        assert answer.status_code == 400, answer.text
        assert "name no bucket az://lab" in answer.json()["error"]["message"]
    assert gantry.operations() == []
