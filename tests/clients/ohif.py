"""OHIF out of the npm registry, and headless Chromium with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.gantry import Gantry
from tests.support.missing import not_tested
from tests.support.replicas import start_server
from tests.support.web import Web

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


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
        not_tested(f"OHIF cannot be fetched: {done.stderr}")
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(home: Path, viewer: Path, **env: str) -> Iterator[Web]:
    """A server of its own in ``home``, with a copy of the installed ``viewer``, and an empty store."""
    (home / "data").mkdir()
    shutil.copytree(viewer, home / "data" / "viewer")
    server = start_server(home / "data", home / "buckets", env=env)
    try:
        yield Web(Gantry(server))
    finally:
        server.stop()


class Browser:
    """A page that notes what must not happen: requests to other hosts, answers that are errors, complaints."""

    def __init__(self, page: Any, web: Web) -> None:
        self.page, self.web = page, web
        self.trouble: list[str] = []
        self.be_at("127.0.0.1")
        page.on("request", lambda request: self._note(request.url))
        page.on("response", lambda found: found.status >= 400 and self.trouble.append(f"{found.status} {found.url}"))
        page.on("requestfailed", lambda request: self.trouble.append(f"{request.failure} {request.url}"))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", lambda said: said.type == "error" and self.trouble.append(said.text))

    def be_at(self, host: str) -> None:
        """Another name of the server: the one it was not told."""
        self.origin = f"http://{host}:{self.web.gantry.server.port}"
        self.base = f"{self.origin}/viewer/{self.web.gantry.store}"

    def _note(self, url: str) -> None:
        # Chromium's own viewer of PDFs is an extension.
        if not url.startswith((f"{self.origin}/", "blob:", "data:", "chrome-extension:", "chrome:")):
            self.trouble.append(f"request to {url}")

    def open_study(self, study: str) -> None:
        self.page.goto(f"{self.base}/viewer?StudyInstanceUIDs={study}")
        self.page.wait_for_selector("canvas", timeout=120_000)
        self.page.get_by_text("Skip all").click(timeout=60_000)  # the tour that a new user is given

    def turn(self, times: int) -> None:
        """The mouse's wheel, over the image."""
        box = self.page.locator("canvas").first.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for _ in range(times):
            self.page.mouse.wheel(0, 100)
            self.page.wait_for_timeout(300)

    def picture(self) -> np.ndarray:
        """The grey values of the middle of the image."""
        data = self.page.locator("canvas").first.screenshot()
        grey = np.asarray(Image.open(BytesIO(data)).convert("L"))
        rows, columns = grey.shape
        return grey[rows // 4 : -rows // 4, columns // 3 : -columns // 3]

    def colours(self) -> np.ndarray:
        """(rows, columns, 3) of the first viewport, with what is drawn over the image."""
        data = self.page.locator("[data-cy=viewport-pane]").first.screenshot()
        return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)

    def until(self, holds: Callable[[np.ndarray], Any], take: Callable[[], np.ndarray] | None = None) -> np.ndarray:
        """The first picture of which ``holds`` is true; waits for it. ``take`` is ``picture`` unless given."""
        for _ in range(60):
            found = (take or self.picture)()
            if holds(found):
                return found
            self.page.wait_for_timeout(1000)
        raise AssertionError(f"the picture has values from {found.min()} to {found.max()}")


@contextmanager
def opened(web: Web, pictures: Path) -> Iterator[Browser]:
    """Chromium with an empty page, whose last picture is kept in ``pictures``. Nothing may have gone wrong in it."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        not_tested("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        made = Browser(page, web)
        try:
            yield made
        finally:
            page.screenshot(path=pictures / "screen.png")
            chromium.close()
    assert not made.trouble, "\n".join(made.trouble)
