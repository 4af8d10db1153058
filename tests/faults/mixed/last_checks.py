"""What must hold once no call fails any more: everything is as it was answered, and nothing else is left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import create_engine, text

from gantry.storage.extents import object_of
from tests.faults.failing import Faults
from tests.faults.kill import stored_keys
from tests.faults.mixed.caller import Caller, Store
from tests.faults.mixed.contents import Content, Uids, find_uids, read_content
from tests.faults.mixed.ending import look_after
from tests.faults.mixed.journal import Journal, require
from tests.faults.mixed.verbs import retrieve_one
from tests.faults.scene import files, placed
from tests.support.checked import findings
from tests.support.server import GantryServer, counts
from tests.support.web import JSON, uid_path

_END_SECONDS = 60
_LEFT = ("garbage", "upload")  # tables of what is still to be removed


def check_all(server: GantryServer, callers: Sequence[Caller], journal: Journal, faults: Faults) -> None:
    for caller in callers:
        look_after(caller, _END_SECONDS)
        caller.is_journaled = False
    journal.write("checks", "all operations are done")
    _check_operations(server, callers)
    for caller in callers:
        for (
            started
        ) in caller.started:  # of those whose names nobody knows anything may be done, and nothing comes later
            started.drop()
        for state in (*caller.common.states.values(), *caller.private.states.values()):
            state.is_unsure = False  # the index has been written since
    stores = [(callers, callers[0].common), *(([caller], caller.private) for caller in callers)]
    for number, (owners, place) in enumerate(stores):
        known = {uids: content for owner in owners for uids, content in _read_back(owner, place).items()}
        _check_search(owners[0], place, known)
        _check_export(server, place, known, f"whole-{number}")
    journal.write("checks", "all instances are as answered")
    _check_disk(server)
    require(not (found := findings(server.data)), f"gantry check, while the server runs: {found}")
    _check_buckets(server, callers)
    _check_descriptors(server)
    server.stop()
    require(not (found := findings(server.data)), f"gantry check, after the server has stopped: {found}")
    require(not (left := _count_rows(server.data)), f"left in the index: {left}")
    _check_processes(server, faults)
    require("Traceback" not in server.log_text(), "the log of the server has a traceback")


def _check_operations(server: GantryServer, callers: Sequence[Caller]) -> None:
    """Those whose names nobody knows end, too."""
    for store in (callers[0].common, *(caller.private for caller in callers)):
        listed = server.call(
            "GET", f"v1/{store.name.rpartition('/dicomStores/')[0]}/operations", params={"pageSize": 1000}
        )
        for operation in listed.get("operations", []):
            done = server.wait(operation["name"], seconds=_END_SECONDS)
            require(
                "pending" not in done["metadata"].get("counter", {}) or "error" in done, f"pending at the end: {done}"
            )
            callers[0].check_words(str(done.get("error", "")), done["name"])


# Instances -----------------------------------------------------------------------------------------------------------


def _read_back(caller: Caller, place: Store) -> dict[Uids, Content]:
    """Every instance of a caller that may be there; those that are."""
    mine = caller.common if not place.is_private else place
    found = {}
    for uids, state in mine.states.items():
        if state.may_be_present and retrieve_one(caller, mine, uids).status == 200:
            _check_class(caller, mine, uids)
        (content,) = {held[:3] if held is not None else None for held in state.contents()}
        if content is not None:
            found[uids] = next(held for held in state.contents() if held is not None)
    return found


def _check_class(caller: Caller, place: Store, uids: Uids) -> None:
    answer = caller.send("GET", f"{place.web}/{uid_path(*uids)}:getStorageInfo")
    name = answer.json()["blobStorageInfo"]["storageClass"]
    place.state(uids).see(f"its class is {name}", lambda held: held is not None and held.storage_class == name)


def _check_search(caller: Caller, place: Store, known: dict[Uids, Content]) -> None:
    """Searches and counts have exactly what can be read."""
    found: list[Uids] = []
    while True:
        params = {"limit": 500, "offset": len(found)}
        page = caller.send("GET", f"{place.web}/instances", params=params, headers={"accept": JSON})
        require(page.status in (200, 204), f"a search: {page.status} {page.text}")
        if page.status == 204:
            break
        tags = ("0020000D", "0020000E", "00080018")
        found += [tuple(item[tag]["Value"][0] for tag in tags) for item in page.json()]
    require(sorted(found) == sorted(known), f"{place.name}: a search differs: {set(found) ^ set(known)}")
    metrics = caller.send("GET", f"v1/{place.name}:getDICOMStoreMetrics").json()
    for field, count in (
        ("instanceCount", len(known)),
        ("seriesCount", len({uids[:2] for uids in known})),
        ("studyCount", len({uids[0] for uids in known})),
    ):
        require(int(metrics.get(field, 0)) == count, f"{place.name}: {metrics}, but {field} is {count}")


def _check_export(server: GantryServer, place: Store, known: dict[Uids, Content], bucket: str) -> None:
    out = server.buckets / bucket
    out.mkdir()
    done = server.wait(server.export(place.name, f"gs://{bucket}"))
    require("error" not in done and counts(done) == (len(known), 0), f"an export of all {len(known)}: {done}")
    written = {find_uids(path, out): path for path in out.rglob("*") if path.is_file()}
    require(written.keys() == known.keys(), f"an export of all differs: {written.keys() ^ known.keys()}")
    for uids, path in written.items():
        found = read_content(uids, path.read_bytes())
        require(found.is_same(known[uids]), f"{uids} is exported as {found} and not as {known[uids]}")


# What is left --------------------------------------------------------------------------------------------------------


def _check_disk(server: GantryServer) -> None:
    """Soon every row has its bytes, and nothing else lies on the disks."""

    def left() -> set[str]:
        named = stored_keys(server)
        on_disk, all_files = _list_on_disk(server)
        return (on_disk ^ named) | (all_files ^ set(map(object_of, named)))

    try:
        server.wait_until(lambda: not left(), seconds=30)
        server.wait_until(lambda: not _count_rows(server.data, ("garbage",)), seconds=30)
    except AssertionError as error:
        require(False, f"left on the disk: {sorted(left())[:10]}, {_count_rows(server.data)}: {error}")


def _list_on_disk(server: GantryServer) -> tuple[set[str], set[str]]:
    """Keys of blobs, and names of files."""
    cold = server.data.parent / "cold"
    return (
        placed(server.data / "blobs") | placed(cold),
        files(server.data / "blobs") | files(cold),
    )


def _count_rows(data: Path, tables: Iterable[str] = _LEFT) -> dict[str, int]:
    engine = create_engine(f"sqlite:///{data / 'index.sqlite'}")
    with engine.connect() as connection:
        found = {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables}
        found["deleted stores"] = connection.execute(
            text("SELECT count(*) FROM dicom_store WHERE deleted")
        ).scalar_one()
    engine.dispose()
    return {table: count for table, count in found.items() if count}


def _check_buckets(server: GantryServer, callers: Sequence[Caller]) -> None:
    """Exports leave no temporary files."""
    for caller in callers:
        out = server.buckets / caller.out
        strange = [str(path) for path in out.rglob("*") if path.is_file() and path.suffix != ".dcm"]
        require(not strange, f"left in a bucket: {strange}")


def _check_descriptors(server: GantryServer) -> None:
    """None is open on a file that is gone, or on an object of a bucket."""

    def left() -> list[str]:
        found = []
        for pid in [server.process.pid, *_list_processes(str(server.data.parent))]:
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    target = os.readlink(f"/proc/{pid}/fd/{name}")
                except FileNotFoundError:
                    continue
                if str(server.data.parent) in target and (target.endswith("(deleted)") or "/buckets/" in target):
                    found.append(target)
        return found

    try:
        server.wait_until(lambda: not left(), seconds=15)
    except AssertionError:
        require(False, f"left open: {left()}")


def _check_processes(server: GantryServer, faults: Faults) -> None:
    try:
        server.wait_until(lambda: not _list_processes(str(faults.path)), seconds=15)
    except AssertionError:
        require(False, f"processes are left: {_list_processes(str(faults.path))}")


def _list_processes(mark: str) -> list[int]:
    """Those whose environment has ``mark``, as all have that a server with faults has started."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(int(pid))
        except (OSError, PermissionError):
            continue
    return found
