"""What somebody has stored or named, in a browser of somebody else: it stays text, and never runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.test_viewer import FILES, install, package
from tests.console.browser import chromium
from tests.dicomweb.instances import instance
from tests.support.gantry import Gantry
from tests.support.replicas import start_server
from tests.support.web import Web

SCRIPT = b"window.attacked = true; alert('attacked'); //" + b" " * 5000
PROJECTS = [
    '"><script src=TARGET></script>',
    "x&quot;&gt;&lt;script src=TARGET&gt;",
    "p&sol;&quest;a",
    "p?a#b",
    "</script><script>window.attacked=true</script>",
    "';window.attacked=true;'",
    "${window.attacked=true}",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gantry]:
    """A server with a viewer, and an instance whose bulk data is a script."""
    directory = tmp_path_factory.mktemp("attacks")
    server = start_server(directory / "data", directory / "buckets")
    made = Gantry(server)
    done = install(directory / "data", "--from", str(package(directory / "p.tgz", FILES)))
    assert done.returncode == 0, done.stderr
    Web(made).stored(instance(("1.2", "1.3", "1.4"), EncapsulatedDocument=SCRIPT))
    yield made
    assert "Traceback" not in server.log_text()
    server.stop()


@pytest.fixture
def page(browser: Any, home: Gantry) -> Iterator[Any]:
    """A page that fails the test where an attack shows a dialog."""
    opened = browser.new_page(base_url=home.server.url)
    alerts: list[str] = []
    opened.on("dialog", lambda found: (alerts.append(found.message), found.dismiss()))
    yield opened
    assert alerts == []
    opened.close()


def bulk_address(home: Gantry) -> str:
    return f"/v1/{home.store}/dicomWeb/studies/1.2/series/1.3/instances/1.4/bulkdata/00420011"


@pytest.mark.slow
@pytest.mark.parametrize("project", PROJECTS)
def test_the_name_of_a_store_is_text_in_the_viewer(home: Gantry, page: Any, project: str) -> None:
    project = quote(project.replace("TARGET", "x"), safe="").replace("%2F", "&sol;")
    parent = f"projects/{project}/locations/us-central1/datasets"
    home.request("POST", f"v1/{parent}?datasetId=d")
    home.request("POST", f"v1/{parent}/d/dicomStores?dicomStoreId=s")
    name = f"{parent}/d/dicomStores/s"
    asked: list[str] = []
    page.on("request", lambda found: asked.append(found.url))
    assert page.goto(f"/viewer/{name}/").status == 200
    assert page.evaluate("window.attacked") is None
    assert page.evaluate("Boolean(window.config)"), "the settings are those of the store"
    root = str(page.evaluate("window.config.dataSources[0].configuration.qidoRoot"))
    assert (
        home.server.client.get(root.removesuffix("/dicomWeb").partition("/v1/")[2].join(("/v1/", ""))).status_code
        == 200
    )
    scripts = page.evaluate("[...document.scripts].map(script => script.getAttribute('src')).filter(Boolean)")
    assert len(scripts) == 2 and all(script.startswith("/viewer/") for script in scripts)
    for address in (f"/console/{name}", f"/console/{parent}/d", "/console/"):
        page.goto(address)
        assert page.evaluate("window.attacked") is None


@pytest.mark.slow
def test_a_store_that_is_not_there_has_no_page(home: Gantry, page: Any) -> None:
    for path in ("projects/x%22%3E/locations/l/datasets/d/dicomStores/s/", f"{home.dataset}/dicomStores/none/"):
        answer = page.goto(f"/viewer/{path}")
        assert answer.status == 404 and answer.headers["content-type"].startswith("application/json")


@pytest.mark.slow
def test_bulk_data_is_no_script_no_style_and_no_page(home: Gantry, page: Any) -> None:
    address = bulk_address(home)
    page.goto(f"/console/{home.store}")
    loaded = """async (address) => await new Promise((done) => {
        const made = document.createElement("script");
        made.onload = () => done("loaded"); made.onerror = () => done("refused");
        made.src = address; document.head.append(made);
    })"""
    for accept in ("", "?accept=application/octet-stream", "?accept=*/*", "?accept=text/javascript"):
        assert page.evaluate(loaded, address + accept) == "refused"
    assert page.evaluate("window.attacked") is None


@pytest.mark.parametrize("accept", ["application/octet-stream", "*/*", "text/html", "application/dicom"])
def test_nothing_stored_opens_as_a_page(home: Gantry, page: Any, accept: str) -> None:
    """What a link to it does: a file is saved, or nothing of it is run."""
    for address in (bulk_address(home), bulk_address(home).partition("/bulkdata")[0]):
        answer = page.request.get(f"{address}?accept={quote(accept)}")
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in ("application/octet-stream", "multipart/related", "application/dicom", "application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
