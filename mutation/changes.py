"""Mutants of source files: ``python -m mutation.changes --seed 1 --count 40 FILE …``, one as JSON in each line.

Runs in the environment of requirements/mutate.txt. Numbers, texts, operators and conditions are changed by mutmut's own
operators; mutation/operators.py adds statements, tables and regular expressions, which mutmut does not change. The
whole file is walked, because mutmut changes bodies of functions alone.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_arg_removal, operator_assignment

from mutation.operators import OWN_OPERATORS, is_left_alone

TOO_EASY = (operator_assignment, operator_arg_removal)
"""What is assigned or passed becomes None: nearly every test that runs the line fails. They would raise every score."""

OPERATORS = [pair for pair in mutation_operators if pair[1] not in TOO_EASY] + OWN_OPERATORS


@dataclass(frozen=True)
class Change:
    """One node of a file that becomes another; ``line`` is where the node begins."""

    path: Path
    line: int
    before: libcst.CSTNode
    after: libcst.CSTNode


def list_changes(path: Path) -> Iterator[tuple[libcst.Module, Change]]:
    """Every change of a file, with the tree that it changes."""
    wrapper = MetadataWrapper(libcst.parse_module(path.read_text(encoding="utf-8")))
    places = wrapper.resolve(PositionProvider)
    for node in _list_nodes(wrapper.module):
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and node in places:
                for after in _apply(operator, node):
                    yield wrapper.module, Change(path, places[node].start.line, node, after)


def _list_nodes(node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
    """All nodes that may be changed, the outer ones first."""
    yield node
    for child in node.children:
        if not is_left_alone(node, child):
            yield from _list_nodes(child)


def _apply(operator: Callable[[Any], Any], node: libcst.CSTNode) -> list[libcst.CSTNode]:
    """What an operator makes of a node; nothing where the result cannot be written."""
    try:
        return list(operator(node))
    except libcst.CSTValidationError:
        return []


def choose(paths: list[Path], seed: int, count: int) -> Iterator[dict[str, Any]]:
    """``count`` mutants: lines by chance, and of each line one change, so that no long line has most of them."""
    chance = random.Random(seed)  # noqa: S311
    lines: dict[tuple[Path, int], list[tuple[libcst.Module, Change]]] = defaultdict(list)
    for path in paths:
        for tree, change in list_changes(path):
            lines[path, change.line].append((tree, change))
    order = list(lines)
    chance.shuffle(order)
    for place in order:
        source = _write_one(chance, lines[place])
        if source is not None and count > 0:
            count -= 1
            yield {"path": str(place[0]), "line": place[1], "source": source}


def _write_one(chance: random.Random, changes: list[tuple[libcst.Module, Change]]) -> str | None:
    """The file with one of the changes, that Python still compiles; None if there is none."""
    chance.shuffle(changes)
    for tree, change in changes:
        source = tree.deep_replace(change.before, change.after).code
        if source != tree.code and _compiles(source):
            return source
    return None


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mutation.changes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    for mutant in choose(options.files, options.seed, options.count):
        print(json.dumps(mutant))


if __name__ == "__main__":
    main()
