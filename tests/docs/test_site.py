"""``./run docs``: the pages as a site. It is built without a warning, wrong pages fail it, it needs no network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console.browser import chromium, watched
from tests.docs.test_readme import ROOT
from tests.support.missing import not_tested

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """The command of ``./run docs``, for the pages below ``root``."""
    if importlib.util.find_spec("sphinx") is None:
        not_tested("Sphinx is not installed: pip install 'gantry-dicom[docs]'")
    (command,) = re.findall(r"^    docs\).*?python (-m sphinx .*?)\"\$@\"", (ROOT / "run").read_text(), re.M | re.S)
    words = command.replace("\\\n", " ").replace("build/doctrees", str(out.with_name("doctrees"))).split()
    command = [sys.executable, *words, ".", str(out)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "docs"
    done = build(ROOT, out)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_every_page_is_in_the_navigation() -> None:
    """Sphinx says it too, but only when the site is built."""
    linked = set()
    for index in (ROOT / "docs" / "README.md", ROOT / "docs" / "decisions" / "README.md"):
        for target in re.findall(r"^- \[.+?\]\(([^)#:]+)\)", index.read_text(encoding="utf-8"), re.MULTILINE):
            linked.add((index.parent / target).resolve())
    assert [page for page in PAGES if page not in linked | {ROOT / "docs" / "README.md"}] == []


@pytest.mark.slow
def test_every_page_is_built_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in PAGES:
        html = site / page.relative_to(ROOT).with_suffix(".html")
        text = html.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"([^\"]*)\"", text)
        loaded += re.findall(r"<link[^>]* rel=\"(?:stylesheet|icon|preload)\"[^>]* href=\"([^\"]*)\"", text)
        assert loaded and not [each for each in loaded if "//" in each]
        assert all((html.parent / each.partition("?")[0]).is_file() for each in loaded), html
    assert "docs/README.html" in (site / "index.html").read_text()


@pytest.mark.slow
def test_a_word_is_found_without_a_server(site: Path) -> None:
    """The browser opens files of the disk. There it does not let the search read the pages for their summaries."""
    with chromium() as browser:
        page = browser.new_page()
        trouble = watched(page, f"file://{site}")
        page.goto(f"file://{site}/index.html")
        page.wait_for_url("**/docs/README.html")
        page.locator("input[name=q]").first.fill("kubernetes")
        page.keyboard.press("Enter")
        page.locator("#search-results li a", has_text="Several servers").first.click()
        assert page.url.partition("?")[0].endswith("/docs/howto/scale-out.html")
        page.close()
    of_fetches = ("Access to fetch at 'file:", "net::ERR_FAILED", "Failed to fetch")
    assert [each for each in trouble if not any(words in each for words in of_fetches)] == []


@pytest.mark.slow
def test_a_broken_link_a_missing_anchor_and_a_lost_page_fail_the_build(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(ROOT / "docs", root / "docs")
    for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, root)
    for name in ("src/gantry/__init__.py", "src/gantry/console/static/gantry.svg", "tests/README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "docs" / "howto" / "lost.md").write_text("# Lost\n")
    with (root / "docs" / "howto" / "deletion.md").open("a") as page:
        page.write("\n[one](nowhere.md) [two](import.md#nowhere)\n")
    done = build(root, tmp_path / "out")
    assert done.returncode != 0
    for wrong in ("'nowhere.md'", "'nowhere'", "lost.md: WARNING: document isn't included in any toctree"):
        assert wrong in done.stderr, done.stderr
