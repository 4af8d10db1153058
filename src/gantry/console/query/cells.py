"""Values of a result as they stand in the cells of a table, and one page of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.console.page_call import PageCall
from gantry.console.query.jobs import Shown, jobs_of
from gantry.query_seams import Field
from gantry.querying.text_rows import format_timestamp, to_object
from gantry.whole_numbers import read_number

MOST_COLUMNS = 40
_CELLS, _MOST_ROWS, _LEAST_ROWS = 1200, 50, 10
_PAGE_BYTES = 4 << 20  # of rows that are read for a page: one may have many MB
_SHOWN = 160  # characters of a value
NUMBERS = ("INTEGER", "FLOAT", "NUMERIC")


@dataclass(frozen=True, slots=True)
class Cell:
    """``is_cut``: the value is longer."""

    text: str
    is_number: bool = False
    is_null: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Rows ``first`` to ``last`` of a result, counted from 1. ``hidden`` columns are not shown. ``before`` and
    ``after`` are the numbers, from 0, that the pages around begin with; None where there is none."""

    fields: Sequence[Field]
    hidden: int
    rows: Sequence[Sequence[Cell]]
    first: int
    last: int
    before: int | None
    after: int | None


def read_page(call: PageCall, shown: Shown) -> Page:
    """The page of the result that the address names. Raises NotFound where it is not kept any more."""
    job = shown.job
    most = page_size(len(job.fields))
    first = min(read_number(call.query.get("first", "")) or 0, max(job.rows - 1, 0))
    found = jobs_of(call).files.read_rows(job, first, most, _PAGE_BYTES)
    end = first + len(found)
    return Page(
        job.fields[:MOST_COLUMNS],
        max(0, len(job.fields) - MOST_COLUMNS),
        [[make_cell(*pair) for pair in zip(job.fields[:MOST_COLUMNS], row, strict=False)] for row in found],
        first + 1,
        end,
        max(0, first - most) if first else None,
        end if end < job.rows else None,
    )


def page_size(columns: int) -> int:
    """Rows of a page: fewer where there are many columns."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, _CELLS // max(min(columns, MOST_COLUMNS), 1)))


def make_cell(field: Field, value: Any) -> Cell:
    if value is None:
        return Cell("NULL", is_null=True)
    text = write_value(field, value)
    is_number = field.type in NUMBERS and field.mode != "REPEATED"
    return Cell(text[:_SHOWN], is_number, False, len(text) > _SHOWN)


def write_value(field: Field, value: Any) -> str:
    """A value as text; what has parts as JSON."""
    if field.mode == "REPEATED" or field.type == "RECORD":
        (plain,) = to_object([field], [value]).values()
        return json.dumps(plain, ensure_ascii=False)
    if field.type == "TIMESTAMP":
        return format_timestamp(value)
    return ("true" if value else "false") if field.type == "BOOLEAN" else str(value)
