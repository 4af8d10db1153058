"""Which directory belongs to which storage class, written down on both sides.

Blobs in a directory that is not mounted, that was given to another server or that the settings forgot would look like
lost bytes; a start that meets such a directory is refused instead.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gantry.errors import FailedPrecondition
from gantry.system_errors import describe_os_error

_RECORD = "places.json"


def keep_places(data: Path, wanted: Mapping[str, str]) -> None:
    """Take ``wanted`` (storage class → directory) as the places of the server whose data directory is ``data``.

    Directories are made where they are new. Raises FailedPrecondition where blobs would get out of reach.
    """
    mark, known = _read(data)
    if not wanted and not known:
        return
    gone = known.keys() - wanted.keys()
    for storage_class, root in known.items():
        if storage_class in gone:
            _check_empty(storage_class, root, mark)
        elif wanted[storage_class] != root:
            raise FailedPrecondition(
                f"storage_classes: the blobs of {storage_class} lie in {root}, not in {wanted[storage_class]}. To move "
                f"them, stop every server, move {root}/{storage_class} and its mark, and correct {data / _RECORD}"
            )
    # The record holds the mark before any directory does, and a directory has it before blobs can lie there.
    record = data / _RECORD
    _write_record(record, mark, known)
    for storage_class, root in wanted.items():
        _claim(storage_class, root, mark, storage_class in known)
    _write_record(record, mark, wanted)
    for storage_class in gone:
        _mark_path(storage_class, known[storage_class]).unlink(missing_ok=True)


def _read(data: Path) -> tuple[str, dict[str, str]]:
    try:
        record = json.loads((data / _RECORD).read_text(encoding="utf-8"))
        return str(record["mark"]), dict(record["places"])
    except FileNotFoundError:
        return secrets.token_hex(16), {}
    except OSError as error:
        raise FailedPrecondition(f"{data / _RECORD} cannot be read: {describe_os_error(error)}") from None
    except (ValueError, KeyError, TypeError):
        raise FailedPrecondition(
            f"{data / _RECORD} is damaged: it says which directory belongs to which storage class; restore it"
        ) from None


def _write_record(path: Path, mark: str, places: Mapping[str, str]) -> None:
    try:
        _write(path, json.dumps({"mark": mark, "places": dict(places)}))
    except OSError as error:
        raise FailedPrecondition(f"{path} cannot be written: {describe_os_error(error)}") from None


def _mark_path(storage_class: str, root: str) -> Path:
    return Path(root) / f"{storage_class}.gantry"


def _mark_in(storage_class: str, root: str) -> str | None:
    try:
        return _mark_path(storage_class, root).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedPrecondition(f"storage_classes: {root} cannot be read ({describe_os_error(error)})") from None


def _check_empty(storage_class: str, root: str, mark: str) -> None:
    here = _mark_in(storage_class, root) == mark
    if not here or any(names for _, _, names in os.walk(os.path.join(root, storage_class))):
        raise FailedPrecondition(
            f"storage_classes: {storage_class} has blobs in {root}. Keep the setting until their class is changed"
        )


def _claim(storage_class: str, root: str, mark: str, known: bool) -> None:
    found = _mark_in(storage_class, root)
    if found == mark:
        return
    if found is not None:
        raise FailedPrecondition(
            f"storage_classes: {root} holds the {storage_class} blobs of another server",
            advice="choose another directory",
        )
    if known:
        raise FailedPrecondition(
            f"storage_classes: {root} is not the directory that holds the {storage_class} blobs; is it mounted?"
        )
    try:
        os.makedirs(root, exist_ok=True)
        if any(Path(root, storage_class).glob("*")):
            raise FailedPrecondition(
                f"storage_classes: {root}/{storage_class} is not empty", advice="choose another directory"
            )
        _write(_mark_path(storage_class, root), mark)
    except OSError as error:
        raise FailedPrecondition(f"storage_classes: {root} cannot be used ({describe_os_error(error)})") from None


def _write(path: Path, text: str) -> None:
    """The whole text, on disk when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
