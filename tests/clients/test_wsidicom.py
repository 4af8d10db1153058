"""wsidicom: a slide is read over DICOMweb, tile by tile, as from its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from wsidicom import WsiDicom, WsiDicomWebClient

from tests.clients import scans, slides
from tests.support.access import ADMIN, Guarded
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import JSON, Web, multipart

pytestmark = pytest.mark.slow

PLAIN, RLE = f"{slides.STUDY}.2", f"{slides.STUDY}.3"
FILES = [scans.part10(level) for level in slides.slide()]
PLAIN_FILES = [scans.part10(level) for level in slides.slide(PLAIN, ExplicitVRLittleEndian)]
RLE_FILES = [scans.part10(level) for level in slides.slide(RLE, RLELossless)]
STORE = "v1/projects/p/locations/us-central1/datasets/d/dicomStores/s"


@pytest.fixture(scope="module", params=["false", "true"], ids=["", "strict"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WsiDicomWebClient]:
    """A server that searches in its own way, and one that does as Google's."""
    home = tmp_path_factory.mktemp("wsidicom")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": request.param})
    try:
        web = Web(Gantry(server))
        web.stored(*FILES, *PLAIN_FILES, *RLE_FILES)
        yield WsiDicomWebClient.create_client(web.url)
    finally:
        server.stop()


def opened(home: Path, files: list[bytes]) -> WsiDicom:
    """The slide of these files."""
    for number, data in enumerate(files):
        (home / f"{number}.dcm").write_bytes(data)
    return WsiDicom.open(home)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[WsiDicom]:
    with opened(tmp_path, FILES) as made:
        yield made


def equal(one: Image.Image, other: Image.Image) -> bool:
    return np.array_equal(np.asarray(one), np.asarray(other))


def test_regions_tiles_and_thumbnail(client: WsiDicomWebClient, local: WsiDicom) -> None:
    with WsiDicom.open_web(client, slides.STUDY, slides.SERIES) as read:
        assert [level.level for level in read.levels] == list(range(slides.LEVELS))
        assert read.size == local.size and read.mpp == local.mpp
        for number in range(slides.LEVELS):
            region = (30, 20), number, (200 >> number, 300 >> number)
            assert equal(read.read_region(*region), local.read_region(*region))
            assert read.read_encoded_tile(number, (0, 0)) == local.read_encoded_tile(number, (0, 0))
        assert equal(read.read_region((200, 200), 0, (500, 400)), local.read_region((200, 200), 0, (500, 400)))
        for column, row in np.ndindex(slides.SIZE // slides.TILE, slides.SIZE // slides.TILE):
            assert equal(read.read_tile(0, (column, row)), local.read_tile(0, (column, row)))
        assert equal(read.read_thumbnail((128, 128)), local.read_thumbnail((128, 128)))


@pytest.mark.parametrize("client", ["true"], indirect=True)
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_tiles_that_the_server_encodes(client: WsiDicomWebClient, tmp_path: Path, syntax: str) -> None:
    """Where searches do not say in which syntax a slide is, the library asks for one that it is given."""
    assert differences(client, PLAIN, PLAIN_FILES, syntax, tmp_path) == [0, 0, 0]


def test_a_slide_in_rle(client: WsiDicomWebClient, tmp_path: Path) -> None:
    """The library asks by the name that the media type had before 2016, image/x-dicom-rle. It does not decode what
    dicomweb-client gives it, a bytearray, so tiles are compared as they are stored."""
    with opened(tmp_path, RLE_FILES) as local, WsiDicom.open_web(client, RLE, f"{RLE}.1", RLELossless) as read:
        for place in ((0, 0), (1, 2), (3, 3)):
            assert bytes(read.read_encoded_tile(0, place)) == local.read_encoded_tile(0, place)


def differences(client: WsiDicomWebClient, study: str, files: list[bytes], syntax: str, home: Path) -> list[int]:
    """Of three tiles, the largest difference between the server's and that of the file."""
    with opened(home, files) as local, WsiDicom.open_web(client, study, f"{study}.1", syntax) as read:
        places = [(0, 0), (1, 2), (3, 3)]
        pairs = [[np.asarray(each.read_tile(0, place)).astype(int) for each in (read, local)] for place in places]
    return [int(np.abs(got - expected).max()) for got, expected in pairs]


def test_with_a_token(local: WsiDicom, tmp_path: Path) -> None:
    """In the session that the library is given; without one it is 401."""
    guarded = Guarded(tmp_path)
    try:
        parent, _, _ = STORE.rpartition("/dicomStores")
        guarded.call("POST", f"{parent.removesuffix('/d')}?datasetId=d")
        guarded.call("POST", f"{parent}/dicomStores?dicomStoreId=s")
        content_type, body = multipart(FILES)
        headers = {"content-type": content_type, "accept": JSON}
        guarded.call("POST", f"{STORE}/dicomWeb/studies", content=body, headers=headers)
        url = f"{guarded.server.url}/{STORE}/dicomWeb"
        session = requests.Session()
        session.headers["authorization"] = f"Bearer {guarded.tokens[ADMIN]}"
        client = WsiDicomWebClient.create_client(url, auth=session)
        with WsiDicom.open_web(client, slides.STUDY, slides.SERIES) as read:
            assert equal(read.read_tile(1, (1, 0)), local.read_tile(1, (1, 0)))
        with pytest.raises(requests.HTTPError, match="401"):
            WsiDicom.open_web(WsiDicomWebClient.create_client(url), slides.STUDY, slides.SERIES)
    finally:
        guarded.server.stop()
