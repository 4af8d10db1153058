"""Filter files: one path per line, ``/studies/U[/series/U[/instances/U]]``.

Text is UTF-8, unless a byte order mark says otherwise (Windows PowerShell 5.1 writes UTF-16 with ``>``). Lines end in
LF, CRLF or CR. A line may be in quotes, as BigQuery writes them, and may be the full name of a study, series or
instance of this DICOM store, also with the address of a server before it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from io import IncrementalNewlineDecoder
from typing import NamedTuple
from urllib.parse import unquote

from gantry.names import MAX_UID, OTHER_UID, DicomStoreName, ResourcePath

MAX_LINE_BYTES = 2048
"""Of a line in UTF-8: enough for a full name with two ids of 256 characters and three UIDs of 64."""

SHAPE = "/studies/STUDY[/series/SERIES[/instances/INSTANCE]]"
QUERY = (
    "SELECT CONCAT('/studies/', StudyInstanceUID, '/series/', SeriesInstanceUID, '/instances/', SOPInstanceUID) "
    "AS path FROM `PROJECT.DATASET.TABLE`"
)
"""A BigQuery query that makes such lines out of a table of instances."""

_MAX_SHOWN = 200  # characters of a line in a message
_UID = r"[0-9.]{1,64}"
_PATH, _OTHER_PATH = (
    re.compile(rf"/?studies/({uid})(?:/series/({uid})(?:/instances/({uid}))?)?/?") for uid in (_UID, OTHER_UID)
)
_FULL = re.compile(r"(?P<host>(?:(?i:https?):)?//[^/]+/|/)?(?:v1(?:beta1|alpha2)?/)?(?P<name>projects/.*)")
_THREE_UIDS = re.compile(rf'"?{_UID}"?\s*[,;\t]\s*"?{_UID}"?(?:\s*[,;\t]\s*"?{_UID}"?)?')
# The longest first: UTF-32's mark begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Line(NamedTuple):
    """One line with its number (from 1). ``path`` is None when the line is not a path. ``text`` is the line, cut for
    messages."""

    number: int
    text: str
    path: ResourcePath | None


def read_lines(
    chunks: Iterable[bytes], store: DicomStoreName | None = None, other_uids: bool = False
) -> Iterator[Line]:
    """Lines without blank ones and without a CSV header: a first line that begins with a letter or ``_`` and has no
    ``/``. ``store`` is the DICOM store whose full names are accepted; ``other_uids``: UIDs may have letters."""
    for number, raw in enumerate(_split(_decode(chunks)), 1):
        text = raw.strip().strip('"').strip()
        if not text or (number == 1 and _is_header(text)):
            continue
        fits = len(raw.encode("utf-8", "replace")) <= MAX_LINE_BYTES
        yield Line(number, text[:_MAX_SHOWN], _parse_path(text, store, other_uids) if fits else None)


def _is_header(text: str) -> bool:
    return (text[0].isalpha() or text[0] == "_") and "/" not in text


def explain(line: Line, store: DicomStoreName | None) -> str:
    """Why a line is not a path, and what to write."""
    shown = repr(line.text)
    full = _FULL.fullmatch(line.text)
    if full is not None and not _is_below(_read_name(full), store):
        return f"{shown} is not in this DICOM store, {store}; write paths of this store: {SHAPE}"
    if _THREE_UIDS.fullmatch(line.text):
        return f"{shown} is not a path but a row of UIDs; write {SHAPE}. In BigQuery: {QUERY}"
    return f"{shown} is not a path; write {SHAPE}"


def _parse_path(text: str, store: DicomStoreName | None, other_uids: bool) -> ResourcePath | None:
    full = _FULL.fullmatch(text)
    if full is not None:
        name, prefix = _read_name(full), f"{store}/dicomWeb/"
        text = name.removeprefix(prefix) if name.startswith(prefix) else ""
    match = _PATH.fullmatch(text) or (_OTHER_PATH.fullmatch(text) if other_uids else None)
    if match is None or any(len(uid) > MAX_UID for uid in match.groups("")):
        return None
    return ResourcePath(*match.groups(""))


def _read_name(full: re.Match[str]) -> str:
    """The resource name; in an address it is percent-encoded."""
    return unquote(full["name"]) if full["host"] else full["name"]


def _is_below(name: str, store: DicomStoreName | None) -> bool:
    """Whether a name, which may have been cut, is in the store."""
    prefix = f"{store}/dicomWeb/"
    return name.startswith(prefix) or (len(name) >= _MAX_SHOWN // 2 and prefix.startswith(name))


def _decode(chunks: Iterable[bytes]) -> Iterator[str]:
    """Text with LF at the end of every line. Bytes that cannot be decoded become U+FFFD."""
    decoder: IncrementalNewlineDecoder | None = None
    held = b""
    for chunk in chunks:
        held += chunk
        if decoder is None and len(held) >= len(codecs.BOM_UTF32_LE):
            decoder = _make_decoder(held)
        if decoder is not None:
            yield decoder.decode(held)
            held = b""
    yield (decoder or _make_decoder(held)).decode(held, final=True)


def _make_decoder(start: bytes) -> IncrementalNewlineDecoder:
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")
    return IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)


def _split(texts: Iterable[str]) -> Iterator[str]:
    """Lines without their ends. A line is cut after MAX_LINE_BYTES, so that memory stays bounded."""
    rest = ""
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        yield from (line[: MAX_LINE_BYTES + 1] for line in lines)
        rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest
