"""DICOMweb requests as a client makes them, and answers taken apart."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any, NamedTuple

import httpx

from tests.support.gantry import Gantry
from tests.support.server import Json

JSON = "application/dicom+json"
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ONE_AS_STORED = "application/dicom; transfer-syntax=*"


class Part(NamedTuple):
    """``type`` is the Content-Type with its parameters."""

    type: str
    location: str
    data: bytes


class Web:
    """The DICOMweb root of a test's store."""

    def __init__(self, gantry: Gantry, version: str = "v1") -> None:
        self.gantry, self.root = gantry, f"{version}/{gantry.store}/dicomWeb"
        self.url = f"{gantry.server.url}/{self.root}"

    def get(self, path: str, accept: str = "", **kw: Any) -> httpx.Response:
        headers = {"accept": accept} if accept else {}
        return self.gantry.request("GET", f"{self.root}/{path}", headers=headers | kw.pop("headers", {}), **kw)

    def search(self, path: str, **parameters: Any) -> list[Json]:
        """The results, none for 204."""
        response = self.get(path, JSON, params=parameters)
        if response.status_code == 204:
            assert response.content == b""
            return []
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == JSON
        found: list[Json] = response.json()
        assert found, "an empty result is 204 (§10.1)"
        return found

    def metadata(self, path: str) -> list[Json]:
        response = self.get(f"{path}/metadata", JSON)
        assert response.status_code == 200, response.text
        found: list[Json] = response.json()
        return found

    def store(self, *instances: bytes, study: str = "", accept: str = JSON, method: str = "POST") -> httpx.Response:
        """All in one multipart request."""
        content_type, body = multipart(instances)
        path = f"{self.root}/studies" + (f"/{study}" if study else "")
        headers = {"content-type": content_type, "accept": accept}
        return self.gantry.request(method, path, content=body, headers=headers)

    def stored(self, *instances: bytes) -> Json:
        """Store what must be accepted; the answer."""
        response = self.store(*instances)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer


def multipart(instances: Iterable[bytes], media_type: str = "application/dicom") -> tuple[str, bytes]:
    """Content-Type and body."""
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    body = b"".join(head + data + b"\r\n" for data in instances) + f"--{boundary}--\r\n".encode()
    return f'multipart/related; type="{media_type}"; boundary={boundary}', body


def parts_of(response: httpx.Response) -> list[Part]:
    """The parts of a multipart answer, cut at the boundary that its Content-Type names (RFC 2046 §5.1.1)."""
    assert response.status_code == 200, response.text[:2000]
    return cut_parts(response.headers["content-type"], response.content)


def cut_parts(content_type: str, body: bytes) -> list[Part]:
    """The parts of a multipart body."""
    message = Message()
    message["content-type"] = content_type
    assert message.get_content_type() == "multipart/related"
    delimiter = f"\r\n--{message.get_boundary()}".encode()
    preamble, *pieces, end = (b"\r\n" + body).split(delimiter)
    assert preamble in (b"", b"\r\n")
    assert end.strip() == b"--"
    return [_part(piece) for piece in pieces]


def _part(piece: bytes) -> Part:
    head, separator, data = piece.partition(b"\r\n\r\n")
    assert separator and head.startswith(b"\r\n")
    headers = BytesHeaderParser().parsebytes(head[2:])
    return Part(headers["content-type"], headers["content-location"] or "", data)


def values(dataset: Json, tag: str) -> list[Any]:
    found: list[Any] = dataset.get(tag, {}).get("Value", [])
    return found


def value(dataset: Json, tag: str) -> Any:
    (found,) = values(dataset, tag)
    return found


def uid_path(study: str, series: str = "", instance: str = "") -> str:
    levels = zip(("studies", "series", "instances"), (study, series, instance), strict=True)
    return "/".join(f"{level}/{uid}" for level, uid in levels if uid)
