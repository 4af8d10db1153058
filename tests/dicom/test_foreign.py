"""Files that are not DICOM are named for what they are."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile

import pytest
from tests.support.dicom import make_instance

from gantry.dicom.part10 import read_header
from gantry.errors import InvalidArgument


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("a.dcm", make_instance("1", "2", "3"))
    return out.getvalue()


def tar(form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as file:
        file.addfile(tarfile.TarInfo("a.dcm"), io.BytesIO())
    return out.getvalue()


def nifti(order: str, length: int, at: int, letters: bytes) -> bytes:
    data = bytearray(length)
    data[:4] = struct.pack(f"{order}i", length)
    data[at : at + 4] = letters
    return bytes(data) + b"\1" * 100


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 12345\n"
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
FILES = [
    (HTML, "an HTML page"),
    (b"\n\n  <HTML lang=en>" + b"x" * 9000, "an HTML page"),
    (b"\xef\xbb\xbf<!-- saved -->\n<!doctype HTML>", "an HTML page"),
    ("\ufeff<html></html>".encode("utf-16-le"), "an HTML page"),
    (b'<?xml version="1.0"?><NativeDicomModel/>', "an XML document"),
    (b"<svg xmlns='x'/>", "an XML document"),
    (json.dumps({"error": {"code": 404}}, indent=2).encode(), "a JSON document"),
    (b'[{"00080018": {"vr": "UI"}}]', "a JSON document"),
    (b"{}", "a JSON document"),
    (b"[1, 2]", "a JSON document"),
    (LFS, "a Git LFS pointer"),
    (b"Dear colleague,\r\nplease find the images", "a text file"),
    ("Ärztlicher Befund".encode("latin-1"), "a text file"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\xff\xd8\xff\xe0", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (archive(), "a ZIP archive"),
    (gzip.compress(make_instance("1", "2", "3")), "a gzip stream"),
    (tar(tarfile.USTAR_FORMAT), "a tar archive"),
    (tar(tarfile.GNU_FORMAT), "a tar archive"),
    (tar(tarfile.PAX_FORMAT), "a tar archive"),
    (nifti("<", 348, 344, b"n+1\0"), "a NIfTI image"),
    (nifti(">", 348, 344, b"ni1\0"), "a NIfTI image"),
    (nifti("<", 540, 4, b"n+2\0"), "a NIfTI image"),
    (b"\x00\x05\x16\x07" + bytes(300), "a macOS resource file"),
    (b"<h1>403 Forbidden</h1>", "an HTML page"),
    (b"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE html PUBLIC 'x'><html/>", "an HTML page"),
    (b"<meta charset=utf-8><title>Log in</title>", "an HTML page"),
    (b"<pixels/>", "an XML document"),
    (LFS.replace(b"git-lfs", b"hawser"), "a Git LFS pointer"),
    (b"/annex/objects/SHA256E-s123--abc.dcm\n", "a git-annex pointer"),
    (b"../../.git/annex/objects/x1/Y2/SHA256E-s1--a.dcm/SHA256E-s1--a.dcm", "a git-annex pointer"),
    (b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + make_instance("1", "2", "3"), "a multipart message"),
    (make_instance("1", "2", "3")[128:], "a DICOM file without its first 128 bytes"),
    (b"\xff" * 1000, "a file of bytes 255 only"),
    (b"\0\0\0\x18ftypmp42" + bytes(99), "an MP4 or QuickTime video"),
    (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(99), "a RIFF file"),
    (b"BM" + struct.pack("<I", 200) + bytes(194), "a BMP image"),
    (bytes(1), "a file of zero bytes only"),
    (bytes(132), "a file of zero bytes only"),
    (bytes(1 << 20), "a file that begins with zero bytes"),
]


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidArgument) as caught:
        read_header(lambda offset, length: data[offset : offset + length], len(data))
    return caught.value.message


@pytest.mark.parametrize(("data", "name"), FILES)
def test_a_file_is_named_for_what_it_is(data: bytes, name: str) -> None:
    message = refusal(data)
    assert message.startswith(f"this is {name}")
    assert ", not a DICOM file" in message
    assert len(message) < 200


@pytest.mark.parametrize(("data", "words"), [(LFS, "git lfs pull"), (HTML, "sign-in or error page")])
def test_what_can_be_done_is_said(data: bytes, words: str) -> None:
    assert words in refusal(data)


def test_an_empty_file_is_empty() -> None:
    assert refusal(b"") == "empty DICOM instance found: the object has no bytes"


@pytest.mark.parametrize(
    "data", [b"\x08\x00\x05\x00" + b"\1" * 200, b"\x9a\x01\x02garbage" * 30, b"{\0", b"\1" * 500, b"BM\0" * 99]
)
def test_what_is_not_known_is_not_named(data: bytes) -> None:
    assert "the 128-byte preamble and the DICM prefix are missing" in refusal(data)


@pytest.mark.parametrize("preamble", [b"II*\0", b"%PDF-1.7", b"<html>", b"{", LFS, b"PK\3\4"])
def test_any_preamble_may_stand_before_dicm(preamble: bytes) -> None:
    """PS3.10 §7.1: its use is left to applications."""
    data = preamble[:128].ljust(128, b"\0") + make_instance("1", "2", "3")[128:]
    assert read_header(lambda offset, length: data[offset : offset + length], len(data)).study_instance_uid == "1"
