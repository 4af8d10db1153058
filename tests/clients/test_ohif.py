"""OHIF out of the npm registry, in headless Chromium, on a store of this server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.dicomweb.instances import instance, packaged, uids_of
from tests.support.gantry import Gantry
from tests.support.server import GantryServer
from tests.support.web import Web

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
CLIP = ("1.2.9", "1.2.9.1", "1.2.9.1.1")


def install(data: Path) -> None:
    """By ``gantry viewer install``; by way of npm where the registry takes nobody else."""
    command = [sys.executable, "-m", "gantry", "viewer", "install", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3 and shutil.which("npm"):
        packed = subprocess.run(["npm", "pack", "@ohif/app@3.13.2"], cwd=data.parent, capture_output=True, check=False)
        if packed.returncode == 0:
            command += ["--from", str(data.parent / "ohif-app-3.13.2.tgz")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(f"NOT TESTED: OHIF cannot be fetched: {done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A CT, and an ultrasound clip: its ten frames are ever more white and less black."""
    if CHROMIUM is None:
        pytest.skip("NOT TESTED: chromium is not installed: apt-get install chromium")
    home = tmp_path_factory.mktemp("ohif")
    install(home / "data")
    server = GantryServer(home / "data", home / "buckets")
    try:
        made = Web(Gantry(server))
        frames = b"".join((b"\xff" * 6 * (number + 1) + bytes(64 - 6 * (number + 1))) * 64 for number in range(10))
        clip = {"Rows": 64, "Columns": 64, "NumberOfFrames": 10, "FrameTime": 33, "FrameIncrementPointer": 0x00181063}
        ultrasound = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1",
            "Modality": "US",
            "StudyDescription": "Cardiac Echo",
        }
        date = {"PatientName": "Echo^Anna", "StudyDate": "20240203", "StudyTime": "101500", "PixelData": frames}
        made.stored(instance(CLIP, **clip, **ultrasound, **date), packaged("CT_small.dcm"))
        yield made
    finally:
        server.stop()


class Browser:
    """A page that notes what must not happen: requests to other hosts, and answers that are errors."""

    def __init__(self, page: Any, web: Web) -> None:
        self.page, self.web = page, web
        self.base = f"{web.gantry.server.url}/viewer/{web.gantry.store}"
        self.trouble: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("response", lambda found: found.status >= 400 and self.trouble.append(f"{found.status} {found.url}"))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))

    def _note(self, url: str) -> None:
        if not url.startswith((self.web.gantry.server.url, "blob:", "data:")):
            self.trouble.append(f"request to {url}")

    def open_study(self, study: str) -> None:
        self.page.goto(f"{self.base}/viewer?StudyInstanceUIDs={study}")
        self.page.wait_for_selector("canvas", timeout=120_000)
        self.page.get_by_text("Skip all").click(timeout=60_000)  # the tour that a new user is given

    def picture(self) -> np.ndarray:
        """The grey values of the middle of the image."""
        data = self.page.locator("canvas").first.screenshot()
        grey = np.asarray(Image.open(BytesIO(data)).convert("L"))
        rows, columns = grey.shape
        return grey[rows // 4 : -rows // 4, columns // 3 : -columns // 3]

    def until(self, holds: Any) -> np.ndarray:
        """The first picture of which ``holds`` is true; waits for it."""
        for _ in range(60):
            found = self.picture()
            if holds(found):
                return found
            self.page.wait_for_timeout(1000)
        raise AssertionError(f"the picture has greys from {found.min()} to {found.max()}")


@pytest.fixture
def browser(web: Web, tmp_path: Path) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        made = Browser(page, web)
        yield made
        page.screenshot(path=tmp_path / "screen.png")
        chromium.close()
    assert made.trouble == []


def test_the_study_list(browser: Browser) -> None:
    browser.page.goto(f"{browser.base}/")
    browser.page.get_by_text("Echo, Anna").wait_for(timeout=120_000)
    text = browser.page.inner_text("body")
    for words in ("Cardiac Echo", "CompressedSamples, CT1", "03-Feb-2024", "US", "CT"):
        assert words in text, text


def test_a_ct(browser: Browser) -> None:
    browser.open_study(uids_of(packaged("CT_small.dcm"))[0])
    shown = browser.until(lambda grey: grey.max() - grey.min() > 100)
    assert len(np.unique(shown)) > 50, "a body has many greys"


def test_an_ultrasound_clip(browser: Browser) -> None:
    """The first frame is black but for its edge; a few turns of the wheel later another one has more white."""
    browser.open_study(CLIP[0])
    first = browser.until(lambda grey: grey.max() < 50)
    box = browser.page.locator("canvas").first.bounding_box()
    browser.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(5):
        browser.page.mouse.wheel(0, 100)
        browser.page.wait_for_timeout(300)
    later = browser.until(lambda grey: grey.max() > 200)
    assert later.mean() > first.mean() + 20
