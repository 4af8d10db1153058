"""Every BulkDataURI that metadata gives answers with the bytes that the file holds (PS3.18 §10.4.1.1.5, §F.2.2).

In process for all files, over HTTP for those that are small. Values are little endian. Of a sequence that is no value
but bulk data (UN, private ones) all is given that stands between its head and its delimiter. Encapsulated pixel data
is given decoded, or refused with a status where that cannot be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.encaps import generate_frames

from gantry.dicom.bulk import Encapsulated, find_bulk, parse_bulk_path
from gantry.dicom.json_model import dicom_json
from gantry.errors import NotFound
from tests.dicomweb.test_bulkdata import addresses
from tests.pixels.instances import Opened
from tests.support.datasets import (
    CREATOR,
    EXPLICIT_UID,
    FILES,
    ICONS,
    JPEG_UID,
    PRIVATE,
    dataset,
    element,
    fragments,
    nested,
    number,
    part10,
    sequence,
)
from tests.support.files import CORPUS, WHY, content, header_bytes_of, made_names, parameters, real_names
from tests.support.gantry import Gantry
from tests.support.plain_reader import (
    BITS_ALLOCATED,
    EXPLICIT,
    PIXEL_DATA,
    Element,
    PlainFile,
    find,
    little_endian,
    number_of,
    read_file,
)
from tests.support.web import Web, uid_path

OCTETS = "application/octet-stream"
MOST_OVER_HTTP = 300_000
NOT_DECODED = {
    "FAILED_PRECONDITION": "the pixels are a video, on another server, or of a kind that no codec here reads",
    "INVALID_ARGUMENT": "the fragments are damaged, or do not fit what the header declares",
}


def paths_of(data: bytes) -> list[str]:
    """The addresses that DICOM JSON gives, without what they begin with."""
    found = addresses(json.loads(dicom_json(header_bytes_of(data), "u")))
    assert all(address.startswith("u/") for address in found)
    return [address.removeprefix("u/") for address in found]


def candidates(file: PlainFile, path: str) -> list[Element]:
    """The elements that an address can mean: several where a tag stands twice."""
    parsed = parse_bulk_path(path)
    return find((*file.meta, *file.elements), parsed)


def wrong(data: bytes, file: PlainFile, path: str) -> str:
    """What is wrong with the value at an address; "" for nothing."""
    meant = candidates(file, path)
    if not meant:
        return f"{path}: the file has no such element"
    found = find_bulk(Opened(data), parse_bulk_path(path))
    if isinstance(found, Encapsulated) and len(found.path) > 1:
        fits = found.path == parse_bulk_path(path) and all(each.fragments is not None for each in meant)
        return "" if fits else f"{path}: {found} is not where the fragments are"
    if isinstance(found, Encapsulated):
        if len(parse_bulk_path(path)) > 1 and any(each.fragments is not None for each in meant):
            return ""  # an icon: decoded from where it is; over HTTP the answer is looked at
        whole = [file.start + each.start for each in meant if each.fragments is not None]
        inside = data[found.start : found.end - 8] in [each.value for each in meant]
        return "" if found.start in whole and inside else f"{path}: {found} is not where the fragments are"
    given = found if isinstance(found, bytes) else found[0 : len(found)]
    bits = number_of(file.elements, BITS_ALLOCATED)
    if any(each.fragments is not None for each in meant):
        return f"{path}: raw items" if given[:4] == b"\xfe\xff\x00\xe0" else ""
    expected = [little_endian(each, bits) for each in meant]
    return "" if given in expected else f"{path}: {len(given)} bytes {given[:40]!r}, not {expected[0][:40]!r}"


def all_wrong(data: bytes) -> list[str]:
    file = read_file(data)
    return list(filter(None, (wrong(data, file, path) for path in paths_of(data))))


@pytest.mark.parametrize("name", parameters(*made_names(), *real_names()))
def test_every_address_has_its_bytes(name: str) -> None:
    assert all_wrong(content(name)) == []


@pytest.mark.parametrize(
    ("name", "least"), [("private-explicit", 3), ("implicit-parts-explicit", 3), ("placeholder-vrs-explicit", 4)]
)
def test_there_are_addresses_in_what_is_made_for_them(name: str, least: int) -> None:
    assert len(paths_of(FILES[name])) >= least


@pytest.mark.parametrize("name", parameters(*made_names(), *real_names()))
def test_every_binary_element_has_a_value_or_an_address(name: str) -> None:
    """OB, OW and UN of the top level that hold something: none is as if empty."""
    data = content(name)
    json_model = json.loads(dicom_json(header_bytes_of(data), "u"))
    for each in read_file(data).elements:
        if each.value and each.vr in ("OB", "OW", "UN") and each.tag & 0xFFFF and each.tag != 0xFFFCFFFC:
            member = json_model[f"{each.tag:08X}"]
            assert member.keys() & {"BulkDataURI", "InlineBinary", "Value"}, member


# Inside of sequences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [1, 5, 31, 40, 100, 149])
@pytest.mark.parametrize("defined", [True, False])
def test_addresses_of_any_depth_can_be_fetched(levels: int, defined: bool) -> None:
    """Whatever the metadata gives an address of, however long that becomes."""
    inner = [element(CREATOR, "LO", "MAKER ", EXPLICIT), element(PRIVATE, "OB", b"abcd", EXPLICIT)]
    made = sequence(0x00400275, [[], inner], EXPLICIT, defined=defined)
    for _ in range(levels - 1):
        made = sequence(0x00400275, [[], [made]], EXPLICIT, defined=defined)
    data = part10(dataset([made], EXPLICIT), EXPLICIT_UID)
    assert len(paths_of(data)) == 2 and all_wrong(data) == []


def test_a_sequence_that_the_index_leaves_out_is_found_by_its_own_addresses() -> None:
    """Items of a sequence of more than a megabyte are in no index, so nothing gives addresses below it."""
    items = [[element(CREATOR, "LO", "MAKER ", EXPLICIT), element(PRIVATE, "OB", bytes(4000), EXPLICIT)]] * 300
    data = part10(dataset([sequence(0x54000100, items, EXPLICIT)], EXPLICIT), EXPLICIT_UID)
    assert all_wrong(data) == []


def test_a_compressed_icon_is_decoded_or_given_as_fragments() -> None:
    """PS3.3 §C.7.6.1.1.6: raw item tags are neither."""
    data = with_icon()
    assert [path for path in paths_of(data) if path.startswith("00880200/0/")] == ["00880200/0/7FE00010"]
    assert all_wrong(data) == []


def with_icon() -> bytes:
    jpeg = pydicom.dcmread(BytesIO(content("pydicom:test_files/SC_rgb_jpeg_dcmtk.dcm")))
    frame = next(generate_frames(jpeg.PixelData, number_of_frames=1))
    frame += b"\0" * (len(frame) % 2)
    numbers = {2: 3, 6: 0, 0x10: jpeg.Rows, 0x11: jpeg.Columns, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
    icon = [number(0x00280000 | tag, value, EXPLICIT) for tag, value in sorted(numbers.items())]
    icon.insert(1, element(0x00280004, "CS", "YBR_FULL_422", EXPLICIT))
    more = [sequence(ICONS, [[*icon, fragments(PIXEL_DATA, [frame])]], EXPLICIT)]
    return part10(dataset(more, EXPLICIT, pixels=fragments(PIXEL_DATA, [frame])), JPEG_UID)


# What is not there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", made_names())
def test_what_is_not_there_is_not_found(name: str) -> None:
    data = content(name)
    file = read_file(data)
    for path in ("00091077", "00400275/9/00091001", "00100010/0/00091001", "00020177", "7FE00009"):
        if not candidates(file, path):
            with pytest.raises(NotFound):
                find_bulk(Opened(data), parse_bulk_path(path))


# Over HTTP ------------------------------------------------------------------------------------------------------------


def small(names: tuple[str, ...]) -> Iterator[str]:
    """One of each UIDs, and none that takes long."""
    seen = set()
    for name in names:
        data = content(name)
        if len(data) < MOST_OVER_HTTP and (uids := read_file(data).uids) not in seen:
            seen.add(uids)
            yield name


@pytest.mark.parametrize("name", made_names())
def test_made_files_over_http(gantry: Gantry, name: str) -> None:
    assert fetched_wrong(Web(gantry), content(name)) == []


def test_an_icon_over_http(gantry: Gantry) -> None:
    assert fetched_wrong(Web(gantry), with_icon()) == []


@pytest.mark.slow
def test_the_files_of_pydicom_over_http(gantry: Gantry) -> None:
    names = list(small(tuple(name for name in real_names() if name.startswith("pydicom:"))))
    assert len(names) > 40
    web = Web(gantry)
    assert [(name, found) for name in names if (found := fetched_wrong(web, content(name)))] == []


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason=WHY)
def test_the_corpus_over_http(gantry: Gantry) -> None:
    names = list(small(tuple(name for name in real_names() if name.startswith("corpus:ok/"))))
    assert len(names) > 100
    web = Web(gantry)
    assert [(name, found) for name in names if (found := fetched_wrong(web, content(name)))] == []


def fetched_wrong(web: Web, data: bytes) -> list[str]:
    """Store it and fetch every address of its metadata."""
    file = read_file(data)
    response = web.store(data)
    assert response.status_code in (200, 409), response.text
    path = uid_path(*file.uids)
    response = web.get(f"{path}/metadata", "application/dicom+json")
    if response.status_code != 200:
        return [response.text]
    bits = number_of(file.elements, BITS_ALLOCATED)
    found = []
    for address in addresses(response.json()[0]):
        inside = address.removeprefix(f"{web.url}/{path}/bulkdata/")
        answer = web.get(address.removeprefix(f"{web.url}/"), OCTETS)
        found.append(_wrong_answer(candidates(file, inside), answer, bits, inside))
    return list(filter(None, found))


def _wrong_answer(meant: list[Element], answer: Any, bits: int, path: str) -> str:
    if not meant:
        return f"{path}: the file has no such element"
    encapsulated = any(each.fragments is not None for each in meant)
    if answer.status_code != 200:
        status = answer.json()["error"]["status"]
        return "" if encapsulated and status in NOT_DECODED else f"{path}: {answer.status_code} {answer.text}"
    if encapsulated:
        return f"{path}: raw items" if answer.content[:4] == b"\xfe\xff\x00\xe0" else ""
    expected = [little_endian(each, bits) for each in meant]
    return "" if answer.content in expected else f"{path}: {answer.content[:40]!r}, not {expected[0][:40]!r}"


def test_a_nested_value_is_named_by_its_path() -> None:
    """The innermost CodeValue is text and has no address; nothing of its way has one either."""
    assert paths_of(part10(dataset([nested(50, EXPLICIT)], EXPLICIT), EXPLICIT_UID)) == ["7FE00010"]


def test_pixel_data_that_is_called_a_sequence_is_its_bytes() -> None:
    """Somebody may write any VR before any tag."""
    data = part10(dataset([], EXPLICIT, pixels=sequence(PIXEL_DATA, [], EXPLICIT, defined=False)), EXPLICIT_UID)
    assert all_wrong(data) == []
