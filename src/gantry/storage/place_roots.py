"""The places of a server: in which directory the files about each stand, and whether its blobs lie beside them or in a
bucket, which has copies of these files then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from gantry.errors import FailedPrecondition
from gantry.names import DicomStoreName
from gantry.storage.generation_marks import Mark, holds_blobs, mark_path, parse_mark, read_mark, write_mark
from gantry.storage.remote.place_files import PlaceFiles
from gantry.storage.store_records import merge_records, parse_records, read_records, records_name, records_path


class Places(Mapping[str, str]):
    """Place → the directory with the files about it. ``files`` are those in the bucket with the blobs of ``remote``;
    those of the other places lie in ``DIRECTORY/PLACE``. ``shares``: other servers write about the same places."""

    def __init__(
        self,
        directories: Mapping[str, str],
        remote: Collection[str] = (),
        files: PlaceFiles | None = None,
        shares: bool = False,
    ) -> None:
        self._directories, self._shares = dict(directories), shares
        self.remote: Mapping[str, PlaceFiles] = dict.fromkeys(remote, files) if files is not None else {}

    def __getitem__(self, place: str) -> str:
        return self._directories[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._directories)

    def __len__(self) -> int:
        return len(self._directories)

    def holds_blobs(self, place: str) -> bool:
        """Raises FailedPrecondition where its bucket does not answer."""
        files = self.remote.get(place)
        return holds_blobs(self[place], place) if files is None else files.holds_blobs(place)

    def locate(self, place: str) -> str:
        """Where the blobs of a place lie, for a message."""
        files = self.remote.get(place)
        return f"{self[place]}/{place}" if files is None else files.locate(place)

    def read_mark(self, place: str) -> Mark | None:
        """That of the directory or that of the bucket, whichever says more: the data directory of a server with its
        blobs in a bucket may be an older copy. Raises FailedPrecondition."""
        here, there = read_mark(self[place], place), self._read_mark_there(place)
        if here is None or there is None:
            return here or there
        if here.mark == there.mark:
            return max(here, there)
        if not self.holds_blobs(place):
            return here
        raise FailedPrecondition(
            f"{mark_path(self[place], place)} and {self.locate(place)} do not belong together: the blobs there are "
            "those of another index",
            advice="put back the data directory that belongs to them, or name another bucket or prefix",
        )

    def is_marked_there(self, place: str) -> bool:
        """Whether the bucket of a place has its mark; True for a directory. Without it the data directory alone would
        say how far the index has come, and that may be an older copy. Raises FailedPrecondition."""
        return place not in self.remote or self._read_mark_there(place) is not None

    def _read_mark_there(self, place: str) -> Mark | None:
        files = self.remote.get(place)
        name = mark_path("", place).name
        text = files.read(name) if files is not None else None
        return None if text is None or files is None else parse_mark(text, f"{files.address}/{name}")

    def mark_sources(self, place: str) -> list[tuple[str, Callable[[], Mark | None]]]:
        """Each file with its mark: what messages call it, and what reads it. That raises FailedPrecondition."""
        found = [(str(mark_path(self[place], place)), partial(read_mark, self[place], place))]
        if (files := self.remote.get(place)) is not None:
            found.append((f"{files.address}/{mark_path('', place).name}", partial(self._read_mark_there, place)))
        return [*found]

    def name_sources(self, place: str) -> list[tuple[str, Callable[[], Mapping[int, DicomStoreName | None]]]]:
        """The same of the names of stores. A directory need not know the stores that other servers have made."""
        files = self.remote.get(place)
        found: list[tuple[str, Callable[[], Mapping[int, DicomStoreName | None]]]] = []
        if files is None or not self._shares:
            found.append((str(records_path(self[place], place)), partial(read_records, self[place], place)))
        if files is not None:
            found.append((f"{files.address}/{records_name(place)}", partial(self._read_names_there, place)))
        return found

    def _read_names_there(self, place: str) -> dict[int, DicomStoreName | None]:
        return parse_records(self.remote[place].read(records_name(place)) or "")

    def fetch(self) -> None:
        """Bring the files in the directories as far as those in the bucket. Raises FailedPrecondition."""
        for place, files in self.remote.items():
            text = files.read(records_name(place))  # before the mark: another server may be making both now
            mark = self.read_mark(place)
            if mark is not None and mark != read_mark(self[place], place):
                write_mark(self[place], place, mark)
            if text:
                merge_records(self[place], place, text)

    def publish_mark(self, place: str, mark: Mark) -> None:
        """Where the blobs lie in a bucket it gets the mark too, unless it says more. Raises FailedPrecondition."""
        files = self.remote.get(place)
        if files is None:
            return
        name = mark_path("", place).name

        def change(text: str | None) -> str | None:
            there = None if text is None else parse_mark(text, f"{files.address}/{name}")
            says_more = there is not None and there.mark == mark.mark and there.commits >= mark.commits
            return None if says_more else mark.format()

        files.ask(partial(files.update, name, change))
