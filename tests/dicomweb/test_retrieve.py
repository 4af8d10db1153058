"""WADO-RS of instances (PS3.18 §10.4.1.1.1; spec §10.3)."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from gantry.dicom import forms
from tests.dicomweb.instances import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection
from tests.support.web import AS_STORED, ONE_AS_STORED, Web, parts_of, uid_path

A, B, C = (("1.2.1", "1.2.1.1", f"1.2.1.1.{number}") for number in range(3))
D = ("1.2.1", "1.2.1.2", "1.2.1.2.1")
EXPLICIT = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'


@pytest.fixture
def web(gantry: Gantry) -> Web:
    """Four instances in two series, one of them in implicit VR."""
    made = Web(gantry)
    made.stored(*CONTENT.values())
    return made


CONTENT = {A: instance(A), B: instance(B, IMPLICIT_LE), C: instance(C), D: instance(D)}


@pytest.mark.parametrize("path, wanted", [(A[:1], (A, B, C, D)), (A[:2], (A, B, C)), (D[:2], (D,)), (B, (B,))])
def test_as_stored(web: Web, path: tuple[str, ...], wanted: tuple[tuple[str, str, str], ...]) -> None:
    """§10.3.1: byte for byte, each part with the transfer syntax it has."""
    found = parts_of(web.get(uid_path(*path), AS_STORED))
    assert [part.data for part in found] == [CONTENT[uids] for uids in wanted]
    syntaxes = [IMPLICIT_LE if uids == B else EXPLICIT_LE for uids in wanted]
    assert [part.type for part in found] == [f"application/dicom; transfer-syntax={syntax}" for syntax in syntaxes]


@pytest.mark.parametrize("accept", ["", "*/*", EXPLICIT, 'multipart/related; type="application/dicom"'])
def test_explicit_little_endian_where_nothing_else_is_asked_for(web: Web, accept: str) -> None:
    """§10.3"""
    found = parts_of(web.get(uid_path(A[0]), accept))
    assert [part.type for part in found] == [f"application/dicom; transfer-syntax={EXPLICIT_LE}"] * 4
    for part, (uids, sent) in zip(found, CONTENT.items(), strict=True):
        if uids != B:
            assert part.data == sent
        ds = pydicom.dcmread(BytesIO(part.data))
        assert (ds.file_meta.TransferSyntaxUID, ds.SOPInstanceUID) == (EXPLICIT_LE, uids[2])


@pytest.mark.parametrize(
    "path, kind",
    [
        (("1.2.5",), 'multipart/related; type="application/dicom"'),
        (("1.2.5", "1.2.5.1", "1.2.5.1.2"), 'multipart/related; type="application/dicom"'),
        (("1.2.5", "1.2.5.1", "1.2.5.1.2"), "application/dicom"),
    ],
)
def test_an_instance_that_cannot_be_had_in_a_syntax_is_not_acceptable(
    gantry: Gantry, path: tuple[str, ...], kind: str
) -> None:
    """PS3.18 §8.7.8: 406 by itself; inside of a study the others are sent, and a Warning names it. Both say how to get
    it."""
    web, bad = Web(gantry), ("1.2.5", "1.2.5.1", "1.2.5.1.2")
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "Rows": 8, "Columns": 8}
    web.stored(instance(("1.2.5", "1.2.5.1", "1.2.5.1.1")), instance(bad, **bits, PixelData=bytes(8)))
    response = web.get(uid_path(*path), f"{kind}; transfer-syntax={forms.JPEG_BASELINE}")
    if len(path) == 1:
        (part,) = parts_of(response)
        assert part.type == f"application/dicom; transfer-syntax={forms.JPEG_BASELINE}"
        message = response.headers["warning"]
        assert message.startswith('299 gantry "1 instance is left out: ')
    else:
        assert response.status_code == 406, response.text
        message = response.json()["error"]["message"]
    assert bad[2] in message and "transfer-syntax=*" in message
    assert len(parts_of(web.get(uid_path("1.2.5"), AS_STORED))) == 2


def test_one_instance_by_itself(web: Web) -> None:
    response = web.get(uid_path(*A), ONE_AS_STORED)
    assert response.content == CONTENT[A]
    assert response.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    assert response.headers["content-length"] == str(len(CONTENT[A]))
    assert web.get(uid_path(*A), "application/dicom").content == CONTENT[A]


def test_many_instances_are_never_one_part(web: Web) -> None:
    assert web.get(uid_path(A[0]), "application/dicom").status_code == 406


@pytest.mark.parametrize(
    "syntax", [forms.RLE, forms.J2K_LOSSLESS, forms.JPEG_LS, forms.HTJ2K_LOSSLESS, forms.IMPLICIT_LE]
)
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"])
def test_transcoding(gantry: Gantry, name: str, syntax: str) -> None:
    """§10.3.1: from compressed, big endian and native to lossless ones; the pixels stay."""
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    response = web.get(uid_path(*uids_of(data)), f"application/dicom; transfer-syntax={syntax}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
    ds = pydicom.dcmread(BytesIO(response.content))
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.SOPInstanceUID == uids_of(data)[2]
    if syntax in (forms.RLE, forms.IMPLICIT_LE):
        assert (ds.pixel_array == pydicom.dcmread(BytesIO(data)).pixel_array).all()


def test_a_study_of_many_syntaxes_comes_in_one(gantry: Gantry) -> None:
    """Transcoded ones and those that need nothing stay in their order."""
    web = Web(gantry)
    syntaxes = [IMPLICIT_LE if number % 3 else EXPLICIT_LE for number in range(100)]
    web.stored(*(instance(("1.5", "1.5.1", f"1.5.1.{n}"), syntax) for n, syntax in enumerate(syntaxes)))
    found = parts_of(web.get(uid_path("1.5"), EXPLICIT))
    ids = [str(pydicom.dcmread(BytesIO(part.data)).SOPInstanceUID) for part in found]
    assert ids == sorted(f"1.5.1.{n}" for n in range(100))


def test_what_nobody_can_decode_is_told_before_anything_is_sent(gantry: Gantry) -> None:
    """§10.3.1: a syntax nobody knows can be had as it is and in no other way."""
    web = Web(gantry)
    strange = make_instance(*B, pixel_bytes=4, transfer_syntax="1.2.840.10008.1.2.4.102")
    web.stored(instance(A), strange)
    for accept in (EXPLICIT, 'multipart/related; type="application/dicom"'):
        response = web.get(uid_path(A[0]), accept)
        assert [part.data for part in parts_of(response)] == [instance(A)]
        message = response.headers["warning"]
        assert "1.2.840.10008.1.2.4.102" in message and "transfer-syntax=*" in message
        assert f"instance {B[2]}:" in message
        alone = web.get(uid_path(*B), accept)
        assert alone.status_code == 406 and f"instance {B[2]}:" in alone.json()["error"]["message"]
    for accept in (AS_STORED, "*/*", "", f"{EXPLICIT}, {AS_STORED};q=0.1"):
        response = web.get(uid_path(A[0]), accept)
        assert [part.data for part in parts_of(response)] == [instance(A), strange]
        assert "warning" not in response.headers
        assert [part.data for part in parts_of(web.get(uid_path(*B), accept))] == [strange]


@pytest.mark.parametrize(
    "path", [("9.9",), ("1.2.1", "9.9"), ("1.2.1", "1.2.1.1", "9.9"), ("1.2.1", "1.2.1.2", "1.2.1.1.0")]
)
@pytest.mark.parametrize("tail", ["", "/metadata"])
def test_what_is_not_there(web: Web, path: tuple[str, ...], tail: str) -> None:
    refused(web.get(uid_path(*path) + tail), "NOT_FOUND", "does not exist")


@pytest.mark.parametrize(
    "accept", ["image/jpeg", "application/dicom; transfer-syntax=1.2.840.10008.1.2.2", "text/plain"]
)
def test_what_cannot_be_made(web: Web, accept: str) -> None:
    """PS3.18 §8.7.2"""
    response = web.get(uid_path(*A), accept)
    assert response.status_code == 406
    assert "transfer-syntax" in response.json()["error"]["message"]


def test_big_endian_as_it_is(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("MR_small_bigendian.dcm")
    web.stored(data)
    (part,) = parts_of(web.get(uid_path(*uids_of(data)), AS_STORED))
    assert (part.data, part.type) == (data, f"application/dicom; transfer-syntax={EXPLICIT_BE}")


# Ranges and conditions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, start, end", [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-4", -4, None)]
)
def test_a_range_of_one_instance(web: Web, asked: str, start: int, end: int | None) -> None:
    """RFC 9110 §14"""
    response = web.get(uid_path(*A), ONE_AS_STORED, headers={"range": asked})
    whole = CONTENT[A]
    assert (response.status_code, response.content) == (206, whole[start:end])
    first = start % len(whole)
    last = first + len(response.content) - 1
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
    assert response.headers["accept-ranges"] == "bytes"


def test_a_range_behind_the_end(web: Web) -> None:
    response = web.get(uid_path(*A), ONE_AS_STORED, headers={"range": "bytes=999999-"})
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(CONTENT[A])}"


def test_an_instance_that_the_client_has(web: Web) -> None:
    """RFC 9110 §13.1.2, §13.1.5"""
    etag = web.get(uid_path(*A), ONE_AS_STORED).headers["etag"]
    response = web.get(uid_path(*A), ONE_AS_STORED, headers={"if-none-match": etag})
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    headers = {"range": "bytes=0-3", "if-range": etag}
    assert web.get(uid_path(*A), ONE_AS_STORED, headers=headers).status_code == 206
    headers["if-range"] = '"other"'
    assert web.get(uid_path(*A), ONE_AS_STORED, headers=headers).content == CONTENT[A]


def test_other_content_has_another_tag(web: Web) -> None:
    one, other = (web.get(uid_path(*uids), ONE_AS_STORED).headers["etag"] for uids in (A, C))
    assert one != other
    assert web.get(uid_path(*A), "application/dicom; transfer-syntax=1.2.840.10008.1.2").headers["etag"] != one


# Streams --------------------------------------------------------------------------------------------------------------


@pytest.mark.one_process("removes stored bytes from the data directory")
@pytest.mark.parametrize("size, suffix", [pytest.param(900_000, ".seg", marks=pytest.mark.slow), (2 << 20, ".dcm")])
@pytest.mark.slow
def test_the_first_bytes_come_before_the_last_are_read(gantry: Gantry, size: int, suffix: str) -> None:
    """The first part is here while the bytes of the last are not even there any more."""
    web, root = Web(gantry), gantry.server.data / "blobs"
    for number in range(10, 10 + (28 << 20) // size):
        before = set(find_blobs(root))
        web.stored(instance(("1.6", "1.6.1", f"1.6.1.{number}"), PixelData=bytes(size)))
    found = find_blobs(root)
    (last,) = (found[key] for key in set(found) - before)
    assert last.path.suffix == suffix
    with RawConnection(gantry.server) as connection:
        connection.send(f"{get(web, '1.6')}Connection: close\r\n\r\n".encode())
        assert b"200 OK" in connection.receive(b"DICM")
        last.remove()
        rest = connection.receive()
    assert not rest.endswith(b"0\r\n\r\n"), "an answer that cannot be whole must not look whole"
    assert web.search("instances")


def get(web: Web, study: str) -> str:
    return f"GET /{web.root}/studies/{study} HTTP/1.1\r\nHost: localhost\r\nAccept: {AS_STORED}\r\n"


@pytest.mark.slow
def test_a_client_that_goes_away_stops_the_reading(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(*(instance(("1.7", "1.7.1", f"1.7.1.{number}"), PixelData=bytes(8 << 20)) for number in range(20)))
    for _ in range(50):
        with RawConnection(gantry.server) as connection:
            connection.send(f"{get(web, '1.7')}\r\n".encode())
            connection.receive(b"DICM")
    assert len(parts_of(web.get("studies/1.7", AS_STORED))) == 20


def test_bytes_that_were_moved_are_found_where_they_are(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(CONTENT[A])
    body = {"blobStorageSettings": {"blobStorageClass": "ARCHIVE"}}
    gantry.wait(gantry.call("POST", f"{web.root}/studies/{A[0]}:setBlobStorageSettings", json=body)["name"])
    assert web.get(uid_path(*A), ONE_AS_STORED).content == CONTENT[A]


@pytest.mark.parametrize("before", [1, 20])
@pytest.mark.parametrize("kind", ["{}", "{}, application/zip;q=0.5"])
def test_what_has_no_form_is_left_out_however_much_is_sent_before_it(gantry: Gantry, before: int, kind: str) -> None:
    """Transfer syntaxes are known before the first byte, so that the header of the answer can say it."""
    web, clips = Web(gantry), [("1.2.9", "1.2.9.2", f"1.2.9.2.{number}") for number in (1, 2)]
    large = {"Rows": 1000, "Columns": 1000}
    for number in range(before):
        uids = ("1.2.9", "1.2.9.1", f"1.2.9.1.{number}")
        web.stored(instance(uids, PixelData=bytes([number]) * 1_000_000, **large))
    web.stored(*(make_instance(*clip, pixel_bytes=4, transfer_syntax="1.2.840.10008.1.2.4.102") for clip in clips))
    response = web.get("studies/1.2.9", kind.format(EXPLICIT))
    assert len(parts_of(response)) == before
    assert response.headers["warning"].startswith('299 gantry "2 instances are left out: instance 1.2.9.2.1: ')


@pytest.mark.parametrize("path, accept", [("", "application/dicom"), ("", EXPLICIT), ("/frames/1", "image/jls")])
def test_damage_is_no_matter_of_the_form(gantry: Gantry, path: str, accept: str) -> None:
    """400 wherever it is met; as it is stored it can still be had."""
    web, data = Web(gantry), packaged("MR_small_jp2klossless.dcm")
    at = data.rindex(b"\xff\x4f\xff\x51") + 120
    web.stored(data[:at] + bytes(2000) + data[at + 2000 :])
    address = f"{uid_path(*uids_of(data))}{path}"
    response = web.get(address, accept)
    assert response.status_code == 400, response.text
    assert path or "transfer-syntax=*" in response.text
    stored = web.get(address, f"{accept}, {AS_STORED if not path else 'image/jp2'};q=0.1")
    assert stored.status_code == 200
