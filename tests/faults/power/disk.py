"""What is on a disk after its power was cut: what was synced, and of the rest what chance has kept.

POSIX promises no more than this (fsync(2)): the bytes and the size of a file are those of its last sync, the names in a
directory those of the last sync of the directory, the name of a new directory in its parent included. ``syncfs`` does
it for all of one disk. A rename within a directory is one change: the old name or the new one, never none of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.power.journal import Kind, Record

BLOCK = 4096
"""What a disk writes as a whole; parts of a write that lie in different blocks survive each by itself."""

Key = tuple[int, int]


class Change(NamedTuple):
    """A change of a file: ``data`` at ``offset``; or its ``size``, at least or (``cuts``) exactly."""

    offset: int = 0
    data: bytes = b""
    size: int = 0
    cuts: bool = False

    def apply(self, content: bytearray) -> None:
        end = max(self.size, self.offset + len(self.data))
        if self.cuts:
            del content[self.size :]
        content.extend(bytes(max(0, end - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def pieces(self) -> Iterator[Change]:
        """Its parts in each block."""
        if not self.data:
            yield self
        at = 0
        while at < len(self.data):
            size = BLOCK - (self.offset + at) % BLOCK
            yield Change(self.offset + at, self.data[at : at + size])
            at += size


class Node:
    """A file or a directory on the disk of this number. ``pending`` are changes that no sync has covered, by the number
    of their record."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.pending: list[tuple[int, Any]] = []

    def sync(self, begin: int) -> None:
        """Changes up to the record ``begin`` are durable."""
        for number, change in self.pending:
            if number <= begin:
                self.keep(change)
        self.pending = [(number, change) for number, change in self.pending if number > begin]

    def keep(self, change: Any) -> None:
        raise NotImplementedError


class File(Node):
    def __init__(self, root: int, content: bytes = b"") -> None:
        super().__init__(root)
        self.content = bytearray(content)

    def keep(self, change: Change) -> None:
        change.apply(self.content)

    def read(self, keeps: Callable[[], bool]) -> bytes:
        """The bytes after a cut; ``keeps`` says of each piece of what was not synced whether it survived."""
        content = bytearray(self.content)
        for _, change in self.pending:
            for piece in change.pieces():
                if keeps():
                    piece.apply(content)
        return bytes(content)


Names = Mapping[str, Node | None]


class Directory(Node):
    def __init__(self, root: int, names: Mapping[str, Node] | None = None) -> None:
        super().__init__(root)
        self.names: dict[str, Node] = dict(names or {})

    def keep(self, change: Names) -> None:
        _apply(change, self.names)

    def read(self, keeps: Callable[[], bool]) -> dict[str, Node]:
        names = dict(self.names)
        for _, change in self.pending:
            if keeps():
                _apply(change, names)
        return names


def _apply(change: Names, names: dict[str, Node]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disks:
    """The disks of some directories, while records come. All that is there at first is durable."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """The first root holds all others."""
        self._roots = [str(root) for root in roots]
        self._nodes: dict[Key, Node] = {}
        self.top = self._load(self._roots[0])
        self.mapped: set[str] = set()

    def _load(self, path: str) -> Directory:
        status = os.stat(path)
        made = Directory(self._find_root(path))
        self._nodes[status.st_dev, status.st_ino] = made
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                made.names[entry.name] = self._load(entry.path)
            else:
                made.names[entry.name] = file = File(self._find_root(entry.path), Path(entry.path).read_bytes())
                found = entry.stat()
                self._nodes[found.st_dev, found.st_ino] = file
        return made

    def _find_root(self, path: str) -> int:
        above = [root for root in self._roots if path == root or path.startswith(f"{root}/")]
        return self._roots.index(max(above, key=len))

    def apply(self, record: Record) -> None:
        """Anything but a sync, and the notes of clients."""
        assert record.kind is not Kind.STRANGE, f"what is not modelled: {record.name}"
        if record.kind is Kind.MAP:
            self.mapped.add(record.name)
        elif record.kind <= Kind.RENAME:
            self._rename(record)
        else:
            self._write(record)

    def would_sync(self, record: Record) -> bool:
        """Whether a sync makes anything durable that was not."""
        return any(number <= record.begin for node in self._covered(record) for number, _ in node.pending)

    def sync(self, record: Record) -> None:
        for node in self._covered(record):
            node.sync(record.begin)

    def _covered(self, record: Record) -> list[Node]:
        if record.kind is Kind.SYNC:
            return [self._nodes[record.node]]
        return [node for node in self._nodes.values() if node.root == record.root and node.pending]

    def _write(self, record: Record) -> None:
        end = record.offset + record.length
        change = {
            Kind.WRITE: Change(record.offset, record.data),
            Kind.TRUNCATE: Change(size=record.length, cuts=True),
            Kind.ALLOCATE: Change(size=end),
        }.get(record.kind)
        file = self._nodes[record.node]
        assert isinstance(file, File)
        if change is None:  # a hole: it does not make the file longer
            for start in range(record.offset, end, BLOCK):
                file.pending.append((record.number, Hole(start, bytes(min(BLOCK, end - start)))))
        else:
            file.pending.append((record.number, change))

    def _rename(self, record: Record) -> None:
        if record.kind in (Kind.CREATE, Kind.MKDIR):
            self._nodes[record.node] = (Directory if record.kind is Kind.MKDIR else File)(record.root)
        node = None if record.kind in (Kind.UNLINK, Kind.RMDIR) else self._nodes[record.node]
        if record.kind is not Kind.RENAME:
            self._change_names(record.parent, record.number, {record.name: node})
        elif record.parent == record.other:
            self._change_names(record.parent, record.number, {record.name: None, record.other_name: node})
        else:  # between two directories nothing but the sync of both says what is there
            self._change_names(record.parent, record.number, {record.name: None})
            self._change_names(record.other, record.number, {record.other_name: node})

    def _change_names(self, parent: Key, number: int, names: Names) -> None:
        directory = self._nodes[parent]
        assert isinstance(directory, Directory)
        directory.pending.append((number, names))

    def read(self, keeps: Callable[[], bool] = lambda: False) -> dict[str, bytes | None]:
        """Path below the first root → bytes, or None for a directory."""
        return dict(_walk(self.top, "", keeps))


class Hole(Change):
    """Zeros in what there is of a file."""

    def apply(self, content: bytearray) -> None:
        end = min(len(content), self.offset + len(self.data))
        if self.offset < end:
            content[self.offset : end] = bytes(end - self.offset)

    def pieces(self) -> Iterator[Change]:
        yield self


def _walk(at: Directory, path: str, keeps: Callable[[], bool]) -> Iterator[tuple[str, bytes | None]]:
    for name, node in at.read(keeps).items():
        if isinstance(node, Directory):
            yield f"{path}{name}", None
            yield from _walk(node, f"{path}{name}/", keeps)
        elif isinstance(node, File):
            yield f"{path}{name}", node.read(keeps)


def by_chance(seed: str) -> Callable[[], bool]:
    """How much survives is by chance, too: a little, half of it, nearly all of it."""
    chance = random.Random(seed)
    share = chance.choice((0.1, 0.5, 0.9, 1.0))
    return lambda: chance.random() < share
