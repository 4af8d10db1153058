"""A chart of a column: its most frequent values as bars, or the sums of another column by them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from markupsafe import Markup

from gantry.console.page_call import PageCall
from gantry.console.query.cells import NUMBERS, write_value
from gantry.console.query.jobs import Shown, jobs_of
from gantry.query_seams import Field

_BARS = 20
_MOST_ROWS, _SECONDS = 200_000, 1.0  # that one page looks at
_LABEL = 80  # characters
_WIDTH, _HEIGHT = 100, 10
_FEW = 50  # rows of a result that is a chart by itself
_LEAST = 3  # bars of a chart that nobody has asked for
COUNT = ""
"""In the place of a column to add up: rows are counted."""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float
    drawing: Markup
    is_null: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """``values`` is how many different ones there are, of which the bars are the largest; ``looked`` of ``rows`` rows
    have been looked at."""

    column: str
    measure: str
    bars: Sequence[Bar]
    values: int
    looked: int
    rows: int


def choose(fields: Sequence[Field], asked: Mapping[str, str], rows: int) -> tuple[str, str]:
    """The column and what is measured: those that are asked for; without, of a short result of a text and a number
    these two. Names are "" where there is no chart."""
    labels, numbers = list_labels(fields), list_numbers(fields)
    if "chart" in asked:
        column, measure = asked["chart"], asked.get("measure", COUNT)
        return (column, measure if measure in numbers else COUNT) if column in labels else ("", COUNT)
    others = [name for name in labels if name not in numbers]
    is_plain = len(others) == 1 and len(fields) == 1 + len(numbers) and bool(numbers)
    return (others[0], numbers[0]) if is_plain and _LEAST <= rows <= _FEW else ("", COUNT)


def list_labels(fields: Sequence[Field]) -> list[str]:
    """Columns whose values can stand beside a bar."""
    return [field.name for field in fields if field.type not in ("RECORD", "JSON") and field.mode != "REPEATED"]


def list_numbers(fields: Sequence[Field]) -> list[str]:
    return [field.name for field in fields if field.type in NUMBERS and field.mode != "REPEATED"]


def draw_chart(call: PageCall, shown: Shown) -> Chart | None:
    """Of the result's rows, at most the first ``_MOST_ROWS``, and those of a second. One that nobody has asked for has
    a bar for each row. Raises NotFound."""
    job = shown.job
    column, measure = choose(job.fields, call.query, job.rows)
    if not column:
        return None
    names = [field.name for field in job.fields]
    at, of = names.index(column), names.index(measure) if measure else -1
    sums: dict[str | None, float] = {}
    looked = 0
    for row in islice(_list_rows(call, shown), _MOST_ROWS):
        looked += 1
        text = None if row[at] is None else _shorten(write_value(job.fields[at], row[at]))
        sums[text] = sums.get(text, 0) + (_read_number(row[of]) if measure else 1)
    if "chart" not in call.query and len(sums) < looked:
        return None
    return Chart(column, measure, _make_bars(sums), len(sums), looked, job.rows)


def _list_rows(call: PageCall, shown: Shown) -> Iterator[list[Any]]:
    until = time.monotonic() + _SECONDS
    for batch in jobs_of(call).files.list_batches(shown.job):
        yield from batch.read()
        if time.monotonic() > until:
            return


def _read_number(value: Any) -> float:
    """NULL, and what is no number, adds nothing."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return 0.0
    return found if abs(found) < float("inf") else 0.0


def _make_bars(sums: Mapping[str | None, float]) -> list[Bar]:
    """The largest first; of equal ones in the order of the result."""
    largest = sorted(sums.items(), key=lambda pair: -pair[1])[:_BARS]
    top = max((value for _, value in largest), default=0)
    return [
        Bar("NULL" if name is None else name[:_LABEL], value, _draw(value, top), name is None)
        for name, value in largest
    ]


def _shorten(text: str) -> str:
    """Long values are held by their beginning, and by what tells them from others that begin so."""
    return text if len(text) <= _LABEL else text[:_LABEL] + sha256(text.encode("utf-8", "replace")).hexdigest()


def _draw(value: float, top: float) -> Markup:
    """As wide as its cell is; the number beside it is what a screen reader says."""
    width = max(value, 0) / top * _WIDTH if top > 0 else 0
    return Markup(
        '<svg class="bar-of" viewBox="0 0 {w} {h}" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="{width:.2f}" height="{h}"/></svg>'
    ).format(w=_WIDTH, h=_HEIGHT, width=width)
