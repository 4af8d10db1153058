"""A request and its answer, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

if TYPE_CHECKING:
    from tests.support.s3.faults import Rule

XML = "application/xml"


@dataclass(slots=True)
class Request:
    """``path`` is as it was sent; ``key`` are the bytes that it stands for. ``query`` has text of
    UTF-8, other bytes as surrogates; names of ``headers`` are in small letters."""

    method: str
    path: str
    bucket: str
    key: bytes
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True
    operation: str = ""
    fault: Rule | None = None

    def read_query(self, name: str) -> bytes:
        return self.query.get(name, "").encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Answer:
    """``length`` is what Content-Length says where that is not the length of the body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    length: int | None = None


def answer_xml(document: bytes, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": XML}, document)


def parse_request(method: str, url: bytes, headers: dict[str, str]) -> Request:
    """Path-style addresses: ``/BUCKET/KEY?QUERY``. Nothing of a key is normalised."""
    path, _, query = url.partition(b"?")
    bucket, _, key = path[1:].partition(b"/")
    if b"%" in key:
        key = unquote_to_bytes(key)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape") if query else ()
    return Request(method, path.decode("latin-1"), bucket.decode("latin-1"), key, dict(pairs), headers)
