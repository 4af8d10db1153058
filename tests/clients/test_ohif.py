"""OHIF out of the npm registry, in headless Chromium, on a store of this server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clients.ohif import Browser, opened, serving
from tests.dicomweb.instances import instance, packaged, uids_of
from tests.dicomweb.test_video import MP4, video
from tests.dicomweb.test_video import UIDS as VIDEO
from tests.support.access import ADMIN, Guarded
from tests.support.server import counts
from tests.support.web import JSON, Web, multipart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GUARDED = "projects/p/locations/us-central1/datasets/d/dicomStores/s"
CLIP = ("1.2.9", "1.2.9.1", "1.2.9.1.1")
CT, HEART, JPEG_2000 = (packaged(name) for name in ("CT_small.dcm", "examples_ybr_color.dcm", "examples_jpeg2k.dcm"))


PDF = ("1.2.8", "1.2.8.1", "1.2.8.1.1")


def page_of_paper() -> bytes:
    """A PDF too long to stand in the metadata."""
    out = BytesIO()
    Image.effect_noise((400, 400), 50).save(out, "PDF")
    return out.getvalue() + b"\n" * (len(out.getvalue()) % 2)


PAPER = page_of_paper()


@pytest.fixture(scope="module")
def web(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A CT, ultrasound, a PDF, a clip of a heart, and one that was made up: ever more white, less black."""
    with serving(tmp_path_factory.mktemp("ohif"), viewer) as made:
        frames = b"".join((b"\xff" * 6 * (number + 1) + bytes(64 - 6 * (number + 1))) * 64 for number in range(10))
        clip = {"Rows": 64, "Columns": 64, "NumberOfFrames": 10, "FrameTime": 33, "FrameIncrementPointer": 0x00181063}
        ultrasound = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1",
            "Modality": "US",
            "StudyDescription": "Cardiac Echo",
        }
        date = {"PatientName": "Echo^Anna", "StudyDate": "20240203", "StudyTime": "101500", "PixelData": frames}
        paper = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1",
            "Modality": "DOC",
            "MIMETypeOfEncapsulatedDocument": "application/pdf",
            "EncapsulatedDocument": PAPER,
        }
        files = instance(CLIP, **clip, **ultrasound, **date), CT, HEART, JPEG_2000, instance(PDF, **paper), video(MP4)
        for number, data in enumerate(files):
            made.gantry.put(made.gantry.bucket, f"{number}.dcm", data)
        assert counts(made.gantry.import_("*.dcm")) == (len(files), 0)
        yield made


@pytest.fixture(scope="module")
def guarded(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server that asks who is calling, with one of the files."""
    home = tmp_path_factory.mktemp("guarded")
    (home / "data").mkdir()
    shutil.copytree(viewer, home / "data" / "viewer")
    made = Guarded(home)
    made.call("POST", "v1/projects/p/locations/us-central1/datasets?datasetId=d")
    made.call("POST", f"v1/{GUARDED.rpartition('/dicomStores')[0]}/dicomStores?dicomStoreId=s")
    content_type, body = multipart([CT])
    made.call(
        "POST", f"v1/{GUARDED}/dicomWeb/studies", content=body, headers={"content-type": content_type, "accept": JSON}
    )
    yield made
    made.server.stop()


@pytest.fixture
def browser(web: Web, tmp_path: Path) -> Iterator[Browser]:
    with opened(web, tmp_path) as made:
        yield made
    assert made.trouble == []


def test_the_study_list(browser: Browser) -> None:
    browser.page.goto(f"{browser.base}/")
    browser.page.get_by_text("Echo, Anna").wait_for(timeout=120_000)
    text = browser.page.inner_text("body")
    for words in ("Cardiac Echo", "CompressedSamples, CT1", "03-Feb-2024", "e+1", "PLA", "US", "CT"):
        assert words in text, text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_ct(browser: Browser, host: str) -> None:
    browser.be_at(host)
    browser.open_study(uids_of(CT)[0])
    shown = browser.until(lambda grey: grey.max() - grey.min() > 100)
    assert len(np.unique(shown)) > 50, "a body has many greys"


def test_jpeg_2000(browser: Browser) -> None:
    """Its decoder makes functions of text, in a worker, which the policy of the page alone would forbid."""
    browser.open_study(uids_of(JPEG_2000)[0])
    shown = browser.until(lambda grey: grey.max() - grey.min() > 100)
    assert len(np.unique(shown)) > 50


def test_a_heart_beats(browser: Browser) -> None:
    """JPEG in colour, thirty frames; another one is shown after five turns of the wheel."""
    browser.open_study(uids_of(HEART)[0])
    first = browser.until(lambda grey: grey.max() > 50).astype(int)
    browser.page.get_by_text("(1/30)").wait_for(timeout=30_000)
    browser.turn(5)
    browser.page.get_by_text("(6/30)").wait_for(timeout=30_000)
    browser.until(lambda grey: np.abs(grey - first).max() > 30)


def test_a_pdf(browser: Browser) -> None:
    """Its address in the metadata has the server's own name; it is fetched from the page's."""
    browser.be_at("localhost")
    browser.page.goto(f"{browser.base}/viewer?StudyInstanceUIDs={PDF[0]}")
    shown = browser.page.locator("object[type='application/pdf'][data^='blob:']")
    shown.wait_for(timeout=120_000)
    size = "async address => (await (await fetch(address)).blob()).size"
    assert browser.page.evaluate(size, shown.get_attribute("data")) == len(PAPER)


def test_a_video(browser: Browser) -> None:
    """H.264 in MP4 as stored; its first picture is a dark grey."""
    asked: list[str] = []
    browser.page.on("response", lambda found: asked.append(f"{found.status} {found.headers.get('content-type')}"))
    browser.open_study(VIDEO[0])
    browser.until(lambda grey: bool((abs(grey.astype(int) - 20) < 4).all()))
    assert "206 video/mp4" in asked


def test_every_address_of_the_build_was_found(web: Web) -> None:
    """The part for pathology is fetched by a function that is given an address from the root of the host."""
    (bundle,) = (web.gantry.server.data / "viewer").glob("app.bundle.*.js")
    text = bundle.read_text(encoding="utf-8")
    assert "browserImportFunction('/viewer/dicom-microscopy-viewer/" in text
    assert '__webpack_require__.p = "/viewer/"' in text


def test_an_ultrasound_clip(browser: Browser) -> None:
    """The first frame is black but for its edge; a few turns of the wheel later another one has more white."""
    browser.open_study(CLIP[0])
    first = browser.until(lambda grey: grey.max() < 50)
    browser.turn(5)
    later = browser.until(lambda grey: grey.max() > 200)
    assert later.mean() > first.mean() + 20


def test_signing_in_first(browser: Browser, guarded: Guarded) -> None:
    """A link to a study asks for a token, and shows the study with it; without the session there is none."""
    page = browser.page
    browser.origin = guarded.server.url
    address = f"{guarded.server.url}/viewer/{GUARDED}/viewer?StudyInstanceUIDs={uids_of(CT)[0]}"
    page.goto(address)
    page.get_by_label("Token").fill("a-token-of-nobody")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").filter(has_text="not known here").wait_for()
    assert [line.split()[0] for line in browser.trouble if line[:3] == "401"] == ["401"]
    browser.trouble.clear()
    page.get_by_label("Token").fill(guarded.tokens[ADMIN])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("canvas", timeout=120_000)
    page.get_by_text("Skip all").click(timeout=60_000)
    shown = browser.until(lambda grey: grey.max() - grey.min() > 100)
    assert len(np.unique(shown)) > 50
    assert "gantry" not in page.evaluate("document.cookie"), "scripts do not see the session"
    assert browser.trouble == []
    page.context.clear_cookies()
    page.goto(address)
    page.get_by_label("Token").wait_for()


@pytest.fixture(scope="module")
def strict(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server in strict mode, with two of the files."""
    with serving(tmp_path_factory.mktemp("strict"), viewer, GANTRY_STRICT_SEARCH="true") as made:
        made.stored(CT, JPEG_2000)
        yield made


def is_by_name(url: str) -> bool:
    return "/studies?" in url and ("PatientName=CompressedSamples" in url or "00100010=CompressedSamples" in url)


def test_strict_searches(browser: Browser, strict: Web) -> None:
    """The list, a name typed into it, and a study: OHIF gets along with the fields and the matching of Google."""
    asked: list[str] = []
    browser.web = strict
    browser.be_at("127.0.0.1")
    page = browser.page
    page.on("response", lambda found: asked.append(f"{found.status} {found.url}"))
    page.goto(f"{browser.base}/")
    page.get_by_text("CompressedSamples, CT1").wait_for(timeout=120_000)
    with page.expect_response(lambda found: is_by_name(found.url), timeout=60_000) as named:
        page.get_by_role("textbox").first.fill("CompressedSamples")
    assert named.value.status == 200, named.value.url
    page.get_by_text("CompressedSamples, CT1").wait_for(timeout=60_000)
    searches = [line for line in asked if "/studies?" in line]
    assert any("includefield=" in line for line in searches), searches
    assert not any("%2A" in line or "*" in line for line in searches), searches
    browser.open_study(uids_of(CT)[0])
    shown = browser.until(lambda grey: grey.max() - grey.min() > 100)
    assert len(np.unique(shown)) > 50
