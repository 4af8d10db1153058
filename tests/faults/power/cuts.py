"""Cuts the power at each durable step of a recording, starts on what the disks hold then, and says what is wrong.

    python -m tests.faults.power.cuts RECORDING EVERY VARIANTS PART OF

Of the cuts each EVERY-th is tried, as the disks have promised it, and VARIANTS times with some of what they have not
promised; of these this process tries its PART of all parts. Prints one line of JSON: the digests of the disks that were
tried, and what was wrong with each.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.faults.power.disk import Disks, by_chance
from tests.faults.power.journal import Kind, read_journal
from tests.faults.power.promises import Promises
from tests.faults.power.recording import Recording, load, settings_of
from tests.faults.power.restart import Restart, write_tree
from tests.support import prepared

Tree = dict[str, bytes | None]
SHARED = "index.sqlite-shm"
"""Memory that processes share while they use the index. SQLite makes it anew where nobody uses it."""

ROOT = Path(__file__).parents[3]


@dataclass
class Result:
    """``disks`` are the digests of different disks, ``wrong`` what was wrong after a cut, ``mapped`` the files that
    were written through memory."""

    disks: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    mapped: set[str] = field(default_factory=set)

    def add(self, other: Result) -> None:
        self.disks |= other.disks
        self.wrong += other.wrong
        self.mapped |= other.mapped


def list_cuts(journal: Path, disks: Disks, promises: Promises) -> Iterator[int]:
    """The number of each record that makes another disk: ``disks`` and ``promises`` are as just before it, so that
    everything was answered that could be."""
    for record in read_journal(journal):
        if record.kind is Kind.NOTE:
            promises.take(record.note)
        elif record.kind not in (Kind.SYNC, Kind.SYNCFS):
            disks.apply(record)
        elif disks.would_sync(record):
            yield record.number
            disks.sync(record)
    yield -1


def count_cuts(recording: Recording) -> int:
    _, _, disks = load(recording.directory)
    return sum(1 for _ in list_cuts(recording.directory / "journal", disks, Promises()))


def go_on(recording: Recording, wanted: int, directory: Path) -> Recording:
    """A recording that begins with what the disks held at a cut, and with what was promised then."""
    recorded, layout, disks = load(recording.directory)
    journal = recording.directory / "journal"
    cut = next(islice(list_cuts(journal, disks, Promises()), wanted, None))
    after = Recording(directory, layout)
    write_tree(disks.read(), after.home, recorded)
    notes = (record for record in read_journal(journal) if record.kind is Kind.NOTE)
    after.notes = [record.note for record in notes if cut < 0 or record.number < cut]
    return after


def find_unrecorded(recording: Recording) -> set[str]:
    """Names of files that are others than the journal says: a change was made by a call that it does not know."""
    _, _, disks = load(recording.directory)
    for _ in list_cuts(recording.directory / "journal", disks, Promises()):
        pass
    said = disks.read(lambda: True)
    found = {str(path.relative_to(recording.home)): path for path in recording.home.rglob("*")}
    wrong = said.keys() ^ found.keys()
    wrong |= {name for name in said.keys() & found.keys() if said[name] != _read(found[name])}
    return {name for name in wrong if not name.endswith(SHARED)}


def _read(path: Path) -> bytes | None:
    return None if path.is_dir() else path.read_bytes()


def digest(tree: Tree) -> str:
    """Of all but SHARED."""
    found = hashlib.sha256()
    for name, content in sorted(tree.items()):
        if not name.endswith(SHARED):
            data = b"directory" if content is None else hashlib.sha256(content).digest()
            found.update(name.encode() + b"\0" + data)
    return found.hexdigest()


def try_cuts(directory: Path, every: int, variants: int, part: int, parts: int) -> Result:
    recorded, layout, disks = load(directory)
    promises, result = Promises(), Result()
    with tempfile.TemporaryDirectory(dir=directory) as memory:
        home = Path(memory) / "home"
        for number, cut in enumerate(list_cuts(directory / "journal", disks, promises)):
            if number % every or number // every % parts != part:
                continue
            for variant in range(variants + 1):
                tree = disks.read(by_chance(f"{cut} {variant}")) if variant else disks.read()
                if (found := digest(tree)) in result.disks:
                    continue
                result.disks.add(found)
                write_tree(tree, home, recorded)
                wrong = Restart(home, settings_of(home, layout)).find_wrong(copy.deepcopy(promises))
                result.wrong += [f"cut {number} before record {cut}, variant {variant}: {each}" for each in wrong]
    result.mapped = disks.mapped
    return result


def cut(recording: Recording, every: int = 1, variants: int = 1, parts: int = 2) -> Result:
    """All cuts of a recording, in several processes."""
    command = [sys.executable, "-m", "tests.faults.power.cuts", str(recording.directory), str(every), str(variants)]
    running = [
        prepared.Popen([*command, str(part), str(parts)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for part in range(parts)
    ]
    whole = Result()
    try:
        for process in running:
            whole.add(_read_result(process))
    finally:
        for process in running:
            process.kill()
    return whole


def _read_result(process: subprocess.Popen[str]) -> Result:
    out, _ = process.communicate()
    assert process.returncode == 0, f"exit code {process.returncode}: {out[-4000:]}"
    found = json.loads(out.splitlines()[-1])
    return Result(set(found["disks"]), found["wrong"], set(found["mapped"]))


def main() -> None:
    logging.disable(logging.WARNING)
    directory, *numbers = sys.argv[1:]
    result = try_cuts(Path(directory), *map(int, numbers))
    print(json.dumps({"disks": sorted(result.disks), "wrong": result.wrong, "mapped": sorted(result.mapped)}))


if __name__ == "__main__":
    main()
