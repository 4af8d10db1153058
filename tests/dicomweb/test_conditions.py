"""If-Match, If-None-Match and the entity tags of answers (RFC 9110 §8.8, §13)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.dicom import forms
from gantry.resources import StoredInstance
from gantry.studies import metadata
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import JSON, ONE_AS_STORED, Web, uid_path

A, CT = ("1.2.8", "1.2.8.1", "1.2.8.1.1"), packaged("CT_small.dcm")
OCTETS, PNG, PARTS = "application/octet-stream", "image/png", 'multipart/related; type="{}"'
BIT = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "Rows": 8, "Columns": 8, "PixelData": bytes(8)}
TEXT = {"Rows": None, "Columns": None, "PixelData": None}

SINGLE = [
    ("", ONE_AS_STORED),
    ("", f"application/dicom; transfer-syntax={forms.IMPLICIT_LE}"),
    ("/frames/1", OCTETS),
    ("/frames/1", "image/jls"),
    ("/rendered", PNG),
    ("/frames/1/rendered", "image/jpeg"),
    ("/thumbnail", PNG),
    ("/bulkdata/7FE00010", OCTETS),
    ("/metadata", JSON),
]
IN_PARTS = [
    ("/frames/1", PARTS.format(OCTETS)),
    ("/frames/1", PARTS.format("image/jls")),
    ("/rendered", PARTS.format(PNG)),
    ("/frames/1,1/rendered", PNG),
    ("/bulkdata/7FE00010", PARTS.format(OCTETS)),
    ("/metadata", PARTS.format("application/dicom+xml")),
    ("/bulkdata", PARTS.format(OCTETS)),
    ("/pixeldata", PARTS.format(OCTETS)),
]


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(CT)
    return made


def address(tail: str) -> str:
    return f"{uid_path(*uids_of(CT))}{tail}"


@pytest.mark.parametrize("tail, accept", SINGLE + IN_PARTS)
def test_whoever_has_the_answer_gets_304(web: Web, tail: str, accept: str) -> None:
    """With the tag anywhere in the header, or with * for any answer."""
    whole = web.get(address(tail), accept)
    etag = whole.headers["etag"]
    for tags in (etag, f'"x", {etag}', "*"):
        found = web.get(address(tail), accept, headers={"if-none-match": tags})
        assert (found.status_code, found.headers["etag"], found.content) == (304, etag, b""), tags
    assert web.get(address(tail), accept, headers={"if-none-match": '"x"'}).status_code == 200


@pytest.mark.one_process("nginx itself refuses a condition in two lines")
@pytest.mark.parametrize("tail, accept", SINGLE + IN_PARTS)
def test_a_condition_may_have_several_lines(web: Web, tail: str, accept: str) -> None:
    """RFC 9110 §5.3."""
    etag = web.get(address(tail), accept).headers["etag"]
    lines = [("accept", accept), ("if-none-match", '"x"'), ("if-none-match", etag)]
    assert web.gantry.server.client.get(f"/{web.root}/{address(tail)}", headers=lines).status_code == 304


@pytest.mark.parametrize("tail, accept", SINGLE)
def test_an_answer_is_made_for_a_tag_that_it_has(web: Web, tail: str, accept: str) -> None:
    """§13.1.1: by strong comparison."""
    whole = web.get(address(tail), accept)
    etag = whole.headers["etag"]
    for tags in (etag, f'"x", {etag}', "*"):
        found = web.get(address(tail), accept, headers={"if-match": tags})
        assert (found.status_code, found.content) == (200, whole.content)
    for tags in ('"x"', f"W/{etag}", '"x", "y"', "no tag", f'{etag[:-1]}x"'):
        refused(web.get(address(tail), accept, headers={"if-match": tags}), "FAILED_PRECONDITION", http=412)
    both = web.get(address(tail), accept, headers={"if-match": '"x"', "if-none-match": etag})
    assert both.status_code == 412, "If-Match comes first (§13.2.2)"


@pytest.mark.parametrize("tail, accept", IN_PARTS)
def test_parts_have_a_tag_that_is_weak(web: Web, tail: str, accept: str) -> None:
    """§8.8.1: their boundary differs each time, so nothing matches it strongly, and no range of one fits another."""
    answers = [web.get(address(tail), accept) for _ in range(2)]
    assert answers[0].content != answers[1].content
    (etag,) = {answer.headers["etag"] for answer in answers}
    assert etag.startswith('W/"')
    assert web.get(address(tail), accept, headers={"if-match": etag}).status_code == 412
    assert web.get(address(tail), accept, headers={"if-match": "*"}).status_code == 200
    whole = web.get(address(tail), accept, headers={"range": "bytes=0-1", "if-range": etag})
    assert whole.status_code == 200


@pytest.mark.parametrize("tail, accept", SINGLE)
def test_bytes_that_are_always_the_same_have_a_tag_that_is_strong(web: Web, tail: str, accept: str) -> None:
    answers = [web.get(address(tail), accept) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["etag"] == answers[1].headers["etag"] and answers[0].headers["etag"].startswith('"')


@pytest.mark.parametrize("tail, accept", IN_PARTS)
def test_parts_with_other_addresses_have_another_tag(tail: str, accept: str, two_names: Web) -> None:
    """Each part has its Content-Location."""
    port = two_names.gantry.server.port
    here, there = (
        two_names.get(address(tail), accept, headers={"host": f"{name}:{port}"}) for name in ("127.0.0.1", "localhost")
    )
    assert (b"127.0.0.1" in here.content) == (b"localhost" in there.content)
    if b"127.0.0.1" in here.content:
        assert here.headers["etag"] != there.headers["etag"]


@pytest.fixture(scope="module")
def two_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server whose address in answers is that by which the caller came."""
    home: Path = tmp_path_factory.mktemp("names")
    server = start_server(home / "data", home / "buckets")
    web = Web(Gantry(server))
    web.stored(CT)
    yield web
    server.stop()


@pytest.mark.parametrize(
    "data, tail, accept, status",
    [
        (CT, "/frames/2", OCTETS, 404),
        (CT, "/frames/2", PARTS.format(OCTETS), 404),
        (CT, "/frames/2/rendered", PNG, 404),
        (CT, "/frames/1,2/rendered", PNG, 404),
        (CT, "/bulkdata/00420011", OCTETS, 404),
        (CT, "/bulkdata/00420011", PARTS.format(OCTETS), 404),
        (instance(A, **BIT), "/frames/1", "image/jpeg", 406),
        (instance(A, **BIT), "/frames/1", PARTS.format("image/jpeg"), 406),
        (instance(A, **BIT), "", f"application/dicom; transfer-syntax={forms.JPEG_LOSSLESS_SV1}", 406),
        (instance(A, **TEXT), "/rendered", PNG, 400),
        (instance(A, **TEXT), "/frames/1", OCTETS, 400),
        (instance(A, **TEXT), "/rendered", PARTS.format(PNG), 400),
    ],
)
@pytest.mark.parametrize("name, value", [("if-none-match", "*"), ("if-match", '"x"'), ("if-match", "*")])
def test_a_condition_hides_no_error(
    gantry: Gantry, data: bytes, tail: str, accept: str, status: int, name: str, value: str
) -> None:
    """§13.2.1"""
    web = Web(gantry)
    web.stored(data)
    path = f"{uid_path(*uids_of(data))}{tail}"
    assert web.get(path, accept).status_code == status
    found = web.get(path, accept, headers={name: value})
    assert (found.status_code, "error" in found.json()) == (status, True)


@pytest.mark.parametrize("path, accept", [("studies", JSON), (uid_path(uids_of(CT)[0]), "")])
def test_what_has_no_tag_matches_none(web: Web, path: str, accept: str) -> None:
    assert "etag" not in web.get(path, accept).headers
    assert web.get(path, accept, headers={"if-match": '"x"'}).status_code == 412
    for headers in ({"if-match": "*"}, {"if-none-match": '"x"'}):
        assert web.get(path, accept, headers=headers).status_code == 200


def test_a_large_answer_that_is_not_sent_holds_no_file(gantry: Gantry) -> None:
    """It has begun when its conditions are looked at."""
    web, pixels = Web(gantry), bytes(6 << 20)
    web.stored(instance(A, Rows=2048, Columns=3072, PixelData=pixels))
    descriptors = Path(f"/proc/{gantry.server.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(30):
        assert web.get(uid_path(*A), ONE_AS_STORED, headers={"if-none-match": "*"}).status_code == 304
        assert web.get(uid_path(*A), ONE_AS_STORED, headers={"if-match": '"x"'}).status_code == 412
    assert len(list(descriptors.iterdir())) < before + 20


def test_another_version_of_the_program_has_other_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may write other metadata, and its codecs other pixels."""
    row = StoredInstance(*A, "1.2", forms.EXPLICIT_LE, "main/1", 10, "STANDARD", 1, 0, 1, 1, 2, 2, 8, 5, 6)
    before = metadata.make_etag(row, "frame")
    assert metadata.make_etag(row, "frame") == before
    monkeypatch.setattr(metadata, "IMPLEMENTATION_VERSION_NAME", "GANTRY_0.0.0")
    assert metadata.make_etag(row, "frame") != before
