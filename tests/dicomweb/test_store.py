"""STOW-RS (PS3.18 §10.5; spec §10.2): what is stored, what is refused, and what the answer says of each."""

from __future__ import annotations

import gzip
import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from pydicom.uid import JPEGBaseline8Bit

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.blobs import find_blobs
from tests.support.dicom import make_instance
from tests.support.gantry import Gantry
from tests.support.server import Json
from tests.support.web import JSON, ONE_AS_STORED, Web, multipart, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")
OTHER = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
CLASS = "1.2.840.10008.5.1.4.1.1.7"
RETRIEVE, STORED, FAILED, REASON = "00081190", "00081199", "00081198", "00081197"


def reasons(answer: Json) -> list[str]:
    """What people read of each failure (§10.2.5)."""
    found = []
    for item in values(answer, FAILED):
        assert value(item, REASON) == 272
        assert value(item, "00090010") == "GOOGLE"
        found.append(value(item, "00091097"))
    return found


def stored_bytes(web: Web, uids: tuple[str, str, str]) -> bytes:
    response = web.get(uid_path(*uids), ONE_AS_STORED)
    assert response.status_code == 200, response.text
    return response.content


def post(
    web: Web, body: bytes | Iterator[bytes], content_type: str | None, accept: str = JSON, **headers: str
) -> httpx.Response:
    more = {"content-type": content_type} if content_type else {}
    return web.gantry.request("POST", f"{web.root}/studies", content=body, headers={"accept": accept} | more | headers)


def test_a_refusal_in_xml_has_the_detail_where_the_api_has_it(gantry: Gantry) -> None:
    """§16.7 of November 2026: a keyword and a creator, no element for the creator; RetrieveURL though all failed."""
    web = Web(gantry)
    web.stored(instance(A))
    text = web.store(instance(A), accept="application/dicom+xml").text
    assert '<DicomAttribute tag="00090097" vr="LT" keyword="FailureDetail" privateCreator="GOOGLE">' in text
    assert "00090010" not in text
    url = f'keyword="RetrieveURL"><Value number="1">{web.url}/studies/{A[0]}</Value>'
    assert url in text


@pytest.mark.parametrize("study", ["", A[0]])
def test_the_study_is_named_though_all_failed(gantry: Gantry, study: str) -> None:
    web = Web(gantry)
    web.stored(instance(A), instance(B))
    answer = web.store(instance(A), instance(B), study=study).json()
    assert value(answer, RETRIEVE) == f"{web.url}/studies/{A[0]}"
    assert STORED not in answer


def test_no_study_is_named_where_the_failures_have_none_or_several(gantry: Gantry) -> None:
    web = Web(gantry)
    web.stored(instance(A), instance(OTHER))
    assert RETRIEVE not in web.store(instance(A), instance(OTHER)).json()
    assert RETRIEVE not in web.store(b"no DICOM").json()


# Stored ---------------------------------------------------------------------------------------------------------------


def test_bytes_are_kept_as_sent_and_the_answer_names_them(gantry: Gantry) -> None:
    """§10.2.2, §10.2.4, PS3.18 §10.5.3.2"""
    web, data = Web(gantry), [instance(A), instance(B)]
    answer = web.stored(*data)
    assert answer.keys() == {RETRIEVE, STORED}
    assert value(answer, RETRIEVE) == f"{web.url}/studies/{A[0]}"
    assert [value(item, "00081155") for item in values(answer, STORED)] == [A[2], B[2]]
    assert [value(item, "00081150") for item in values(answer, STORED)] == [CLASS, CLASS]
    assert [value(item, RETRIEVE) for item in values(answer, STORED)] == [
        f"{web.url}/{uid_path(*uids)}" for uids in (A, B)
    ]
    for uids, sent in zip((A, B), data, strict=True):
        assert stored_bytes(web, uids) == sent


def test_instances_of_several_studies_have_no_common_address(gantry: Gantry) -> None:
    assert RETRIEVE not in Web(gantry).stored(instance(A), instance(OTHER))


def test_the_answer_is_xml_unless_json_is_asked_for(gantry: Gantry) -> None:
    """§10.2.3: the how-to sends ``Accept: application/dicom``."""
    web = Web(gantry)
    for number, accept in enumerate(("application/dicom", "*/*", "application/dicom+xml", "")):
        response = web.store(instance((*A[:2], f"{A[2]}.{number}")), accept=accept)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/dicom+xml")
        assert b"<NativeDicomModel" in response.content
        assert (
            b'<DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"><Item number="1">'
            in response.content
        )
    for accept in (JSON, "application/json", "application/dicom+xml;q=0.5, application/dicom+json"):
        response = web.store(instance((*A[:2], f"{A[2]}.9{len(accept)}")), accept=accept)
        assert response.headers["content-type"] == JSON, "clients look for exactly this (§12.4.1)"


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1", None, "x"),
        *("application/x-www-form-urlencoded", "application/octet-stream"),
    ],
)
def test_one_instance_as_the_whole_body(gantry: Gantry, content_type: str | None) -> None:
    """§10.2.1: PowerShell sends its own Content-Type; the letters DICM tell."""
    web, data = Web(gantry), instance(A)
    assert post(web, data, content_type).status_code == 200
    assert stored_bytes(web, A) == data


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "ExplVR_BigEnd.dcm", "image_dfl.dcm", "JPEG2000.dcm", "test-SR.dcm", "rtplan.dcm"]
)
def test_every_class_and_transfer_syntax(gantry: Gantry, name: str) -> None:
    """§10.2.2"""
    web, data = Web(gantry), packaged(name)
    web.stored(data)
    assert stored_bytes(web, uids_of(data)) == data


@pytest.mark.slow
def test_thousands_of_small_instances_in_one_request(gantry: Gantry) -> None:
    web = Web(gantry)
    data = [make_instance("1.9", f"1.9.{number % 3}", f"1.9.9.{number}") for number in range(2500)]
    answer = web.stored(*data)
    assert len(values(answer, STORED)) == 2500
    assert len(web.search("instances", limit=5000)) == 2500
    assert stored_bytes(web, ("1.9", "1.9.1", "1.9.9.1000")) == data[1000]


def test_bodies_in_small_pieces_without_a_length(gantry: Gantry) -> None:
    """Chunked transfer coding; delimiters fall anywhere."""
    web, data = Web(gantry), [instance(A), instance(B)]
    content_type, body = multipart(data)
    assert post(web, (body[at : at + 7] for at in range(0, len(body), 7)), content_type).status_code == 200
    assert [stored_bytes(web, uids) for uids in (A, B)] == data


def test_gzip(gantry: Gantry) -> None:
    """§12.4.2: Java's clients compress what they send."""
    web, data = Web(gantry), instance(A, PixelData=bytes(3_000_000))
    response = post(web, gzip.compress(data), "application/dicom", **{"content-encoding": "gzip"})
    assert response.status_code == 200
    assert stored_bytes(web, A) == data


@pytest.mark.slow
def test_a_body_of_many_megabytes_passes_in_little_memory(gantry: Gantry) -> None:
    """The server's own process does not grow with it; the parts go through as they come."""
    web, size = Web(gantry), 300 << 20
    data = instance(A)
    at = data.index(b"\xe0\x7f\x10\x00OB\x00\x00") + 8
    head = data[:at] + size.to_bytes(4, "little")
    forget_peak(gantry)
    before = resident(gantry)
    piece = bytes(1 << 20)
    body = (part for parts in ([head], (piece for _ in range(300))) for part in parts)
    assert post(web, body, "application/dicom").status_code == 200
    assert peak(gantry) - before < 100 << 20
    (found,) = web.search("instances")
    assert value(found, "00080018") == A[2]


def forget_peak(gantry: Gantry) -> None:
    """Other tests have used the server before (proc_pid_clear_refs(5))."""
    Path(f"/proc/{gantry.server.process.pid}/clear_refs").write_text("5")


def resident(gantry: Gantry) -> int:
    return _memory(gantry, "VmRSS")


def peak(gantry: Gantry) -> int:
    return _memory(gantry, "VmHWM")


def _memory(gantry: Gantry, name: str) -> int:
    lines = Path(f"/proc/{gantry.server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) << 10


def test_a_study_in_the_address(gantry: Gantry) -> None:
    """PS3.18 §10.5.1: other studies are refused, one by one."""
    web = Web(gantry)
    response = web.store(instance(A), instance(OTHER), study=A[0])
    assert response.status_code == 409
    answer = response.json()
    assert [value(item, "00081155") for item in values(answer, STORED)] == [A[2]]
    assert reasons(answer) == [f"its StudyInstanceUID is {OTHER[0]}, the address says {A[0]}"]
    assert web.get(uid_path(*OTHER)).status_code == 404


def test_what_was_imported_and_what_was_stored_are_one_store(gantry: Gantry) -> None:
    web = Web(gantry)
    gantry.put(gantry.bucket, "a.dcm", instance(A))
    gantry.import_("**")
    assert reasons(web.store(instance(A), instance(B)).json()) != []
    assert gantry.stored().keys() == {"/".join(A), "/".join(B)}


# Refused --------------------------------------------------------------------------------------------------------------


def test_what_is_there_already_fails_even_when_identical(gantry: Gantry) -> None:
    """§10.2.6"""
    web, data = Web(gantry), instance(A)
    web.stored(data)
    for again in (data, instance(A, PatientID="other")):
        response = web.store(again, instance((*A[:2], f"{A[2]}.{len(again)}")))
        assert response.status_code == 409
        (reason,) = reasons(response.json())
        assert "already exists" in reason and A[2] in reason
        assert len(values(response.json(), STORED)) == 1
    assert stored_bytes(web, A) == data


def test_twice_in_one_request(gantry: Gantry) -> None:
    web, data = Web(gantry), instance(A)
    response = web.store(data, data)
    assert response.status_code == 409
    assert [len(values(response.json(), tag)) for tag in (STORED, FAILED)] == [1, 1]
    assert len(web.search("instances")) == 1


@pytest.mark.parametrize(
    "broken, words",
    [
        (b"", "empty DICOM instance"),
        (b"not DICOM at all", "not a DICOM file"),
        (instance(A)[:-3], "declares 4 bytes"),
        (make_instance(study=None), "StudyInstanceUID"),
        (make_instance(transfer_syntax=None), "TransferSyntaxUID"),
    ],
)
def test_neighbours_of_a_broken_instance_are_stored(gantry: Gantry, broken: bytes, words: str) -> None:
    web = Web(gantry)
    response = web.store(instance(A), broken, instance(B))
    assert response.status_code == 409
    (reason,) = reasons(response.json())
    assert words in reason and "part 2" in reason
    assert len(values(response.json(), STORED)) == 2
    assert stored_bytes(web, B) == instance(B)


@pytest.mark.slow
def test_what_cannot_be_stored_leaves_nothing_on_the_disk(gantry: Gantry) -> None:
    noise = os.urandom(5000)
    response = Web(gantry).store(noise, instance(A, PixelData=noise)[:-2])
    assert response.status_code == 409
    assert len(reasons(response.json())) == 2
    assert not lies_on_disk(gantry, noise[:4000])


@pytest.mark.slow
@pytest.mark.parametrize("size", [10_000, 2_000_000, 3_000_000])
def test_what_was_written_and_then_refused_leaves_nothing_on_the_disk(gantry: Gantry, size: int) -> None:
    """In a segment beside others, and in files of their own."""
    web, noise = Web(gantry), os.urandom(size)
    web.stored(instance(B))
    refused = [instance(A, PixelData=noise), instance(B, PixelData=noise)]
    assert web.store(refused[0], study=OTHER[0]).status_code == 409
    assert web.store(refused[1]).status_code == 409
    assert not lies_on_disk(gantry, noise)
    assert stored_bytes(web, B) == instance(B)


def lies_on_disk(gantry: Gantry, data: bytes) -> bool:
    """Other tests have the same server, which may move what is theirs."""
    for blob in find_blobs(gantry.server.data / "blobs").values():
        with suppress(FileNotFoundError):  # the server may remove it just now
            if data in blob.read():
                return True
    return False


def test_a_body_that_was_cut_short_keeps_what_was_whole(gantry: Gantry) -> None:
    web = Web(gantry)
    content_type, body = multipart([instance(A), instance(B)])
    response = post(web, body[:-60], content_type)
    assert response.status_code == 409
    (reason,) = reasons(response.json())
    assert reason.startswith("part 2: ") and reason.endswith("the upload was cut off")
    assert [value(item, "00081155") for item in values(response.json(), STORED)] == [A[2]]


@pytest.mark.slow
@pytest.mark.one_process("looks for the bytes in the data directory")
def test_a_client_that_goes_away_leaves_nothing(gantry: Gantry) -> None:
    web, noise = Web(gantry), os.urandom(5000)
    content_type, body = multipart([instance(A, PixelData=noise), instance(B, PixelData=bytes(3_000_000))])
    with socket.create_connection(("127.0.0.1", gantry.server.port)) as connection:
        head = f"POST /{web.root}/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:2_000_000])
        gantry.server.wait_until(lambda: lies_on_disk(gantry, noise))
    gantry.server.wait_until(lambda: not lies_on_disk(gantry, noise))
    assert web.search("instances") == []


@pytest.mark.parametrize(
    "content_type, body, words",
    [
        ("text/plain", b"hello", "text/plain"),
        (None, b"", "application/dicom"),
        ('multipart/related; type="application/dicom"', b"x", "boundary"),
        ('multipart/related; type="application/dicom"; boundary=abc', b"no boundary here", "boundary"),
        ('multipart/related; type="application/dicom"; boundary=abc', b"--abc--\r\n", "no instance"),
        ('multipart/related; type="image/jpeg"; boundary=abc', b"--abc--\r\n", "image/jpeg"),
        ("multipart/form-data; boundary=abc", b"--abc--\r\n", "multipart/form-data"),
    ],
)
def test_requests_that_hold_no_instance(gantry: Gantry, content_type: str | None, body: bytes, words: str) -> None:
    """§10.1: a bad media type is 400; PS3.18 §10.5.3.1 has 415, which all but strict mode follows."""
    http = 400 if content_type and 'type="application/dicom"' in content_type else 415
    refused(post(Web(gantry), body, content_type), "INVALID_ARGUMENT", words, http=http)


def test_parts_of_other_types(gantry: Gantry) -> None:
    web = Web(gantry)
    content_type, body = multipart([instance(A)])
    body = body.replace(b"Content-Type: application/dicom\r\n", b"Content-Type: image/jpeg\r\n")
    response = post(web, body, content_type)
    assert response.status_code == 409
    assert "image/jpeg" in reasons(response.json())[0]


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(instance(A))[:-12], zlib.compress(instance(A))])
def test_a_gzip_that_is_none(gantry: Gantry, body: bytes) -> None:
    response = post(Web(gantry), body, "application/dicom", **{"content-encoding": "gzip"})
    assert response.status_code in (400, 409)
    assert "gzip" in response.text
    assert Web(gantry).search("instances") == []


def test_a_missing_store(gantry: Gantry) -> None:
    content_type, body = multipart([instance(A)])
    path = f"v1/{gantry.dataset}/dicomStores/none/dicomWeb/studies"
    refused(gantry.request("POST", path, content=body, headers={"content-type": content_type}), "NOT_FOUND", "none")


def test_the_transfer_syntax_of_the_file_counts(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("JPEG-lossy.dcm")
    web.stored(data)
    response = web.get(uid_path(*uids_of(data)), ONE_AS_STORED)
    assert response.headers["content-type"].startswith("application/dicom; transfer-syntax=1.2.840.10008.1.2.4.5")
    assert JPEGBaseline8Bit[:-1] in response.headers["content-type"]
