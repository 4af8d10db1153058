"""Pages about the server: settings, disk, audit log, buckets. Who may not see them is told whom to ask."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gantry.api import methods
from gantry.api.bigquery import methods as tables
from gantry.api.method import ApiMethod
from gantry.console.audit_words import ACTIONS
from tests.dicomweb.instances import instance
from tests.support.access import ADMIN, Guarded
from tests.support.web import multipart

PROJECT = "projects/p"
DATASET = f"{PROJECT}/locations/us-central1/datasets/d"
STORE = f"{DATASET}/dicomStores/s"
OWN = {"sec-fetch-site": "same-origin"}
SECRET, OTHER_SECRET = "the-key-that-nobody-may-read", "the-client-secret-that-nobody-may-read"
SETTINGS = f"""
session_hours = 7
[[bucket_rules]]
name = "incoming"
read = true
prefix = "open/"
[[bucket_rules]]
name = "out"
write = true
datasets = ["{DATASET}"]
[[bucket_rules]]
name = "s3://away"
read = true
write = true
[[remote_buckets]]
name = "s3://away"
endpoint = "http://127.0.0.1:9"
access_key_id = "an-id"
secret_access_key = "{SECRET}"
[[remote_buckets]]
name = "s3://many-*"
endpoint = "http://127.0.0.1:9"
anonymous = true
"""
PEOPLE = ("viewer", "editor", "auditor", "nobody")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("server-pages")
    (home / "gantry.toml").write_text(SETTINGS)
    made = Guarded(
        home,
        *PEOPLE,
        GANTRY_CONFIG=str(home / "gantry.toml"),
        GANTRY_AUDIT_LOG=str(home / "audit.jsonl"),
        GANTRY_OIDC_CLIENT_SECRET=OTHER_SECRET,
    )
    made.call("POST", f"v1/{DATASET.rpartition('/')[0]}?datasetId=d")
    made.call("POST", f"v1/{DATASET}/dicomStores?dicomStoreId=s")
    for bucket, key in (("incoming", "open/1.dcm"), ("incoming", "closed/2.dcm"), ("out", "3.dcm")):
        path = made.server.buckets / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(instance(("1.2.1", "1.2.1.1", "1.2.1.1.1")))
    made.grant(STORE, ("roles/healthcare.dicomViewer", "viewer"), ("roles/healthcare.dicomEditor", "editor"))
    binding = {"role": "roles/logging.privateLogViewer", "members": ["user:auditor@example.org"]}
    made.call("POST", f"v1/{PROJECT}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    yield made
    assert "Traceback" not in made.server.log_text()
    made.server.stop()


def see(guarded: Guarded, who: str, path: str) -> httpx.Response:
    return guarded.request(who, "GET", f"console/{path}", headers={"accept": "text/html"})


def read(guarded: Guarded, who: str, path: str) -> str:
    page = see(guarded, who, path)
    assert page.status_code == 200, page.text
    return page.text


@pytest.mark.parametrize("path", ["settings", "disk", "audit", "buckets"])
@pytest.mark.parametrize("who", ["viewer", "nobody"])
def test_who_may_not_is_told_whom_to_ask(guarded: Guarded, path: str, who: str) -> None:
    page = see(guarded, who, path)
    assert page.status_code == 403 and "does not mean that nothing is there" in page.text
    assert ("roles/logging.privateLogViewer" if path == "audit" else "the setting admins names them") in page.text
    assert str(guarded.server.buckets) not in page.text and SECRET not in page.text


@pytest.mark.parametrize("path", ["settings", "disk", "audit", "buckets"])
def test_an_administrator_sees_each(guarded: Guarded, path: str) -> None:
    page = read(guarded, ADMIN, path)
    assert f'href="/console/{path}" aria-current="page"' in page and "does not mean" not in page


# Settings ---------------------------------------------------------------------------------------------------------


def rows(page: str) -> list[str]:
    return re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)


def row(page: str, name: str) -> str:
    (found,) = [each for each in rows(page) if f'<code class="name">{name}</code>' in each]
    return re.sub(r"<[^>]+>", " ", found)


@pytest.mark.parametrize(
    ("name", "value", "source"),
    [
        ("session_hours", "7", "Settings file"),
        ("auth", "required", "Environment"),
        ("port", "", "Option of the command"),
        ("retention_days", "30", "Default"),
        ("oidc_client_secret", "set; not shown", "Environment"),
        ("database", "sqlite", "Default"),
        ("tls_cert", "none: http", "Default"),
    ],
)
def test_a_setting_has_its_value_and_its_source(guarded: Guarded, name: str, value: str, source: str) -> None:
    found = row(read(guarded, ADMIN, "settings"), name)
    assert value in found and source in found and found.count(source) == 1


def test_no_secret_is_shown(guarded: Guarded) -> None:
    page = read(guarded, ADMIN, "settings")
    assert SECRET not in page and OTHER_SECRET not in page
    assert "an-id" in row(page, "remote_buckets") and "set; not shown" in row(page, "remote_buckets")


def test_a_setting_has_its_line_of_the_documentation(guarded: Guarded) -> None:
    page = read(guarded, ADMIN, "settings")
    assert "Hours for which a browser stays signed in." in row(page, "session_hours")
    assert "](" not in page and "<code>pip install &#39;gantry-dicom[postgresql]&#39;</code>" in page


def test_only_what_is_set(guarded: Guarded) -> None:
    page = read(guarded, ADMIN, "settings?only=set")
    assert "session_hours" in page and "retention_days" not in page


# Disk ---------------------------------------------------------------------------------------------------------------


def test_the_disk_has_what_is_stored_and_what_is_free(guarded: Guarded) -> None:
    kind, body = multipart([instance(("1.9.1", "1.9.1.1", "1.9.1.1.1"))])
    web = f"v1/{STORE}/dicomWeb/studies"
    assert guarded.request(ADMIN, "POST", web, content=body, headers={"content-type": kind}).status_code == 200
    page = read(guarded, ADMIN, "disk")
    assert f'<a href="/console/{STORE}">s</a>' in page and "free of" in page and "Standard" in page
    assert "at this week" not in page, "nobody knows the rate of a week yet"
    assert guarded.request(ADMIN, "DELETE", f"{web}/1.9.1").status_code == 200


# Audit --------------------------------------------------------------------------------------------------------------


def listed(page: str) -> list[tuple[str, str, str]]:
    """(who, action, outcome) of the rows."""
    found = []
    for cells in (re.findall(r"<td[^>]*>(.*?)</td>", each, re.DOTALL) for each in rows(page)):
        if len(cells) == 5:
            texts = [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]
            found.append((texts[1].partition(" ")[0], texts[2], texts[4]))
    return found


def test_who_did_what_and_with_which_outcome(guarded: Guarded) -> None:
    assert guarded.request("nobody", "GET", f"v1/{STORE}").status_code == 403
    assert guarded.request("editor", "GET", f"v1/{STORE}").status_code == 200
    found = listed(read(guarded, ADMIN, "audit"))
    assert ("nobody@example.org", "Look at a DICOM store", "Not allowed") in found
    assert ("editor@example.org", "Look at a DICOM store", "Done") in found


@pytest.mark.parametrize(
    ("query", "who", "outcome"),
    [
        ("who=editor", "editor@example.org", None),
        ("outcome=refused", None, "Not allowed"),
        ("who=EDITOR%40example.org&outcome=ok&days=today", "editor@example.org", "Done"),
        ("action=Look%20at%20a%20DICOM%20store&store=s", None, None),
    ],
)
def test_lines_are_filtered(guarded: Guarded, query: str, who: str | None, outcome: str | None) -> None:
    guarded.request("nobody", "GET", f"v1/{STORE}")
    guarded.request("editor", "GET", f"v1/{STORE}")
    found = listed(read(guarded, ADMIN, f"audit?{query}"))
    assert found
    for each in found:
        assert who in (None, each[0]) and outcome in (None, each[2])
        assert "action" not in query or each[1].startswith("Look at a DICOM store")
    assert listed(read(guarded, ADMIN, f"audit?{query}&days=2004")) == []


def test_a_filter_that_cannot_be(guarded: Guarded) -> None:
    assert 'role="alert"' in read(guarded, ADMIN, "audit?days=soon")


def test_pages_of_the_log_have_each_line_once(guarded: Guarded) -> None:
    for number in range(120):
        guarded.request("viewer", "GET", f"v1/{STORE}/dicomWeb/studies/1.7.{number}/metadata")
    seen: list[str] = []
    path = "audit?who=viewer&action=Read+the+metadata+of+a+study"
    while path:
        page = read(guarded, ADMIN, path)
        seen += re.findall(r"studies/(1\.7\.\d+)/metadata</code>", page)
        found = re.search(r'href="/console/(audit\?[^"]*before=\d+)">Older', page)
        path = found[1].replace("&amp;", "&") if found else ""
    assert seen == [f"1.7.{number}" for number in reversed(range(120))]


def test_the_log_as_csv_says_its_zone(guarded: Guarded) -> None:
    guarded.request("nobody", "GET", f"v1/{STORE}")
    answer = guarded.request(ADMIN, "GET", "console/audit.csv?who=nobody&outcome=refused")
    head, *found = csv.reader(io.StringIO(answer.text))
    assert head[0] == "time (UTC)" and found
    assert {(line[1], line[-1]) for line in found} == {("nobody@example.org", "PERMISSION_DENIED")}
    assert guarded.request("viewer", "GET", "console/audit.csv").status_code == 403


def test_an_auditor_of_a_project_sees_its_lines_alone(guarded: Guarded) -> None:
    guarded.request(ADMIN, "POST", "v1/projects/other/locations/us-central1/datasets?datasetId=x")
    guarded.request(ADMIN, "GET", "console/settings")
    page = read(guarded, "auditor", "audit")
    assert "You see the projects of which you may see it." in page and "<code title=" in page
    assert "projects/other/" not in page and ">settings</code>" not in page
    assert "projects/other/" in read(guarded, ADMIN, "audit")


# Buckets ------------------------------------------------------------------------------------------------------------


def check(guarded: Guarded, who: str, path: str, bucket: str = "") -> str:
    """Check one bucket or all, and the page once that is done."""
    answer = guarded.request(who, "POST", f"console/{path}", data={"bucket": bucket} if bucket else {}, headers=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/{path}"), answer.text
    for _ in range(200):
        page = read(guarded, who, path)
        if "Checking" not in page:
            return page
        time.sleep(0.1)
    raise AssertionError(page)


def judged(page: str, bucket: str) -> list[str]:
    """What is said of listing, reading and writing."""
    (found,) = [each for each in rows(page) if f'<strong translate="no">{bucket}</strong>' in each]
    cells = re.findall(r'<td data-label="[^"]*">(.*?)</td>', found, re.DOTALL)
    return [re.sub(r"<[^>]+>", " ", cell).strip() for cell in cells]


def files(directory: Path) -> set[str]:
    return {str(each.relative_to(directory)) for each in directory.rglob("*") if each.is_file()}


def test_nothing_is_checked_before_somebody_asks(guarded: Guarded) -> None:
    page = read(guarded, ADMIN, "buckets")
    if "Checked" in page:
        assert judged(page, "gs://out")[2] in ("Not checked", "Yes")
    assert "Stands for several buckets" in page and "s3://many-*" in page
    assert str(guarded.server.buckets) in page, "an administrator sees where it is"


def test_rights_are_tried_below_what_the_rules_allow(guarded: Guarded) -> None:
    before = files(guarded.server.buckets)
    page = check(guarded, ADMIN, "buckets")
    assert judged(page, "gs://incoming") == ["Yes", "Yes", "Not allowed"]
    assert judged(page, "gs://out") == ["Not allowed", "Not allowed", "Yes"]
    assert judged(page, "s3://away") == ["No", "No", "No"] or "No answer" in page
    assert "every dataset may read below open/" in page and "d may write" in page
    assert files(guarded.server.buckets) == before, "a check leaves nothing"


def test_who_may_export_sees_what_can_be_written(guarded: Guarded) -> None:
    page = check(guarded, "viewer", f"{STORE}/buckets")
    assert judged(page, "gs://out") == ["Not allowed", "Not allowed", "Yes"]
    assert "gs://incoming" not in page, "a viewer may not import"
    assert f"/console/{STORE}/export?bucket=out" in page and "/import?bucket=" not in page
    assert str(guarded.server.buckets) not in page, "paths are for administrators"


def test_who_may_import_finds_the_way(guarded: Guarded) -> None:
    page = check(guarded, "editor", f"{STORE}/buckets", "gs://incoming")
    assert judged(page, "gs://incoming")[:2] == ["Yes", "Yes"]
    form = read(guarded, "editor", f"{STORE}/import?bucket=incoming")
    assert re.search(r"<option[^>]* selected[^>]*>incoming</option>", form)


def test_who_may_do_neither_is_told(guarded: Guarded) -> None:
    guarded.grant(DATASET, ("roles/healthcare.dicomStoreViewer", "nobody"))
    page = see(guarded, "nobody", f"{STORE}/buckets")
    assert page.status_code == 403 and "roles/healthcare.dicomEditor" in page.text
    assert guarded.request("nobody", "POST", f"console/{STORE}/buckets", headers=OWN).status_code == 403
    assert guarded.request("viewer", "POST", "console/buckets", headers=OWN).status_code == 403
    guarded.grant(DATASET)


def test_another_site_checks_nothing(guarded: Guarded) -> None:
    client = httpx.Client(base_url=guarded.server.url, timeout=30)
    client.post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=OWN)
    assert client.post("/console/buckets", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_every_method_has_words_in_the_audit_log() -> None:
    own = [value for value in vars(methods).values() if isinstance(value, ApiMethod)]
    ids = {each.id for each in (*methods.METHODS, *methods.OWN, *own)}
    ids |= {f"google.cloud.bigquery.v2.{each.id}" for each in tables.METHODS} - {""}
    assert ids - ACTIONS.keys() == set()


# The first page -------------------------------------------------------------------------------------------------------


def test_nobody_sees_the_card_of_a_store_without_a_right(guarded: Guarded) -> None:
    assert f'{STORE}"><strong>s' in read(guarded, ADMIN, "") and STORE not in read(guarded, "nobody", "")


def test_what_is_running_is_on_the_first_page(guarded: Guarded) -> None:
    name = guarded.call("POST", f"v1/{STORE}:import", json={"gcsSource": {"uri": "s3://away/**"}})["name"]
    try:
        page = read(guarded, ADMIN, "")
        assert 'hx-get="/console/now"' in page and f'<a href="/console/{name}">Import · s</a>' in page
        assert f'<a href="/console/{name}">Import · s</a>' in read(guarded, ADMIN, "now")
        assert name not in read(guarded, "nobody", "") + read(guarded, "nobody", "now")
    finally:
        guarded.call("POST", f"v1/{name}:cancel")
    guarded.server.wait_until(lambda: "done" in guarded.call("GET", f"v1/{name}"))
    assert name not in read(guarded, ADMIN, "now")


# What needs attention -----------------------------------------------------------------------------------------------


def attention(page: str) -> str:
    found = re.search(r'<section class="panel attention".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def test_an_operation_with_failures_needs_attention_until_it_is_opened(guarded: Guarded) -> None:
    (guarded.server.buckets / "incoming" / "open" / "bad.txt").write_text("no image")
    body = {"gcsSource": {"uri": "gs://incoming/open/bad.txt"}}
    name = guarded.call("POST", f"v1/{STORE}:import", json=body)["name"]
    for _ in range(300):
        if guarded.call("GET", f"v1/{name}").get("done"):
            break
        time.sleep(0.1)
    (guarded.server.buckets / "incoming" / "open" / "bad.txt").unlink()
    client = httpx.Client(base_url=guarded.server.url, timeout=60)
    client.post("/sign-in", data={"token": guarded.tokens[ADMIN]}, headers=OWN)
    found = attention(client.get("/console/").text)
    assert f"/console/{name}" in found and "1 object has failed." in found
    assert f"/console/{name}" not in attention(read(guarded, "nobody", "")), "who may not list operations"
    assert client.get(f"/console/{name}").status_code == 200
    assert f"/console/{name}" not in attention(client.get("/console/").text)
    assert f"/console/{name}" in attention(read(guarded, ADMIN, "")), "another browser has not seen it"


def test_a_bucket_that_cannot_be_read_needs_attention_of_administrators(guarded: Guarded) -> None:
    check(guarded, ADMIN, "buckets")
    assert "s3://away" in attention(read(guarded, ADMIN, ""))
    assert "s3://away" not in attention(read(guarded, "viewer", ""))
