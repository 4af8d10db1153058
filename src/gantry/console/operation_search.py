"""Which operations are listed: by store, kind, state and the days on which they were started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gantry.console.page_call import PageCall
from gantry.console.typed_dates import Days, is_month_first, parse_days
from gantry.errors import Code, InvalidArgument
from gantry.languages import N_
from gantry.names import DicomStoreName
from gantry.resources import Method, Operation
from gantry.whole_numbers import read_number

_SCAN, _STEP = 5000, 500  # operations that one page looks at, at most; of one query
_FIELDS = ("store", "kind", "state", "started")
STATES = {"running": N_("Running"), "ok": N_("OK"), "failed": N_("With errors"), "cancelled": N_("Cancelled")}


class Found(NamedTuple):
    """``after`` is where the next page begins, "" at the end."""

    operations: list[Operation]
    after: str
    wanted: dict[str, str]
    error: InvalidArgument | None = None


def search(call: PageCall, limit: int) -> Found:
    wanted = {name: call.query[name].strip() for name in _FIELDS if call.query.get(name, "").strip()}
    try:
        matches = _make_test(call, wanted)
    except InvalidArgument as error:
        return Found([], "", wanted, error)
    before = read_number(call.query.get("page", ""), 1 << 62)
    found: list[Operation] = []
    for _step in range(_SCAN // _STEP):
        page = _list(call, wanted, before)
        found += [each for each in page if matches(each)]
        if len(found) > limit:
            return Found(found[:limit], str(found[limit - 1].name.id), wanted)
        if len(page) < _STEP:
            return Found(found, "", wanted)
        before = page[-1].name.id
    return Found(found, str(before), wanted)


def _list(call: PageCall, wanted: dict[str, str], before: int | None) -> list[Operation]:
    done = None if "state" not in wanted else wanted["state"] != "running"
    kind = Method[wanted["kind"]].value if wanted.get("kind") in Method.__members__ else None
    return call.context.seams.index.operations.list_operations(call.dataset, _STEP, before, done, kind)


def _make_test(call: PageCall, wanted: dict[str, str]) -> Callable[[Operation], bool]:
    zone = _find_zone(call)
    days = _read_days(call, wanted["started"], zone) if "started" in wanted else Days(None, None)
    store = _name_store(call, wanted["store"]) if "store" in wanted else None

    def matches(value: Operation) -> bool:
        if store is not None and value.store != store:
            return False
        started = value.create_time.astimezone(zone).date()
        return _is_in(value, wanted.get("state", "")) and _is_between(started, days)

    return matches


def _find_zone(call: PageCall) -> ZoneInfo:
    """The time zone of the dataset."""
    return ZoneInfo(call.context.seams.index.resources.get_dataset(call.dataset).time_zone or "UTC")


def _read_days(call: PageCall, text: str, zone: ZoneInfo) -> Days:
    month_first = is_month_first(call.request.headers.get("accept-language", ""))
    return parse_days(text, datetime.now(UTC).astimezone(zone).date(), month_first)


def _name_store(call: PageCall, store: str) -> DicomStoreName:
    name = call.dataset
    return DicomStoreName(name.project, name.location, name.dataset, store)


def _is_in(value: Operation, state: str) -> bool:
    is_cancelled = value.error is not None and value.error.code is Code.CANCELLED
    if state == "ok":
        return value.error is None
    if state == "failed":
        return value.error is not None and not is_cancelled
    return is_cancelled if state == "cancelled" else True


def _is_between(day: date, days: Days) -> bool:
    return (days.first or day) <= day <= (days.last or day)
