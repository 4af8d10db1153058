"""Tags, keywords and VRs out of pydicom's data dictionary (PS3.6)."""

from __future__ import annotations

import re
from functools import cache

_HEX = re.compile(r"[0-9A-Fa-f]{8}")


def tag_of(text: str) -> int | None:
    """The tag of a keyword or of 8 hexadecimal digits (PS3.18 §8.3.4.1); None for neither."""
    if _HEX.fullmatch(text):
        return int(text, 16)
    return _load_keywords().get(text)


@cache
def _load_keywords() -> dict[str, int]:
    from pydicom._dicom_dict import DicomDictionary

    return {entry[4]: tag for tag, entry in DicomDictionary.items() if entry[4]}


@cache
def _load_vrs() -> dict[int, str]:
    from pydicom._dicom_dict import DicomDictionary

    return {tag: entry[0] for tag, entry in DicomDictionary.items()}


def keyword_of(tag: int) -> str:
    """The keyword, "" for private and unknown elements."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or ""


def vr_of(tag: int) -> str:
    """The VR, or those there is a choice of (``US or SS``); UN for private and unknown elements."""
    found = _load_vrs().get(tag)
    if found is not None:
        return found
    if tag >> 16 & 1:
        return "LO" if 0x0010 <= tag & 0xFFFF <= 0x00FF else "UN"
    return _find_repeated_vr(tag)


def _find_repeated_vr(tag: int) -> str:
    """Elements of repeating groups, like overlays (60xx,xxxx)."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UL" if not tag & 0xFFFF else "UN"
