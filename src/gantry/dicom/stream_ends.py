"""Where a bitstream ends: bytes may follow its end marker, and a bitstream without one is truncated.

Some codecs give wrong pixels in silence for half a bitstream, so the end marker is looked for before they are asked.
"""

from __future__ import annotations

import re
from struct import error as StructError
from struct import unpack_from

from gantry.dicom.bitstreams import STANDALONE_MARKERS, find_codestream
from gantry.errors import InvalidArgument

_END = b"\xff\xd9"
_TRAILER = 64
_SOT, _JP2 = b"\xff\x90", b"\x00\x00\x00\x0cjP  "
# FF00 is a data byte FF and FFD0 to FFD7 are restarts (ITU-T T.81 §B.1.1.5, §F.1.2.3); in a JPEG-LS scan what follows
# FF is below 80 (ITU-T T.87 §A.1). All the others that can stand behind a scan are here.
_AFTER_SCAN = re.compile(rb"\xff[\xc4\xcc\xd9-\xdd\xe0-\xef\xf8\xfe]")
_EOI, _SOS = 0xD9, 0xDA


def find_end(data: bytes) -> int:
    """The place behind EOI or EOC of a JPEG, JPEG-LS or JPEG 2000 bitstream. Raises InvalidArgument without one."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _find_end_of_jpeg(data)
        start = find_codestream(data, (b"jp2c",)) if data.startswith(_JP2) else 0
        end = _find_end_of_codestream(data, start)
        return len(data) if start else end  # boxes may follow a codestream in a file of boxes
    except (StructError, IndexError):
        raise _refuse_truncated() from None


def _refuse_truncated() -> InvalidArgument:
    return InvalidArgument("a frame ends before the end marker of its bitstream: it is truncated")


def _find_end_of_jpeg(data: bytes) -> int:
    """Marker segments are passed by their lengths, as a thumbnail in one of them has an EOI too."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise InvalidArgument(f"a JPEG marker should stand at byte {at} of a frame")
        marker = data[at + 1]
        if marker == _EOI:
            return at + 2
        if marker == 0xFF:
            at += 1
        elif marker in STANDALONE_MARKERS:
            at += 2
        else:
            at += 2 + max(2, unpack_from(">H", data, at + 2)[0])
            if marker == _SOS:
                at = _find_end_of_scan(data, at)


def _find_end_of_scan(data: bytes, at: int) -> int:
    found = _AFTER_SCAN.search(data, at)
    if found is None:
        raise _refuse_truncated()
    return found.start()


def _find_end_of_codestream(data: bytes, start: int) -> int:
    """The main header, then tile-parts that tell their lengths (ISO/IEC 15444-1 §A.3, §A.4.2)."""
    at = start + 2
    while data[at : at + 2] not in (_SOT, _END):
        if data[at] != 0xFF:
            raise InvalidArgument(f"a JPEG 2000 marker should stand at byte {at - start} of a frame")
        at += 2 + max(2, unpack_from(">H", data, at + 2)[0])
    while data[at : at + 2] == _SOT:
        length = unpack_from(">I", data, at + 6)[0]
        if length == 0:  # the last tile-part, up to EOC, which its data never holds (§B.10.1)
            at = data.find(_END, at + 12)
            break
        at += max(12, length)
    if at >= 0 and data[at : at + 2] == _END:
        return at + 2
    return _find_end_by_trailer(data, at)


def _find_end_by_trailer(data: bytes, at: int) -> int:
    """Some writers count the length of their last tile-part wrongly: then EOC has to be the last of the bytes."""
    last = (data[-_TRAILER:], data.rstrip(b"\0")[-_TRAILER:])
    if 0 <= at <= len(data) and any(_END in part for part in last):
        return len(data)
    raise _refuse_truncated()
