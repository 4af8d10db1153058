"""Heals stored instances by what a request stores again: those whose bytes or header are damaged get the new ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from gantry.errors import Status
from gantry.healing import find_damaged_headers, is_lost, make_replacement, make_unknown
from gantry.ingest import Pair, compare_bytes
from gantry.resources import Instance, StoredInstance, Uids
from gantry.seams import Seams

logger = logging.getLogger(__name__)


class Doubles(NamedTuple):
    """UIDs of instances that were stored again: those that were damaged and have the new bytes now, those that have the
    same bytes, and why others could not be compared. The rest have other bytes."""

    healed: set[Uids]
    same: set[Uids]
    unknown: dict[Uids, Status]


def heal(seams: Seams, store_id: int, doubles: Sequence[Instance]) -> Doubles:
    """Replace those of the stored instances that are damaged. ``doubles`` are durable and have no rows.

    An instance that is changed or moved at the same time is left as it is. Raises what the index raises.
    """
    found, same, unknown = _find_damaged(seams, store_id, doubles)
    healed: set[Uids] = set()
    for item in doubles:
        before = found.get(item.uids)
        if before is None:
            continue
        if seams.index.uploads.replace_instance(store_id, make_replacement(seams, before, item)) is None:
            logger.warning("%s was damaged; what was stored just now has taken its place", item.path)
            healed.add(item.uids)
    return Doubles(healed, same - healed, unknown)


def _find_damaged(
    seams: Seams, store_id: int, doubles: Sequence[Instance]
) -> tuple[dict[Uids, StoredInstance], set[Uids], dict[Uids, Status]]:
    """Looked up twice: bytes that are not where they were may have been moved just then."""
    uids = [item.uids for item in doubles]
    before = seams.index.instances.find_stored(store_id, uids)
    there = [(item, row) for item in doubles if (row := before.get(item.uids)) is not None]
    pairs = [Pair(item.blob_key, row.blob_key, row.size, row.uids) for item, row in there]
    verdicts = compare_bytes(pairs, blobs=seams.blobs)
    unknown = {
        row.uids: make_unknown(row.path, verdict)
        for (_, row), verdict in zip(there, verdicts, strict=True)
        if isinstance(verdict, Status) and not is_lost(verdict)
    }
    damaged = find_damaged_headers(seams, [row for _, row in there])
    wrong = {
        row.uids: row
        for (_, row), verdict in zip(there, verdicts, strict=True)
        if is_lost(verdict) or (row.uids in damaged and verdict is True)
    }
    now = seams.index.instances.find_stored(store_id, list(wrong)) if wrong else {}
    same = {row.uids for (_, row), verdict in zip(there, verdicts, strict=True) if verdict is True}
    still = {uids: row for uids, row in wrong.items() if uids in now and now[uids].blob_key == row.blob_key}
    return still, same - wrong.keys(), unknown
