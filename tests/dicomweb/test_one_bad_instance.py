"""One instance with a broken inside among whole ones: the whole ones are answered as if it were not there.

The bad one is there too, with the rest of its header, or is named where something is done to every instance. It is
stored first, so that study and series are described by it alone until the others come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

import pydicom
import pytest

from tests.dicom.test_round_trips import GARBAGE
from tests.dicomweb.instances import instance
from tests.dicomweb.test_every_bulk_uri import fetched_wrong
from tests.dicomweb.test_search_inside import items
from tests.dicomweb.test_update_below import DESCRIPTION, patched
from tests.support.datasets import (
    EXPLICIT_UID,
    IMPLICIT_UID,
    PROCEDURES,
    REQUESTS,
    Made,
    dataset,
    element,
    nested,
    part10,
    sequence,
)
from tests.support.gantry import Gantry
from tests.support.plain_reader import EXPLICIT, IMPLICIT, Encoding
from tests.support.server import GantryServer, Json, counts
from tests.support.web import JSON, Web, parts_of, uid_path, value, values

STUDY, FIRST, SECOND = "1.2.7", "1.2.7.1", "1.2.7.2"
BAD = (STUDY, FIRST, "1.2.7.1.99")
GOOD = ((STUDY, FIRST, "1.2.7.1.1"), (STUDY, FIRST, "1.2.7.1.2"), (STUDY, SECOND, "1.2.7.2.1"))
OTHER = ("1.2.8", "1.2.8.1", "1.2.8.1.1")
Kind = Callable[[Encoding], list[Made]]


def _inside(tag: int, value: bytes) -> Kind:
    return lambda encoding: [element(tag, "SQ", value, encoding)]


def _deeper(encoding: Encoding) -> list[Made]:
    """In an item of a sequence that is whole but for it."""
    broken = element(0x00400008, "SQ", GARBAGE["an element longer than its item"], encoding)
    return [sequence(REQUESTS, [[broken, element(0x00401001, "SH", "RP1 ", encoding)]], encoding)]


def _numbers(encoding: Encoding) -> list[Made]:
    return [element(0x00200011, "IS", "9" * 5000, encoding), element(0x00200013, "IS", "7" * 5000, encoding)]


def _undefined(encoding: Encoding) -> list[Made]:
    """An item of defined length that is broken, in a sequence of undefined length."""
    item = b"\xfe\xff\x00\xe0\x0c\0\0\0\x08\0\0\x01\x40\0\0\0abcd"
    made = sequence(REQUESTS, [], encoding, defined=False)[1]
    return [(REQUESTS, made[:-8] + item + made[-8:])]


KINDS: dict[str, tuple[Kind, Encoding]] = {
    **{f"procedures, {name}": (_inside(PROCEDURES, value), EXPLICIT) for name, value in GARBAGE.items()},
    **{f"requests, {name}": (_inside(REQUESTS, value), EXPLICIT) for name, value in GARBAGE.items()},
    "procedures, implicit": (_inside(PROCEDURES, GARBAGE["an element longer than its item"]), IMPLICIT),
    "requests, implicit": (_inside(REQUESTS, GARBAGE["an item longer than its sequence"]), IMPLICIT),
    "references": (_inside(0x00081140, GARBAGE["no item"]), EXPLICIT),
    "requests, deeper": (_deeper, EXPLICIT),
    "requests, undefined": (_undefined, EXPLICIT),
    "5,000 digits": (_numbers, EXPLICIT),
    "1e400": (lambda encoding: [element(0x00180050, "DS", "1e400 ", encoding)], EXPLICIT),
    "200 levels": (lambda encoding: [nested(200, encoding)], EXPLICIT),
    "200 levels, undefined": (lambda encoding: [nested(200, encoding, defined=False)], EXPLICIT),
    "500 levels": (lambda encoding: [nested(500, encoding)], EXPLICIT),
    "500 levels, undefined": (lambda encoding: [nested(500, encoding, defined=False)], IMPLICIT),
}
FEW = (
    *("procedures, no item", "requests, an element longer than its item", "requests, implicit", "5,000 digits"),
    *("1e400", "200 levels", "500 levels, undefined"),
)


class Scene(NamedTuple):
    """``bad`` is in the store, unless it was refused by name."""

    web: Web
    bad: bytes
    accepted: bool

    @property
    def present(self) -> set[tuple[str, str, str]]:
        return {*GOOD, BAD} if self.accepted else set(GOOD)


def bad_instance(kind: str) -> bytes:
    make, encoding = KINDS[kind]
    more = [*make(encoding), element(0x00081090, "LO", "Machine ", encoding)]
    tags = {tag for tag, _ in more}
    if 0x00200011 not in tags:
        more.append(element(0x00200011, "IS", "1 ", encoding))
    body = dataset(more, encoding, uids=BAD)
    return part10(body, EXPLICIT_UID if encoding is EXPLICIT else IMPLICIT_UID, sop=BAD[2])


def good_instance(uids: tuple[str, str, str]) -> bytes:
    more: dict[str, Any] = {
        "ProcedureCodeSequence": items({"CodeValue": "C1", "CodingSchemeDesignator": "99X", "CodeMeaning": "Knee"}),
        "RequestAttributesSequence": items({"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "SPS1"}),
        "StudyDate": "20240102",
        "SliceThickness": "1.5",
        "SeriesNumber": "1",
        "InstanceNumber": uids[2].rpartition(".")[2],
        "ManufacturerModelName": "Machine",
    }
    return instance(uids, PatientName="Doe^Jane", charset="ISO_IR 100", StudyDescription="Old", **more)


def build(gantry: Gantry, kind: str) -> Scene:
    web, bad = Web(gantry, "v1beta1"), bad_instance(kind)
    answer = web.store(bad)
    accepted = answer.status_code == 200
    assert accepted or ("levels" in kind and BAD[2] in answer.text), answer.text
    web.stored(*(good_instance(uids) for uids in (*GOOD, OTHER)))
    return Scene(web, bad, accepted)


@pytest.fixture(scope="module", params=KINDS)
def scene(server: GantryServer, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """For tests that change nothing. The server meets no error that it did not expect."""
    before = len(server.log_text())
    yield build(Gantry(server), request.param)
    written = server.log_text()[before:]
    assert "Traceback" not in written, written[:3000]


@pytest.fixture(params=FEW)
def own(gantry: Gantry, request: pytest.FixtureRequest) -> Scene:
    return build(gantry, request.param)


def uids_in(found: list[Json]) -> set[tuple[str, str, str]]:
    return {(value(each, "0020000D"), value(each, "0020000E"), value(each, "00080018")) for each in found}


def whole(member: Json) -> bool:
    """What a good instance is described with."""
    (procedure,), (request,) = values(member, "00081032"), values(member, "00400275")
    name = value(member, "00100010")["Alphabetic"]
    return (name, value(procedure, "00080100"), value(request, "00401001")) == ("Doe^Jane", "C1", "RP1")


# Metadata -------------------------------------------------------------------------------------------------------------


def test_metadata_of_the_bad_one_has_the_rest_of_its_header(scene: Scene) -> None:
    if scene.accepted:
        (found,) = scene.web.metadata(uid_path(*BAD))
        assert value(found, "00100010") == {"Alphabetic": "Doe^Jane"}
        assert (value(found, "00100020"), value(found, "00081090")) == ("P1", "Machine")
        assert "BulkDataURI" in found["7FE00010"] or "InlineBinary" in found["7FE00010"]


def test_its_bulk_data_can_be_fetched(scene: Scene) -> None:
    if scene.accepted:
        assert fetched_wrong(scene.web, scene.bad) == []


@pytest.mark.parametrize("path", [uid_path(STUDY), uid_path(STUDY, FIRST)])
def test_metadata_of_the_whole(scene: Scene, path: str) -> None:
    found = scene.web.metadata(path)
    series = {FIRST} if FIRST in path else {FIRST, SECOND}
    assert uids_in(found) == {uids for uids in scene.present if uids[1] in series}
    assert all(whole(each) for each in found if value(each, "00080018") != BAD[2])


def test_metadata_as_xml(scene: Scene) -> None:
    response = scene.web.get(f"{uid_path(STUDY)}/metadata", 'multipart/related; type="application/dicom+xml"')
    parts = parts_of(response)
    assert len(parts) == len(scene.present)
    assert all(any(uids[2].encode() in part.data for part in parts) for uids in GOOD)


# Searches -------------------------------------------------------------------------------------------------------------


def test_the_study_has_its_attributes(scene: Scene) -> None:
    """Those of the bad one too, as it was the first: one attribute may be missing and no more."""
    found = {value(each, "0020000D"): each for each in scene.web.search("studies", includefield="all")}
    assert found.keys() == {STUDY, OTHER[0]}
    study = found[STUDY]
    assert value(study, "00100010") == {"Alphabetic": "Doe^Jane"}
    assert (value(study, "00100020"), value(study, "00080020")) == ("P1", "20240102")
    assert value(study, "00201208") == len(scene.present)


@pytest.mark.parametrize(
    "query", [{"PatientName": "Doe^Jane"}, {"PatientID": "P1"}, {"StudyDate": "20240101-20240103"}]
)
def test_the_study_is_found(scene: Scene, query: dict[str, str]) -> None:
    found = {value(each, "0020000D") for each in scene.web.search("studies", **query)}
    assert found == {STUDY, OTHER[0]}


@pytest.mark.parametrize("fields", ["all", "00081032", "00400275", "00081140", "00180050", "00200011", "00200013"])
def test_searches_at_all_levels_with_more_fields(scene: Scene, fields: str) -> None:
    web = scene.web
    assert len(web.search("studies", includefield=fields)) == 2
    for path in ("series", f"{uid_path(STUDY)}/series"):
        found = {value(each, "0020000E") for each in web.search(path, includefield=fields)}
        assert {FIRST, SECOND} <= found
    for path in ("instances", f"{uid_path(STUDY)}/instances", f"{uid_path(STUDY, FIRST)}/instances"):
        found = uids_in(web.search(path, includefield=fields))
        assert {uids for uids in scene.present if FIRST in uids} <= found
    for each in web.search(f"{uid_path(STUDY)}/instances", includefield="all"):
        assert value(each, "00080018") == BAD[2] or whole(each)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("instances", {"ProcedureCodeSequence.CodeValue": "C1"}),
        ("instances", {"00081032.00080104": "kne*"}),
        ("instances", {"RequestAttributesSequence.RequestedProcedureID": "RP1"}),
        ("instances", {"SliceThickness": "1.5"}),
        ("instances", {"ReferencedImageSequence.ReferencedSOPInstanceUID": "1.2.3"}),
        ("series", {"RequestAttributesSequence.RequestedProcedureID": "RP1"}),
    ],
)
def test_searches_inside_of_the_study(scene: Scene, path: str, query: dict[str, str]) -> None:
    found = scene.web.search(f"{uid_path(STUDY)}/{path}", **query)
    if path == "series":  # a series is described by its first instance, which is the bad one in the first
        assert {SECOND} <= {value(each, "0020000E") for each in found} <= {FIRST, SECOND}
    elif "ReferencedImageSequence.ReferencedSOPInstanceUID" in query:
        assert found == []
    else:
        assert set(GOOD) <= uids_in(found) <= {*GOOD, BAD}


# Retrieval and pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", ["", "*", IMPLICIT_UID, EXPLICIT_UID])
def test_good_instances_are_retrieved(scene: Scene, syntax: str) -> None:
    accept = 'multipart/related; type="application/dicom"' + (f"; transfer-syntax={syntax}" if syntax else "")
    for uids in GOOD:
        (part,) = parts_of(scene.web.get(uid_path(*uids), accept))
        assert pydicom.dcmread(BytesIO(part.data)).SOPInstanceUID == uids[2]
    response = scene.web.get(uid_path(STUDY), accept)
    if response.status_code != 200:
        assert BAD[2] in response.text and "Traceback" not in response.text and syntax != "*", response.text
        return
    found = {part.location.rpartition("/")[2] or part.data for part in parts_of(response)}
    left_out = response.headers.get("warning", "")
    assert len(found) == len(scene.present) - bool(left_out)
    assert not left_out or BAD[2] in left_out


def test_pages_of_the_console(scene: Scene) -> None:
    base = f"console/{scene.web.gantry.store}/studies"
    for path in ("", f"/{STUDY}", f"/{STUDY}/series/{FIRST}", f"/{STUDY}/series/{SECOND}"):
        response = scene.web.gantry.request("GET", base + path)
        assert response.status_code == 200 and STUDY in response.text, (path, response.text[:1000])
    for study, series, sop in sorted(scene.present):
        response = scene.web.gantry.request("GET", f"{base}/{study}/series/{series}/instances/{sop}")
        assert response.status_code == 200 and "Doe^Jane" in response.text, response.text[:1000]


# Operations -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime_type", "extension"),
    [
        (f"application/dicom; transfer-syntax={IMPLICIT_UID}", ".dcm"),
        (f"application/dicom; transfer-syntax={EXPLICIT_UID}", ".dcm"),
        ("image/jpeg", ".jpg"),
    ],
)
def test_exports_have_all_good_instances(scene: Scene, mime_type: str, extension: str) -> None:
    gantry, folder = scene.web.gantry, mime_type.replace("/", "-")[-12:]
    destination = {"uriPrefix": f"gs://{gantry.out}/{folder}", "mimeType": mime_type}
    operation = gantry.export("x", gcsDestination=destination)
    objects = {key for key in gantry.objects(gantry.out) if key.startswith(folder)}
    assert {f"{folder}/{'/'.join(uids)}{extension}" for uids in (*GOOD, OTHER)} <= objects
    success, failure = counts(operation)
    assert (success, success + failure) == (len(objects), len(scene.present) + 1)
    for source, status in gantry.failures(operation).items():
        assert BAD[2] in source
        assert not any(word in status["message"] for word in ("Traceback", "pydicom", "Error", "/src/"))


def test_a_change_of_the_whole_study(own: Scene) -> None:
    """v1beta1: an unreadable instance is its own failure, not that of the operation."""
    operation = patched(own.web, uid_path(STUDY), DESCRIPTION)
    success, failure = counts(operation)
    assert success >= len(GOOD) and success + failure == len(own.present)
    if failure:
        ((source, status),) = own.web.gantry.failures(operation).items()
        assert BAD[2] in source and status["code"] != 13 and "Traceback" not in status["message"]
    for uids in GOOD:
        (found,) = own.web.metadata(uid_path(*uids))
        assert value(found, "00081030") == "New knee" and whole(found)
    assert uids_in(own.web.metadata(uid_path(STUDY))) == own.present


def test_a_change_of_the_bad_one_keeps_the_rest_of_it(own: Scene) -> None:
    response = own.web.gantry.request("PATCH", f"{own.web.root}/{uid_path(*BAD)}/metadata", json=[DESCRIPTION])
    if not own.accepted:
        assert response.status_code == 404
    elif response.status_code == 200:
        (found,) = own.web.metadata(uid_path(*BAD))
        assert (value(found, "00081030"), value(found, "00081090")) == ("New knee", "Machine")
        assert fetched_pixels(own.web) == b"\0\x50\xa0\xf0"
    else:
        assert response.status_code == 400 and "Traceback" not in response.text
    assert uids_in(own.web.metadata(uid_path(STUDY))) == own.present


def fetched_pixels(web: Web) -> bytes:
    return web.get(f"{uid_path(*BAD)}/bulkdata/7FE00010", "application/octet-stream").content


def test_good_instances_that_come_later_by_an_import_are_described(own: Scene) -> None:
    gantry, late = own.web.gantry, (STUDY, FIRST, "1.2.7.1.3")
    gantry.put(gantry.bucket, "late.dcm", good_instance(late))
    assert counts(gantry.import_("late.dcm")) == (1, 0)
    assert uids_in(own.web.metadata(uid_path(STUDY))) == own.present | {late}


@pytest.mark.slow
def test_an_import_of_it_among_others(gantry: Gantry) -> None:
    for number, kind in enumerate(FEW):
        gantry.put(gantry.bucket, f"{number}/bad.dcm", bad_instance(kind))
        gantry.put(gantry.bucket, f"{number}/good.dcm", good_instance(GOOD[0]))
        store = gantry.new_store(f"store{number}")
        success, failure = counts(gantry.import_(f"{number}/*", store=store))
        assert (success, failure) == (2, 0) or ("levels" in kind and (success, failure) == (1, 1)), kind


def test_the_bad_one_can_be_deleted(own: Scene) -> None:
    web = own.web
    if own.accepted:
        assert web.gantry.request("DELETE", f"{web.root}/{uid_path(*BAD)}").status_code == 200
    assert uids_in(web.metadata(uid_path(STUDY))) == set(GOOD)
    study = next(each for each in web.search("studies") if value(each, "0020000D") == STUDY)
    assert value(study, "00100010") == {"Alphabetic": "Doe^Jane"}


def test_the_study_can_be_deleted(own: Scene) -> None:
    web = own.web
    web.gantry.wait(web.gantry.call("DELETE", f"{web.root}/{uid_path(STUDY)}")["name"], version="v1beta1")
    assert web.get(f"{uid_path(STUDY)}/metadata", JSON).status_code == 404
    assert {value(each, "0020000D") for each in web.search("studies")} == {OTHER[0]}
