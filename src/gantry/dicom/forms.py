"""The forms in which an instance can leave the store: what ``gcsDestination.mimeType`` may say.

Data and text alone: the codecs behind it are only loaded by the workers that need them.
``docs/conformance-pixels.md`` has the reasons for every syntax that is missing here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gantry.errors import InvalidArgument, invalid_field

JPEG_QUALITY = 90
"""Of lossy JPEG, from 1 to 100: the default of viewers that ask for none."""

FIELD = "gcsDestination.mimeType"

IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
ENCAPSULATED_LE = "1.2.840.10008.1.2.1.98"
DEFLATED_LE, RLE, DEFLATED_FRAME = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JXL_LOSSLESS, JXL_JPEG, JXL = "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K = (f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))

NATIVE_TARGETS = (IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE)
ENCODED_TARGETS = (
    *(JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_LS_NEAR, J2K_LOSSLESS, J2K),
    *(JXL_LOSSLESS, JXL_JPEG, JXL, HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K, RLE, DEFLATED_FRAME),
)
LOSSY_TARGETS = frozenset((JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR))
PRODUCIBLE = NATIVE_TARGETS + ENCODED_TARGETS

DICOM, OCTETS, JPEG, PNG = "application/dicom", "application/octet-stream", "image/jpeg", "image/png"
AS_STORED = ""

SYNTAXES = {
    DICOM: (AS_STORED, *PRODUCIBLE),
    OCTETS: (EXPLICIT_LE, AS_STORED),
    JPEG: (JPEG_BASELINE,),
    PNG: (AS_STORED,),
}
"""Media type → transfer syntaxes that it can have; the first one is meant where none is written."""

DECODABLE = frozenset((*PRODUCIBLE, EXPLICIT_BE, ENCAPSULATED_LE))
"""Transfer syntaxes that can be transcoded from."""

FRAME_TYPES = (
    ("image/jpeg", (JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1)),
    ("image/jls", (JPEG_LS, JPEG_LS_NEAR)),
    ("image/jp2", (J2K_LOSSLESS, J2K)),
    ("image/jphc", (HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K)),
    ("image/jxl", (JXL_LOSSLESS, JXL_JPEG, JXL)),
    ("image/dicom-rle", (RLE,)),
    ("application/x-deflate", (DEFLATED_FRAME,)),
)
"""Media types of compressed frames, and the syntaxes that each can have (PS3.18 §8.7.3.3)."""

UNNAMED = {
    JPEG: (JPEG_LOSSLESS_SV1, JPEG_LOSSLESS),
    "image/jls": (JPEG_LS,),
    "image/jp2": (J2K_LOSSLESS, J2K),
    "image/jphc": (HTJ2K_LOSSLESS, HTJ2K_RPCL, HTJ2K),
    "image/jxl": (JXL_LOSSLESS, JXL),
    "image/dicom-rle": (RLE,),
    "application/x-deflate": (DEFLATED_FRAME,),
}
"""Media type of compressed frames → the syntaxes made for a client that names none, the default of PS3.18 Table 8.7.3-5
first. None of them loses anything: lossy ones are for those who name them."""

MPEG, MP4, TRANSPORT_STREAM, HEVC = "video/mpeg", "video/mp4", "video/mp2t", "video/h265"
_VIDEO_PREFIX = "1.2.840.10008.1.2.4."
_VIDEO: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("100", "101"), (MPEG, "video/mpeg2")),
    **dict.fromkeys(("102", "103", "104", "105", "106"), (MP4,)),
    **dict.fromkeys(("107", "108"), (HEVC,)),
}
VIDEO_TYPES = tuple(dict.fromkeys((*(name for names in _VIDEO.values() for name in names), TRANSPORT_STREAM)))
"""All media types of videos: those of their transfer syntaxes, and of bytes that are something else."""

_PARAMETER = re.compile(r'\s*;\s*transfer-syntax\s*=\s*("?)([^";\s]*)\1\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """A media type and a transfer syntax; ``""`` leaves the pixels, or the whole instance, as stored."""

    media_type: str
    transfer_syntax_uid: str


def video_types(syntax: str) -> tuple[str, ...]:
    """The media types of a transfer syntax (PS3.18 §8.7.3.3, and what MPEG is called elsewhere); none without video.

    A syntax that ends in ``.1`` is the one before it, in fragments.
    """
    return _VIDEO.get(syntax[len(_VIDEO_PREFIX) :].removesuffix(".1"), ()) if syntax.startswith(_VIDEO_PREFIX) else ()


def parse_form(mime_type: str) -> Form:
    """Read a ``mimeType`` as the table of ``:export`` has it. Raises InvalidArgument, which names those that work."""
    head, separator, rest = mime_type.partition(";")
    media_type = head.strip().lower()
    if media_type not in SYNTAXES:
        raise _refuse(f"{mime_type[:100]!r} is none of {', '.join(SYNTAXES)}")
    allowed = SYNTAXES[media_type]
    if not rest.strip():
        return Form(media_type, allowed[0])
    found = _PARAMETER.fullmatch(separator + rest)
    if not found:
        raise _refuse(f"{mime_type[:100]!r} has something other than a transfer-syntax after {media_type}")
    syntax = AS_STORED if found[2] == "*" else found[2]
    if not found[2] or syntax not in allowed:
        raise _refuse(f"transfer syntax {found[2][:70]!r} cannot be made; {media_type} {_list_choices(media_type)}")
    return Form(media_type, syntax)


def _list_choices(media_type: str) -> str:
    if media_type == PNG:
        return "takes no transfer-syntax"
    names = ("*" if syntax == AS_STORED else syntax for syntax in SYNTAXES[media_type])
    return f"takes transfer-syntax={', '.join(names)}"


def _refuse(description: str) -> InvalidArgument:
    return invalid_field(FIELD, description)
