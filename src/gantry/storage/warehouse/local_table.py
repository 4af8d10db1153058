"""A table in a directory: versions of Parquet files, of which one link shows one."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from gantry.beats import SYNC_SECONDS, beat
from gantry.durable_files import make_directory, replace_file, sync_directory
from gantry.errors import Aborted
from gantry.storage.disks import Disk
from gantry.storage.roots import identify_root, is_same_root
from gantry.storage.warehouse.places import HIDDEN, OWNER, TablePlace, count_rows, name_file, write_about
from gantry.storage.warehouse.stages import (
    cut_files,
    keep_stages,
    list_stages,
    read_columns,
    take_over,
    write_stages,
)
from gantry.table_schema import Columns, TableRow, merge_columns
from gantry.table_seams import TableFile, TablePlan, TableVersion

_FILES, _SPILLS = "files", "spills"
_MOST_EXPORTS = 1000  # keys that a version remembers
_WAIT_SECONDS = 0.05

Verb = TypeVar("Verb", bound=Callable[..., Any])


def translated(verb: Verb) -> Verb:
    """Errors of the system become those of the port."""

    @wraps(verb)
    def call(table: LocalTable, *args: Any) -> Any:
        try:
            return verb(table, *args)
        except OSError as error:
            raise table.disk.translate_write_error(error, "") from None

    return cast(Verb, call)


@dataclass
class LocalTable:
    """See ``table_seams.ExportTable``. ``disk`` is what messages call the directory of the dataset."""

    place: TablePlace
    key: str
    owner: str
    attempt: int
    disk: Disk
    _columns: Columns = field(default=(), repr=False)

    @property
    def identity(self) -> str:
        try:
            return identify_root(self.disk.root)
        except OSError as error:
            raise self.disk.unseen(error) from None

    def is_same(self, identity: str) -> bool:
        return is_same_root(identity, self.identity)

    @translated
    def look(self) -> TableVersion | None:
        return self.place.look()

    @translated
    def begin(self, kept: str) -> None:
        make_directory(self.place.hidden)
        found = sorted(self._list_own(), key=lambda path: path.stat().st_mtime)
        if not found:
            self._make_own()
        else:
            shutil.rmtree(found[-1] / _FILES, ignore_errors=True)
            take_over(found[-1], self._own, kept)
        sync_directory(self._own)
        sync_directory(self.place.hidden)
        self._columns = read_columns(self._own)

    def _make_own(self) -> None:
        """With its owner from the first moment on, so that it can be told whose it is."""
        made = self.place.hidden / f".{self._own.name}"
        made.mkdir(exist_ok=True)
        replace_file(made / OWNER, made / f"{OWNER}.new", self.owner.encode())
        os.replace(made, self._own)

    @translated
    def stage(self, name: str, rows: Iterable[TableRow]) -> Sequence[str]:
        return write_stages(self._own, name, rows)

    @translated
    def keep(self, names: Collection[str], columns: Columns) -> None:
        self._columns = keep_stages(self._own, names, self._columns, columns)

    @translated
    def plan(self, fixed: Columns, appends: bool) -> TablePlan:
        before = self.place.look()
        older = before if appends else None
        columns = merge_columns(fixed, self._columns)
        columns = merge_columns(older.columns, columns) if older else columns
        files = list(cut_files(list_stages(self._own)))
        rows = sum(file.rows for file in files)
        links = tuple(sorted(os.listdir(self.place.hidden / older.name))) if older else ()
        if older and columns != older.columns:
            files += [TableFile(len(files) + number, -1, older=link) for number, link in enumerate(links)]
            links = ()
        if not (files or links):
            files = [TableFile(0, 0)]  # an empty table has a file too: without one nobody knows its columns
        return TablePlan(before, columns, tuple(files), links, rows + (older.rows if older else 0))

    @translated
    def write_file(self, plan: TablePlan, file: TableFile) -> int:
        from gantry.storage.warehouse.parquet import join_files, rewrite_file, write_rows

        beat(SYNC_SECONDS)
        target, spills = self._own / _FILES / self._name(file), self._own / _SPILLS
        target.parent.mkdir(exist_ok=True)
        if plan.before is not None and (file.older or file.joined):
            before = self.place.hidden / plan.before.name
            if file.joined:
                sources = [before / name for name in file.joined]
                return join_files(sources, plan.before.columns, plan.columns, target, spills)
            return rewrite_file(before / file.older, plan.before.columns, plan.columns, target, spills)
        return write_rows([self._own / stage for stage in file.stages], plan.columns, file.longest, target, spills)

    @translated
    def publish(self, plan: TablePlan) -> bool:
        beat(SYNC_SECONDS)
        with self._locked(self.place.hidden):
            if self.place.look() != plan.before:
                return False
            version = self._make_version(plan)
            link = self._own / "link"
            link.unlink(missing_ok=True)
            os.symlink(f"{HIDDEN}/{self.place.table}/{version}", link)
            with self._locked(self._all_hidden):
                views = self._make_views({self.place.table: self.place.hidden / version})
                os.replace(link, self.place.link)  # from here on readers see it
                os.replace(views, self.place.database)
                sync_directory(self.place.base)
        self._remove_own()
        return True

    @translated
    def finish(self) -> None:
        with self._locked(self._all_hidden):
            os.replace(self._make_views({}), self.place.database)
            sync_directory(self.place.base)
        self._remove_own()

    @translated
    def discard(self) -> None:
        self._remove_own()

    def _make_views(self, changed: Mapping[str, Path]) -> Path:
        """The file of views of all tables beside this one, under another name."""
        from gantry.storage.warehouse.views import write_views

        found = {path.name: path.resolve() for path in self.place.base.iterdir() if path.is_symlink()}
        versions = {name: path for name, path in found.items() if self._all_hidden in path.parents}
        made = self._all_hidden / f"{self.place.dataset}.duckdb.new"
        write_views(made, changed, {name: path for name, path in versions.items() if name not in changed})
        return made

    @property
    def _all_hidden(self) -> Path:
        return self.place.base / HIDDEN

    def _remove_own(self) -> None:
        for path in (*self._list_own(), *self.place.hidden.glob(f".op-{self.key}-*")):
            shutil.rmtree(path)
        with suppress(FileNotFoundError):
            sync_directory(self.place.hidden)

    def _make_version(self, plan: TablePlan) -> str:
        """The directory of what was planned, and what is known of it: nobody sees it yet."""
        files = self._own / _FILES
        wanted = {self._name(file) for file in plan.files}
        made = set(os.listdir(files)) if plan.files else set()
        if not wanted <= made:
            raise Aborted("files of the table that were just written are gone", advice="start the export again")
        files.mkdir(exist_ok=True)
        for left in made - wanted:
            os.unlink(files / left)
        for link in plan.links:
            os.link(self.place.hidden / (plan.before.name if plan.before else "") / link, files / link)
        sync_directory(files)
        older = (
            plan.before.exports
            if plan.before and (plan.links or any(each.older or each.joined for each in plan.files))
            else ()
        )
        exports = self._remember(older)
        name = f"v-{self.key}-{self.attempt}"
        about = write_about(
            TableVersion(name, plan.rows, plan.columns, exports), plan.before.name if plan.before else ""
        )
        replace_file(self.place.hidden / f"{name}.json", self._own / "about.new", about)
        os.replace(files, self.place.hidden / name)
        sync_directory(self.place.hidden)
        return name

    def _remember(self, older: Sequence[str]) -> tuple[str, ...]:
        """The keys of those that wrote the table: who is asked again whether it did must find its own."""
        return (*older, self.key)[-_MOST_EXPORTS:]

    def _name(self, file: TableFile) -> str:
        return name_file(file.number, self.key, count_rows(file.older) if file.older else file.rows)

    @property
    def _own(self) -> Path:
        return self.place.hidden / f"op-{self.key}-{self.attempt}"

    def _list_own(self) -> list[Path]:
        return list(self.place.hidden.glob(f"op-{self.key}-*"))

    @contextmanager
    def _locked(self, directory: Path) -> Iterator[None]:
        """One process at a time; the lock ends with its holder."""
        fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    beat(SYNC_SECONDS)
                    time.sleep(_WAIT_SECONDS)
            yield
        finally:
            os.close(fd)
