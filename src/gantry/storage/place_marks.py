"""Records which directory belongs to which storage class, in the data directory and in the directory itself, and marks
the directory of all other blobs.

If a directory is not mounted, belongs to another server or was removed from the settings, its blobs would seem to be
lost. Then the start is refused; a running server compares the marks before it writes and deletes (``local_blobs``).
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from gantry.durable_files import make_directory, replace_file, sync_directory
from gantry.errors import FailedPrecondition
from gantry.seams import MAIN
from gantry.system_errors import describe_os_error

_RECORD = "places.json"
_BLOBS = "blobs"
_CANNOT_SYNC = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Of a directory that may not be opened, or of a file system that takes nothing any more: reads go on."""


def keep_places(data: Path, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Record ``wanted`` (storage class → directory) as the places of the server whose data directory is ``data``, and
    mark ``data/blobs`` as its own. Place → path of its mark, and what stands in it.

    New directories are made. Raises FailedPrecondition where blobs could no longer be found.
    """
    mark, known, has_main = _read_record(data)
    main = data / _BLOBS
    if has_main:
        _check_main(main, mark)
    gone = known.keys() - wanted.keys()
    for storage_class, root in known.items():
        if storage_class in gone:
            _check_empty(storage_class, root, mark)
        elif wanted[storage_class] != root:
            raise FailedPrecondition(
                f"storage_classes: the blobs of {storage_class} lie in {root}, not in {wanted[storage_class]}. To move "
                f"them, stop every server, move {root}/{storage_class} and the files {storage_class}.* beside it, and "
                f"correct {data / _RECORD}"
            )
    # The record gets the mark before any directory does, and a directory gets it before any blob.
    record = data / _RECORD
    _write_record(record, mark, known, has_main)
    for storage_class, root in wanted.items():
        _claim(storage_class, root, mark, storage_class in known)
    if not has_main:
        _mark_main(main, mark)
    _write_record(record, mark, wanted, has_main=True)
    for storage_class in gone:
        _mark_path(storage_class, known[storage_class]).unlink(missing_ok=True)
    places = {MAIN: str(main), **wanted}
    return {place: (str(_mark_path(place, root)), mark) for place, root in places.items()}


def _check_main(main: Path, mark: str) -> None:
    present = _read_mark(MAIN, str(main))
    if present is None:
        raise FailedPrecondition(f"{main} is not the directory that holds the blobs of this server; is it mounted?")
    if present != mark:
        raise FailedPrecondition(
            f"{main} and {main.parent / _RECORD} do not belong together: it holds the blobs of another server",
            advice="put the right directory there",
        )


def _mark_main(main: Path, mark: str) -> None:
    try:
        make_directory(main)
        _write(_mark_path(MAIN, str(main)), mark)
    except OSError as error:
        raise FailedPrecondition(f"{main} cannot be written: {describe_os_error(error)}") from None


def find_wrong_marks(data: Path) -> Iterator[str]:
    """What is wrong with the record and with the marks in the directories of storage classes; changes nothing."""
    try:
        mark, known, has_main = _read_record(data)
    except FailedPrecondition as error:
        yield error.what
        return
    marked = {MAIN: str(data / "blobs")} | known if has_main else known
    for storage_class, root in marked.items():
        try:
            found = _read_mark(storage_class, root)
        except FailedPrecondition as error:
            yield error.what
            continue
        if found is None:
            yield f"{root} has no mark that it holds the {storage_class} blobs of this server; is it mounted?"
        elif found != mark:
            yield f"{root} holds the {storage_class} blobs of another server"


def read_places(data: Path) -> dict[str, str]:
    """Storage class → directory, of the server whose data directory is ``data``. Raises FailedPrecondition."""
    return _read_record(data)[1]


def _read_record(data: Path) -> tuple[str, dict[str, str], bool]:
    """The mark, the places of storage classes, and whether the directory of all other blobs is marked."""
    try:
        record = json.loads((data / _RECORD).read_text(encoding="utf-8"))
        return str(record["mark"]), dict(record["places"]), bool(record.get(MAIN))
    except FileNotFoundError:
        return secrets.token_hex(16), {}, False
    except OSError as error:
        raise FailedPrecondition(f"{data / _RECORD} cannot be read: {describe_os_error(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise FailedPrecondition(
            f"{data / _RECORD} is damaged: it says which directory belongs to which storage class; restore it"
        ) from None


def _write_record(path: Path, mark: str, places: Mapping[str, str], has_main: bool) -> None:
    text = json.dumps({"mark": mark, "places": dict(places), MAIN: has_main})
    try:
        _write(path, text)
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be written: {describe_os_error(error)}") from None


def _mark_path(storage_class: str, root: str) -> Path:
    return Path(root) / f"{storage_class}.gantry"


def _read_mark(storage_class: str, root: str) -> str | None:
    try:
        return _mark_path(storage_class, root).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedPrecondition(f"{root} cannot be read ({describe_os_error(error)})") from None


def _check_empty(storage_class: str, root: str, mark: str) -> None:
    here = _read_mark(storage_class, root) == mark
    if not here or any(names for _, _, names in os.walk(os.path.join(root, storage_class))):
        raise FailedPrecondition(
            f"storage_classes: {storage_class} has blobs in {root}. Keep the setting until their class is changed"
        )


def _claim(storage_class: str, root: str, mark: str, known: bool) -> None:
    present = _read_mark(storage_class, root)
    if present not in (None, mark):
        raise FailedPrecondition(
            f"storage_classes: {root} holds the {storage_class} blobs of another server",
            advice="choose another directory",
        )
    if known and present is None:
        raise FailedPrecondition(
            f"storage_classes: {root} is not the directory that holds the {storage_class} blobs; is it mounted?"
        )
    try:
        if present is None:
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
