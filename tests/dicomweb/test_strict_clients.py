"""The product's own clients of a server in strict mode, which answers with nothing that was not asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.cli.harness import run
from tests.dicomweb.test_search import A, fill
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import Web


@pytest.fixture(scope="module", params=["true", "false"], ids=["strict", ""])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    home = tmp_path_factory.mktemp("strict")
    server = start_server(home / "data", home / "buckets", env={"GANTRY_STRICT_SEARCH": request.param})
    try:
        yield fill(Gantry(server))
    finally:
        server.stop()


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def command(web: Web, *arguments: str) -> str:
    server, store = web.gantry.server.url, web.gantry.store
    made = run("studies", *arguments, "--store", store, env={"GANTRY_SERVER": server})
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_the_list_of_studies(web: Web) -> None:
    (head, *rows) = cells(command(web, "list"))
    found = {row[-1]: dict(zip(head, row, strict=False)) for row in rows}
    assert found[A]["MODALITIES"] == "CT, MR" and found[A]["INSTANCES"] == "3"


def test_one_study(web: Web) -> None:
    text = command(web, "show", A)
    assert ["1", "CT", "axial", "2", "1.2.1.1"] in cells(text) and ["2", "MR", "flair", "1", "1.2.1.2"] in cells(text)
    assert any(line[0].startswith("instances") and line[-1] == "3" for line in cells(text))


def test_the_page_of_a_study(web: Web) -> None:
    page = web.gantry.request("GET", f"console/{web.gantry.store}/studies/{A}")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.text))
    assert page.status_code == 200 and "0 instances" not in text
    assert text.index("axial") < text.index("flair"), "by number"
    assert re.search(r"axial\W+CT\W+2 instances", text) and re.search(r"flair\W+MR\W+1 instance\b", text)
