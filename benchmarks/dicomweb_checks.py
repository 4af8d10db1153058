"""What a server must answer before it is timed, so that nobody is timed on an error page or on half an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx

from benchmarks.machine import BenchmarkError

JSON = "application/dicom+json"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
STOW_TYPE = 'multipart/related; type="application/dicom"; boundary=bench'
Check = Callable[[str], None]
"""Of a server's DICOMweb root. Raises NotAvailable or BenchmarkError."""
_STUDY, _INSTANCE = "0020000D", "00080018"
_GRAY_OF_A_PICTURE = 0.98
"""Least correlation with what the file's own window shows; servers differ in what they make of its width."""


class NotAvailable(Exception):
    """The server does not offer it: 404 or 501."""


def _answer(response: httpx.Response) -> httpx.Response:
    if response.status_code in (404, 501):
        raise NotAvailable(f"HTTP {response.status_code}")
    if response.status_code not in (200, 204):
        raise BenchmarkError(f"{response.url}: HTTP {response.status_code}: {response.text[:300]}")
    return response


def get(base: str, path: str, accept: str) -> httpx.Response:
    with httpx.Client(timeout=120, trust_env=False) as client:
        return _answer(client.get(base + path, headers={"Accept": accept}))


def _uids(response: httpx.Response, tag: str) -> list[str]:
    found = json.loads(response.content) if response.content else []
    return [item[tag]["Value"][0] for item in found]


def _same(path: str, found: Iterable[str], expected: Iterable[str]) -> None:
    one, other = sorted(found), sorted(expected)
    if one != other:
        raise BenchmarkError(f"{path}: {len(one)} results where {len(other)} are expected, or others")


def studies(path: str, expected: Iterable[str]) -> Check:
    """A search for studies finds exactly these."""
    return lambda base: _same(path, _uids(get(base, path, JSON), _STUDY), expected)


def some_studies(path: str, count: int, known: frozenset[str]) -> Check:
    """A search for studies finds ``count`` different ones of these; which, is the server's choice."""

    def check(base: str) -> None:
        found = _uids(get(base, path, JSON), _STUDY)
        if len(found) != count or len(set(found)) != count or not known.issuperset(found):
            raise BenchmarkError(f"{path}: {len(found)} results where {count} are expected, or others")

    return check


def instances(path: str, expected: Iterable[str]) -> Check:
    """A search for instances finds exactly these."""
    return lambda base: _same(path, _uids(get(base, path, JSON), _INSTANCE), expected)


def includes_instances(path: str, expected: Iterable[str]) -> Check:
    """A search for instances finds at least these."""

    def check(base: str) -> None:
        missing = set(expected) - set(_uids(get(base, path, JSON), _INSTANCE))
        if missing:
            raise BenchmarkError(f"{path}: {len(missing)} instances that were stored are not found")

    return check


def metadata(path: str, expected: Iterable[Path]) -> Check:
    """Exactly these files' headers, with every element and its value."""

    def check(base: str) -> None:
        from pydicom import Dataset, dcmread

        response = get(base, path, JSON)
        headers = {
            header.SOPInstanceUID: header for header in (dcmread(file, stop_before_pixels=True) for file in expected)
        }
        _same(path, _uids(response, _INSTANCE), headers)
        for item in json.loads(response.content):
            # Group 2 is the server's own business, pixels are bulk data.
            found = Dataset.from_json({tag: value for tag, value in item.items() if tag[:4] not in ("0002", "7FE0")})
            wrong = [element.tag for element in headers[found.SOPInstanceUID] if found.get(element.tag) != element]
            if wrong:
                raise BenchmarkError(f"{path}: {len(wrong)} elements missing or wrong, {wrong[0]} first")

    return check


def files(path: str, expected: Iterable[Path]) -> Check:
    """A multipart answer holds exactly these files, byte for byte."""

    def check(base: str) -> None:
        response = get(base, path, STORED)
        found = sorted(_parts(response))
        if found != sorted(file.read_bytes() for file in expected):
            raise BenchmarkError(f"{path}: {len(found)} parts, which are not the files that were stored")

    return check


def _parts(response: httpx.Response) -> list[bytes]:
    found = re.search(r'boundary="?([^";]+)', response.headers["content-type"])
    if not found:
        raise BenchmarkError(f"{response.url}: {response.headers['content-type']}")
    pieces = (b"\r\n" + response.content).split(b"\r\n--" + found[1].encode())
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces[1:-1]]


def picture(path: str, file: Path) -> Check:
    """A JPEG that shows this file as its window says."""

    def check(base: str) -> None:
        import imagecodecs
        import numpy as np
        from pydicom import dcmread

        header = dcmread(file)
        window = (header.WindowCenter - header.WindowWidth / 2, header.WindowCenter + header.WindowWidth / 2)
        shown = (header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)).clip(*window)
        body = get(base, path, "image/jpeg").content
        found = imagecodecs.jpeg_decode(body) if body.startswith(b"\xff\xd8") else np.empty(0)
        if found.shape[:2] != shown.shape:
            raise BenchmarkError(f"{path}: a picture of {found.shape} where {shown.shape} is expected")
        gray = found.reshape(*shown.shape, -1).mean(axis=2)
        alike = np.corrcoef(gray.ravel(), shown.ravel())[0, 1] if gray.std() else 0.0
        if alike < _GRAY_OF_A_PICTURE:
            raise BenchmarkError(f"{path}: a picture of something else, correlation {alike:.2f}")

    return check


def storing(body: bytes, expected: Iterable[str]) -> Check:
    """A store request is accepted, and its answer names exactly these instances as stored."""

    def check(base: str) -> None:
        headers = {"Content-Type": STOW_TYPE, "Accept": JSON}
        with httpx.Client(timeout=120, trust_env=False) as client:
            said = _answer(client.post(base + "/studies", content=body, headers=headers)).json()
        _same("POST /studies", [item["00081155"]["Value"][0] for item in said["00081199"]["Value"]], expected)

    return check
