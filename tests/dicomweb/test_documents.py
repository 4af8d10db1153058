"""Encapsulated documents by ``/rendered`` (PS3.18 §8.7.4): what they are, never what they only claim to be."""

from __future__ import annotations

import struct

import httpx
import pytest

from tests.dicomweb.instances import instance
from tests.dicomweb.reports import CDA, MTL, OBJ, PDF, STL, UIDS, document
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.web import Web, uid_path

RENDERED = f"{uid_path(*UIDS)}/rendered"
A_PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
A_CDA = (
    b'<?xml version="1.0"?>\n<!-- a report -->\n<ClinicalDocument xmlns="urn:hl7-org:v3"><title/></ClinicalDocument>'
)
BINARY_STL = b"\0" * 80 + struct.pack("<I", 2) + b"\1" * 100
ASCII_STL = b"solid a\nendsolid a\n"
AN_OBJ, AN_MTL = b"\n# a model\nv 0 0 0\n", b"newmtl bone\nKd 1 1 1\n"


@pytest.fixture
def web(gantry: Gantry) -> Web:
    return Web(gantry)


def rendered(web: Web, data: bytes, accept: str = "", **headers: str) -> httpx.Response:
    web.stored(data)
    return web.get(RENDERED, accept, headers=headers)


@pytest.mark.parametrize(
    "data, declared, sop_class, sent, extension",
    [
        (A_PDF, "application/pdf", PDF, "application/pdf", "pdf"),
        (A_PDF, "", PDF, "application/pdf", "pdf"),
        (A_CDA, "text/XML", CDA, "text/xml", "xml"),
        (A_CDA, "application/xml; charset=utf-8", CDA, "text/xml", "xml"),
        ("\ufeff".encode() + A_CDA, "text/xml", CDA, "text/xml", "xml"),
        (A_CDA.decode().encode("utf-16"), "text/xml", CDA, "text/xml", "xml"),
        (b'<h:ClinicalDocument xmlns:h="urn:hl7-org:v3"/>', "text/xml", CDA, "text/xml", "xml"),
        (BINARY_STL, "model/stl", STL, "model/stl", "stl"),
        (BINARY_STL, "application/sla", STL, "model/stl", "stl"),
        (ASCII_STL, "", STL, "model/stl", "stl"),
        (AN_OBJ, "model/obj", OBJ, "model/obj", "obj"),
        (AN_MTL, "model/mtl", MTL, "model/mtl", "mtl"),
        ("\ufeff".encode() + AN_OBJ, "model/obj", OBJ, "model/obj", "obj"),
        ("\ufeff".encode() + AN_MTL, "model/mtl", MTL, "model/mtl", "mtl"),
        ("\ufeff".encode() + ASCII_STL, "model/stl", STL, "model/stl", "stl"),
    ],
)
def test_a_document_is_sent_as_what_it_is(
    web: Web, data: bytes, declared: str, sop_class: str, sent: str, extension: str
) -> None:
    answer = rendered(web, document(data, declared, sop_class, EncapsulatedDocumentLength=len(data)), "*/*")
    assert (answer.status_code, answer.headers["content-type"]) == (200, sent), answer.text
    assert answer.content == data
    assert answer.headers["content-disposition"] == f'attachment; filename="{UIDS[2]}.{extension}"'
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "accept", ["application/pdf", "application/*", "text/html, application/pdf;q=0.5", "*/*;q=0.1"]
)
def test_accept_that_takes_a_pdf(web: Web, accept: str) -> None:
    assert rendered(web, document(A_PDF, "application/pdf"), accept).headers["content-type"] == "application/pdf"


@pytest.mark.parametrize("accept", ["image/jpeg", "text/xml", "application/pdf;q=0, */*"])
def test_accept_that_takes_no_pdf_is_406_and_names_what_is_there(web: Web, accept: str) -> None:
    answer = rendered(web, document(A_PDF, "application/pdf"), accept)
    refused(answer, "INVALID_ARGUMENT", "application/pdf", http=406)


@pytest.mark.parametrize("length", [None, 0, 7, 10_000])
def test_a_wrong_length_costs_no_bytes(web: Web, length: int | None) -> None:
    """The value has one byte of padding at most (PS3.5 §6.2), so any other length is wrong."""
    values = {} if length is None else {"EncapsulatedDocumentLength": length}
    answer = rendered(web, document(A_PDF + b"x" * (len(A_PDF) + 1 & 1), "application/pdf", **values))
    assert answer.content.startswith(A_PDF)
    assert len(answer.content) >= len(A_PDF)


def test_padding_of_xml_is_never_sent(web: Web) -> None:
    """Without EncapsulatedDocumentLength too: a NUL makes XML ill-formed."""
    odd = A_CDA + b"\n" * (len(A_CDA) % 2 == 0)
    assert rendered(web, document(odd, "text/xml", CDA)).content == odd


def test_ranges_entity_tags_and_head(web: Web) -> None:
    whole = rendered(web, document(A_PDF, "application/pdf"))
    part = web.get(RENDERED, headers={"range": "bytes=5-7"})
    assert (part.status_code, part.content) == (206, A_PDF[5:8])
    assert web.get(RENDERED, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    head = web.gantry.request("HEAD", f"{web.root}/{RENDERED}")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "application/pdf")


HTML = b"<html><script>alert(1)</script></html>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "data, declared, sop_class",
    [
        (HTML, "text/html", PDF),
        (SVG, "image/svg+xml", CDA),
        (b"alert(1)", "text/javascript", CDA),
        (b"MZ\x90", "application/x-msdownload", PDF),
        (HTML, "text/html\r\nX-Evil: 1", PDF),
    ],
)
def test_what_a_browser_runs_is_not_rendered(web: Web, data: bytes, declared: str, sop_class: str) -> None:
    answer = rendered(web, document(data, declared, sop_class), "*/*")
    refused(answer, "INVALID_ARGUMENT", "bulkdata/00420011", http=406)
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "data, declared, sop_class",
    [
        (HTML, "application/pdf", PDF),
        (b" %PDF-1.4", "application/pdf", PDF),
        (SVG, "text/xml", CDA),
        (b"<!-- <ClinicalDocument> -->" + HTML, "text/xml", CDA),
        (b"<?a <ClinicalDocument> ?><html xmlns='http://www.w3.org/1999/xhtml'/>", "text/xml", CDA),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><ClinicalDocument/>', "text/xml", CDA),
        (b"<!--" * 20_000, "text/xml", CDA),
        (HTML, "model/stl", STL),
        (BINARY_STL[:-10], "model/stl", STL),
        (HTML, "model/obj", OBJ),
        (b"", "model/obj", OBJ),
        (HTML, "model/mtl", MTL),
        (A_PDF, "text/xml", PDF),
    ],
)
def test_a_declared_type_is_not_believed(web: Web, data: bytes, declared: str, sop_class: str) -> None:
    web.stored(document(data or b"\0\0", declared, sop_class))
    answer = web.get(RENDERED)
    refused(answer, "INVALID_ARGUMENT", UIDS[2], http=406)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]>',
        '<?xml version="1.0"?>\n<!DOCTYPE ClinicalDocument SYSTEM "a.dtd" [\n]>\n',
        "<!-- a --><!DOCTYPE a[]>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_with_declarations_is_refused_by_name(web: Web, prolog: str, encoding: str) -> None:
    data = f'{prolog}<ClinicalDocument xmlns="urn:hl7-org:v3"/>'.encode(encoding)
    refused(
        rendered(web, document(data, "text/xml", CDA)), "INVALID_ARGUMENT", "DOCTYPE", "bulkdata/00420011", http=406
    )


def test_other_documents_are_not_refused_for_a_document_type(web: Web) -> None:
    assert "DOCTYPE" not in rendered(web, document(SVG, "text/xml", CDA)).text


def test_an_instance_without_its_document_is_404(web: Web) -> None:
    refused(rendered(web, document(b"", "application/pdf", EncapsulatedDocument=None)), "NOT_FOUND", "bulk data")


def test_pictures_are_what_they_were(web: Web) -> None:
    web.stored(instance(UIDS))
    assert web.get(RENDERED, "*/*").headers["content-type"] == "image/jpeg"
    assert web.get(RENDERED, "application/pdf").status_code == 406
