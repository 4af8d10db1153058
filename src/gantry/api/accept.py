"""Content negotiation of DICOMweb (PS3.18 §8.7, RFC 9110 §12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gantry.errors import InvalidArgument

MAX_RANGES, MAX_TEXT = 100, 8192
_QUALITY = re.compile(r"(?:0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+)")
_PIECE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')
_TYPE = re.compile(r"\s*([^\s;,/\"]+/[^\s;,/\"]+)\s*")
_MULTIPART = "multipart/related"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One thing a client accepts. ``root`` is the type of the parts, "" where none is named; ``q`` from 0 to 1."""

    type: str
    root: str
    transfer_syntax: str
    q: float


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that can be made, by itself or as parts; ``default`` is the transfer syntax meant where none is named.

    ``*`` among ``transfer_syntaxes`` stands for the bytes as they are stored.
    """

    type: str
    multipart: bool
    transfer_syntaxes: tuple[str, ...]
    default: str


def parse_parameters(text: str) -> dict[str, str] | None:
    """``;name=value`` over and over, values unquoted; None for anything else."""
    found: dict[str, str] = {}
    at = 0
    text = text.strip().rstrip(";").strip()
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            return None
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found.setdefault(match[1].lower(), value)
        at = match.end()
    return found


def parse_accept(values: Sequence[str]) -> list[MediaRange]:
    """All Accept headers of a request, best first; nothing said means anything. Raises InvalidArgument."""
    text = ",".join(values)
    if len(text) > MAX_TEXT:
        raise InvalidArgument(f"Accept has more than {MAX_TEXT} characters")
    found = [_range(piece) for piece in _PIECE.findall(text) if piece.strip()]
    if len(found) > MAX_RANGES:
        raise InvalidArgument(f"Accept names more than {MAX_RANGES} media types")
    return sorted(found or [MediaRange("*/*", "", "", 1.0)], key=lambda item: (-item.q, -_specific(item)))


def _range(piece: str) -> MediaRange:
    head = _TYPE.match(piece)
    parameters = parse_parameters(piece[head.end() :]) if head else None
    if head is None or parameters is None:
        raise InvalidArgument(f"Accept: {piece.strip()[:100]!r} is no media type")
    quality = parameters.get("q", "1")
    if not _QUALITY.fullmatch(quality):
        raise InvalidArgument(f"Accept: q={quality[:20]!r} is not a number from 0 to 1")
    root = parameters.get("type", "").strip().lower()
    return MediaRange(head[1].lower(), root, parameters.get("transfer-syntax", "").strip(), float(quality))


def _specific(item: MediaRange) -> int:
    parts = 0 if item.type == "*/*" else 1 if item.type.endswith("/*") else 2
    return 4 * parts + 2 * bool(item.root) + bool(item.transfer_syntax)


def choose(accepted: Sequence[MediaRange], offers: Sequence[Offer]) -> tuple[Offer, str] | None:
    """The best offer and the transfer syntax to make it in; None where nothing fits (406)."""
    for item in accepted:
        if item.q == 0:
            continue
        for offer in offers:
            if _fits(item, offer) and not _refused(accepted, item, offer):
                return offer, _syntax(item, offer)
    return None


def _fits(item: MediaRange, offer: Offer) -> bool:
    if item.transfer_syntax and item.transfer_syntax not in offer.transfer_syntaxes:
        return False
    if item.type == "*/*":
        return True
    if not offer.multipart:
        return _covers(item.type, offer.type)
    return item.type in (_MULTIPART, "multipart/*") and (not item.root or _covers(item.root, offer.type))


def _covers(pattern: str, media_type: str) -> bool:
    return pattern in (media_type, "*/*") or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def _refused(accepted: Sequence[MediaRange], by: MediaRange, offer: Offer) -> bool:
    """Whether something more specific than ``by`` has the quality 0."""
    return any(item.q == 0 and _specific(item) > _specific(by) and _fits(item, offer) for item in accepted)


def _syntax(item: MediaRange, offer: Offer) -> str:
    return item.transfer_syntax or offer.default


def media_type_text(offer: Offer, transfer_syntax: str, boundary: str = "") -> str:
    """The Content-Type of an answer."""
    syntax = f"; transfer-syntax={transfer_syntax}" if transfer_syntax else ""
    if not offer.multipart:
        return f"{offer.type}{syntax}"
    return f'{_MULTIPART}; type="{offer.type}"{syntax}; boundary={boundary}'
