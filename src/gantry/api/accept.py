"""Content negotiation of DICOMweb (PS3.18 §8.7, RFC 9110 §12.5.1): which of the types that a client accepts is sent.

The type of a ``multipart/related`` range or offer is that of its parts: ``multipart/related; type="image/*"`` covers
``multipart/related; type="image/png"`` as ``image/*`` covers ``image/png``. Neither covers anything of the other pair.

Tolerances, because clients do this: ``type=application/dicom`` without quotes (all DICOMweb clients in JavaScript),
``*`` for ``*/*`` and ``q=.2`` (Java's HttpURLConnection), empty elements of the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.api.multipart import MULTIPART, parse_content_type
from gantry.errors import InvalidArgument

MAX_RANGES = 100
MAX_CHARACTERS = 8 << 10
"""Of all Accept headers: browsers send some 150 characters in 7 ranges; each range is compared with each offer."""

_ANY, _ANY_MULTIPART = "*/*", "multipart/*"
_ELEMENT = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*")*)(?:,|\Z)')
_WEIGHT = re.compile(r"0?\.[0-9]{1,9}|0\.?|1(?:\.0{0,9})?")
_BOUNDARY_TOKEN = re.compile(r"[0-9A-Za-z'+_\-.]+")


@dataclass(frozen=True, slots=True)
class MediaRange:
    """``root`` is the ``type`` parameter, "" without one; ``parameters`` are the other ones.

    ``transfer_syntax`` is a UID, ``*`` for any, "" if it names none. ``q`` is 0 to 1, and 0 forbids.
    """

    type: str
    root: str = ""
    transfer_syntax: str = ""
    q: float = 1.0
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def specificity(self) -> tuple[int, int]:
        """Greater for a narrower range (RFC 9110 §12.5.1); equal for a single part and for parts of the same type."""
        return _breadth(self.type, self.root), (self.transfer_syntax != "") + (self.transfer_syntax not in ("", "*"))


def _breadth(media_type: str, root: str) -> int:
    if media_type == MULTIPART:
        return _breadth(root, "") if root not in ("", _ANY) else 2
    if media_type in (_ANY, _ANY_MULTIPART):
        return int(media_type == _ANY_MULTIPART)
    return 3 if media_type.endswith("/*") else 4


@dataclass(frozen=True, slots=True)
class Offer:
    """What a handler can produce: one ``type``, or parts of it.

    ``transfer_syntaxes`` may hold ``*`` (as stored), and are empty for a type that has none. ``default`` is sent when
    the client names none (PS3.18 §8.7.3.4).
    """

    type: str
    multipart: bool
    transfer_syntaxes: tuple[str, ...]
    default: str


def parse_accept(values: Sequence[str]) -> list[MediaRange]:
    """All Accept headers of a request, the preferred first: by ``q``, then the specific, then the order of writing.

    Without a header the result is one ``*/*``. Raises InvalidArgument for text that is no list of media
    ranges, a ``q`` that is not 0 to 1, more than MAX_RANGES or MAX_CHARACTERS.
    """
    text = ",".join(values)
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgument(f"Accept: {len(text)} characters are more than {MAX_CHARACTERS}")
    ranges = [_media_range(element) for element in _elements(text)]
    if len(ranges) > MAX_RANGES:
        raise InvalidArgument(f"Accept: {len(ranges)} media ranges are more than {MAX_RANGES}")
    # sorted() is stable in reverse too: equals stay in the order of writing.
    return sorted(ranges, key=lambda item: (item.q, item.specificity), reverse=True) or [MediaRange(_ANY)]


def _elements(text: str) -> list[str]:
    """Split at commas outside quoted strings; empty elements are left out (RFC 9110 §5.6.1.2)."""
    found, pos = [], 0
    while pos < len(text):
        element = _ELEMENT.match(text, pos)
        if not element:
            raise InvalidArgument(f"Accept: a quoted string does not end in {text[pos : pos + 200]!r}")
        found.append(element[1].strip())
        pos = element.end()
    return [element for element in found if element]


def _media_range(text: str) -> MediaRange:
    head, semicolon, rest = text.partition(";")
    try:
        media_type, parameters = parse_content_type(_ANY + semicolon + rest if head.strip() == "*" else text)
    except InvalidArgument as error:
        raise InvalidArgument(f"Accept: {error.message}") from None
    weight = parameters.pop("q", "1")
    if not _WEIGHT.fullmatch(weight):
        raise InvalidArgument(f"Accept: q={weight[:100]!r} is not a number from 0 to 1")
    root = parameters.pop("type", "").lower() if media_type == MULTIPART else ""
    syntax = parameters.pop("transfer-syntax", "")
    return MediaRange(media_type, root, syntax, float(weight), tuple(parameters.items()))


def choose(accepted: Sequence[MediaRange], offers: Sequence[Offer]) -> tuple[Offer, str] | None:
    """The first offer that the most preferred range covers, and its transfer syntax: "" for none, ``*`` for as stored.

    ``accepted`` is in the order of ``parse_accept``, ``offers`` in that of the server. An offer to which a more
    specific range gives a lower ``q`` has that ``q``, and 0 excludes it. None if no offer is acceptable (406).
    """
    for wanted in accepted:
        for offer in offers:
            if wanted.q and _has_type(wanted, offer):
                syntax = _transfer_syntax(wanted, offer)
                if syntax is not None and _quality(accepted, offer, syntax) >= wanted.q:
                    return offer, syntax
    return None


def _has_type(wanted: MediaRange, offer: Offer) -> bool:
    if wanted.type == _ANY:
        return True
    if offer.multipart:
        return wanted.type == _ANY_MULTIPART or (
            wanted.type == MULTIPART and (not wanted.root or _covers(wanted.root, offer.type))
        )
    return _covers(wanted.type, offer.type)


def _covers(pattern: str, media_type: str) -> bool:
    return pattern in (_ANY, media_type) or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def _transfer_syntax(wanted: MediaRange, offer: Offer) -> str | None:
    """The one to send; None if the range names one that the offer does not have."""
    if wanted.transfer_syntax in offer.transfer_syntaxes:
        return wanted.transfer_syntax
    return offer.default if wanted.transfer_syntax in ("", "*") else None


def _quality(accepted: Sequence[MediaRange], offer: Offer, syntax: str) -> float:
    """The ``q`` of the most specific range that covers an offer (RFC 9110 §12.5.1); the greatest of equal ones."""
    matching = [
        (item.specificity, item.q)
        for item in accepted
        if _has_type(item, offer) and item.transfer_syntax in ("", "*", syntax)
    ]
    return max(matching)[1]


def media_type_text(offer: Offer, transfer_syntax: str, boundary: str = "") -> str:
    """The Content-Type of an answer (PS3.18 §8.7.3.5, §8.6.1.2.1). Raises ValueError for parts without a boundary.

    ``*`` is left out: what is stored may differ from part to part.
    """
    if not offer.multipart:
        return part_type_text(offer, transfer_syntax)
    if not boundary:
        raise ValueError("a multipart answer needs a boundary")
    quoted = boundary if _BOUNDARY_TOKEN.fullmatch(boundary) else f'"{boundary}"'
    return f'{MULTIPART}; type="{offer.type}"; boundary={quoted}{_syntax_text(transfer_syntax)}'


def part_type_text(offer: Offer, transfer_syntax: str) -> str:
    """The Content-Type of one part, or of a single part answer: without ``type`` and ``boundary``."""
    return offer.type + _syntax_text(transfer_syntax)


def _syntax_text(transfer_syntax: str) -> str:
    return "" if transfer_syntax in ("", "*") else f"; transfer-syntax={transfer_syntax}"
