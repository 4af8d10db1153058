"""Small bytes that claim to be, or become, very many: nothing is allocated because somebody says so.

CVE-2026-5438 (gzip), CVE-2026-5439 (sizes in the directory of a ZIP), CVE-2026-5444 (pictures inside of DICOM);
CWE-409, CWE-789.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from functools import cache
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from gantry.dicom import forms
from tests.hostile.neighbours import UIDS, Neighbours, bounded
from tests.pixels.instances import image
from tests.support.dicom import make_instance
from tests.support.web import Web, multipart, uid_path

MIB, GIB = 1 << 20, 1 << 30
SMALL = 160 * MIB
SMALL_GROWTH = 100 * MIB
"""What is inflated in each run, and the bound for it: believed once, it would be more. The large ones are slow."""

JSON_PATCH = "application/json-patch+json"


def bomb(size: int) -> bytes:
    """``size`` blanks."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b" " * (1 << 20)
    return b"".join(deflater.compress(piece) for _ in range(size >> 20)) + deflater.flush()


@pytest.fixture(scope="module", params=[SMALL, pytest.param(GIB, marks=pytest.mark.slow)], ids=["160 MiB", "1 GiB"])
def blanks(request: pytest.FixtureRequest) -> bytes:
    return bomb(request.param)


class TestGzip:
    @pytest.mark.parametrize(("verb", "tail"), [("PATCH", ""), ("POST", ":import"), ("POST", ":export")])
    def test_in_a_request_of_the_api(self, neighbours: Neighbours, blanks: bytes, verb: str, tail: str) -> None:
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        path = f"v1/{neighbours.gantry.store}{tail}"
        bounded(neighbours.gantry.request(verb, path, content=blanks, headers=headers))

    @pytest.mark.slow
    def test_in_a_store_request(self, neighbours: Neighbours, blanks: bytes) -> None:
        path = f"{neighbours.web.root}/studies"
        kind = 'multipart/related; type="application/dicom"; boundary=b'
        for content_type in (kind, "application/dicom", kind.replace("dicom", "dicom+json")):
            headers = {"content-encoding": "gzip", "content-type": content_type}
            response = neighbours.gantry.request("POST", path, content=blanks, headers=headers)
            assert response.status_code in (400, 409, 415), response.text
        assert neighbours.web.search("instances") == []

    def test_a_size_that_is_a_lie(self, neighbours: Neighbours) -> None:
        """The last four bytes name the size (RFC 1952 §2.3.1)."""
        data = bytearray(gzip.compress(b'{"labels": {}}'))
        data[-4:] = b"\xff\xff\xff\xff"
        headers = {"content-encoding": "gzip"}
        bounded(
            neighbours.gantry.request("PATCH", f"v1/{neighbours.gantry.store}", content=bytes(data), headers=headers)
        )

    def test_in_a_filter_file(self, neighbours: Neighbours, blanks: bytes) -> None:
        """Filter files are text, and are not inflated."""
        uri = neighbours.gantry.put(neighbours.gantry.bucket, "filter.gz", blanks)
        body = {"gcsDestination": {"uriPrefix": f"gs://{neighbours.gantry.out}"},
                "filterConfig": {"resourcePathsGcsUri": uri}}  # fmt: skip
        response = neighbours.gantry.request("POST", f"v1/{neighbours.gantry.store}:export", json=body)
        if response.status_code == 200:
            assert neighbours.gantry.wait(response.json()["name"])["error"]["code"] in (3, 9)
        else:
            bounded(response)
        assert neighbours.gantry.objects(neighbours.gantry.out) == {}


class TestZip:
    @staticmethod
    def lying() -> bytes:
        """An archive of one instance, which says that it has 4 GiB."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.dcm", make_instance())
        data = bytearray(made.getvalue())
        for at in (data.index(b"PK\3\4") + 22, data.index(b"PK\1\2") + 24):
            data[at : at + 4] = b"\xfe\xff\xff\xff"
        return bytes(data)

    def test_an_archive_is_no_instance(self, neighbours: Neighbours) -> None:
        assert neighbours.import_one(self.lying())
        assert neighbours.store_one(self.lying()).status_code == 409
        headers = {"content-type": "application/zip"}
        path = f"{neighbours.web.root}/studies"
        response = neighbours.gantry.request("POST", path, content=self.lying(), headers=headers)
        assert response.status_code in (400, 415), response.text


def deflated(inflated_bytes: int, *, zeros_in: bytes) -> bytes:
    """An instance in Deflated Explicit VR Little Endian whose element ``zeros_in`` inflates to so many bytes."""
    data = make_instance(*UIDS)
    meta_end = data.index(b"\x08\0\x16\0UI")
    body = data[meta_end : data.index(b"\xe0\x7f\x10\0OW")]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = [deflater.compress(body + zeros_in + struct.pack("<I", inflated_bytes))]
    piece = bytes(1 << 20)
    out += [deflater.compress(piece) for _ in range(inflated_bytes >> 20)]
    out.append(deflater.flush())
    meta = data[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    meta = meta.replace(b"UI\x14\x001.2.840.10008.1.2.1.99", b"UI\x16\x001.2.840.10008.1.2.1.99")
    size = len(meta) - 144
    return meta[:140] + struct.pack("<I", size) + meta[144:] + b"".join(out)


PICTURES = ("/rendered", "/thumbnail", "/frames/1")


def is_of_zeros(neighbours: Neighbours, path: str, size: int) -> bool:
    """Whether the answer is so many of them. It is not held either."""
    headers, given = {"accept": "application/octet-stream"}, 0
    with httpx.stream("GET", f"{neighbours.web.url}/{path}", headers=headers, timeout=120) as response:
        assert response.status_code == 200
        for piece in response.iter_raw(MIB):
            given += piece.count(0)
    return given == size == int(response.headers["content-length"])


def exported(neighbours: Neighbours, syntax: str) -> dict[str, Any]:
    """The operation."""
    return neighbours.gantry.export(
        "x",
        gcsDestination={
            "uriPrefix": f"gs://{neighbours.gantry.out}",
            "mimeType": f"application/dicom; transfer-syntax={syntax}",
        },
    )


class TestDeflatedTransferSyntax:
    """PS3.5 §A.5: a megabyte of zeros takes a kilobyte."""

    PIXELS = b"\xe0\x7f\x10\0OW\0\0"
    PRIVATE = b"\x29\0\x10\x10OB\0\0"

    @pytest.mark.slow
    def test_more_than_is_ever_inflated(self, neighbours: Neighbours) -> None:
        data = deflated(2 * GIB + (1 << 20), zeros_in=self.PIXELS)
        assert "inflates to more than" in neighbours.store_one(data).text

    @pytest.mark.parametrize(
        ("size", "most_growth"),
        [(SMALL, SMALL_GROWTH), (GIB * 5 // 8, 200 * MIB)],
        ids=["160 MiB", "640 MiB"],
    )
    @pytest.mark.slow
    @pytest.mark.parametrize("element", [PIXELS, PRIVATE], ids=["pixels", "private"])
    def test_what_is_stored_can_be_read_in_every_way(
        self, neighbours: Neighbours, element: bytes, size: int, most_growth: int
    ) -> None:
        neighbours.most_growth = most_growth
        data = deflated(size, zeros_in=element)
        assert neighbours.store_one(data).status_code == 200
        root = uid_path(*UIDS)
        own = "7FE00010" if element == self.PIXELS else "00291010"
        seen = {path: neighbours.web.get(root + path, "*/*").status_code for path in ("/metadata", *PICTURES)}
        wanted = (200,) if element == self.PIXELS else (400, 404, 406)  # the private element stands for the pixels
        assert seen.pop("/metadata") == 200
        assert all(status in wanted for status in seen.values()), seen
        assert is_of_zeros(neighbours, f"{root}/bulkdata/{own}", size)
        for syntax in (forms.EXPLICIT_LE, forms.IMPLICIT_LE, forms.J2K_LOSSLESS):
            response = neighbours.web.get(root, f"application/dicom; transfer-syntax={syntax}")
            assert response.status_code == 406 and "inflates to" in response.text, response.text[:300]
        (failure,) = neighbours.gantry.failures(exported(neighbours, forms.EXPLICIT_LE)).values()
        assert "inflates to" in str(failure["message"])
        assert neighbours.web.get(root, "application/dicom; transfer-syntax=*").content == data


def jpeg(rows: int, columns: int) -> bytes:
    """Whose header claims another size (ITU-T T.81 §B.2.2)."""
    made = io.BytesIO()
    Image.new("L", (8, 8)).save(made, "JPEG")
    data = bytearray(made.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", rows, columns)
    return bytes(data)


def j2k(rows: int, columns: int) -> bytes:
    """Whose SIZ marker claims another size (ITU-T T.800 §A.5.1)."""
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((8, 8), np.uint8), codecformat="j2k"))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", columns, rows)
    return bytes(data)


def j2k_of_one_tile(rows: int, columns: int) -> bytes:
    """The tile too."""
    data = bytearray(j2k(rows, columns))
    at = data.index(b"\xff\x51")
    data[at + 22 : at + 30] = struct.pack(">II", columns, rows)
    return bytes(data)


def png(rows: int, columns: int) -> bytes:
    """Which no transfer syntax has."""
    head = struct.pack(">II", columns, rows) + b"\x08\0\0\0\0"
    chunk = b"IHDR" + head
    rest = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", len(rest)) + b"IDAT" + rest + struct.pack(">I", zlib.crc32(b"IDAT" + rest))
    )  # fmt: skip


def pam(rows: int, columns: int) -> bytes:
    """CVE-2026-5444: its own header has the size."""
    return f"P7\nWIDTH {columns}\nHEIGHT {rows}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n".encode() + bytes(64)


def rle(rows: int, columns: int) -> bytes:
    """Runs of 128 equal bytes from two (PS3.5 §G.3): at most 64 times as many."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 20_000


@cache
def deflated_frame(rows: int, columns: int) -> bytes:
    """PS3.5 §A.4.13: a frame that is larger than any that is decoded, of zeros."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(deflater.compress(bytes(MIB)) for _ in range(SMALL // MIB)) + deflater.flush()


FRAMES = {
    "JPEG": (jpeg, forms.JPEG_BASELINE),
    "JPEG lossless": (jpeg, forms.JPEG_LOSSLESS_SV1),
    "JPEG 2000": (j2k, forms.J2K_LOSSLESS),
    "JPEG 2000 in one tile": (j2k_of_one_tile, forms.J2K),
    "PNG": (png, forms.JPEG_BASELINE),
    "PNG as JPEG 2000": (png, forms.J2K),
    "PAM": (pam, forms.J2K),
    "PAM as RLE": (pam, forms.RLE),
    "RLE": (rle, forms.RLE),
    "deflated": (deflated_frame, forms.DEFLATED_FRAME),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize(
    ("rows", "columns", "declared"),
    [(60_000, 60_000, (8, 8)), (60_000, 60_000, (60_000, 60_000)), (8, 8, (60_000, 60_000)), (8_000, 8_000, (8, 8))],
    ids=["the bitstream lies", "both lie", "the attributes lie", "a frame that could be"],
)
def test_pictures_inside_of_dicom(
    neighbours: Neighbours, kind: str, rows: int, columns: int, declared: tuple[int, int]
) -> None:
    """Rendered, as a thumbnail, as a frame, transcoded and exported: an error of the instance, or a small picture."""
    make, syntax = FRAMES[kind]
    data = image([make(rows, columns)], *declared, syntax=syntax)
    assert neighbours.store_one(data).status_code == 200
    root = uid_path(*UIDS)
    for path, accept in (
        *((f"{root}{path}", kind) for path in ("/rendered", "/thumbnail") for kind in ("image/png", "image/jpeg")),
        (f"{root}/frames/1", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"),
        (root, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
    ):
        response = neighbours.web.get(path, accept)
        assert response.status_code in (200, 400, 404, 406), f"{path}: {response.status_code} {response.text[:300]}"
        if response.status_code in (400, 404):
            bounded(response)
        else:
            assert len(response.content) < 70 << 20
    operation = neighbours.gantry.export("x", gcsDestination={"uriPrefix": f"gs://{neighbours.gantry.out}",
                                                              "mimeType": "image/jpeg"})  # fmt: skip
    assert sum(int(operation["metadata"]["counter"].get(key, 0)) for key in ("success", "failure")) == 1
    assert neighbours.web.get(root, "application/dicom; transfer-syntax=*").content == data


@pytest.mark.slow
def test_bulk_data_of_many_small_frames_that_become_large(neighbours: Neighbours) -> None:
    """Each is a legal picture, and all of them together have an instance's worth of memory."""
    neighbours.most_growth = 4 * SMALL_GROWTH  # several workers load a codec and give 16 MiB each
    frame = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = frame.compress(bytes(MIB)) + frame.flush()
    frames = 2 * SMALL // MIB
    stored = image([data] * frames, 1024, 1024, syntax=forms.DEFLATED_FRAME, frames=frames)
    assert neighbours.store_one(stored).status_code == 200
    path = f"{uid_path(*UIDS)}/bulkdata/7FE00010"
    assert is_of_zeros(neighbours, path, frames * MIB)
    last = neighbours.web.get(path, "application/octet-stream", headers={"range": "bytes=-10"})
    assert (last.status_code, last.content) == (206, bytes(10))


def test_a_store_request_of_very_many_empty_parts(neighbours: Neighbours) -> None:
    content_type, body = multipart([b""] * 100_000)
    headers = {"content-type": content_type, "accept": "application/dicom+json"}
    response = neighbours.gantry.request(
        "POST", f"{Web(neighbours.gantry).root}/studies", content=body, headers=headers
    )
    assert response.status_code in (400, 409), response.status_code
    assert len(response.content) < 64 << 20
