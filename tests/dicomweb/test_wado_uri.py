"""WADO-URI (PS3.18 §9): the same answers as WADO-RS, for viewers that know no other address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.dicomweb.instances import EXPLICIT_LE, IMPLICIT_LE, instance, packaged, uids_of
from tests.dicomweb.reports import CDA, PDF, content, document, report, without_pixels
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import ONE_AS_STORED, Web, uid_path

A = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
RAMP = bytes(range(0, 256, 4)) * 64  # 64 columns from black to white
MANY = {"Rows": 4, "Columns": 4, "NumberOfFrames": 3, "PixelData": bytes(48)}


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(instance(A, Rows=64, Columns=64, PixelData=RAMP))
    return made


def ask(
    web: Web, uids: tuple[str, str, str] = A, accept: str = "", place: str = "", method: str = "GET", **parameters: Any
) -> httpx.Response:
    """``parameters`` that are None are left out."""
    named = {"requestType": "WADO", **dict(zip(("studyUID", "seriesUID", "objectUID"), uids, strict=True))}
    asked = {name: value for name, value in (named | parameters).items() if value is not None}
    headers = {"accept": accept} if accept else {}
    return web.gantry.request(method, f"{web.root}{place}", params=asked, headers=headers)


def picture(web: Web, **parameters: Any) -> np.ndarray:
    answer = ask(web, contentType="image/png", **parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


@pytest.mark.parametrize("place", ["", "/", "/wado"])
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_each_address(web: Web, place: str, version: str) -> None:
    other = Web(web.gantry, version)
    answer = ask(other, place=place)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == other.get(f"{uid_path(*A)}/rendered").content


@pytest.mark.parametrize("place", ["/wado/", "//", "/studies/"])
def test_no_other_address(web: Web, place: str) -> None:
    assert ask(web, place=place).status_code in (400, 404)


# --- files


def test_a_file_in_explicit_little_endian(web: Web) -> None:
    """§9.4.1.2: the default."""
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(instance(uids, IMPLICIT_LE))
    answer = ask(web, uids, contentType="application/dicom")
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    assert pydicom.dcmread(BytesIO(answer.content)).file_meta.TransferSyntaxUID == EXPLICIT_LE


@pytest.mark.parametrize("syntax", ["*", IMPLICIT_LE])
def test_a_file_in_a_named_transfer_syntax(web: Web, syntax: str) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(instance(uids, IMPLICIT_LE))
    answer = ask(web, uids, contentType="application/dicom", transferSyntax=syntax)
    assert answer.content == web.get(uid_path(*uids), ONE_AS_STORED).content
    assert answer.headers["content-type"].endswith(IMPLICIT_LE)


def test_what_cannot_be_converted_is_sent_as_stored_unless_another_is_named(web: Web) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    data = instance(uids).replace(EXPLICIT_LE.encode() + b"\0", b"1.2.840.10008.1.9.9\0"[:20])
    web.stored(data)
    assert ask(web, uids, contentType="application/dicom").content == data
    refused(ask(web, uids, contentType="application/dicom", transferSyntax=IMPLICIT_LE), "INVALID_ARGUMENT", http=406)


@pytest.mark.parametrize("syntax", ["x", "1.2;q=0", "1.2,1.3", "1" * 65])
def test_a_transfer_syntax_that_is_none(web: Web, syntax: str) -> None:
    answer = ask(web, contentType="application/dicom", transferSyntax=syntax)
    refused(answer, "INVALID_ARGUMENT", "transferSyntax")


def test_ranges_entity_tags_and_head(web: Web) -> None:
    whole = ask(web, contentType="application/dicom")
    params = dict(whole.request.url.params)
    part = web.gantry.request("GET", web.root, params=params, headers={"range": "bytes=128-131"})
    assert (part.status_code, part.content) == (206, b"DICM")
    again = web.gantry.request("GET", web.root, params=params, headers={"if-none-match": whole.headers["etag"]})
    assert again.status_code == 304
    head = ask(web, contentType="application/dicom", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")


# --- what is sent where nothing is named


def test_the_default_of_one_frame_is_a_picture(web: Web) -> None:
    assert ask(web).headers["content-type"] == "image/jpeg"


def test_the_default_of_many_frames_is_the_file_and_of_one_of_them_a_picture(web: Web) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(instance(uids, **MANY))
    assert ask(web, uids).headers["content-type"].startswith("application/dicom")
    for asked in ({"frameNumber": 2}, {"rows": 2}, {"contentType": "image/jpeg"}):
        assert ask(web, uids, **asked).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "accept, sent",
    [
        ("image/png", "image/png"),
        ("image/*", "image/jpeg"),
        ("application/dicom", "application/dicom"),
        ("application/dicom;q=0.5, image/png;q=0.9", "image/png"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/jpeg"),
    ],
)
def test_accept_decides_without_a_content_type(web: Web, accept: str, sent: str) -> None:
    assert ask(web, accept=accept).headers["content-type"].partition(";")[0] == sent


@pytest.mark.parametrize("asked", ["image/png", "image/gif, image/png", "image/png;q=.9, image/jpeg;q=.1"])
def test_content_type_replaces_accept(web: Web, asked: str) -> None:
    """As the query parameter of WADO-RS does (§8.3.3.1)."""
    assert ask(web, accept="image/jpeg", contentType=asked).headers["content-type"] == "image/png"


@pytest.mark.parametrize("asked", ["image/gif", "text/html", "application/pdf", "video/mpeg", "nonsense"])
def test_what_is_not_there_is_406_and_names_what_is(web: Web, asked: str) -> None:
    refused(ask(web, contentType=asked), "INVALID_ARGUMENT", asked, "image/jpeg", http=406)


def test_a_picture_that_cannot_be_made_is_not_replaced_by_the_file(web: Web) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(instance(uids, PixelData=b"\1"))
    assert ask(web, uids).status_code == 400
    assert ask(web, uids, contentType="application/dicom").status_code == 200


def test_an_instance_without_pixels_is_sent_as_a_file(web: Web) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(without_pixels(uids))
    assert ask(web, uids).headers["content-type"].startswith("application/dicom")
    assert ask(web, uids, contentType="image/jpeg").status_code == 406


def test_reports(web: Web) -> None:
    uids = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    web.stored(report(content("TEXT", "Finding", TextValue="none")))
    assert ask(web, uids).headers["content-type"] == "text/html; charset=utf-8"
    assert ask(web, uids, contentType="text/plain").text.endswith("Finding: none\n")
    assert ask(web, uids, contentType="application/dicom").content[128:132] == b"DICM"
    assert ask(web, uids, charset="ISO-8859-1, utf-8;q=0.5").status_code == 200
    refused(ask(web, uids, charset="ISO-8859-1"), "INVALID_ARGUMENT", "charset", http=406)


def test_documents(web: Web) -> None:
    uids = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    web.stored(document(b"%PDF-1.4 ", "application/pdf", PDF))
    assert ask(web, uids).headers["content-type"] == "application/pdf"
    assert ask(web, uids, contentType="application/pdf").content.startswith(b"%PDF-1.4")
    refused(ask(web, uids, contentType="text/html"), "INVALID_ARGUMENT", "application/pdf", http=406)


def test_a_character_set_is_asked_of_reports_alone(web: Web) -> None:
    """The bytes of a document are sent as they are stored, whatever they are written in."""
    uids = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    cda = b'<?xml version="1.0" encoding="iso-8859-1"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>'
    for data, media_type, sop_class in ((b"%PDF-1.4 ", "application/pdf", PDF), (cda, "text/xml", CDA)):
        web.stored(document(data, media_type, sop_class))
        answer = ask(web, uids, charset="iso-8859-1")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type), answer.text
        assert web.gantry.request("DELETE", f"{web.root}/{uid_path(*uids)}").status_code == 200


def test_a_document_of_an_unknown_type_is_sent_as_a_file(web: Web) -> None:
    uids = ("1.2.7", "1.2.7.1", "1.2.7.1.1")
    web.stored(document(b"<html>", "text/html", PDF))
    assert ask(web, uids).headers["content-type"].startswith("application/dicom")


def test_a_video(web: Web) -> None:
    data = packaged("examples_rgb_color.dcm")
    clip = (Path(__file__).parent.parent / "support" / "clip.mp4").read_bytes()
    ds = pydicom.dcmread(BytesIO(data))
    ds.PixelData = pydicom.encaps.encapsulate([clip])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID("1.2.840.10008.1.2.4.102")
    ds["PixelData"].is_undefined_length = True
    out = BytesIO()
    ds.save_as(out)
    web.stored(out.getvalue())
    answer = ask(web, uids_of(data))
    assert (answer.headers["content-type"], answer.content[: len(clip)]) == ("video/mp4", clip)
    for name in ("frameNumber", "rows", "imageQuality"):
        refused(ask(web, uids_of(data), **{name: "1"}), "INVALID_ARGUMENT", name, "a video is sent as it is stored")


# --- pictures


def test_a_frame(web: Web) -> None:
    uids = ("1.2.2", "1.2.2.1", "1.2.2.1.1")
    web.stored(instance(uids, Rows=1, Columns=2, NumberOfFrames=3, PixelData=bytes((1, 2, 3, 4, 5, 6))))
    assert picture(web, uids=uids, frameNumber=2, windowCenter="128", windowWidth="256").shape == (1, 2)
    whole = web.get(f"{uid_path(*uids)}/frames/2/rendered", "image/png").content
    assert ask(web, uids, contentType="image/png", frameNumber=2).content == whole
    assert ask(web, uids, frameNumber=4).status_code == 404


@pytest.mark.parametrize(
    "asked, size",
    [
        ({"rows": 32, "columns": 32}, (32, 32)),
        ({"rows": 32}, (32, 32)),
        ({"columns": 16}, (16, 16)),
        ({"rows": 100, "columns": 200}, (100, 100)),
        ({"region": "0,0,1,1"}, (64, 64)),
        ({"region": "0.5,0,1,1"}, (64, 32)),
        ({"region": "0,0,.5,.25"}, (16, 32)),
        ({"region": "0.25,0.25,0.75,0.5", "columns": 64}, (32, 64)),
        ({"region": "0.1,0.1,0.2,0.2"}, (7, 7)),
        ({"region": "0.1,0.1,0.21,0.21"}, (8, 8)),
    ],
)
def test_sizes_and_regions(web: Web, asked: dict[str, Any], size: tuple[int, int]) -> None:
    """§9.5.1.2: as large as fits, with the proportions kept; rows and columns of what comes."""
    assert picture(web, **asked).shape == size


def test_a_region_is_that_part(web: Web) -> None:
    assert picture(web, region="0.75,0,1,0.25")[0].tolist() == list(RAMP[48:64])


def test_a_window_and_a_quality_are_those_of_wado_rs(web: Web) -> None:
    other = web.get(f"{uid_path(*A)}/rendered", "image/jpeg", params={"window": "96,64,linear", "quality": "30"})
    assert ask(web, windowCenter="96", windowWidth="64", imageQuality="30").content == other.content


@pytest.mark.parametrize(
    "center, width", [("9.6e1", "64E0"), ("+960e-1", "6.4e+1"), ("96.", "064"), ("960E-01", ".64e2")]
)
def test_a_window_is_of_decimal_strings(web: Web, center: str, width: str) -> None:
    """PS3.18 §9.5.1.2.6, PS3.5 Table 6.2-1: DS may have an exponent."""
    plain = ask(web, windowCenter="96", windowWidth="64").content
    assert ask(web, windowCenter=center, windowWidth=width).content == plain


@pytest.mark.parametrize("center, width", [("1e99", "1e99"), ("-1e99", "1"), ("0", "1e99"), ("1e-99", "1e99")])
def test_a_window_far_from_all_values(web: Web, center: str, width: str) -> None:
    assert ask(web, windowCenter=center, windowWidth=width).status_code == 200


@pytest.mark.parametrize("name", ["nonsense", "alt", "charset", "transferSyntax"])
def test_what_changes_no_picture_is_ignored(web: Web, name: str) -> None:
    assert ask(web, **{name: "patient"}).content == ask(web).content


def test_annotations_are_those_of_wado_rs(web: Web) -> None:
    other = web.get(f"{uid_path(*A)}/rendered", "image/jpeg", params={"annotation": "patient", "viewport": "512,512"})
    assert ask(web, annotation="patient", rows="512", columns="512").content == other.content
    assert other.content != ask(web, rows="512", columns="512").content


BAD = (
    *({"rows": text} for text in ("", "0", "-1", "x", "1.5", "99999")),
    *({"columns": text} for text in ("", "0", "x")),
    *({"region": text} for text in ("", "0,0,1", "0,0,1,2", "1,0,0,1", "0,0,0,1", "0,0,1,x", "0,0,1,1,1")),
    *({"region": text} for text in ("-0.1,0,1,1", "0,0,1e0,1", "0,0,nan,1", "0,1,1,1")),
    *({"windowCenter": "1", "windowWidth": text} for text in ("", "0", "0.5", "-1", "x", "1,linear")),
    *({"windowWidth": "100", "windowCenter": text} for text in ("", "x", "nan", "1\\2")),
    *({"windowWidth": "100", "windowCenter": text} for text in ("1e", "e1", "1e999", "1e1.5", ".", "-", "0x1", "1_0")),
    {"windowCenter": "1"},
    {"windowWidth": "1"},
    *({"imageQuality": text} for text in ("", "0", "101", "x")),
    *({"frameNumber": text} for text in ("0", "x", "1,2", "-1", "1.5", "²")),
    *({"anonymize": text} for text in ("yes", "no", "")),
    {"presentationUID": "1.2.3"},
    {"presentationSeriesUID": "1.2.3"},
)


@pytest.mark.parametrize("asked", BAD)
def test_bad_parameters_are_refused_by_name(web: Web, asked: dict[str, str]) -> None:
    """The last one of ``asked`` is at fault, or a partner is missing."""
    message = refused(ask(web, **asked), "INVALID_ARGUMENT")["message"]
    assert any(name in message.partition("'")[0] for name in asked), message


@pytest.mark.parametrize("name", ["rows", "frameNumber", "windowCenter", "imageQuality", "region", "annotation"])
def test_what_is_for_pictures_is_not_for_files(web: Web, name: str) -> None:
    """§9.5.1.2: these shall not be there with application/dicom."""
    refused(ask(web, contentType="application/dicom", **{name: "1"}), "INVALID_ARGUMENT", name, "application/dicom")


# --- which instance


@pytest.mark.parametrize("kind", [None, "", "wado", "RAD", "WADO-RS"])
def test_only_requests_of_this_service(web: Web, kind: str | None) -> None:
    refused(ask(web, requestType=kind), "INVALID_ARGUMENT", "requestType", "studyUID")


@pytest.mark.parametrize("name", ["studyUID", "seriesUID", "objectUID"])
@pytest.mark.parametrize("uid", [None, "", "..", "a/b", "1\n2", "\0"])
def test_uids_that_are_none(web: Web, name: str, uid: str | None) -> None:
    refused(ask(web, **{name: uid}), "INVALID_ARGUMENT", name)


@pytest.mark.parametrize("name", ["studyUID", "seriesUID", "objectUID"])
def test_an_instance_that_is_not_there(web: Web, name: str) -> None:
    refused(ask(web, **{name: "1.9.9"}), "NOT_FOUND")


def test_a_store_that_is_not_there(web: Web) -> None:
    answer = web.gantry.request(
        "GET",
        f"{web.root}".replace("/store/", "/other/"),
        params={"requestType": "WADO", "studyUID": "1", "seriesUID": "1", "objectUID": "1"},
    )
    refused(answer, "NOT_FOUND", "other")


def test_other_verbs_are_405(web: Web) -> None:
    answer = ask(web, method="DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_parameters_may_come_in_a_form(web: Web) -> None:
    """As those of every GET (X-HTTP-Method-Override), for viewers behind proxies that cut addresses."""
    form = "&".join(("requestType=WADO", f"studyUID={A[0]}", f"seriesUID={A[1]}", f"objectUID={A[2]}"))
    headers = {"x-http-method-override": "GET", "content-type": "application/x-www-form-urlencoded"}
    answer = web.gantry.request("POST", web.root, content=form, headers=headers)
    assert answer.content == ask(web).content


# --- the API, exactly


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": "1"})
    try:
        yield Web(Gantry(server))
    finally:
        server.stop()


@pytest.mark.parametrize("place", ["", "/", "/wado"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST", "DELETE"])
def test_strict_search_has_none_of_these_addresses(strict: Web, place: str, method: str) -> None:
    refused(ask(strict, place=place, method=method), "NOT_FOUND", "no such method")


@pytest.mark.slow
def test_strict_search_renders_pictures_alone(strict: Web) -> None:
    strict.stored(report(content("TEXT", TextValue="x")))
    path = f"{uid_path('1.2.7', '1.2.7.1', '1.2.7.1.1')}/rendered"
    assert strict.get(path).status_code == 400
    assert strict.get(path, "text/html").status_code == 406


# --- who may, and who did


@pytest.mark.slow
def test_the_audit_log_names_the_instance(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    server = start_server(tmp_path / "data", tmp_path / "buckets", env={"GANTRY_AUDIT_LOG": str(log)})
    try:
        web = Web(Gantry(server))
        web.stored(instance(A))
        assert ask(web).status_code == 200
        assert ask(web, objectUID="1.9.9").status_code == 404
        assert ask(web, objectUID=None).status_code == 400
    finally:
        server.stop()
    lines = [json.loads(line)["protoPayload"] for line in log.read_text().splitlines()]
    found = [line for line in lines if line["methodName"].endswith("retrieveByUri")]
    store = web.root.removeprefix("v1/")
    assert [line["resourceName"] for line in found] == [
        f"{store}/{uid_path(*A)}",
        f"{store}/{uid_path(A[0], A[1], '1.9.9')}",
        store,
    ]
    assert {line["authorizationInfo"][0]["permission"] for line in found} == {"healthcare.dicomStores.dicomWebRead"}
    assert [line["status"].get("code", 0) for line in found] == [0, 5, 3]
