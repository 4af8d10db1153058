"""Answers of DICOMweb services: of any media type, whole or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gantry.api.call import Call


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is the whole body, or an iterator over its pieces, which are made while others are sent."""

    body: bytes | Iterator[bytes]
    content_type: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class WebHandler(NamedTuple):
    """Marks a handler of the method table that reads and writes streams. ``quick`` ones only read the index."""

    call: Callable[[Call], Answer]
    quick: bool = False
