"""Content negotiation of DICOMweb (PS3.18 §8.7, RFC 9110 §12.5.1): which of the types that a client accepts is sent.

The type of a ``multipart/related`` range or offer is that of its parts: ``multipart/related; type="image/*"`` covers
``multipart/related; type="image/png"`` as ``image/*`` covers ``image/png``. Neither covers anything of the other pair.

Tolerances, because clients do this: ``type=application/dicom`` without quotes (all DICOMweb clients in JavaScript),
``*`` for ``*/*`` and ``q=.2`` (Java's HttpURLConnection), empty elements of the list. What is no media range is left
out (PS3.18 §8.7.7), so its neighbours still count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gantry.api.multipart import MULTIPART, parse_content_type
from gantry.errors import InvalidArgument

MAX_RANGES = 100
MAX_CHARACTERS = 8 << 10
"""Of all Accept headers: browsers send some 150 characters in 7 ranges; each range is compared with each offer."""

_REMEMBERED = 256
"""Headers: the requests of a viewer differ in their paths alone."""

_ANY, _ANY_MULTIPART = "*/*", "multipart/*"
_ELEMENT = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*")*)(?:,|\Z)')
_WEIGHT = re.compile(r"0?\.[0-9]{1,9}|0\.?|1(?:\.0{0,9})?")
_STORED = "*"
_RENAMED = {"image/x-dicom-rle": "image/dicom-rle", "image/x-jls": "image/jls"}
"""Names of PS3.18 before 2016 → present ones (Table 8.7.3-5); dicomweb-client of PyPI and wsidicom send them."""
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

    ``transfer_syntaxes`` may hold ``*`` (as stored), and are empty for a type that has none. ``default`` is sent where
    the client names none (PS3.18 §8.7.3.4), those of ``free`` in this order where it takes any: ``*`` or the default,
    unless other ones are given. What is in neither is sent to clients that name it: lossy pictures.
    """

    type: str
    multipart: bool
    transfer_syntaxes: tuple[str, ...] = ()
    default: str = ""
    free: tuple[str, ...] = ()

    def list_unnamed(self) -> tuple[str, ...]:
        """Transfer syntaxes for a client that takes any."""
        return self.free or (_STORED if _STORED in self.transfer_syntaxes else self.default,)


class Choice(NamedTuple):
    """An offer, and the transfer syntax to send: "" for none, ``*`` for as stored."""

    offer: Offer
    syntax: str


def parse_accept(values: Sequence[str]) -> list[MediaRange]:
    """All Accept headers of a request, the preferred first: by ``q``, then the specific, then the order of writing.

    Without a header the result is one ``*/*``; what is no media range is left out, as is one with a ``q`` that is not
    0 to 1. Raises InvalidArgument for more than MAX_RANGES or MAX_CHARACTERS.
    """
    text = ",".join(values)
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgument(f"Accept: {len(text)} characters are more than {MAX_CHARACTERS}")
    return list(_parse(text))


@lru_cache(_REMEMBERED)
def _parse(text: str) -> tuple[MediaRange, ...]:
    elements = _elements(text)
    if len(elements) > MAX_RANGES:
        raise InvalidArgument(f"Accept: {len(elements)} media ranges are more than {MAX_RANGES}")
    ranges = []
    for element in elements:
        with suppress(InvalidArgument):
            ranges.append(_media_range(element))
    if not elements:
        return (MediaRange(_ANY),)
    # sorted() is stable in reverse too: equals stay in the order of writing.
    return tuple(sorted(ranges, key=lambda item: (item.q, item.specificity), reverse=True))


def _elements(text: str) -> list[str]:
    """Split at commas outside quoted strings; empty elements are left out (RFC 9110 §5.6.1.2).

    A quoted string without an end takes the rest of the text with it, as one element that is no media range.
    """
    found, pos = [], 0
    while pos < len(text):
        element = _ELEMENT.match(text, pos)
        found.append(element[1].strip() if element else text[pos:])
        pos = element.end() if element else len(text)
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
    media_type, root = _RENAMED.get(media_type, media_type), _RENAMED.get(root, root)
    return MediaRange(media_type, root, syntax, float(weight), tuple(parameters.items()))


def choose(accepted: Sequence[MediaRange], offers: Sequence[Offer]) -> Choice | None:
    """The first of ``rank``; None if no offer is acceptable (406)."""
    return next(iter(rank(accepted, offers)), None)


def rank(accepted: Sequence[MediaRange], offers: Sequence[Offer], stored: Sequence[str] = ()) -> list[Choice]:
    """All that a client accepts, the preferred first; where one cannot be made the next is sent (PS3.18 §8.7.8.1).

    ``accepted`` is in the order of ``parse_accept``, ``offers`` in that of the server; ``stored`` are names of the
    transfer syntax that costs nothing, the stored one and ``*``. The order is that of the ``q`` which the most specific
    range gives (RFC 9110 §12.5.1; 0 excludes), then what is stored, if a range names it or its type, then the range as
    ``parse_accept`` has it, then ``offers``.
    """
    return list(_rank(tuple(accepted), tuple(offers), tuple(stored)))


@lru_cache(_REMEMBERED)
def _rank(accepted: tuple[MediaRange, ...], offers: tuple[Offer, ...], stored: tuple[str, ...]) -> tuple[Choice, ...]:
    found: dict[Choice, tuple[float, bool, int]] = {}
    for offer in offers:
        matching = [(place, item) for place, item in enumerate(accepted) if _has_type(item, offer)]
        weights = _weigh(item for _, item in matching)
        for place, wanted in matching:
            names_it = not _is_anything(wanted)
            for syntax in _list_syntaxes(wanted, offer, stored):
                names = stored if syntax in stored else (syntax,)
                key = (-_quality(weights, names), not (syntax in stored and names_it), place)
                choice = Choice(offer, syntax)
                found[choice] = min(key, found.get(choice, key))
    return tuple(sorted((choice for choice, key in found.items() if key[0]), key=found.__getitem__))


def forbids(accepted: Sequence[MediaRange], offer: Offer, syntax: str) -> bool:
    """Whether the most specific range that covers an offer with a transfer syntax has ``q=0`` (RFC 9110 §12.4.2). What
    no range covers is not forbidden."""
    weights = _weigh(item for item in accepted if _has_type(item, offer))
    covered = [name for name in ("", _STORED, syntax) if name in weights]
    return bool(covered) and _quality(weights, (syntax,)) == 0


def _is_anything(wanted: MediaRange) -> bool:
    """It names neither a type nor a transfer syntax: the server's own order stands."""
    if wanted.transfer_syntax:
        return False
    return wanted.type in (_ANY, _ANY_MULTIPART) or (wanted.type == MULTIPART and wanted.root in ("", _ANY))


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


def _list_syntaxes(wanted: MediaRange, offer: Offer, stored: Sequence[str]) -> Sequence[str]:
    """Those of an offer that a range takes, in the order of the server; none if it names one that the offer lacks."""
    named = wanted.transfer_syntax
    if named not in ("", _STORED):
        return [named] if named in offer.transfer_syntaxes else []
    if not offer.transfer_syntaxes:
        return [offer.default]
    as_stored = [syntax for syntax in stored if syntax in offer.transfer_syntaxes][:1]
    if named == _STORED:
        return [*dict.fromkeys((*as_stored, *offer.list_unnamed()))]
    if _is_anything(wanted):
        return [*dict.fromkeys((offer.default, *as_stored, *offer.list_unnamed()))]
    # A type that holds no other form than its compressed ones is asked for to get those, so the stored one will do.
    return [*dict.fromkeys((*as_stored, offer.default))] if _STORED not in offer.transfer_syntaxes else [offer.default]


def _weigh(matching: Iterable[MediaRange]) -> dict[str, tuple[tuple[int, int], float]]:
    """Transfer syntax → specificity and ``q`` of the most specific range with it; the greatest of equal ones."""
    weights: dict[str, tuple[tuple[int, int], float]] = {}
    for item in matching:
        weight = item.specificity, item.q
        weights[item.transfer_syntax] = max(weight, weights.get(item.transfer_syntax, weight))
    return weights


def _quality(weights: Mapping[str, tuple[tuple[int, int], float]], names: Sequence[str]) -> float:
    """The ``q`` of the most specific range that covers an offer (RFC 9110 §12.5.1)."""
    return max(weights[name] for name in ("", "*", *names) if name in weights)[1]


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
