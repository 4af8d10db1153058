"""*Needs attention*: what somebody should look at, on the first page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gantry.api.bucket_checks import BucketChecks
from gantry.console.buckets import list_rows
from gantry.console.disk import DiskPage
from gantry.console.formats import number, size
from gantry.console.operations import TITLES
from gantry.console.page_call import BASE, PageCall, address_of
from gantry.languages import _, ngettext
from gantry.resources import Operation

_COOKIE, _SECONDS, _MOST_SEEN = "gantry-seen", 30 * 86_400, 50  # operations that a browser has looked at
_DAYS, _OPERATIONS, _SHOWN = timedelta(days=7), 500, 5  # looked at, and shown


class Matter(NamedTuple):
    """``kind`` is that of its sign."""

    kind: str
    title: str
    detail: str
    address: str


def list_matters(call: PageCall) -> list[Matter]:
    """What the caller may see of it."""
    found = list(islice(_list_operations(call), _SHOWN))
    if call.api.caller.administers:
        found += [*_list_disks(call), *_list_buckets(call, call.context.bucket_checks)]
    return found


def _list_operations(call: PageCall) -> Iterator[Matter]:
    """Those of the last days with failures that this browser has not opened, the latest first."""
    seen, since = read_seen(call.request), datetime.now(UTC) - _DAYS
    for each in call.context.seams.index.operations.list_failed(since, _OPERATIONS):
        if each.name.id not in seen and call.may("operations.list", each.name.dataset):
            yield _describe(each)


def _describe(value: Operation) -> Matter:
    title = _(TITLES[value.method]) if value.method in TITLES else value.method.value
    where = value.store.store if value.store is not None else value.name.dataset.dataset
    failed = value.counter.failure
    words = ngettext("{count} object has failed.", "{count} objects have failed.", failed).format(count=number(failed))
    kind = "partial" if value.counter.success else "failed"
    return Matter(kind, f"{title} · {where}", words if failed else _("It has failed."), address_of(value.name))


def _list_disks(call: PageCall) -> Iterator[Matter]:
    for use in call.context.facts.read_disks():
        disk = DiskPage(use, 0, 0, "")
        if use.problem:
            yield Matter("failed", _("A disk cannot be looked at"), use.problem, f"{BASE}/disk")
        elif disk.is_nearly_full and use.free is not None:
            words = _("{free} free, {percent} % used").format(free=size(use.free), percent=round(disk.part * 100))
            yield Matter("partial", _("A disk is nearly full"), words, f"{BASE}/disk")


def _list_buckets(call: PageCall, checks: BucketChecks) -> Iterator[Matter]:
    """Those whose latest check has found something wrong."""
    if not checks.has_any:
        return
    for row in list_rows(call):
        wrong = [f"{words}: {found.word}" for words, found in row.findings if found.kind == "failed"]
        if wrong:
            yield Matter("failed", row.bucket.address, ", ".join(wrong), f"{BASE}/buckets")


# What a browser has looked at -----------------------------------------------------------------------------------------


def read_seen(request: Request) -> frozenset[int]:
    """Numbers of operations."""
    parts = request.cookies.get(_COOKIE, "").split(".")[:_MOST_SEEN]
    return frozenset(int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 20)


def keep_seen(request: Request, response: Response, operation: int) -> None:
    """Scripts need not read it, and it names nobody."""
    latest = sorted({*read_seen(request), operation})[-_MOST_SEEN:]
    value = ".".join(map(str, latest))
    secure = request.url.scheme == "https"
    response.set_cookie(_COOKIE, value, _SECONDS, path=BASE, secure=secure, httponly=True, samesite="strict")
