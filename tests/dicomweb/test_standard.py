"""Requirements of PS3.18 that no other test holds; docs/conformance-requirements.md names the test of each."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pydicom
import pytest

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.raw import RawConnection
from tests.support.web import JSON, ONE_AS_STORED, Web, parts_of, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.2", "1.2.1.2.1")
ONE = uid_path(*A)


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(
        instance(A, PatientID="P1", Modality="CT", StudyDate="20240105", StudyTime="101530"),
        instance(B, PatientID="P1", Modality="MR", StudyDate="20240105", StudyTime="101530"),
    )
    return made


def ask_without_accept(web: Web, path: str) -> str:
    """The head of the answer, in lower case: httpx always sends the header."""
    with RawConnection(web.gantry.server) as connection:
        connection.send(f"GET /{web.root}/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return connection.receive().partition(b"\r\n\r\n")[0].decode().lower()


# What a client accepts (§8.3.3.1, §8.4.1, §8.7) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "asked", "header", "expected"),
    [
        (f"{ONE}/rendered", "image/jp2", "image/png", "image/png"),
        (f"{ONE}/rendered", "image/jp2", "image/avif, */*;q=0.8", "image/jpeg"),
        (f"{ONE}/thumbnail", "text/html", "image/png", "image/png"),
        (f"{ONE}/metadata", "text/html", JSON, JSON),
        ("studies", "text/html", JSON, JSON),
        (ONE, "image/png", "application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        (f"{ONE}/frames/1", "text/html", "image/jls", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"),
        (f"{ONE}/bulkdata/7FE00010", "text/html", "application/octet-stream", "application/octet-stream"),
    ],
)
def test_where_the_query_accepts_nothing_that_there_is_the_header_counts(
    web: Web, path: str, asked: str, header: str, expected: str
) -> None:
    """PS3.18 §8.7.8.1, step 3."""
    response = web.get(path, header, params={"accept": asked})
    assert (response.status_code, response.headers["content-type"]) == (200, expected), response.text
    assert web.get(path, "text/css", params={"accept": asked}).status_code == 406


@pytest.mark.parametrize(("asked", "status"), [("image/jp2", 406), ("image/png", 200)])
def test_without_a_header_the_query_counts_alone(web: Web, asked: str, status: int) -> None:
    """PS3.18 §8.7.8.1, step 5."""
    assert ask_without_accept(web, f"{ONE}/rendered?accept={asked}").startswith(f"http/1.1 {status} ")


def test_a_study_comes_by_the_header_where_the_query_accepts_nothing_that_there_is(web: Web) -> None:
    header = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    found = parts_of(web.get(uid_path(A[0]), header, params={"accept": "image/png"}))
    assert len(found) == 2


@pytest.mark.parametrize(("asked", "kind"), [("text/html", JSON), ("application/dicom+xml", "application/dicom+xml")])
def test_the_answer_of_a_store_request_by_the_query(web: Web, asked: str, kind: str) -> None:
    headers = {"content-type": "application/dicom", "accept": JSON}
    body = instance((*A[:2], "1.2.1.1.2"))
    response = web.gantry.request("POST", f"{web.root}/studies?accept={asked}", content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize("written", ["application/dicom+xml", "application/dicom%2Bxml", "application%2Fdicom+xml"])
def test_a_plus_in_the_query_may_be_written_as_it_is(web: Web, written: str) -> None:
    """A ``+`` is a character of values in PS3.18 §8.3.1; forms of web pages write a blank so."""
    response = web.gantry.request("GET", f'{web.root}/studies?accept=multipart/related;type="{written}",text/html;q=.1')
    assert [part.type for part in parts_of(response)] == ["application/dicom+xml"]


# Searches (§8.3.4) ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["emptyvaluematching", "multiplevaluematching"])
@pytest.mark.parametrize("path", ["studies", "series", "instances", f"{uid_path(A[0])}/instances"])
def test_kinds_of_matching_that_are_not_there_are_named_in_a_warning(web: Web, path: str, name: str) -> None:
    """PS3.18 §8.3.4.5, §8.3.4.6: the search is performed without."""
    plain = web.get(path, JSON, params={"StudyInstanceUID": A[0]})
    asked = web.get(path, JSON, params={"StudyInstanceUID": A[0], name: "true"})
    assert asked.status_code == 200 and asked.json() == plain.json()
    assert asked.headers["warning"].startswith(f'299 gantry "The {name} parameter is not supported')
    other = web.get(path, JSON, params={"StudyInstanceUID": A[0], name: "false"})
    assert other.json() == plain.json() and "warning" not in other.headers
    refused(web.get(path, params={name: "maybe"}), "INVALID_ARGUMENT", name)


def test_a_warning_comes_with_others_and_without_results(web: Web) -> None:
    more = {"emptyvaluematching": "true", "multiplevaluematching": "TRUE"}
    response = web.get("instances", JSON, params={"limit": 1, **more})
    first, second, third = response.headers["warning"].split(", 299 ")
    assert "emptyvaluematching" in first and "multiplevaluematching" in second and "additional results" in third
    nothing = web.get("instances", JSON, params={"PatientID": "nobody", **more})
    assert nothing.status_code == 204 and nothing.headers["warning"].count("299 gantry") == 2


# Instances as JSON alone (§10.5.1.4, Table 10.5.4-1) ------------------------------------------------------------------


def as_json(name: str) -> tuple[Any, dict[str, Any]]:
    """A file without bulk data, and its DICOM JSON object as Google wants it."""
    ds = pydicom.dcmread(BytesIO(packaged(name)))
    found = json.loads(ds.to_json())
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    found["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}
    return ds, found


def post_json(web: Web, found: Any) -> Any:
    headers = {"content-type": f"{JSON}; charset=utf-8", "accept": JSON}
    return web.gantry.request("POST", f"{web.root}/studies", content=json.dumps(found).encode(), headers=headers)


def test_json_without_bulk_data_needs_no_parts(web: Web) -> None:
    ds, found = as_json("test-SR.dcm")
    response = post_json(web, [found, {**found, "00080018": {"vr": "UI", "Value": ["1.2.9"]}}])
    assert response.status_code == 200, response.text
    assert len(values(response.json(), "00081199")) == 2
    stored = web.get(uid_path(*uids_of(packaged("test-SR.dcm"))), ONE_AS_STORED).content
    assert pydicom.dcmread(BytesIO(stored)).ContentSequence == ds.ContentSequence


def test_json_alone_that_names_bulk_data_fails(web: Web) -> None:
    _, found = as_json("test-SR.dcm")
    found["00420011"] = {"vr": "OB", "BulkDataURI": "pixels"}
    response = post_json(web, found)
    assert response.status_code == 409
    (failed,) = values(response.json(), "00081198")
    assert "no part has the Content-Location 'pixels'" in value(failed, "00091097")


@pytest.mark.parametrize("body", [b"", b"[", b"{}x"])
def test_a_body_that_is_no_json(web: Web, body: bytes) -> None:
    response = web.gantry.request("POST", f"{web.root}/studies", content=body, headers={"content-type": JSON})
    refused(response, "INVALID_ARGUMENT", "JSON")


@pytest.mark.parametrize(
    "kind", ['multipart/related; type="application/dicom+xml"; boundary=b', "application/dicom+xml"]
)
def test_xml_is_not_stored(web: Web, kind: str) -> None:
    """PS3.18 Table 10.5.4-1 requires it; the Cloud Healthcare API does not have it."""
    body = b"--b\r\nContent-Type: application/dicom+xml\r\n\r\n<NativeDicomModel/>\r\n--b--"
    response = web.gantry.request("POST", f"{web.root}/studies", content=body, headers={"content-type": kind})
    refused(response, "INVALID_ARGUMENT", "cannot be stored", http=415)


@pytest.mark.parametrize("kind", ["application/pdf", "Application/PDF; version=1", "application/octet-stream"])
def test_a_document_comes_as_the_type_that_it_names(gantry: Gantry, kind: str) -> None:
    """PS3.18 §10.5.1.4"""
    web = Web(gantry)
    attributes = document("application/pdf")
    response = post_parts(web, attributes, kind, b"%PDF-1.7")
    assert response.status_code == 200, response.text
    assert web.get(f"{ONE}/bulkdata/00420011", "application/octet-stream").content == b"%PDF-1.7"


@pytest.mark.parametrize("named", ["text/xml", "", None])
def test_a_document_of_another_type_fails(gantry: Gantry, named: str | None) -> None:
    response = post_parts(Web(gantry), document(named), "application/pdf", b"%PDF-1.7")
    (failed,) = values(response.json(), "00081198")
    assert "application/pdf" in value(failed, "00091097") and response.status_code == 409


@pytest.mark.parametrize(
    ("syntax", "kind", "status"),
    [("102", "video/mp4", 200), ("100", "video/mpeg2", 200), ("102", "video/mpeg", 409), ("102", "image/jpeg", 409)],
)
def test_a_video_comes_as_the_type_of_its_transfer_syntax(gantry: Gantry, syntax: str, kind: str, status: int) -> None:
    """PS3.18 §10.5.1.4, Table 10.5.2-1: all of it in one part, unchanged."""
    web, stream = Web(gantry), b"\0\0\0\x18ftypmp42" + bytes(12)
    found = json.loads(pydicom.dcmread(BytesIO(instance(A))).to_json())
    found |= {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, "7FE00010": {"vr": "OB", "BulkDataURI": "bulk"}}
    found["00020010"] = {"vr": "UI", "Value": [f"1.2.840.10008.1.2.4.{syntax}"]}
    response = post_parts(web, found, kind, stream)
    assert response.status_code == status, response.text
    if status == 200:
        assert web.get(f"{ONE}/rendered", "*/*").content == stream


def document(kind: str | None) -> dict[str, Any]:
    found = json.loads(pydicom.dcmread(BytesIO(instance(A))).to_json())
    del found["7FE00010"]
    found |= {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, "00420011": {"vr": "OB", "BulkDataURI": "bulk"}}
    found["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}
    return found if kind is None else found | {"00420012": {"vr": "LO", "Value": [kind] if kind else []}}


def post_parts(web: Web, found: Any, kind: str, bulk: bytes) -> Any:
    """One instance as JSON, and its bulk data."""
    head = f"--b\r\nContent-Type: {JSON}\r\n\r\n{json.dumps([found])}\r\n--b\r\nContent-Location: bulk\r\n"
    body = head.encode() + f"Content-Type: {kind}\r\n\r\n".encode() + bulk + b"\r\n--b--"
    headers = {"content-type": f'multipart/related; type="{JSON}"; boundary=b', "accept": JSON}
    return web.gantry.request("POST", f"{web.root}/studies", content=body, headers=headers)


def test_no_parameter_changes_a_store_request(web: Web) -> None:
    """PS3.18 §10.5.1.2: it has none."""
    sent = instance((*A[:2], "1.2.1.1.2"))
    headers = {"content-type": "application/dicom"}
    response = web.gantry.request("POST", f"{web.root}/studies?x=1&limit=no", content=sent, headers=headers)
    assert response.status_code == 200
    assert web.get(uid_path(*A[:2], "1.2.1.1.2"), ONE_AS_STORED).content == sent


# Media types and character sets (§8.7, §8.8) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [("studies", JSON), (f"{ONE}/metadata", JSON), (f"{ONE}/rendered", "image/jpeg"), (ONE, "multipart/related")],
)
def test_a_request_without_accept_gets_the_default(web: Web, path: str, kind: str) -> None:
    """PS3.18 §8.7.5 has 406; RFC 9110 §12.5.1 and the Cloud Healthcare API take it for any type."""
    head = ask_without_accept(web, path)
    assert head.startswith("http/1.1 200") and f"content-type: {kind}" in head, head


@pytest.mark.parametrize(("path", "kind"), [(f"{ONE}/rendered", "image/png"), (ONE, "application/dicom")])
def test_of_types_of_both_kinds_the_resource_takes_its_own(web: Web, path: str, kind: str) -> None:
    response = web.get(path, "image/png, application/dicom")
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, kind)


@pytest.mark.parametrize("path", ["studies", f"{ONE}/metadata"])
@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "ISO_IR 100", "no such one", "*"])
def test_text_is_utf_8_whatever_character_set_is_asked_for(gantry: Gantry, path: str, charset: str) -> None:
    web = Web(gantry)
    web.stored(instance(A, PatientName="Müller^Jörg"))
    by_header = web.get(path, JSON, headers={"accept-charset": charset})
    by_query = web.get(path, f"{JSON}; charset={charset.split()[0]}, {JSON};q=0.1", params={"charset": charset})
    for response in (by_header, by_query):
        assert response.status_code == 200, response.text
        assert "Müller^Jörg" in response.content.decode("utf-8")


def test_rendered_jpeg_is_baseline(gantry: Gantry) -> None:
    """PS3.18 §8.7.4: 8 bits, sequential, Huffman: a frame that begins with SOF0 (ISO/IEC 10918-1 Table B.1)."""
    web = Web(gantry)
    for number, name in enumerate(("CT_small.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm")):
        data = packaged(name)
        web.stored(data)
        jpeg = web.get(f"{uid_path(*uids_of(data))}/rendered", "image/jpeg").content
        place = jpeg.index(b"\xff\xc0")
        assert jpeg[place + 4] == 8, number
        assert not any(bytes((0xFF, marker)) in jpeg[:place] for marker in (0xC1, 0xC2, 0xC3, 0xC9))


@pytest.mark.parametrize("path", ["rendered", "frames/1/rendered", "thumbnail"])
def test_pictures_have_no_transfer_syntax(web: Web, path: str) -> None:
    response = web.get(f"{ONE}/{path}", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50")
    assert response.status_code == 406
    assert web.get(f"{ONE}/{path}", "image/jpeg").headers["content-type"] == "image/jpeg"


def test_an_answer_has_a_length_or_comes_in_chunks(gantry: Gantry) -> None:
    """PS3.18 §8.4.3, RFC 9112 §6."""
    web = Web(gantry)
    web.stored(*(instance((*A[:2], f"1.2.1.1.{number}"), PixelData=bytes(2 << 20)) for number in range(2)))
    for path, accept in (("studies", JSON), (ONE, ONE_AS_STORED), (f"{ONE}/bulkdata/7FE00010", "application/*")):
        response = web.get(path, accept)
        assert int(response.headers["content-length"]) == len(response.content)
    response = web.get(uid_path(A[0]), 'multipart/related; type="application/dicom"')
    assert response.headers["transfer-encoding"] == "chunked" and "content-length" not in response.headers


# What is not there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", ["rendered3D", "renderedMPR"])
@pytest.mark.parametrize("path", [uid_path(*A[:count]) for count in (1, 2, 3)])
def test_volumes_are_not_rendered(web: Web, path: str, resource: str) -> None:
    refused(web.get(f"{path}/{resource}"), "NOT_FOUND", "no such method")


@pytest.mark.parametrize("path", ["workitems", "color-palettes", "commitment-requests/1.2", "modality-scheduled"])
def test_other_services_are_not_there(web: Web, path: str) -> None:
    """PS3.18 chapters 11 to 13: worklists, instances of no patient, storage commitment."""
    for verb in ("GET", "POST"):
        refused(web.gantry.request(verb, f"{web.root}/{path}", content=b""), "NOT_FOUND", "no such method")


def test_what_was_deleted_is_not_found(web: Web) -> None:
    """PS3.18 §10.4.3.1 has 410 for a server that knows it; nothing of it is kept here."""
    assert web.gantry.request("DELETE", f"{web.root}/{ONE}").status_code == 200
    for path in (ONE, f"{ONE}/metadata", f"{ONE}/rendered", f"{ONE}/frames/1", uid_path(*A[:2])):
        refused(web.get(path), "NOT_FOUND", A[1])


@pytest.mark.parametrize("name", ["RecordKey", "PriorRecordKey", "0008041B", "TimezoneOffsetFromUTC"])
def test_keys_of_repository_queries_and_time_zones_are_unknown(web: Web, name: str) -> None:
    """PS3.4 §C.6.4, PS3.18 §8.3.4.1.1"""
    for path in ("studies", "series", "instances"):
        refused(web.get(path, params={name: "1"}), "INVALID_ARGUMENT", f"unsupported QIDO attribute: {name}")


# Results of searches (§10.6.3.3) --------------------------------------------------------------------------------------


def test_dates_and_times_are_conditions_of_their_own(gantry: Gantry) -> None:
    """Not combined (PS3.4 §C.2.2.2.5): the morning of the second day is in no range of times from ten to eleven."""
    web = Web(gantry)
    for number, (date, time) in enumerate((("20240105", "101500"), ("20240106", "090000"))):
        uid = f"1.9.{number}"
        web.stored(instance((uid, f"{uid}.1", f"{uid}.1.1"), StudyDate=date, StudyTime=time))
    found = web.search("studies", StudyDate="20240105-20240106", StudyTime="1000-1100")
    assert [value(each, "0020000D") for each in found] == ["1.9.0"]


def test_attributes_of_lower_levels_are_not_included(web: Web) -> None:
    """PS3.18 §10.6.3.3.1, §10.6.3.3.2"""
    (study,) = web.search("studies", includefield="Modality,SeriesNumber,SOPClassUID,Rows,StudyDescription")
    assert not study.keys() & {"00080060", "00200011", "00080016", "00280010"}
    for series in web.search("series", includefield="SOPClassUID,Rows,PatientName"):
        assert not series.keys() & {"00080016", "00280010"} and "00100010" in series


def test_what_was_requested_and_performed_is_in_the_series(gantry: Gantry) -> None:
    """PS3.18 Table 10.6.3-4; the time zone of Tables 10.6.3-3 to -5."""
    web, requested = Web(gantry), pydicom.Dataset()
    requested.RequestedProcedureID, requested.ScheduledProcedureStepID = "RP1", "SPS1"
    done = {"PerformedProcedureStepStartDate": "20240105", "PerformedProcedureStepStartTime": "101500"}
    web.stored(instance(A, RequestAttributesSequence=[requested], TimezoneOffsetFromUTC="+0100", **done))
    (found,) = web.search(f"studies/{A[0]}/series")
    assert (value(found, "00400244"), value(found, "00400245")) == ("20240105", "101500")
    item = value(found, "00400275")
    assert (value(item, "00400009"), value(item, "00401001")) == ("SPS1", "RP1")
    for path in ("studies", "series", f"studies/{A[0]}/series"):
        assert value(web.search(path)[0], "00080201") == "+0100", path


def test_the_frames_of_an_instance_are_counted(gantry: Gantry) -> None:
    web, data = Web(gantry), packaged("SC_rgb_rle_2frame.dcm")
    web.stored(data)
    (found,) = web.search("instances")
    assert value(found, "00280008") == 2


def test_private_attributes_are_searched_in_one_study(gantry: Gantry) -> None:
    """PS3.18 §8.3.4.1: with their creator."""
    web, changed = Web(gantry), BytesIO()
    for number, text in enumerate(("x", "y")):
        ds = pydicom.dcmread(BytesIO(instance((*A[:2], f"1.2.1.1.{number}"))))
        ds.private_block(0x0029, "MINE", create=True).add_new(1, "LO", text)
        changed = BytesIO()
        ds.save_as(changed)
        web.stored(changed.getvalue())
    path = f"studies/{A[0]}/instances"
    assert [value(each, "00291001") for each in web.search(path, **{"00290010": "MINE", "00291001": "y"})] == ["y"]
    assert web.search(path, **{"00290010": "OTHER", "00291001": "y"}) == []
    refused(web.get("instances", params={"00291001": "y"}), "INVALID_ARGUMENT", "unsupported QIDO attribute: 00291001")


@pytest.mark.parametrize("path", ["studies", f"{ONE}/metadata", f"{ONE}/frames/1"])
def test_answers_are_not_compressed(web: Web, path: str) -> None:
    """Accept-Encoding is an offer of the client (RFC 9110 §12.5.3)."""
    response = web.get(path, "*/*", headers={"accept-encoding": "gzip, deflate, br"})
    assert response.status_code == 200 and "content-encoding" not in response.headers


def test_frames_that_are_too_many_for_an_answer(gantry: Gantry) -> None:
    """PS3.18 §10.4.3.1 has 413; 400 of the Cloud Healthcare API names the limit."""
    web = Web(gantry)
    web.stored(instance(A, Rows=512, Columns=512, PixelData=bytes(1 << 18)))
    response = web.get(f"{ONE}/frames/{','.join(['1'] * 4097)}")
    refused(response, "INVALID_ARGUMENT", "4097 frames have more than 1073741824 bytes; ask for fewer")
    assert len(parts_of(web.get(f"{ONE}/frames/1,1"))) == 2


@pytest.mark.parametrize("asked", [f"{JSON};q=0", f"{JSON}; q=0.0, application/json;q=0"])
def test_what_the_query_forbids_is_not_sent_because_the_header_takes_everything(web: Web, asked: str) -> None:
    """PS3.18 §8.7.8.1: the header counts only where the query names nothing that there is."""
    assert web.get("studies", "*/*", params={"accept": asked}).status_code == 406
    assert web.get("studies", "*/*", params={"accept": "text/html"}).status_code == 200
