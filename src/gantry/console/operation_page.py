"""The page of one operation: how far it is, and why objects have failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup
from starlette.responses import Response

from gantry.console.attention import keep_seen
from gantry.console.charts import Point, draw_line_chart, draw_stacked_bar
from gantry.console.operations import find_operation, row_of
from gantry.console.page_call import Crumb, PageCall, address_of, crumbs_of
from gantry.console.running_again import can_import_failed, can_run_again
from gantry.languages import _
from gantry.log_entries import Severity
from gantry.names import OperationName
from gantry.reasons import ABOUT, About, Reason
from gantry.resources import Operation
from gantry.whole_numbers import read_number

_TRIES = 3  # to read the counts and the log of the same moment, while batches are committed
_Counts = dict[tuple[Severity, Reason], int]


class Share(NamedTuple):
    """How many objects failed, or were warned of, for one reason. ``part``: of all of them, from 0 to 1."""

    reason: Reason
    about: About
    objects: int
    part: float
    is_warning: bool


class Outcome(NamedTuple):
    """An operation and the reasons of its failures, of the same moment. ``is_complete``: all were counted."""

    value: Operation
    shares: Sequence[Share] = ()
    is_complete: bool = True


def show_operation(call: PageCall) -> Response:
    page = _page(call, "operation.html")
    keep_seen(call.request, page, OperationName.parse(call.dataset, call.ids[3]).id)
    return page


def show_progress(call: PageCall) -> Response:
    """The part of the page that is updated while an operation runs."""
    return _page(call, "operation_progress.html")


def _page(call: PageCall, template: str) -> Response:
    outcome = read_outcome(call)
    value = outcome.value
    points = call.context.seams.index.operations.list_progress(value.name)
    row = row_of(value, points, call.context.waiting(value.name.id))
    may_import = value.store is not None and call.may("dicomStores.import", value.store)
    answer = call.show(
        template,
        crumbs=(*crumbs_of(value.name.dataset), Crumb(_("Operations"), f"{address_of(value.name.dataset)}/operations")),
        operation=row,
        bar=_draw_bar(value, row.done_word, row.rest_word),
        chart=_throughput(value, points),
        shares=outcome.shares,
        complete=outcome.is_complete,
        store_address=address_of(value.store) if value.store else "",
        can_run_again=can_run_again(value),
        can_import_failed=may_import and can_import_failed(value),
    )
    if call.is_part:
        answer.headers["hx-trigger"] = _name_news(call, value)
    return answer


def _name_news(call: PageCall, value: Operation) -> str:
    """What the other part of the page has to know: that the operation has ended, or that more objects have failed."""
    if value.done:
        return "ended"
    shown = read_number(call.query.get("failed", ""), 1 << 62)
    return "failed" if shown is not None and shown != value.counter.failure else "same"


def read_outcome(call: PageCall) -> Outcome:
    """Counts that agree with the reasons. Where every look meets another batch, the next one has the reasons."""
    index = call.context.seams.index
    value = find_operation(call)
    for _try in range(_TRIES):
        counts, is_complete = index.logs.count_entries(value.name)
        after = index.operations.get_operation(value.name)
        if (after.counter, after.done) == (value.counter, value.done):
            return Outcome(value, _list_shares(value, counts), is_complete)
        value = after
    return Outcome(value)


def _list_shares(value: Operation, counts: _Counts) -> list[Share]:
    """Without the entry about the operation itself, which is no object."""
    objects = dict(counts)
    errors = sum(count for (severity, _reason), count in counts.items() if severity >= Severity.ERROR)
    if value.error is not None and errors > value.counter.failure:
        own = Severity.ERROR, value.error.reason
        objects[own] = objects.get(own, 1) - 1
    most = max(objects.values(), default=1)
    return [
        Share(reason, ABOUT[reason], count, count / most, severity < Severity.ERROR)
        for (severity, reason), count in objects.items()
        if count > 0
    ]


def _draw_bar(value: Operation, done: str, rest: str) -> Markup | str:
    counter = value.counter
    parts = [("good", done, counter.success), ("bad", _("Failed"), counter.failure), ("rest", rest, counter.pending)]
    return draw_stacked_bar(parts) if done and sum(count for *_names, count in parts) else ""


def _throughput(value: Operation, points: Sequence[tuple[datetime, int]]) -> Markup | str:
    """Objects per second over the time of the operation; "" with too few points for a line."""
    steps = [(value.create_time, 0), *points]
    done = value.counter.success + value.counter.failure
    if value.end_time is not None and done > steps[-1][1]:
        steps.append((value.end_time, done))
    rates = [
        Point(now.timestamp(), (after - before) / max((now - then).total_seconds(), 0.05))
        for (then, before), (now, after) in pairwise(steps)
    ]
    return draw_line_chart(rates, _("Objects per second"), "/s", is_short=True) if len(rates) > 3 else ""
