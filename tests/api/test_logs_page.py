"""The page of an operation's error log (§5.1.6)."""

from __future__ import annotations

import re
from html import unescape

from tests.support.dicom import make_instance
from tests.support.gantry import Gantry

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def rows(page: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<td><code>(.*?)</code></td>", page)]


def test_errors_are_grouped_by_reason(gantry: Gantry) -> None:
    for number in range(3):
        gantry.put(gantry.bucket, f"{number}.dcm", b"not DICOM")
        gantry.put(gantry.bucket, f"ok{number}.dcm", make_instance(sop="1.2.3", patient_id=str(number)))
    gantry.put(gantry.bucket, "x.dcm", b"")
    operation = gantry.import_("*")
    page = gantry.request("GET", f"logs/{operation['name']}", headers=BROWSER).text
    assert re.findall(r"<tr><td>([\d,]+)</td><td>(\w+)</td></tr>", page) == [
        ("4", "INVALID_ARGUMENT"),
        ("2", "ALREADY_EXISTS"),
    ]
    assert page.index("By reason") < page.index("<th>Object</th>")


def test_an_operation_without_errors_has_no_groups_and_no_links(gantry: Gantry) -> None:
    page = gantry.request("GET", f"logs/{gantry.export()['name']}", headers=BROWSER).text
    assert "No errors and no warnings have been logged." in page
    assert "by reason" not in page and "<a " not in page


def test_links_lead_through_all_pages_and_back_to_the_first(gantry: Gantry) -> None:
    for number in range(5):
        gantry.put(gantry.bucket, f"{number}.dcm", b"not DICOM")
    path = f"logs/{gantry.import_('*')['name']}"
    query, seen, firsts = "?pageSize=2", [], []
    while query:
        page = gantry.request("GET", path + query, headers=BROWSER).text
        seen.append([name.rpartition("/")[2] for name in rows(page)])
        links = dict(re.findall(r'<a href="(.*?)">(First|Next) 2 entries', page))
        links = {title: unescape(target) for target, title in links.items()}
        firsts.append(links.get("First"))
        query = links.get("Next", "")
    assert seen == [["0.dcm", "1.dcm"], ["2.dcm", "3.dcm"], ["4.dcm"]]
    assert firsts == [None, "?pageSize=2", "?pageSize=2"]


def test_nothing_is_shown_unescaped(gantry: Gantry) -> None:
    name = "<img src=x onerror=alert(1)>&'\".dcm"
    gantry.put(gantry.bucket, name, b"not DICOM")
    response = gantry.request("GET", f"logs/{gantry.import_('**')['name']}", headers=BROWSER)
    assert "<img" not in response.text
    assert rows(response.text)[-1].endswith(name)
    assert "default-src 'none'" in response.headers["content-security-policy"]
