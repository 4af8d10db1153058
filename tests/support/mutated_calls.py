"""Calls near those that work, by a seed: odd ids, bodies, parameters, headers and credentials."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gantry.api.methods import METHODS
from gantry.console.app import PAGES
from tests.support.access import ADMIN

DATASET = "projects/p/locations/us-central1/datasets/d"
STORE = f"{DATASET}/dicomStores/s"
UIDS = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
IDS = ("p", "us-central1", "d", "s", "1", *UIDS)
ODD = (
    *("", "..", ".", "%00", "%2F", "%5c", "é", "\U0001f600", "-", "_", "*", "a" * 300, "1." * 40, "A", " ", "%FF"),
    *("null", "projects", ":import", "gs://b/**", "gs://", "/etc/passwd", "$1", "'", '"', "<b>", "\u202e", "9" * 25),
)
CREDENTIALS = ("ada", "ada", "ada", "ada", "ada", "bob", "", "wrong", "cookie", "query")
ITEMS: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, 2**63, 2**64, "", "x", [], {}, [[]], {"a": {}}, "gs://b/x", "gs://none/**.dcm"),
    *("ARCHIVE", "COLDLINE", "2024-01-01T00:00:00Z", "projects/p", "a" * 5000, "\udc80", "\0", "user:a@b"),
)
FIELDS = (
    *("name", "labels", "timeZone", "encryptionSpec", "gcsSource", "uri", "gcsDestination", "uriPrefix", "mimeType"),
    *(
        "blobStorageSettings",
        "blobStorageClass",
        "filterConfig",
        "resourcePathsGcsUri",
        "bigqueryDestination",
        "policy",
    ),
    *("bindings", "role", "members", "condition", "expression", "etag", "permissions", "streamConfigs", "resource"),
    *("notificationConfig", "pubsubTopic", "resourceNames", "filter", "orderBy", "pageSize", "pageToken", "updateMask"),
)
PARAMETERS = (
    *("bucket", "prefix", "uri", "modify", "q", "code", "after", "offset", "page", "PatientName", "StudyDate", "study"),
    *("pageSize", "pageToken", "filter", "updateMask", "update_mask", "datasetId", "dicomStoreId", "alt", "fields"),
    *("prettyPrint", "$.xgafv", "options.requestedPolicyVersion", "key", "quotaUser", "callback", "access_token"),
)
VALUES = (
    "b",
    "on",
    "gs://b/**",
    "../",
    "20240101",
    "1",
    "-1",
    "1000000",
    "x",
    "labels",
    "blobStorageSettings",
    "*",
    "json",
    "proto",
    "a,b",
    "done=true",
    "%",
)
BODIES: tuple[Any, ...] = (
    {},
    {"labels": {"a": "b"}},
    {"gcsSource": {"uri": "gs://b/**.dcm"}, "blobStorageSettings": {"blobStorageClass": "ARCHIVE"}},
    {"gcsDestination": {"uriPrefix": "gs://b/out", "mimeType": "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"}},
    {"filterConfig": {"resourcePathsGcsUri": "gs://b/filter.txt"}, "gcsDestination": {"uriPrefix": "gs://b/"}},
    {"policy": {"bindings": [{"role": "roles/viewer", "members": ["user:a@b.c"]}], "etag": "AAAA"}},
    {"permissions": ["healthcare.datasets.get"]},
    {"resourceNames": ["projects/p"], "filter": 'logName="x"', "pageSize": 10},
    [{"op": "replace", "path": "/00100010", "value": {"vr": "PN", "Value": [{"Alphabetic": "x"}]}}],
)


class Calls:
    """Calls near those that work, by a seed."""

    def __init__(self, seed: int, tokens: Mapping[str, str], cookie: str) -> None:
        self.chance = random.Random(seed)
        self.tokens, self.cookie = tokens, cookie

    def one_of(self, values: Any) -> Any:
        return values[self.chance.randrange(len(values))]

    def path(self, method: Any) -> str:
        if self.chance.random() < 0.1:
            return f"console/{self.filled(self.one_of(tuple(PAGES)))}"
        version = self.one_of(method.versions) if self.chance.random() < 0.95 else self.one_of(("v1", "v2", "v9", ""))
        return f"{version}/{self.filled(method.path)}"

    def filled(self, path: str) -> str:
        """Ids for the stars, now and then odd ones."""
        left = iter(IDS)
        parts = []
        for part in path.split("/"):
            if part.startswith("*"):
                known = next(left, "1")
                part = (self.one_of(ODD) if self.chance.random() < 0.08 else known) + part.lstrip("*")
            elif self.chance.random() < 0.01:
                part = self.one_of(ODD)
            parts.append(part)
        return "/".join(parts)

    def body(self) -> bytes:
        text = json.dumps(self.bent(json.loads(json.dumps(self.one_of(BODIES))), 0))
        data = bytearray(text.encode())
        if self.chance.random() < 0.15:
            for _ in range(self.chance.randint(1, 4)):
                at = self.chance.randrange(len(data) + 1)
                data[at : at + self.chance.randint(0, 2)] = self.chance.randbytes(self.chance.randint(0, 2))
        if self.chance.random() < 0.005:
            data[:0] = self.one_of(
                (b"[" * 5000, b'{"a":' * 200, b"0x" + b"f" * 9000, b"\xef\xbb\xbf", b"\xff\xfe", b"/*")
            )
        return bytes(data)

    def bent(self, value: Any, depth: int) -> Any:
        """Fields taken out, put in and replaced."""
        if self.chance.random() < 0.06:
            return self.one_of(ITEMS)
        if isinstance(value, dict):
            kept = {name: self.bent(each, depth + 1) for name, each in value.items() if self.chance.random() > 0.05}
            if self.chance.random() < 0.08:
                kept[self.one_of(FIELDS)] = self.one_of(ITEMS)
            return kept
        return [self.bent(each, depth + 1) for each in value] if isinstance(value, list) else value

    def call(self) -> tuple[str, str, dict[str, str], bytes]:
        method = self.one_of(METHODS)
        path, headers, body = self.path(method), {}, b""
        pairs = [(self.one_of(PARAMETERS), self.one_of(VALUES)) for _ in range(self.one_of((0, 0, 0, 1, 3)))]
        verb = (
            method.verb if self.chance.random() < 0.95 else self.one_of(("GET", "POST", "PATCH", "DELETE", "PUT", "X"))
        )
        if method.verb == "POST" and method.id.endswith("create"):
            pairs.append(("datasetId", f"x{self.chance.randrange(50)}"))
            pairs.append(("dicomStoreId", f"x{self.chance.randrange(50)}"))
        if verb in ("POST", "PATCH", "PUT"):
            body = self.body()
            headers["content-type"] = self.one_of(
                (
                    "application/json",
                    "application/json; charset=utf-8",
                    "text/plain; charset=utf-16",
                    "application/dicom",
                )
            )
        if self.chance.random() < 0.03:
            headers["x-http-method-override"] = self.one_of(("GET", "PATCH", "DELETE", "get", "X"))
        if self.chance.random() < 0.02:
            headers["content-encoding"] = self.one_of(("gzip", "br", "identity", ""))
        who = self.one_of(CREDENTIALS)
        if who in self.tokens:
            headers["authorization"] = f"Bearer {self.tokens[who]}"
        elif who == "wrong":
            headers["authorization"] = self.one_of(("Bearer a.b.c", "Bearer", "Basic eDp5", "Bearer " + "x" * 3000))
        elif who == "cookie":
            headers["cookie"] = self.one_of((f"gantry-session={self.cookie}", "gantry-session=x", "=;;=", "a" * 2000))
            headers["sec-fetch-site"] = self.one_of(("same-origin", "cross-site", "x"))
        elif who == "query":
            pairs.append(("access_token", self.tokens[ADMIN]))
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
        return verb, quote(f"/{path}", safe="/%:*$") + (f"?{query}" if query else ""), headers, body


def takes_the_ground_away(verb: str, path: str, headers: dict[str, str]) -> bool:
    """Whether the dataset or the store, on which all other calls are, would be deleted."""
    deletes = "DELETE" in (verb, headers.get("x-http-method-override", "").upper())
    return deletes and path.partition("?")[0].rstrip("/").endswith((f"/{DATASET}", f"/{STORE}"))
