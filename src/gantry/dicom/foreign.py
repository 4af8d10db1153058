"""What a file is that is not DICOM, by its first bytes: an error that names it is half of the way to the right file."""

from __future__ import annotations

import re

_WITHOUT_PREAMBLE = "a DICOM file without its first 128 bytes"
_MAGIC = (
    (b"\x1f\x8b", "a gzip stream"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"BZh", "a bzip2 stream"),
    (b"\xfd7zXZ\x00", "an xz stream"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard stream"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft Office or Thumbs.db file"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\x00\x05\x16\x07", "a macOS resource file (AppleDouble, its name begins with ._)"),
    (b"\x00\x00\x00\x01Bud1", "a macOS .DS_Store file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"NRRD000", "an NRRD image"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x04\x22\x4d\x18", "an LZ4 stream"),
    (b"\x1f\x9d", "a compress stream"),
    (b"PAR1", "a Parquet file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"DICM", _WITHOUT_PREAMBLE),
)
"""Public signatures; the list is what lies beside DICOM files in practice."""

_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_ANNEX = re.compile(rb"[./]*(?:\.git)?/annex/objects/\S+\s*\Z")
_TEXT = 4096
"""Bytes that are looked at to tell what kind of text it is."""

_TAR_AT = 257  # "ustar" (POSIX.1-1988 §10.1.1)
_NIFTI = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0", b"ni2\0"))}
"""Length of the header, which is its first number → where the magic letters stand, and these (nifti.nimh.nih.gov)."""

_HTML_PAGE, _LFS_POINTER, _TEXT_FILE = "an HTML page", "a Git LFS pointer", "a text file"
_ANNEX_POINTER = "a git-annex pointer"
_ERASED, _PARTS = "a file of bytes 255 only", "a multipart message"
_ZEROS, _BEGINS_WITH_ZEROS = "a file of zero bytes only", "a file that begins with zero bytes"
_MISSING = ": the 128-byte preamble and the DICM prefix are missing"
_HINTS = {
    _HTML_PAGE: "; a download may have saved a sign-in or error page in its place",
    _LFS_POINTER: "; run git lfs pull to get the file itself",
    _ANNEX_POINTER: "; run git annex get to get the file itself",
    _TEXT_FILE: _MISSING,
    _PARTS: "; save each of its parts as a file of its own",
    _WITHOUT_PREAMBLE: "; put 128 bytes of any value in front of it",
    _ERASED: f"{_MISSING}; a disk or card may have lost it",
    _ZEROS: f"{_MISSING}; a copy may have broken off",
    _BEGINS_WITH_ZEROS: f"{_MISSING}; a copy may have broken off",
}
_HTML = re.compile(
    rb"(?:<(?:!--|\?xml)[^>]{0,200}>\s*){0,3}"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|center|div|h[1-6]|p|table|iframe)\b",
    re.IGNORECASE,
)
_MULTIPART = re.compile(rb"--[^\r\n]{1,256}\r?\n(?:content-[a-z-]+:|\r?\n)", re.IGNORECASE)  # RFC 2046 §5.1.1
_XML = re.compile(rb"<(?:\?xml|!doctype|[A-Za-z_])", re.IGNORECASE)
_JSON = re.compile(rb'\{\s*(?:["}]|\Z)|\[\s*(?:[\[{"\]0-9-]|true|false|null|\Z)')
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def describe_foreign(start: bytes, size: int) -> str:
    """What an object of ``size`` bytes is that begins with ``start``; "" where nothing is known about it."""
    name = _identify(start[:size], size)
    return name and f"this is {name}, not a DICOM file{_HINTS.get(name, '')}"


def _identify(start: bytes, size: int) -> str:
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    if not start.strip(b"\0"):
        return _ZEROS if len(start) == size else _BEGINS_WITH_ZEROS
    if not start.strip(b"\xff"):
        return _ERASED
    if _MULTIPART.match(start.lstrip(b"\r\n")):
        return _PARTS
    if start[4:8] == b"ftyp":  # ISO/IEC 14496-12 §4.3
        return "an MP4 or QuickTime video"
    if start[:4] == b"RIFF" or (start[:2] == b"BM" and int.from_bytes(start[2:6], "little") == size):
        return "a BMP image" if start[:2] == b"BM" else "a RIFF file (WebP, WAV, AVI)"
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive"
    return "a NIfTI image" if _is_nifti(start) else _identify_text(start)


def _is_nifti(start: bytes) -> bool:
    for order in ("little", "big"):
        at, letters = _NIFTI.get(int.from_bytes(start[:4], order), (0, ()))
        if letters and start[at : at + 4] in letters:
            return True
    return False


def _identify_text(start: bytes) -> str:
    """UTF-8 or Latin letters; UTF-16 by its byte order mark."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "replace").encode()
    text = start[:_TEXT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if _NOT_TEXT.search(text):
        return ""
    if text.startswith(_LFS):
        return _LFS_POINTER
    if _ANNEX.match(text):
        return _ANNEX_POINTER
    if _HTML.match(text):
        return _HTML_PAGE
    if _XML.match(text):
        return "an XML document"
    return "a JSON document" if _JSON.match(text) else _TEXT_FILE
