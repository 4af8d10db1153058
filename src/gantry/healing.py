"""Instances that come again, and whose stored bytes or stored header are damaged: what came takes their place.

The row keeps its place and its storage class. Its old bytes become garbage, whatever is left of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from gantry.describing import describe_header
from gantry.dicom.header_bytes import HeaderBytes, read_uids
from gantry.errors import Code, DataLoss, Status, StatusError
from gantry.header_packs import unpack
from gantry.reasons import Reason
from gantry.resources import HeaderAttributes, Instance, Replacement, StoredInstance, Uids
from gantry.seams import Seams


def is_lost(verdict: bool | Status) -> bool:
    """Whether a comparison (``ingest.compare_bytes``) has found that there are no good bytes to compare with."""
    return isinstance(verdict, Status) and verdict.code in (Code.DATA_LOSS, Code.NOT_FOUND)


def make_unknown(path: str, verdict: Status) -> Status:
    """What is said of new bytes where nobody can say whether they are those that are stored."""
    message = f"an instance with these UIDs exists, but its bytes cannot be compared ({verdict.what})"
    return Status(Code.DATA_LOSS, f"{message}: {path}", verdict.advice, kind=Reason.STORED_BYTES_DAMAGED)


def find_damaged_headers(seams: Seams, rows: Sequence[StoredInstance]) -> set[Uids]:
    """Those of the rows whose header pack is missing, damaged, or has the header of another instance."""
    packs = _read_packs(seams, rows)
    return {row.uids for row in rows if row.pack_id is not None and _read_header(packs, row) is None}


def make_replacement(seams: Seams, before: StoredInstance, after: Instance) -> Replacement:
    """New bytes for a row. A study that was described as the old instance is described as the new one."""
    own = _read_own(after)
    if own is not None and after.description is not None:
        after = after._replace(description=after.description._replace(study=own.study, series=own.series))
    header = _read_header(_read_packs(seams, [before]), before)
    said = (describe_header(header) if header is not None else own) or HeaderAttributes()
    return Replacement(before, after, said.study, said.series)


def _read_own(instance: Instance) -> HeaderAttributes | None:
    """The attributes in its own header: its description may have those of the first instance of its series."""
    said = instance.description
    if said is None or not said.pack:
        return None if said is None else HeaderAttributes(said.study, said.series)
    return describe_header(HeaderBytes.from_bytes(unpack(said.pack)[said.number]))


def _read_packs(seams: Seams, rows: Sequence[StoredInstance]) -> dict[int, list[bytes]]:
    """The headers in the packs of rows; none of a pack that is damaged."""
    packs: dict[int, list[bytes]] = {}
    wanted = sorted({row.pack_id for row in rows if row.pack_id is not None})
    for number, data in (seams.index.instances.get_header_packs(wanted) if wanted else {}).items():
        try:
            packs[number] = unpack(data)
        except DataLoss:
            packs[number] = []
    return packs


def _read_header(packs: dict[int, list[bytes]], row: StoredInstance) -> HeaderBytes | None:
    entries = packs.get(row.pack_id or 0, [])
    number = -1 if row.pack_number is None else row.pack_number
    if not 0 <= number < len(entries):
        return None
    try:
        header = HeaderBytes.from_bytes(entries[number])
        return header if read_uids(header) == row.uids else None
    except StatusError:
        return None
