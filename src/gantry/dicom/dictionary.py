"""Tags, keywords and VRs out of pydicom's data dictionary (PS3.6)."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_TABLES = "pydicom._dicom_dict"


def tag_of(text: str) -> int | None:
    """The tag of a keyword or of 8 hexadecimal digits (PS3.18 §8.3.4.1); None for neither."""
    if _HEX.fullmatch(text):
        return int(text, 16)
    return _load_keywords().get(text)


@cache
def _load_tables() -> Any:
    """The module of the library that has its tables, alone: all of the library takes longer than the rest of a start,
    and an import needs nothing else of it."""
    if _TABLES not in sys.modules:
        library = find_spec("pydicom")
        found = PathFinder.find_spec(_TABLES, library.submodule_search_locations if library is not None else None)
        if found is None or found.loader is None:
            raise ImportError(f"{_TABLES} is not there", name=_TABLES)
        module = module_from_spec(found)
        found.loader.exec_module(module)
        sys.modules.setdefault(_TABLES, module)
    return sys.modules[_TABLES]


@cache
def _load_keywords() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in _load_tables().DicomDictionary.items() if entry[4]}


@cache
def _load_vrs() -> dict[int, str]:
    return {tag: entry[0] for tag, entry in _load_tables().DicomDictionary.items()}


def keyword_of(tag: int) -> str:
    """The keyword, "" for private and unknown elements."""
    entry = _load_tables().DicomDictionary.get(tag) or _find_repeated(tag)
    return str(entry[4]) if entry is not None else ""


def vm_of(tag: int) -> str:
    """The value multiplicity as PS3.6 writes it (``1``, ``1-n``); "" for private and unknown elements."""
    entry = _load_tables().DicomDictionary.get(tag) or _find_repeated(tag)
    return str(entry[1]) if entry is not None else ""


def first_of_repeated(tag: int) -> int:
    """Of an element of a repeating group the one that it repeats: 6000 of 60xx. Of any other one it is the tag."""
    if tag >> 16 & 1 or tag in _load_vrs():
        return tag
    return next((bits for mask, bits, _ in _load_repeated() if tag & mask == bits), tag)


def vr_of(tag: int) -> str:
    """The VR, or those there is a choice of (``US or SS``); UN for private and unknown elements."""
    found = _load_vrs().get(tag)
    if found is not None:
        return found
    if tag >> 16 & 1:
        return "LO" if 0x0010 <= tag & 0xFFFF <= 0x00FF else "UN"
    entry = _find_repeated(tag)
    if entry is not None:
        return str(entry[0])
    return "UN" if tag & 0xFFFF else "UL"


def _find_repeated(tag: int) -> tuple[str, ...] | None:
    """The entry for elements of repeating groups, like overlays (60xx,xxxx); none of a private group is one."""
    if tag >> 16 & 1:
        return None
    return next((entry for mask, bits, entry in _load_repeated() if tag & mask == bits), None)


@cache
def _load_repeated() -> list[tuple[int, int, tuple[str, ...]]]:
    """For each kind of them the mask that leaves out what is written as x, and the bits that are left."""
    found = _load_tables().RepeatersDictionary.items()
    masks = ((int("".join("0" if digit == "x" else "F" for digit in text), 16), text, entry) for text, entry in found)
    return [(mask, int(text.replace("x", "0"), 16), entry) for mask, text, entry in masks]
