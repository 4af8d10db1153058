"""OHIF with what is derived from a CT, and with a slide: other parts of it than those that show images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import RLELossless

from tests.clients import derived, scans, slides
from tests.clients.ohif import Browser, opened, serving
from tests.support.web import Web

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LABEL_MAP = "1.2.826.0.1.3680043.10.511.2"


@pytest.fixture(scope="module")
def web(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A CT with a binary segmentation, a structure set and a report; one with a label map, compressed; a slide."""
    images = scans.ct_series()
    first = derived.segmentation(images), scans.structure_set(images), derived.measurement_report(images)
    again = [scans.in_study(ds, LABEL_MAP) for ds in (*images, derived.segmentation(images, "LABELMAP", RLELossless))]
    with serving(tmp_path_factory.mktemp("ohif"), viewer) as made:
        made.stored(*(scans.part10(ds) for ds in (*images, *first, *again, *slides.slide())))
        yield made


@pytest.fixture
def browser(web: Web, tmp_path: Path) -> Iterator[Browser]:
    with opened(web, tmp_path) as made:
        yield made


def show(browser: Browser, study: str, modality: str) -> np.ndarray:
    """The study's CT, then its series of ``modality``, over the CT. The picture before that."""
    browser.open_study(study)
    browser.until(lambda grey: grey.max() - grey.min() > 60)
    before = browser.colours()
    assert np.ptp(before[100:-100, 100:-100], axis=2).max() < 10, "a CT is grey"
    browser.page.get_by_text(modality, exact=True).first.dblclick()
    return before


def tinted(picture: np.ndarray, channel: int) -> np.ndarray:
    """Where red, green or blue (0, 1, 2) is far above both others."""
    others = np.delete(picture, channel, axis=2).max(axis=2)
    found: np.ndarray = picture[..., channel] - others > 60
    return found


def extent(found: np.ndarray) -> tuple[int, int]:
    """Height and width of the box around what is true."""
    rows, columns = (np.flatnonzero(found.any(axis=axis)) for axis in (1, 0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_segmentation_over_its_ct(browser: Browser) -> None:
    """The part that reads it makes functions of text, in the page. A square is red; it lies elsewhere in another
    image, and the panel has its segment."""
    show(browser, scans.STUDY, "SEG")
    browser.page.get_by_role("button", name="Yes").click(timeout=60_000)
    red = tinted(browser.until(lambda shown: tinted(shown, 0).sum() > 10_000, browser.colours), 0)
    assert is_square(red)
    top = np.flatnonzero(red.any(axis=1))[0]
    browser.turn(2)
    browser.until(lambda shown: np.flatnonzero(tinted(shown, 0).any(axis=1))[0] < top - 10, browser.colours)
    browser.page.locator("[data-cy=panelSegmentation-btn]").click()
    browser.page.get_by_text(derived.LABEL).wait_for(timeout=30_000)


def test_a_label_map_over_its_ct(browser: Browser) -> None:
    """At another name of the server. OHIF takes the colour of the background for the segment: the square is black."""
    browser.be_at("localhost")
    before = show(browser, LABEL_MAP, "SEG")
    browser.page.get_by_role("button", name="Yes").click(timeout=60_000)
    shown = browser.until(lambda found: darker(before, found).sum() > 10_000, browser.colours)
    assert is_square(darker(before, shown))


def darker(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a picture has lost a quarter of its brightness, and had some."""
    found: np.ndarray = (after.max(axis=2) < before.max(axis=2) * 0.75) & (before.max(axis=2) > 40)
    return found


def is_square(found: np.ndarray) -> bool:
    height, width = extent(found)
    return bool(abs(height - width) < 8 and found.sum() > 0.9 * height * width)


def test_a_structure_set_over_its_ct(browser: Browser) -> None:
    """A green line around a square, with nothing in it; the panel has its region."""
    show(browser, scans.STUDY, "RTSTRUCT")
    browser.page.get_by_role("button", name="Yes").click(timeout=60_000)
    green = tinted(browser.until(lambda shown: tinted(shown, 1).sum() > 400, browser.colours), 1)
    height, width = extent(green)
    assert abs(height - width) < 8 and height > 200
    assert green.sum() < 0.1 * height * width, "a line"
    browser.page.locator("[data-cy=panelSegmentation-btn]").click()
    browser.page.get_by_text(scans.STRUCTURE).wait_for(timeout=30_000)


def test_a_measurement_report(browser: Browser) -> None:
    """Its line, with the length that it says, on the image that it names."""
    show(browser, scans.STUDY, "SR")
    browser.page.get_by_text(f"{derived.LENGTH}0 mm").wait_for(timeout=60_000)
    browser.page.get_by_text("I:3").wait_for(timeout=30_000)
    green = browser.until(lambda shown: tinted(shown, 1).sum() > 100, browser.colours)
    assert extent(tinted(green, 1))[1] > 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_slide(browser: Browser, host: str) -> None:
    """Glass, tissue and cells, out of the tiles of the largest level and of the smallest for the overview; colours by
    the ICC profile, which is fetched as bulk data."""
    browser.be_at(host)
    asked: list[str] = []
    browser.page.on("response", lambda found: asked.append(f"{found.status} {found.url}"))
    browser.page.goto(f"{browser.base}/microscopy?StudyInstanceUIDs={slides.STUDY}")
    browser.page.get_by_text("Skip all").or_(browser.page.locator(".ol-viewport")).first.wait_for(timeout=120_000)
    shown = browser.until(lambda found: all(share(found, colour) > 0.02 for colour in slides.COLOURS), browser.colours)
    assert share(shown, slides.TISSUE) > share(shown, slides.CELL)
    largest, smallest = (f"/instances/{slides.SERIES}.{number}/" for number in (1, slides.LEVELS))
    tiles = [line for line in asked if "/frames/" in line]
    assert len([line for line in tiles if largest in line]) >= (slides.SIZE // slides.TILE) ** 2
    assert any(smallest in line for line in tiles)
    assert any("/bulkdata/00480105/0/00282000" in line for line in asked)


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """How much of the picture has about this colour."""
    return float((np.abs(picture - colour).max(axis=2) < 12).mean())
