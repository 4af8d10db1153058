"""dicomweb-client and dcmjs of npm, unmodified, in a page of another origin (CORS), with a token and without."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
import pytest
from PIL import Image

from tests.clients.npm import fetch, pages
from tests.clients.ohif import ARGUMENTS, CHROMIUM
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.access import ADMIN, Guarded
from tests.support.missing import not_tested
from tests.support.replicas import start_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).parent / "programs" / "page.js"
PACKAGES = {
    "dicomweb-client.js": ("dicomweb-client@0.11.3", "build/dicomweb-client.js"),
    "dcmjs.js": ("dcmjs@0.51.1", "build/dcmjs.min.js"),
}
SCRIPTS = "".join(f'<script src="{name}"></script>' for name in (*PACKAGES, PROGRAM.name))
A, B = ("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2")
FILES = [instance(A, PatientName="Doe^John", StudyDescription="Röntgen"), instance(B)]
WHERE = dict(zip(("studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"), A, strict=True))
STUDY, SERIES = {"studyInstanceUID": A[0]}, {"studyInstanceUID": A[0], "seriesInstanceUID": A[1]}
PIXELS = b"\0\x50\xa0\xf0"
DATASET = "projects/p/locations/us-central1/datasets/d"


class Page(NamedTuple):
    """A page and the DICOMweb address and the token that it uses; "" for none."""

    page: Any
    url: str
    token: str = ""

    def call(self, method: str, **options: Any) -> Any:
        """What DICOMwebClient's method gives; its status where that is an error."""
        request = {"url": self.url, "token": self.token, "method": method, "options": options}
        found = self.page.evaluate("call", request)
        return found.get("result", found)

    def run(self, function: str, argument: Any) -> Any:
        return self.page.evaluate(function, argument)


def packed(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def unpacked(found: dict[str, str]) -> bytes:
    return base64.b64decode(found["base64"])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    home = tmp_path_factory.mktemp("page")
    for name, (package, member) in PACKAGES.items():
        fetch(package, member, home / name)
    (home / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    (home / "index.html").write_text(f"<!doctype html><title>Page</title>{SCRIPTS}")
    with pages(home) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        not_tested("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=["", ADMIN], ids=["open", "guarded"])
def store(
    request: pytest.FixtureRequest, browser: Any, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A store in a server that allows the page, which has stored FILES there."""
    home = tmp_path_factory.mktemp("store")
    settings = {"GANTRY_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}"}
    if request.param:
        guarded = Guarded(home, **settings)
        server, token = guarded.server, guarded.tokens[ADMIN]
    else:
        server, token = start_server(home / "data", home / "buckets", env=settings), ""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    for path in (f"{DATASET.removesuffix('/d')}?datasetId=d", f"{DATASET}/dicomStores?dicomStoreId=s"):
        assert server.request("POST", f"v1/{path}", headers=headers).status_code == 200
    with on_page(browser, f"http://127.0.0.1:{port}/") as page:
        made = Page(page, f"{server.url}/v1/{DATASET}/dicomStores/s/dicomWeb", token)
        stored = str(made.call("storeInstances", datasets=[packed(data) for data in FILES]))
        assert A[2] in stored and B[2] in stored, stored
        yield made
    server.stop()


@contextmanager
def on_page(browser: Any, address: str) -> Iterator[Any]:
    page = browser.new_page()
    page.goto(address)
    yield page
    page.close()


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(data))


def test_searches(store: Page) -> None:
    (study,) = store.call("searchForStudies", queryParams={"PatientName": "Doe*", "StudyInstanceUID": A[0]})
    assert study["0020000D"]["Value"] == [A[0]]
    assert [found["0020000E"]["Value"] for found in store.call("searchForSeries", **STUDY)] == [[A[1]]]
    assert len(store.call("searchForSeries", queryParams={"SeriesInstanceUID": A[1]})) == 1
    found = store.call("searchForInstances", **SERIES, queryParams={"includefield": "all"})
    assert [each["00080018"]["Value"] for each in found] == [[A[2]], [B[2]]]
    assert store.call("searchForStudies", queryParams={"PatientID": "nobody"}) == []


def test_metadata(store: Page) -> None:
    assert len(store.call("retrieveStudyMetadata", **STUDY)) == len(store.call("retrieveSeriesMetadata", **SERIES)) == 2
    found = store.call("retrieveInstanceMetadata", **WHERE)
    found = found[0] if isinstance(found, list) else found
    assert found["00081030"]["Value"] == ["Röntgen"]
    address = found["7FE00010"]["BulkDataURI"]
    (value,) = store.call("retrieveBulkData", BulkDataURI=address)
    assert unpacked(value) == PIXELS


def test_files(store: Page) -> None:
    assert unpacked(store.call("retrieveInstance", **WHERE)) == FILES[0]
    for method, where in (("retrieveSeries", SERIES), ("retrieveStudy", STUDY)):
        found = store.call(method, **where)
        assert sorted(map(unpacked, found)) == sorted(FILES)


def test_frames(store: Page) -> None:
    (frame,) = store.call("retrieveInstanceFrames", **WHERE, frameNumbers=[1])
    assert unpacked(frame) == PIXELS
    data = packaged("MR_small_RLE.dcm")
    assert "result" not in store.call("storeInstances", datasets=[packed(data)])
    where = dict(zip(WHERE, uids_of(data), strict=True))
    octets = {"mediaType": "application/octet-stream", "transferSyntaxUID": "1.2.840.10008.1.2.1"}
    (frame,) = store.call("retrieveInstanceFrames", **where, frameNumbers=[1], mediaTypes=[octets])
    assert unpacked(frame) == read(data).pixel_array.tobytes()
    lossless = {"mediaType": "image/jls", "transferSyntaxUID": "1.2.840.10008.1.2.4.80"}
    (frame,) = store.call("retrieveInstanceFrames", **where, frameNumbers=[1], mediaTypes=[lossless])
    assert unpacked(frame).startswith(b"\xff\xd8\xff\xf7")


def test_pictures(store: Page) -> None:
    png, jpeg = ({"mediaTypes": [{"mediaType": kind}]} for kind in ("image/png", "image/jpeg"))
    frames = {"frameNumbers": [1]}
    methods = {
        "retrieveInstanceRendered": WHERE,
        "retrieveInstanceThumbnail": WHERE,
        "retrieveInstanceFramesRendered": WHERE | frames,
        "retrieveInstanceFramesThumbnail": WHERE | frames,
    }
    for method, where in methods.items():
        for kind, start in ((png, b"\x89PNG"), (jpeg, b"\xff\xd8")):
            (picture,) = store.call(method, **where, **kind)
            assert unpacked(picture).startswith(start), method
    (picture,) = store.call("retrieveInstanceRendered", **WHERE, **png, queryParams={"viewport": [40, 30]})
    assert max(Image.open(BytesIO(unpacked(picture))).size) in (30, 40)


def test_store_into_a_study(store: Page) -> None:
    """What belongs to another study is refused, and the page learns so."""
    uids = "1.2.4", "1.2.4.1", "1.2.4.1.1"
    stored = store.call("storeInstances", datasets=[packed(instance(uids))], studyInstanceUID=uids[0])
    assert uids[2] in str(stored)
    refused = store.call("storeInstances", datasets=[packed(instance(uids))], studyInstanceUID="1.2.5")
    assert refused == {"status": 409}


def test_errors_reach_the_page(store: Page) -> None:
    """Their status: not there, and not signed in where somebody must be."""
    where = {"studyInstanceUID": "1.9", "seriesInstanceUID": "1.9.1", "sopInstanceUID": "1.9.1.1"}
    assert store.call("retrieveInstance", **where) == {"status": 404}
    assert store.call("searchForStudies", queryParams={"NoSuchAttribute": "1"}) == {"status": 400}
    nobody = store._replace(token="").call("searchForStudies", queryParams={"StudyInstanceUID": A[0]})
    assert nobody == {"status": 401} if store.token else len(nobody) == 1


def test_a_page_that_is_not_allowed(browser: Any, port: int, store: Page) -> None:
    """The same page by another name is another origin: it gets no answer, and stores nothing."""
    uids = "1.2.6", "1.2.6.1", "1.2.6.1.1"
    with on_page(browser, f"http://localhost:{port}/") as page:
        other = store._replace(page=page)
        assert other.call("searchForStudies") == {"status": 0}
        assert other.call("storeInstances", datasets=[packed(instance(uids))]) == {"status": 0}
    assert store.call("searchForStudies", queryParams={"StudyInstanceUID": uids[0]}) == []


NATURAL = {
    "SpecificCharacterSet": "ISO_IR 192",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
    "Modality": "OT",
    "PatientName": [{"Alphabetic": "Müller^Jörg", "Ideographic": "山田^太郎"}],
    "PatientID": "P5",
    "StudyDescription": "made by dcmjs",
    "ImageType": ["DERIVED", "PRIMARY"],
    "PixelSpacing": [0.5, 0.25],
    "RequestAttributesSequence": [{"RequestedProcedureID": "RP1", "ScheduledProcedureStepID": "S1"}],
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 2,
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
}


def test_a_file_that_dcmjs_writes(store: Page) -> None:
    """It is stored, comes back byte by byte, and means the same to dcmjs, to pydicom and in the server's JSON."""
    uids = ("1.2.8.1", "1.2.8.1.1", "1.2.8.1.1.1") if store.token else ("1.2.8.2", "1.2.8.2.1", "1.2.8.2.1.1")
    where = dict(zip(WHERE, uids, strict=True))
    named = dict(zip(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), uids, strict=True))
    pixels = bytes(range(8))
    file = store.run("write", NATURAL | named | {"PixelData": packed(pixels)})
    assert uids[2] in str(store.call("storeInstances", datasets=[file]))
    back = store.call("retrieveInstance", **where)
    assert unpacked(back) == unpacked(file)
    natural = store.run("read", back)
    assert {key: natural[key] for key in NATURAL} == NATURAL
    assert unpacked(natural["PixelData"][0]) == pixels
    ds = read(unpacked(back))
    assert ds.PatientName.ideographic == "山田^太郎" and ds.PixelSpacing == [0.5, 0.25] and ds.PixelData == pixels
    (study,) = store.call("searchForStudies", queryParams={"PatientID": "P5", "StudyInstanceUID": uids[0]})
    assert study["00100010"]["Value"][0]["Alphabetic"] == "Müller^Jörg"


def test_metadata_that_dcmjs_makes_natural_and_back(store: Page) -> None:
    """What it gives back is what the server sent: every element that has values, its VR and the values."""
    data = packaged("CT_small.dcm")
    assert uids_of(data)[2] in str(store.call("storeInstances", datasets=[packed(data)]))
    (sent,) = store.call("retrieveStudyMetadata", studyInstanceUID=uids_of(data)[0])
    found = store.run("thereAndBack", sent)
    ds = read(data)
    assert found["natural"]["Rows"] == ds.Rows and found["natural"]["PatientID"] == ds.PatientID
    assert found["natural"]["PixelSpacing"] == list(ds.PixelSpacing)
    assert found["natural"]["PixelData"]["BulkDataURI"] == sent["7FE00010"]["BulkDataURI"]
    public = {tag: element for tag, element in found["sent"].items() if int(tag[3], 16) % 2 == 0}  # dcmjs drops others
    assert found["back"].keys() >= public.keys()
    valued = {tag: element for tag, element in public.items() if "Value" in element}
    assert len(valued) > 60 and {tag: found["back"][tag] for tag in valued} == valued
