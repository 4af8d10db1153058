"""Wiring: from settings to adapters. The only module that names the adapters behind the ports."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from gantry.bucket_wiring import Buckets, OwnUploads, open_place_files, require_libraries
from gantry.checking.directory import Checked
from gantry.durable_files import make_directory
from gantry.engine_wiring import open_engine
from gantry.errors import FailedPrecondition, NotFound, StatusError, Unavailable
from gantry.executors import WorkerPool
from gantry.findings import Finding, Kind
from gantry.generation_checks import find_missing_names, find_wrong_generations
from gantry.generations import FoundIndex, find_mark, join, require_index, require_same_mark
from gantry.index.checks import ReadOnlyIndex
from gantry.index.sql import SqlIndex
from gantry.index_wiring import IndexPlace
from gantry.membership import Membership, SharedMembership, find_alive
from gantry.names import DicomStoreName
from gantry.notification_wiring import open_publisher
from gantry.seams import MAIN, Blobs, Seams, StoreRecords
from gantry.settings.directories import check_directories, require_usable
from gantry.settings.groups import SQLITE
from gantry.settings.loading import Settings
from gantry.storage.hold import Hold
from gantry.storage.local_blobs import LocalBlobs
from gantry.storage.place_marks import find_wrong_marks, keep_places, read_record
from gantry.storage.place_roots import Places
from gantry.storage.places import PlacedBlobStore
from gantry.storage.remote.blobs import RemoteBlobs
from gantry.storage.remote.place_claims import SharedIndex, has_claims, mark_name
from gantry.storage.remote.place_files import NAME, PlaceFiles
from gantry.storage.remote.store_names import CopiedStoreRecords
from gantry.storage.store_records import LocalStoreRecords, read_records
from gantry.system_errors import describe_os_error
from gantry.table_wiring import open_queries, open_warehouse

logger = logging.getLogger(__name__)


class DataDirectory:
    """The directory of one server: index, blobs, buckets. One process and its workers lock it at a time.

    Of blobs in a bucket the files about them are here, and copies in the bucket. Where the index is in PostgreSQL too,
    other servers may share both, each with a directory of its own."""

    def __init__(self, settings: Settings, rebuilding: bool = False, alone: bool = False) -> None:
        """``rebuilding``: the index may be missing, and with blobs in a bucket the whole directory. ``alone``: while no
        other server uses the index. Raises FailedPrecondition, InvalidArgument."""
        self.path, self.rebuilding = Path(settings.data).absolute(), rebuilding
        self.shares = settings.shares and not (rebuilding or alone)
        self.index = IndexPlace(self.path, settings.database)
        check_directories(self.path, settings.buckets_path, settings.storage_classes)
        try:
            for path in (self.path, self.path / "blobs", settings.buckets_path):
                make_directory(path)
            path = self.path / "lock"
            self.lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FailedPrecondition(f"data, buckets: {path} cannot be made: {describe_os_error(error)}") from None
        _wait_for_lock(self.lock, self.path)
        self._stay()
        try:
            require_usable(self.path / "blobs")
            self.index.require()
            files, tiers = open_place_files(settings), settings.storage_tiers
            shared = self._find_shared(files) if settings.shares and files is not None and not rebuilding else None
            self.marks = keep_places(self.path, settings.storage_classes, files, tiers, rebuilding, shared)
            if files is not None:
                files = files.with_mark(*_find_claim(self, MAIN))
            own = dict.fromkeys((MAIN, *sorted(tiers)), str(self.path / "blobs"))
            self.places = Places({**own, **settings.storage_classes}, own, files)
            self._require_index()
            self.places.fetch()
            self.index.keep()
        except BaseException:
            self.close()
            raise

    @property
    def home(self) -> str:
        """What names the lock of this directory while the machine runs: who had it before is gone. Where that cannot be
        told, nobody had it."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            boot = secrets.token_hex(16)
        found = os.fstat(self.lock)
        return f"{boot}:{found.st_dev}:{found.st_ino}"

    def _find_shared(self, files: PlaceFiles) -> SharedIndex | None:
        """The index that this directory is to share. The first start makes it before the bucket is marked, because
        its mark is that of the bucket: so of several first starts none takes another one for a stranger."""
        found = self.index.read_generation(self.shares)
        if not (found and found.mark) and read_record(self.path).is_new:
            if not has_claims(files):
                self.index.open(self.shares).close()
            found = self.index.read_generation(self.shares)  # who has marked the bucket had an index by then
        return SharedIndex(found.mark, found.places) if found and found.mark else None

    def _require_index(self) -> None:
        """What does not fit is looked at again where another server has written to the index meanwhile."""
        require = require_same_mark if self.rebuilding else require_index
        found = self.index.read_generation(self.shares)
        while True:
            try:
                return require(FoundIndex(self.index.name, self.index.is_there, found), self.places)
            except FailedPrecondition:
                before, found = found, self.index.read_generation(self.shares) if self.shares else found
                if before is found or (before and found and found._replace(commits=before.commits) == before):
                    raise

    def leave(self) -> None:
        """The server is about to end: who comes next waits for it."""
        _mark(self.lock, fcntl.LOCK_UN)

    def _stay(self) -> None:
        with suppress(OSError):  # a file system without such locks: a second server waits before it is refused
            _mark(self.lock, fcntl.LOCK_EX)

    def close(self) -> None:
        os.close(self.lock)


_WAIT_SECONDS = 10.0
"""Workers hold the lock, too: after kill -9 the next server waits so long for the end of the last one."""

_RUNNING = 1 << 40
"""The byte of the lock file that a server locks for itself alone while it means to go on: such a lock (fcntl(2)) is of
one process and ends with it, where workers keep the file's own lock (flock(2)). No byte need be there."""


def _mark(lock: int, how: int) -> None:
    fcntl.lockf(lock, how, 1, _RUNNING)


def _is_running(lock: int) -> bool:
    """Whether who has the lock is a server that goes on."""
    try:
        _mark(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _mark(lock, fcntl.LOCK_UN)
    except (BlockingIOError, PermissionError):  # fcntl(2): EAGAIN or EACCES
        return True
    except OSError:
        return False
    return False


def _wait_for_lock(lock: int, data: Path) -> None:
    """Waits for a server that ends, and for none that goes on. Closes it where another process keeps it."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or _is_running(lock):
                os.close(lock)
                raise FailedPrecondition(
                    f"{data} is in use by another gantry server",
                    advice="stop it or choose another --data directory",
                ) from None
            time.sleep(0.05)


@contextmanager
def hold_alone(data: Path) -> Iterator[None]:
    """No server uses the directory while the block runs. Raises NotFound, FailedPrecondition."""
    try:
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"{data} is no directory", advice="name the data directory of a server") from None
    except OSError as error:
        raise FailedPrecondition(f"{data / 'lock'} cannot be opened: {describe_os_error(error)}") from None
    _wait_for_lock(lock, data)
    try:
        yield
    finally:
        os.close(lock)


def open_beside(data: Path, database: str = SQLITE) -> SqlIndex | ReadOnlyIndex:
    """The index of a data directory, to read it; a server may go on, which has the only connection that writes to
    PostgreSQL."""
    place = IndexPlace(data, database)
    return place.open_read_only(is_used=True) if place.is_server else place.open()


@contextmanager
def open_checked(data: Path, reads: bool = False, settings: Settings | None = None) -> Iterator[Checked]:
    """A data directory for ``gantry check``, opened only to read it. A server that is started while the block runs
    waits for its end; one that runs already goes on. ``settings`` say how the bucket is reached that holds its blobs,
    where one does. Raises NotFound, FailedPrecondition."""
    kept = IndexPlace(data, settings.database if settings is not None else SQLITE)
    kept.require_kept()
    with _hold_still(data) as is_here:
        places, mark = _read_places(data, settings), read_record(data).mark
        blobs = PlacedBlobStore(
            {
                place: _open_remote(settings, place, mark=(mark_name(place), mark))
                if place in places.remote
                else LocalBlobs(root)
                for place, root in places.items()
            }
        )
        index = kept.open_read_only(is_here)
        try:
            marks = _list_marks(data, kept.name, index, places, blobs)
            has_servers = index.has_servers()
            checked = Checked(index, blobs, tuple(places), is_here or has_servers, reads, marks)
            # What other servers send now stands in notes of theirs, so nobody here can tell whether it was left.
            if MAIN in places.remote and not (has_servers and settings is not None and settings.shares):
                main = _open_remote(settings, MAIN, mark=(mark_name(MAIN), mark))
                checked.list_left_uploads = partial(main.find_left_uploads, data / "uploads")
                checked.end_upload = main.end_upload
            yield checked
        finally:
            index.close()


def _read_places(data: Path, settings: Settings | None) -> Places:
    """As the server has recorded them. Raises FailedPrecondition where the settings do not name the bucket."""
    record = read_record(data)
    here = str(data / "blobs")
    files = open_place_files(settings) if settings is not None else None
    if record.bucket != (files.address if files is not None else ""):
        raise FailedPrecondition(
            f"the blobs of {data} lie in {record.bucket or 'directories'}, which the settings do not say",
            advice="name the settings file of the server with --config",
        )
    directories = dict.fromkeys((MAIN, *record.in_bucket), here) | dict(record.directories)
    return Places(directories, record.in_bucket, files, settings is not None and settings.shares)


def _list_marks(
    data: Path, name: str, index: ReadOnlyIndex, places: Places, blobs: Blobs
) -> tuple[Callable[[], Iterator[Finding]], ...]:
    """What finds wrong marks: one function for each kind of mark."""
    files = places.remote.get(MAIN)
    return (
        lambda: (Finding(Kind.MARK_WRONG, str(data), wrong) for wrong in find_wrong_marks(data, files)),
        lambda: find_wrong_generations(index, data, name, places),
        lambda: find_missing_names(index, places, blobs),
    )


@contextmanager
def _hold_still(data: Path) -> Iterator[bool]:
    """Whether a server uses the directory; where none does, none begins to while the block runs."""
    try:
        lock = os.open(data / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # a copy without it, which no server has used yet
        yield False
        return
    except OSError as error:
        raise FailedPrecondition(f"{data / 'lock'} cannot be opened: {describe_os_error(error)}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            is_used = False
        except BlockingIOError:
            is_used = True
        yield is_used
    finally:
        os.close(lock)


def read_store_names(directory: DataDirectory) -> dict[int, DicomStoreName | None]:
    """The names of stores by number, as they are kept beside the blobs; None for stores that were deleted."""
    found: dict[int, DicomStoreName | None] = {}
    for place, root in directory.places.items():
        for number, name in read_records(root, place).items():
            found[number] = None if name is None or found.get(number, name) is None else name
    return found


def open_seams(settings: Settings, directory: DataDirectory) -> Seams:
    """SQLite or PostgreSQL, directories or a bucket, a process pool."""
    uploads = OwnUploads(directory.path)
    blobs: dict[str, Blobs] = {
        place: _open_remote(settings, place, str(uploads.directory), _find_claim(directory, place))
        if place in directory.places.remote
        else LocalBlobs(root, settings.layout == "segments", _name_place(place), directory.marks[place])
        for place, root in directory.places.items()
    }
    # More workers than a small machine has cores: while one waits for the disk another reads and copies.
    workers = settings.workers or max(4, min(os.cpu_count() or 1, 16))
    index = directory.index.open(directory.shares)
    try:
        if directory.rebuilding:
            mark = find_mark(directory.places, index.generations.get().mark)
            index.generations.begin_rebuilding(mark, *_find_numbers(blobs))
        find_others = partial(find_alive, index.servers)
        index.database.witness = join(index.generations, directory.places, str(directory.path), find_others)
        if not directory.rebuilding:
            _begin_feed(index, settings.changes_days > 0, find_others)
        members = _join(settings, directory, index)
    except BaseException:
        index.close()
        raise
    records = _open_records(directory.places, index)
    if not directory.rebuilding:
        for place in directory.places:
            try:
                records.keep(index.segments.list_stores(), place)
            except StatusError as error:  # a full disk: the names are kept before the next blob there at the latest
                logger.warning("the names of the DICOM stores cannot be kept in %s now: %s", place, error.message)
    claim = _find_claim(directory, MAIN)
    uploads.end_left(lambda left: _open_remote(settings, MAIN, str(left), claim).delete_unfinished())
    buckets = make_buckets(settings)
    engine = open_engine(settings)  # its workers may go on after they were given up, so all places are late
    return Seams(
        index=index,
        blobs=PlacedBlobStore(blobs),
        bucket=buckets.open,
        executor=engine or WorkerPool(workers, keep_open=(directory.lock,)),
        pixels=WorkerPool(max(2, min(os.cpu_count() or 1, 16)), keep_open=(directory.lock,), lazy=True),
        window=workers * 2 if engine is None else lambda: engine.size * 2,
        places=tuple(blobs),
        late_places=tuple(directory.places.remote if engine is None else blobs),
        retention_days=settings.retention_days,
        changes_days=settings.changes_days,
        records=records,
        is_held=_make_hold(make_own_hold(directory, index), members.is_held),
        members=members,
        warehouse=open_warehouse(settings, index.generations.get().mark),
        queries=open_queries(settings),
        buckets=buckets.list,
        kind_of=buckets.kind_of,
        publisher=open_publisher(settings),
    )


def _begin_feed(index: SqlIndex, is_on: bool, find_others: Callable[[], Sequence[str]]) -> None:
    """Raises FailedPrecondition where other servers would go on as before."""
    if bool(index.feed.get_era()) != is_on and (others := find_others()) and bool(index.feed.get_era()) != is_on:
        raise FailedPrecondition(
            f"changes_days: there is {'no' if is_on else 'a'} change feed in the index, which other servers use "
            f"({', '.join(others)}), and that cannot be changed while they run",
            advice="give all servers the same changes_days; to turn the feed on or off, stop all of them first",
        )
    index.feed.begin(is_on)


def _join(settings: Settings, directory: DataDirectory, index: SqlIndex) -> Membership:
    """This server among those that share the index."""
    if not directory.shares:
        return Membership()
    name, holds = f"{socket.gethostname()}:{os.getpid()}", make_own_hold(directory, index)
    return SharedMembership(index.servers, name, directory.home, settings.runner, holds)


def make_own_hold(directory: DataDirectory, index: SqlIndex) -> Callable[[], bool]:
    """While a backup is made, and while a copy of this server uses the same bucket: its rows name bytes that have lost
    theirs here. What other servers of the index must hear of this one: it says nothing of them."""
    hold, database = Hold(directory.path / "hold"), index.database
    return lambda: hold.is_held() or bool(database.witness.trouble)


def _make_hold(own: Callable[[], bool], others_hold: Callable[[], bool]) -> Callable[[], bool]:
    """One server's hold keeps the bytes of all: the index that its backup is of names them."""
    return lambda: own() or others_hold()


def make_buckets(settings: Settings) -> Buckets:
    """Raises FailedPrecondition where the libraries of a provider are not installed."""
    require_libraries(settings.remote_buckets)
    data = Path(settings.data).absolute()
    own = settings.own_bucket
    return Buckets(
        data, str(settings.buckets_path), settings.bucket_rules, settings.remote_buckets, own, settings.shares
    )


def _find_claim(directory: DataDirectory, place: str) -> tuple[str, str]:
    """The key of the mark of a place in the bucket, and what stands there."""
    return mark_name(place), directory.marks[place][1]


def _open_remote(
    settings: Settings | None, place: str, notes: str = "", mark: tuple[str, str] | None = None
) -> RemoteBlobs:
    """The blobs of a place in the bucket of the settings."""
    bucket = settings.own_bucket if settings is not None else None
    if bucket is None:
        raise FailedPrecondition("blobs: the settings name no bucket")
    return RemoteBlobs(bucket.place, bucket.prefix, NAME, bucket.tier_of(place), notes, mark)


def _open_records(places: Places, index: SqlIndex) -> StoreRecords:
    names = index.segments.find_names
    records = LocalStoreRecords(places, names)
    return CopiedStoreRecords(records, places, places.remote, names) if places.remote else records


def _find_numbers(blobs: Mapping[str, Blobs]) -> tuple[int, int]:
    """The highest numbers of stores and of uploads that stand on the disks."""
    stores = [(place, number) for place, each in blobs.items() for number in each.list_numbers(place)]
    highest = 0
    for place, store in stores:
        with suppress(Unavailable):  # the rebuild reports it
            highest = max(highest, *blobs[place].list_numbers(f"{place}/{store}/stow"), 0)
    return max((number for _, number in stores), default=0), highest


def _name_place(place: str) -> str:
    """What messages call the directory of a place."""
    return "the data directory" if place == MAIN else f"the directory of storage class {place}"
