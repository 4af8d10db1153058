"""Somebody who reads the change feed of a store over HTTP, and knows from nothing else what it holds."""

from __future__ import annotations

from typing import Any

from tests.support.gantry import Gantry
from tests.support.server import Json

Uids = tuple[str, str, str]
NEW_BYTES = ("STORED", "REPLACED", "UPDATED")


def feed_path(gantry: Gantry, store: str = "", version: str = "v1") -> str:
    return f"{version}/{store or gantry.store}:changeFeed"


def read_feed(gantry: Gantry, store: str = "", **parameters: Any) -> Json:
    """One page."""
    return gantry.call("GET", feed_path(gantry, store), params=parameters)


def uids_of(change: Json) -> Uids:
    return change["studyInstanceUID"], change["seriesInstanceUID"], change["sopInstanceUID"]


class Follower:
    """``known`` has the last change of each instance that is there. ``token`` is where it goes on."""

    def __init__(self, gantry: Gantry, token: str = "") -> None:
        self.gantry, self.token = gantry, token
        self.known: dict[Uids, Json] = {}
        self.changes: list[Json] = []
        self.versions: set[str] = set()

    def read(self, size: int = 1000, wait: int = 0) -> list[Json]:
        """The next page."""
        place = {"pageToken": self.token} if self.token else {}
        page = read_feed(self.gantry, **place, pageSize=size, wait=wait)
        for change in page["changes"]:
            self.take(change)
        self.token = page["nextPageToken"]
        found: list[Json] = page["changes"]
        return found

    def take(self, change: Json) -> None:
        uids, kind = uids_of(change), change["change"]
        before = self.known.get(uids)
        assert (before is None) == (kind == "STORED"), f"{change} after {before}"
        if kind in NEW_BYTES:
            version = f"{uids} {change['versionId']}"
            assert version not in self.versions
            self.versions.add(version)
        if before is not None:
            assert change["storageClass"] == before["storageClass"] or kind == "MOVED"
        if kind == "MOVED":
            assert before is not None
            assert change["previousStorageClass"] == before["storageClass"] != change["storageClass"]
        self.changes.append(change)
        if kind == "DELETED":
            del self.known[uids]
        else:
            self.known[uids] = change

    def catch_up(self, size: int = 1000) -> None:
        """Read until all that was done before is told, deletions of studies included."""
        self.gantry.server.wait_until(lambda: not self.read(size) and self._is_told())

    def _is_told(self) -> bool:
        return {*self.known} == list_stored(self.gantry)


def list_stored(gantry: Gantry) -> set[Uids]:
    """As a search finds them."""
    tags = ("0020000D", "0020000E", "00080018")
    found: set[Uids] = set()
    while True:
        params = {"limit": 5000, "offset": len(found)}
        path = f"v1/{gantry.store}/dicomWeb/instances"
        response = gantry.request("GET", path, params=params, headers={"accept": "application/dicom+json"})
        rows = response.json() if response.status_code == 200 else []
        if not rows:
            return found
        for row in rows:
            study, series, sop = (row[tag]["Value"][0] for tag in tags)
            found.add((study, series, sop))
