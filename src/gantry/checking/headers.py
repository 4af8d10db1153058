"""Each row has its header: its pack can be read, and the header in it is that of the instance."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.checking.directory import Checked
from gantry.dicom.header_bytes import HeaderBytes, read_uids
from gantry.errors import DataLoss, StatusError
from gantry.findings import Finding, Kind
from gantry.header_packs import unpack
from gantry.index_protocols.checks import PackUsers
from gantry.resources import Uids, path_of

_TOLD = 10_000


def check_headers(checked: Checked) -> Iterator[Finding]:
    done = 0
    for pack in checked.index.checks.walk_packs():
        yield from _check_pack(pack)
        done += len(pack.users)
        if done // _TOLD != (done - len(pack.users)) // _TOLD:
            checked.tell("headers", done)


def _check_pack(pack: PackUsers) -> Iterator[Finding]:
    if pack.data is None:
        for user in pack.users:
            yield Finding(Kind.HEADER_WRONG, path_of(user.uids), f"its header pack {pack.id} is missing")
        return
    try:
        entries = unpack(pack.data)
    except DataLoss as error:
        for user in pack.users:
            yield Finding(Kind.HEADER_WRONG, path_of(user.uids), f"header pack {pack.id}: {error.what}")
        return
    for user in pack.users:
        if wrong := _find_wrong(entries, user.number, user.uids):
            yield Finding(Kind.HEADER_WRONG, path_of(user.uids), f"header pack {pack.id}: {wrong}")
    used = {user.number for user in pack.users}
    for number, entry in enumerate(entries):
        if entry and pack.is_alive and number not in used:
            yield Finding(Kind.HEADER_WRONG, f"header pack {pack.id}", f"no instance has the header {number} in it")


def _find_wrong(entries: list[bytes], number: int, uids: Uids) -> str:
    if not 0 <= number < len(entries) or not entries[number]:
        return f"it has no header {number}"
    try:
        found = read_uids(HeaderBytes.from_bytes(entries[number]))
    except StatusError as error:
        return error.what
    return "" if found == uids else f"header {number} is that of {path_of(found)}"
