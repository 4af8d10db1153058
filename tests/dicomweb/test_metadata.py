"""Metadata of studies, series and instances (PS3.18 §10.4.1.1.2; spec §10.3.5, §10.3.6)."""

from __future__ import annotations

import pydicom
import pytest

from tests.dicomweb.instances import EXPLICIT_LE, IMPLICIT_LE, instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.web import JSON, Web, parts_of, uid_path, value, values

A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.2", "1.2.1.2.1")
SOP_UID = "00080018"


@pytest.fixture
def web(gantry: Gantry) -> Web:
    made = Web(gantry)
    made.stored(instance(A, InstanceNumber=4), instance(B))
    return made


@pytest.mark.parametrize("path, found", [(A[:1], [A, B]), (A[:2], [A]), (B, [B])])
def test_every_instance_of_the_path(web: Web, path: tuple[str, ...], found: list[tuple[str, str, str]]) -> None:
    assert [value(item, SOP_UID) for item in web.metadata(uid_path(*path))] == [uids[2] for uids in found]


def test_the_file_meta_group_is_there(web: Web) -> None:
    """§10.3.5"""
    (found,) = web.metadata(uid_path(*A))
    assert value(found, "00020010") == "1.2.840.10008.1.2.1"
    assert value(found, "00020003") == A[2]
    assert found.keys() >= {"00020002", "00020012", "00020013"}
    assert not found.keys() & {"00020000", "00020001"}


def test_pixels_are_an_address_that_works(web: Web) -> None:
    """§10.3.6, PS3.18 §F.2.2"""
    (found,) = web.metadata(uid_path(*A))
    assert found["7FE00010"] == {"vr": "OB", "BulkDataURI": f"{web.url}/{uid_path(*A)}/bulkdata/7FE00010"}
    address = found["7FE00010"]["BulkDataURI"].removeprefix(f"{web.url}/")
    assert web.get(address, "application/octet-stream").content == b"\0\x50\xa0\xf0"


def test_addresses_have_the_version_of_the_request(gantry: Gantry) -> None:
    web = Web(gantry, "v1beta1")
    web.stored(instance(A))
    (found,) = web.metadata(uid_path(*A))
    assert found["7FE00010"]["BulkDataURI"].startswith(f"{gantry.server.url}/v1beta1/")


def test_what_host_the_client_names_does_not_matter(web: Web) -> None:
    """§12.4.1"""
    response = web.get(f"{uid_path(*A)}/metadata", headers={"host": "evil.localhost"})
    assert "evil" not in response.text and web.url in response.text


def test_xml(web: Web) -> None:
    """PS3.19 §A.1"""
    found = parts_of(web.get(f"{uid_path(A[0])}/metadata", 'multipart/related; type="application/dicom+xml"'))
    assert len(found) == 2 and {part.type for part in found} == {"application/dicom+xml"}
    address = f"{web.url}/{uid_path(*A)}/bulkdata/7FE00010"
    assert (
        f'<DicomAttribute tag="7FE00010" vr="OB" keyword="PixelData"><BulkData uri="{address}"/>'.encode()
        in found[0].data
    )


@pytest.mark.parametrize("path", [A[:1], A[:2], A])
def test_what_the_client_has_is_not_sent_again(web: Web, path: tuple[str, ...]) -> None:
    """RFC 9110 §13.1.2; the tag changes with what is there."""
    address = f"{uid_path(*path)}/metadata"
    first = web.get(address, JSON)
    etag = first.headers["etag"]
    assert web.get(address, JSON).content == first.content
    assert web.get(address, JSON).headers["etag"] == etag
    again = web.get(address, JSON, headers={"if-none-match": f'"x", W/{etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert web.get(address, JSON, headers={"if-none-match": '"x"'}).content == first.content
    assert web.get(address, 'multipart/related; type="application/dicom+xml"').headers["etag"] != etag
    if len(path) < 3:
        web.stored(instance((*A[:2], "1.2.1.1.9")))
        changed = web.get(address, JSON, headers={"if-none-match": etag})
        assert changed.status_code == 200 and changed.headers["etag"] != etag
        assert len(changed.json()) == len(first.json()) + 1
        web.gantry.call("DELETE", f"{web.root}/{uid_path(*A[:2], '1.2.1.1.9')}")
        assert len(web.get(address, JSON).json()) == len(first.json())


def test_what_is_remembered_is_no_one_elses(gantry: Gantry) -> None:
    """The same instance in two stores: the addresses in the answers differ."""
    web = Web(gantry)
    web.stored(instance(A))
    other = Web(gantry)
    other.root = f"v1/{gantry.new_store('other')}/dicomWeb"
    other.url = f"{gantry.server.url}/{other.root}"
    other.stored(instance(A))
    for each in (web, other, web, other):
        assert each.metadata(uid_path(*A))[0]["7FE00010"]["BulkDataURI"].startswith(each.url)


def test_imported_instances_have_the_same_metadata(gantry: Gantry) -> None:
    web = Web(gantry)
    data = packaged("CT_small.dcm")
    gantry.put(gantry.bucket, "a.dcm", data)
    gantry.import_("**")
    (found,) = web.metadata(uid_path(*uids_of(data)))
    assert value(found, "00100010") == {"Alphabetic": "CompressedSamples^CT1"}
    assert value(found, "00181151") == 170
    assert values(found, "00080008") == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_a_header_too_long_for_the_index_is_read_from_the_file(gantry: Gantry) -> None:
    """2 MB of short private elements."""
    from io import BytesIO

    import pydicom

    web = Web(gantry)
    ds = pydicom.dcmread(BytesIO(instance(A)))
    block = ds.private_block(0x0011, "GANTRY TEST", create=True)
    block.add_new(1, "UT", "x")
    for number in range(300):
        ds.add_new(0x00190000 + 0x1000 + number, "LT", "long text " * 800)
    ds.add_new(0x00190010, "LO", "GANTRY TEST")
    out = BytesIO()
    ds.save_as(out)
    web.stored(out.getvalue())
    (found,) = web.metadata(uid_path(*A))
    assert len(found) > 300
    (result,) = web.search("instances", includefield="all")
    assert len(result) > 300
    assert len(web.search("studies", PatientID="P1")) == 1


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_a_sequence_too_long_for_the_index_is_read_from_the_file(gantry: Gantry, syntax: str) -> None:
    """As the functional groups of a slide are; bulk data in it have addresses that answer."""
    web = Web(gantry)
    items = []
    for number in range(3000):
        item = pydicom.Dataset()
        item.ImageComments = f"{number:04} " + "x" * 400
        item.add_new(0x00091001, "OB", bytes((number % 256, 1)))
        items.append(item)
    data = instance(A, syntax, ReferencedImageSequence=items)
    assert len(data) > 1 << 20
    web.stored(data)
    (found,) = web.metadata(uid_path(*A))
    assert len(found["00081140"]["Value"]) == 3000
    assert found["00081140"]["Value"][2999]["00204000"]["Value"][0].startswith("2999 xxx")
    if syntax == EXPLICIT_LE:
        address = found["00081140"]["Value"][2999]["00091001"]["BulkDataURI"]
        assert web.get(address.partition("dicomWeb/")[2], "application/octet-stream").content == bytes((2999 % 256, 1))
