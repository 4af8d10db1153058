"""``pageSize`` and ``pageToken`` of the API's lists."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gantry.api.messages import Json
from gantry.errors import InvalidArgument, invalid_field
from gantry.whole_numbers import read_number

DEFAULT_PAGE = 100
MAX_PAGE = 1000
"""Both as the API documents them; a greater size means MAX_PAGE."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page:
    """``size`` items after the position ``after`` (empty: from the start) of the list that ``list_id`` names."""

    size: int
    after: str
    list_id: str

    @property
    def after_number(self) -> int | None:
        """The position of a list that is ordered by a number; None at its start. Raises InvalidArgument."""
        return self.after_numbers(1)[0] if self.after else None

    def after_numbers(self, count: int) -> list[int]:
        """The position of a list that is ordered by so many numbers. Raises InvalidArgument."""
        texts = self.after.split("/")
        numbers = [number for text in texts if (number := read_number(text)) is not None]
        if len(texts) != count or len(numbers) != count:
            raise no_token()
        return numbers

    def answer(self, field: str, rows: Sequence[Row], write: Callable[[Row], Json], key: Callable[[Row], str]) -> Json:
        """A list answer: ``rows`` after the position, in order; one more than ``size`` means that a page follows.

        ``write`` makes the JSON of a row, ``key`` its position. Without rows the answer is ``{}``.
        """
        answer: Json = {field: [write(row) for row in rows[: self.size]]} if rows else {}
        if len(rows) > self.size:
            answer["nextPageToken"] = self.token(key(rows[self.size - 1]))
        return answer

    def token(self, last: str) -> str:
        """The token of the page after the item ``last``. It is valid for this list and filter alone."""
        text = f"{_digest(self.list_id, last)}:{last}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_page(query: Mapping[str, str], list_id: str, default: int = DEFAULT_PAGE, most: int = MAX_PAGE) -> Page:
    """Raises InvalidArgument for a wrong size and for a token of another list."""
    size = read_number(query.get("pageSize") or "0")
    if size is None:
        raise invalid_field("pageSize", "must be a number, zero or more")
    return Page(min(size or default, most), _position(query.get("pageToken", ""), list_id), list_id)


def _position(token: str, list_id: str) -> str:
    if not token:
        return ""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    digest, _, position = text.partition(":")
    if digest != _digest(list_id, position):
        raise no_token()
    return position


def no_token() -> InvalidArgument:
    """Of a token that this server has not made."""
    return invalid_field("pageToken", "is not a token of this list with this filter")


def _digest(list_id: str, position: str) -> str:
    return hashlib.sha256(f"{list_id}\n{position}".encode()).hexdigest()[:12]
