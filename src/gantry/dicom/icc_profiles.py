"""ICC profiles in rendered pictures (PS3.18 §8.3.5.1.5): those of well-known colour spaces, and that of an instance.

The profiles are matrix and tone curves (ICC.1:2001-04 §6.3.1.2), written here, so that the same picture has the same
bytes everywhere. Workers only.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from gantry.dicom import forms
from gantry.errors import FailedPrecondition

if TYPE_CHECKING:
    from gantry.dicom.cells import Pixels

MAX_PROFILE = 8 << 20
"""Bytes of a profile. Those of scanners have up to 2 MB."""

_D50 = (0.9642, 1.0, 0.8249)  # ICC.1:2001-04 §6.1.11
_CLASSES = ("scnr", "mntr", "prtr", "spac")  # ICC.1:2001-04 §6.1.5: those of devices and of colour spaces
_CURVE = 1024  # points: more than 8 bits can tell apart
_JPEG_CHUNK = 65_535 - 2 - 14  # ICC.1:2001-04 §B.4: after the length, the identifier and two numbers
_PNG_HEAD = 8 + 25  # signature and IHDR (ISO 15948 §5.2, §11.2.2); iCCP comes right behind
_UNUSABLE = "the ICC profile of the instance cannot be used; ask for iccprofile=no, or leave it out"


class _Space(NamedTuple):
    """``primaries`` are XYZ of red, green and blue, adapted to D50; ``to_linear`` of values from 0 to 1."""

    name: str
    primaries: tuple[tuple[float, float, float], ...]
    to_linear: Callable[[Pixels], Pixels]


def _srgb_to_linear(values: Pixels) -> Pixels:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _romm_to_linear(values: Pixels) -> Pixels:
    return np.where(values < 0.03125, values / 16, values**1.8)


def _adobe_to_linear(values: Pixels) -> Pixels:
    return values ** (563 / 256)


_SPACES = {
    "srgb": _Space(
        "sRGB",
        ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
        _srgb_to_linear,
    ),
    "adobergb": _Space(
        "Adobe RGB (1998)",
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        _adobe_to_linear,
    ),
    "rommrgb": _Space(
        "ROMM RGB",
        ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82491)),
        _romm_to_linear,
    ),
    "displayp3": _Space(
        "Display P3",
        ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
        _srgb_to_linear,
    ),
}
"""IEC 61966-2-1, Adobe RGB (1998) §4.3, ISO 22028-2, and Apple's Display P3."""


def apply_profile(shown: Pixels, wanted: str, read: Callable[[], bytes | None]) -> tuple[Pixels, bytes]:
    """The pixels in a colour space, ``yes`` for the one that they are in, and its profile. Greys become RGB.

    ``read`` gives the profile of a colour instance, None for sRGB. Raises FailedPrecondition for one that is damaged.
    """
    grey = shown.ndim == 2
    if grey:
        shown = np.repeat(shown[:, :, np.newaxis], 3, axis=2)
    own = None if grey else read()
    if own is not None:
        _require_rgb(own)
    if wanted == "yes":
        return shown, own or write_profile("srgb")
    target = write_profile(wanted)
    if own is None and wanted == "srgb":
        return shown, target
    return _convert(shown, own or write_profile("srgb"), target), target


def _require_rgb(profile: bytes) -> None:
    if len(profile) > MAX_PROFILE or not _is_usable(profile):
        raise FailedPrecondition(_UNUSABLE)


@lru_cache(maxsize=4)
def _is_usable(profile: bytes) -> bool:
    """Whether colours of RGB can be brought from it into another space. Others than those who asked for the picture
    will use it, too. The frames of an instance have the same one, as a rule."""
    try:
        described = ImageCms.getOpenProfile(BytesIO(profile)).profile
        if described.xcolor_space.strip() != "RGB" or described.device_class.strip() not in _CLASSES:
            return False
        _build_transform(profile, write_profile("srgb"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


@lru_cache(maxsize=4)
def _build_transform(source: bytes, target: bytes) -> ImageCms.ImageCmsTransform:
    """Takes longer than its use for a small frame. Raises PyCMSError, OSError, ValueError."""
    opened = ImageCms.getOpenProfile(BytesIO(source))
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(opened))
    return ImageCms.buildTransform(opened, ImageCms.getOpenProfile(BytesIO(target)), "RGB", "RGB", intent)


def _convert(shown: Pixels, source: bytes, target: bytes) -> Pixels:
    picture = Image.fromarray(np.ascontiguousarray(shown))
    try:
        made = ImageCms.applyTransform(picture, _build_transform(source, target))
    except (ImageCms.PyCMSError, OSError, ValueError):
        raise FailedPrecondition(_UNUSABLE) from None
    return np.asarray(made)


# --- writing a profile


@cache
def write_profile(name: str) -> bytes:
    """The profile of a colour space by its name in a request (ICC.1:2001-04 §6)."""
    space = _SPACES[name]
    points = space.to_linear(np.linspace(0, 1, _CURVE))
    curve = b"curv" + bytes(4) + struct.pack(">I", _CURVE) + np.rint(points * 65535).astype(">u2").tobytes()
    text = space.name.encode() + b"\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    values = {
        b"desc": described,
        b"cprt": b"text" + bytes(4) + b"No copyright\0",
        b"wtpt": _xyz(_D50),
        **{letter + b"XYZ": _xyz(xyz) for letter, xyz in zip((b"r", b"g", b"b"), space.primaries, strict=True)},
        **{letter + b"TRC": curve for letter in (b"r", b"g", b"b")},
    }
    return _put_together(values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: tuple[float, ...]) -> bytes:
    return struct.pack(">3i", *(round(value * 65536) for value in values))


def _put_together(values: dict[bytes, bytes]) -> bytes:
    """Header, table of tags and values; equal values are there once."""
    start = 128 + 4 + 12 * len(values)
    table, body = struct.pack(">I", len(values)), b""
    places: dict[bytes, int] = {}
    for tag, value in values.items():
        if value not in places:
            places[value] = start + len(body)
            body += value + bytes(-len(value) % 4)
        table += tag + struct.pack(">II", places[value], len(value))
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    head = struct.pack(">I4xI", start + len(body), 0x02400000) + b"mntrRGB XYZ " + date + b"acsp" + bytes(24)
    return (head + struct.pack(">I", 0) + _fixed(_D50)).ljust(128, b"\0") + table + body


# --- putting it into a picture


def embed_profile(picture: bytes, media_type: str, profile: bytes) -> bytes:
    """A JPEG with the profile in APP2 segments (ICC.1:2001-04 §B.4), or a PNG with it in a chunk iCCP."""
    if media_type == forms.PNG:
        data = b"ICC profile\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(data)) + b"iCCP" + data + struct.pack(">I", zlib.crc32(b"iCCP" + data))
        return picture[:_PNG_HEAD] + chunk + picture[_PNG_HEAD:]
    chunks = [profile[at : at + _JPEG_CHUNK] for at in range(0, len(profile), _JPEG_CHUNK)]
    segments = b"".join(
        b"\xff\xe2" + struct.pack(">H", len(chunk) + 16) + b"ICC_PROFILE\0" + bytes((number, len(chunks))) + chunk
        for number, chunk in enumerate(chunks, 1)
    )
    at = 2
    if picture[2:4] == b"\xff\xe0":  # JFIF stays the first segment (ISO/IEC 10918-5)
        at += 2 + int.from_bytes(picture[4:6], "big")
    return picture[:at] + segments + picture[at:]


def extract_from_jpeg(bitstream: bytes) -> bytes | None:
    """The profile that a JPEG has in it, None where there is none."""
    try:
        found = Image.open(BytesIO(bitstream), formats=["JPEG"]).info.get("icc_profile")
    except (OSError, SyntaxError, ValueError):
        return None
    return bytes(found) if found else None
