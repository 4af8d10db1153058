"""Records which directory belongs to which storage class, in the data directory and in the directory itself, and marks
the directory of all other blobs.

If a directory is not mounted, belongs to another server or was removed from the settings, its blobs would seem to be
lost. Then the start is refused; a running server compares the marks before it writes and deletes (``local_blobs``).
Of blobs in a bucket the record says which one it is, and the marks stand in the bucket too (``remote.place_claims``).
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gantry.durable_files import make_directory, replace_file, sync_directory
from gantry.errors import FailedPrecondition
from gantry.seams import MAIN
from gantry.storage.generation_marks import holds_blobs
from gantry.storage.owners import Owner, find_owner
from gantry.storage.remote import place_claims
from gantry.storage.remote.place_claims import SharedIndex
from gantry.storage.remote.place_files import PlaceFiles
from gantry.system_errors import describe_os_error

_RECORD = "places.json"
_BLOBS = "blobs"
_CANNOT_SYNC = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Of a directory that may not be opened, or of a file system that takes nothing any more: reads go on."""


class Record(NamedTuple):
    """``mark`` is a new one where ``is_new``. ``directories`` are those of storage classes. ``has_main``: the directory
    of all other blobs is marked; in ``bucket``, unless that is empty, lie the blobs of ``main`` and of ``tiers``."""

    mark: str
    directories: Mapping[str, str] = {}
    has_main: bool = False
    bucket: str = ""
    tiers: tuple[str, ...] = ()
    is_new: bool = False

    @property
    def in_bucket(self) -> tuple[str, ...]:
        """The places whose blobs lie in the bucket."""
        return (MAIN, *self.tiers) if self.bucket else ()


def keep_places(
    data: Path,
    wanted: Mapping[str, str],
    files: PlaceFiles | None = None,
    tiers: Collection[str] = (),
    rebuilding: bool = False,
    shared: SharedIndex | None = None,
) -> dict[str, tuple[str, str]]:
    """Record ``wanted`` (storage class → directory) as the places of the server whose data directory is ``data``, and
    mark ``data/blobs`` as its own. Place → path of its mark, and what stands in it. ``files`` are those in the bucket
    that holds the blobs of all other classes, where one does; those of ``tiers`` are places of their own there.
    ``shared`` is the index of several servers, where ``data`` belongs to one of them.

    New directories are made. Raises FailedPrecondition where blobs could no longer be found.
    """
    record = read_record(data)
    main = data / _BLOBS
    if record.has_main:
        _check_main(main, record.mark)
    _require_same_bucket(data, record, files)
    remote = (MAIN, *sorted(tiers)) if files is not None else ()
    if files is not None:
        mark = place_claims.find_mark(files, record.mark, record.is_new, remote, record.in_bucket, rebuilding, shared)
        record = record._replace(mark=mark)
        place_claims.require_empty(files, set(record.in_bucket) - set(remote))
    gone = record.directories.keys() - wanted.keys()
    for storage_class, root in record.directories.items():
        if storage_class in gone:
            _check_empty(storage_class, root, record.mark)
        elif wanted[storage_class] != root:
            raise FailedPrecondition(
                f"storage_classes: the blobs of {storage_class} lie in {root}, not in {wanted[storage_class]}. To move "
                f"them, stop every server, move {root}/{storage_class} and the files {storage_class}.* beside it, and "
                f"correct {data / _RECORD}"
            )
    # The record gets the mark before any directory does, and a directory gets it before any blob.
    _write_record(data / _RECORD, record)
    for storage_class, root in wanted.items():
        _claim(storage_class, root, record.mark, storage_class in record.directories)
    if files is not None:
        place_claims.claim(files, remote, record.mark)
    for place in (*remote, MAIN) if not record.has_main else remote:
        _mark_own(main, place, record.mark)
    bucket = files.address if files is not None else ""
    _write_record(data / _RECORD, Record(record.mark, wanted, True, bucket, tuple(sorted(tiers))))
    for storage_class in gone:
        _mark_path(storage_class, record.directories[storage_class]).unlink(missing_ok=True)
    if files is not None and shared is None:  # others may still name a place that this one does not
        place_claims.release(files, set(record.in_bucket) - set(remote))
    places = {MAIN: str(main), **dict.fromkeys(remote, str(main)), **wanted}
    return {place: (str(_mark_path(place, root)), record.mark) for place, root in places.items()}


def _require_same_bucket(data: Path, record: Record, files: PlaceFiles | None) -> None:
    """Raises FailedPrecondition where blobs were stored elsewhere before."""
    wanted = files.address if files is not None else ""
    if record.bucket and record.bucket != wanted:
        where = f"in {wanted}" if wanted else "in a directory"
        raise FailedPrecondition(
            f"blobs: the stored instances of this server lie in {record.bucket}, not {where}",
            advice=f'set blobs = "{record.bucket}" again. To move them to another bucket or prefix, stop every server, '
            f"copy all objects below {record.bucket}, with the files main.* beside them, and correct {data / _RECORD}",
        )
    if wanted and not record.bucket and holds_blobs(str(data / _BLOBS), MAIN):
        raise FailedPrecondition(
            f"blobs: {data / _BLOBS / MAIN} holds the stored instances of this server, not {wanted}",
            advice="leave the setting out. To move them there, stop every server, copy all that lies in "
            f'{data / _BLOBS} below {wanted}, and write "bucket": "{wanted}" into {data / _RECORD}',
        )


def _check_main(main: Path, mark: str) -> None:
    owner = find_owner(_read_mark(MAIN, str(main)), mark)
    if owner is Owner.NOBODY:
        raise FailedPrecondition(f"{main} is not the directory that holds the blobs of this server; is it mounted?")
    if owner is Owner.ANOTHER:
        raise FailedPrecondition(
            f"{main} and {main.parent / _RECORD} do not belong together: it holds the blobs of another server",
            advice="put the right directory there",
        )


def _mark_own(main: Path, place: str, mark: str) -> None:
    """The directory of all other blobs, which also has the files about the places in a bucket."""
    try:
        make_directory(main)
        _write(_mark_path(place, str(main)), mark)
    except OSError as error:
        raise FailedPrecondition(f"{main} cannot be written: {describe_os_error(error)}") from None


def find_wrong_marks(data: Path, files: PlaceFiles | None = None) -> Iterator[str]:
    """What is wrong with the record and with the marks of places; changes nothing. ``files`` as for ``keep_places``."""
    try:
        record = read_record(data)
    except FailedPrecondition as error:
        yield error.what
        return
    main = dict.fromkeys((MAIN, *record.in_bucket), str(data / _BLOBS)) if record.has_main else {}
    for storage_class, root in {**main, **record.directories}.items():
        try:
            owner = find_owner(_read_mark(storage_class, root), record.mark)
        except FailedPrecondition as error:
            yield error.what
            continue
        if owner is Owner.NOBODY:
            yield f"{root} has no mark that it holds the {storage_class} blobs of this server; is it mounted?"
        elif owner is Owner.ANOTHER:
            yield f"{root} holds the {storage_class} blobs of another server"
    if files is not None:
        yield from place_claims.find_wrong_claims(files, record.in_bucket, record.mark)


def read_record(data: Path) -> Record:
    """Of the server whose data directory is ``data``. Raises FailedPrecondition."""
    try:
        record = json.loads((data / _RECORD).read_text(encoding="utf-8"))
        directories, tiers = dict(record["places"]), tuple(map(str, record.get("tiers", ())))
        return Record(str(record["mark"]), directories, bool(record.get(MAIN)), str(record.get("bucket", "")), tiers)
    except FileNotFoundError:
        return Record(secrets.token_hex(16), is_new=True)
    except OSError as error:
        raise FailedPrecondition(f"{data / _RECORD} cannot be read: {describe_os_error(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise FailedPrecondition(
            f"{data / _RECORD} is damaged: it says which directory belongs to which storage class; restore it"
        ) from None


def _write_record(path: Path, record: Record) -> None:
    said = {"mark": record.mark, "places": dict(record.directories), MAIN: record.has_main}
    if record.bucket:
        said |= {"bucket": record.bucket, "tiers": list(record.tiers)}
    text = json.dumps(said)
    try:
        _write(path, text)
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be written: {describe_os_error(error)}") from None


def _mark_path(storage_class: str, root: str) -> Path:
    return Path(root) / f"{storage_class}.gantry"


def _read_mark(storage_class: str, root: str) -> bytes | None:
    try:
        return _mark_path(storage_class, root).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedPrecondition(f"{root} cannot be read ({describe_os_error(error)})") from None


def _check_empty(storage_class: str, root: str, mark: str) -> None:
    is_here = find_owner(_read_mark(storage_class, root), mark) is Owner.OWN
    if not is_here or any(names for _, _, names in os.walk(os.path.join(root, storage_class))):
        raise FailedPrecondition(
            f"storage_classes: {storage_class} has blobs in {root}. Keep the setting until their class is changed"
        )


def _claim(storage_class: str, root: str, mark: str, known: bool) -> None:
    owner = find_owner(_read_mark(storage_class, root), mark)
    if owner is Owner.ANOTHER:
        raise FailedPrecondition(
            f"storage_classes: {root} holds the {storage_class} blobs of another server",
            advice="choose another directory",
        )
    if known and owner is Owner.NOBODY:
        raise FailedPrecondition(
            f"storage_classes: {root} is not the directory that holds the {storage_class} blobs; is it mounted?"
        )
    try:
        if owner is Owner.NOBODY:
            _make_empty(storage_class, root)
        _write(_mark_path(storage_class, root), mark)
    except OSError as error:
        raise FailedPrecondition(f"storage_classes: {root} cannot be used ({describe_os_error(error)})") from None


def _make_empty(storage_class: str, root: str) -> None:
    make_directory(Path(root))
    if any(Path(root, storage_class).glob("*")):
        raise FailedPrecondition(
            f"storage_classes: {root}/{storage_class} is not empty", advice="choose another directory"
        )


def _write(path: Path, text: str) -> None:
    """Replace a file; durable on return. One that says the same stays: a start on a full disk writes nothing. Its name
    is synced all the same: who wrote it may have been killed before that."""
    if not _says(path, text):
        replace_file(path, path.with_name(f".{path.name}.new"), text.encode())
        return
    try:
        sync_directory(path.parent)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _says(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
