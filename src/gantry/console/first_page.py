"""What the first page shows of the whole server: what is running, and its stores as cards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache, partial
from itertools import islice
from typing import NamedTuple

from markupsafe import Markup
from starlette.responses import Response

from gantry.console.charts import draw_days
from gantry.console.operations import OperationRow, row_of
from gantry.console.page_call import PageCall
from gantry.holdings import RecentStore
from gantry.resources import Operation

_RUNNING, _CARDS, _CHECKED = 5, 12, 60  # shown, shown, and stores whose permission is checked
_DAYS, _DAY, _EPOCH = 30, 86_400, date(1970, 1, 1)


class Card(NamedTuple):
    """``last`` is the day on which something was stored or deleted last, in UTC; ``chart`` is "" without growth."""

    store: RecentStore
    last: date | None
    chart: Markup | str


def list_cards(call: PageCall) -> list[Card]:
    """The stores that the caller may see, those that changed last first."""
    today = int(time.time()) // _DAY
    recent = call.context.seams.index.metrics.list_recent(_CHECKED, today - _DAYS + 1)
    has = partial(call.api.caller.has_by, permission="healthcare.dicomStores.get")
    seen = (each for each in recent if has(each.policies, resource=each.store))
    return [_make_card(each, today) for each in islice(seen, _CARDS)]


def _make_card(store: RecentStore, today: int) -> Card:
    gained = [max(0, store.days.get(day, 0)) for day in range(today - _DAYS + 1, today + 1)]
    last = None if store.last_day is None else _EPOCH + timedelta(store.last_day)
    return Card(store, last, draw_days(gained) if any(gained) else "")


def list_running(call: PageCall) -> Sequence[OperationRow]:
    """What the caller may see of the operations that have not ended, the newest first."""
    return [row_of(each, waiting=call.context.waiting(each.name.id)) for each in islice(_list_open(call), _RUNNING)]


def _list_open(call: PageCall) -> Iterator[Operation]:
    may_list = cache(partial(call.may, "operations.list"))
    for each in call.context.seams.index.operations.list_open(_CHECKED):
        if may_list(each.name.dataset):
            yield each


def show_now(call: PageCall) -> Response:
    """The part of the first page that says what is running."""
    return call.show("now.html", running=list_running(call))
