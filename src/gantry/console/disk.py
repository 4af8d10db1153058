"""*Disk*: what takes space, how much is left, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup
from starlette.responses import Response

from gantry.api.methods import SHOW_DISK
from gantry.api.server_facts import DiskUse
from gantry.console.charts import draw_stacked_bar
from gantry.console.formats import number, size
from gantry.console.page_call import Crumb, PageCall
from gantry.holdings import Holding
from gantry.languages import _, ngettext
from gantry.names import DicomStoreName
from gantry.seams import Seams

NEARLY_FULL = 0.8
"""The part of a disk from which on the page warns: a week is left to buy another one, at the usual rates."""
_WEEK, _DAY = 7, 86_400
_LONGEST = 3650  # days: what is further away than ten years is not said
_MOST_UNSWEPT = 10_000  # blobs that are counted
_SHOWN = 20  # stores that stand unfolded


class ClassUse(NamedTuple):
    name: str
    instances: int
    blob_bytes: int


class StoreUse(NamedTuple):
    name: DicomStoreName
    instances: int
    blob_bytes: int
    classes: Sequence[ClassUse]


@dataclass(frozen=True, slots=True)
class DiskPage:
    """A disk as it is shown. ``files`` and ``index`` are the bytes of ours on it; ``outlook`` says when it will be
    full, "" where that is not known."""

    use: DiskUse
    files: int
    index: int
    outlook: str

    @property
    def used(self) -> int:
        return (self.use.total or 0) - (self.use.free or 0)

    @property
    def part(self) -> float:
        return self.used / self.use.total if self.use.total else 0.0

    @property
    def is_nearly_full(self) -> bool:
        return self.part > NEARLY_FULL

    @property
    def other(self) -> int:
        """Bytes of others and of the file system. Ours may be fewer than they say: segments have holes."""
        return max(0, self.used - self.files - self.index)

    @property
    def bar(self) -> Markup | str:
        if self.use.total is None or self.use.free is None:
            return ""
        parts = [("files", _("Stored files"), self.files), ("index", _("Index"), self.index)]
        parts += [("other", _("Other data"), self.other), ("rest", _("Free"), self.use.free)]
        return draw_stacked_bar(parts, size)


def show_disk(call: PageCall) -> Response:
    """Raises PermissionDenied."""
    with call.api.use(SHOW_DISK, ()):
        call.api.caller.require_administrator()
    seams, facts = call.context.seams, call.context.facts
    held = seams.index.metrics.list_holdings()
    index_bytes = seams.index.metrics.measure_bytes()
    return call.show(
        "disk.html",
        crumbs=(Crumb(_("Disk"), ""),),
        disks=list_disks(facts.read_disks(), held, index_bytes, read_week(seams), seams),
        index=facts.index,
        index_bytes=index_bytes,
        blobs=facts.blobs,
        classes=sum_classes(held),
        stores=sum_stores(held),
        shown=_SHOWN,
        unswept=seams.index.garbage.measure_unswept(_MOST_UNSWEPT),
        most_unswept=_MOST_UNSWEPT,
        deleted_stores=len(seams.index.garbage.list_deleted_stores()),
        undeletable=seams.undeletable.count,
        is_held=seams.is_held(),
    )


def list_disks(
    found: Sequence[DiskUse], held: Sequence[Holding], index: int, week: Mapping[str, int] | None, seams: Seams
) -> list[DiskPage]:
    """``week``: what each storage class gained in a week, None where no week is known."""
    shown = []
    for use in found:
        files = sum(each.blob_bytes for each in held if seams.place_of(each.storage_class) in use.holds)
        gained = None
        if week is not None:
            gained = sum(each for name, each in week.items() if seams.place_of(name) in use.holds)
        shown.append(DiskPage(use, files, index if use.has_index else 0, describe_outlook(use.free, gained)))
    return shown


def read_week(seams: Seams) -> dict[str, int] | None:
    """What each storage class gained in the seven days (UTC) before this one; None while there were fewer of them."""
    today = int(time.time()) // _DAY
    first = seams.index.metrics.find_first_day()
    if first is None or first > today - _WEEK:
        return None
    return seams.index.metrics.sum_growth(today - _WEEK, today - 1)


def describe_outlook(free: int | None, gained: int | None) -> str:
    """When ``free`` bytes are used at the rate of a week that ``gained`` so many; "" where nobody can know."""
    if free is None or gained is None or gained <= 0:
        return ""
    days = free * _WEEK // gained
    if days > _LONGEST:
        return ""
    if days < 1:
        return _("Full within a day at this week's rate.")
    text = ngettext(
        "Full in about {days} day at this week's rate.", "Full in about {days} days at this week's rate.", days
    )
    return text.format(days=number(days))


def sum_classes(held: Iterable[Holding]) -> list[ClassUse]:
    """The largest first."""
    sums: dict[str, list[int]] = {}
    for each in held:
        sizes = sums.setdefault(each.storage_class, [0, 0])
        sizes[0] += each.instances
        sizes[1] += each.blob_bytes
    found = [ClassUse(name, *sizes) for name, sizes in sums.items() if sizes[0]]
    return sorted(found, key=lambda each: -each.blob_bytes)


def sum_stores(held: Iterable[Holding]) -> list[StoreUse]:
    """Those that hold something, the largest first."""
    by_store: dict[DicomStoreName, list[Holding]] = {}
    for each in held:
        by_store.setdefault(each.store, []).append(each)
    found = [
        StoreUse(store, sum(each.instances for each in rows), sum(each.blob_bytes for each in rows), sum_classes(rows))
        for store, rows in by_store.items()
    ]
    return sorted((each for each in found if each.instances), key=lambda each: -each.blob_bytes)
