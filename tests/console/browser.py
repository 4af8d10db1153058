"""Headless Chromium, and what must not happen in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.missing import not_tested

CHROMIUM = shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        not_tested("chromium is not installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def watched(page: Any, origin: str) -> list[str]:
    """What goes wrong on a page from now on: complaints, errors, requests to other hosts, answers that are errors."""
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: said.type in ("error", "warning") and trouble.append(said.text))
    page.on("response", lambda found: found.status >= 400 and trouble.append(f"{found.status} {found.url}"))
    page.on(
        "request", lambda asked: asked.url.startswith((f"{origin}/", "blob:", "data:")) or trouble.append(asked.url)
    )
    return trouble
