"""An index moves between the file of a data directory and a database of PostgreSQL. What the directory says about it
changes between giving up the source and letting the target go: whatever is interrupted, the same call goes on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gantry.config import hold_alone
from gantry.durable_files import sync_directory
from gantry.errors import FailedPrecondition, InvalidArgument, NotFound
from gantry.index.copy_ends import End, open_end
from gantry.index.copy_marks import CopyState
from gantry.index.copy_steps import Copied, Copy, Tell
from gantry.index.keys import read_ring
from gantry.index.refusals import translated
from gantry.index_wiring import COPYING, MOVED, IndexPlace
from gantry.key_wiring import write_key_files
from gantry.settings.readers import DATABASE
from gantry.storage.generation_marks import INDEX as OF_INDEX
from gantry.storage.generation_marks import read_mark
from gantry.system_errors import describe_os_error


def copy_index(source: str, target: str, tell: Tell) -> Copied | None:
    """A data directory and an address, or the other way round. None where it was done before. Raises InvalidArgument,
    NotFound, FailedPrecondition, DataLoss; Interrupted where a database is lost."""
    ends = [_is_address(text, name) for text, name in ((source, "FROM"), (target, "TO"))]
    if ends == [False, True]:
        with translated():
            return _copy_up(Path(source).absolute(), target, tell)
    if ends == [True, False]:
        with translated():
            return _copy_down(source, Path(target).absolute(), tell)
    raise InvalidArgument(
        "FROM and TO: one is a data directory, the other the address of a database",
        advice="write it like postgresql://gantry@db.example.org/gantry",
    )


def _is_address(text: str, name: str) -> bool:
    """Raises InvalidArgument, which does not show it: it may hold a password."""
    if not text.startswith("postgres"):
        return False
    try:
        DATABASE.read(text)
    except ValueError:
        raise InvalidArgument(f"{name}: the value is not {DATABASE.wanted}") from None
    return True


def _copy_up(data: Path, url: str, tell: Tell) -> Copied | None:
    place, moved = IndexPlace(data, url), data / MOVED
    with hold_alone(data):
        file = place.file if place.file.exists() else moved
        if not file.exists():
            raise NotFound(f"{data} holds no index", advice="name the data directory of a server")
        with open_end(url) as target:
            with open_end(file) as source:
                copy = Copy(source, target, tell)
                if copy.is_done():
                    return None
                copied = copy.run()
                copy.give_up_source()
            place.keep()
            if file == place.file:
                _rename(file, moved)
            copy.let_target_go()
    return copied


def _copy_down(url: str, data: Path, tell: Tell) -> Copied | None:
    place, copied = IndexPlace(data, url), None
    with hold_alone(data), open_end(url) as source:
        _require_directory(source, data)
        file = place.file if place.file.exists() else data / COPYING
        with open_end(file, str(place.file)) as target:
            copy = Copy(source, target, tell)
            if not copy.is_done():
                copied = copy.run()
                copy.give_up_source()
                copy.let_target_go()
        if file != place.file:
            write_key_files(data, read_ring(source.connection))
            _rename(file, place.file)
        place.leave()
    return copied


def _require_directory(source: End, data: Path) -> None:
    """Raises FailedPrecondition where the directory is not the one of the index, NotFound where there is no index."""
    wanted, here = source.describe(CopyState.BEGUN, "").mark, read_mark(str(data), OF_INDEX)
    if here is None and not source.read_places():
        return
    if here is None or here.mark != wanted:
        raise FailedPrecondition(
            f"{data} and {source.name} do not belong together: the instances of that index are elsewhere",
            advice="name the data directory of the server that has used it",
        )


def _rename(file: Path, new: Path) -> None:
    """A file that is closed, so that nothing beside it, or beside an older one of the new name, belongs to it any more.
    Raises FailedPrecondition."""
    try:
        for name in (f"{each.name}{ending}" for each in (file, new) for ending in ("-wal", "-shm", "-reserve")):
            with suppress(FileNotFoundError):
                file.with_name(name).unlink()
        file.replace(new)
        sync_directory(new.parent)
    except OSError as error:
        raise FailedPrecondition(f"{file} cannot be renamed: {describe_os_error(error)}") from None
