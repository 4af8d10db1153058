"""The rules of every list of the API (§4.2.4)."""

from __future__ import annotations

import base64
from typing import Any

from tests.support.answers import refused
from tests.support.gantry import Gantry
from tests.support.server import Json


def all_pages(gantry: Gantry, path: str, field: str, **params: Any) -> list[list[Json]]:
    """Every page of a list, by following ``nextPageToken`` with the other parameters repeated, as gcloud does."""
    pages, token = [], ""
    while True:
        query = params | ({"pageToken": token} if token else {})
        page = gantry.call("GET", path, params=query)
        assert page.keys() <= {field, "nextPageToken"}
        pages.append(page.get(field, []))
        token = page.get("nextPageToken", "")
        if not token:
            return pages


def check_paging(gantry: Gantry, path: str, field: str, key: str = "name") -> None:
    """A list of five or more items keeps every rule of paging."""
    (whole,) = all_pages(gantry, path, field)
    assert len(whole) >= 5
    for size in (1, 2, len(whole) - 1, len(whole), len(whole) + 1):
        pages = all_pages(gantry, path, field, pageSize=size)
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
        assert pages[-1], "a last page that is empty: the token before it was one too many"
        assert [item[key] for page in pages for item in page] == [item[key] for item in whole]
    for size in ("0", "", "1001", "2147483647"):
        assert gantry.call("GET", path, params={"pageSize": size})[field] == whole
    for size in ("-1", "x", "1.5"):
        refused(gantry.request("GET", path, params={"pageSize": size}), "INVALID_ARGUMENT", "pageSize")
    token = gantry.call("GET", path, params={"pageSize": 1})["nextPageToken"]
    for changed in ("x", token[:-1], token + "AAAA", token.swapcase(), _other_position(token), "ключ"):
        response = gantry.request("GET", path, params={"pageToken": changed})
        assert response.status_code == 400 or changed == token, (changed, response.text)


def _other_position(token: str) -> str:
    """A token whose position was replaced by someone who saw through it."""
    text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return base64.urlsafe_b64encode(text[:-1] + b"\xff").decode().rstrip("=")
