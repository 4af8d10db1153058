"""``./run bench before DIRECTORY``: imports and exports beside the version of Gantry in another checkout.

Both servers run all the time, on the same files, in turns; who begins changes with each round. A ratio is the median of
the rounds' ratios: above 1 this version is faster, or takes more CPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.corpus import Corpus
from benchmarks.machine import BenchmarkError, settle, work_directory
from benchmarks.measure import Measured
from benchmarks.service import Service
from benchmarks.transfer import Plan, check_export, exporting, importing, new_corpus


class Kind(NamedTuple):
    """``size`` in bytes; ``count`` files of it."""

    name: str
    size: int
    count: int


KINDS = (Kind("small", 39_000, 4000), Kind("CT", 530_000, 600))


Sides = dict[str, Service]
"""Two servers by their names; ratios are of the first to the second."""


def main(arguments: list[str]) -> int:
    """0; 1 when the run failed or a result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks before", description=__doc__)
    parser.add_argument("checkout", type=Path, metavar="DIRECTORY", help="the checkout of the other version")
    return run(parser, arguments, KINDS, lambda work, options: _start(work, options.checkout))


def run(
    parser: argparse.ArgumentParser,
    arguments: list[str],
    kinds: Iterable[Kind],
    start: Callable[[Path, argparse.Namespace], AbstractContextManager[Sides]],
) -> int:
    """Compare the two servers that ``start`` gives. 0; 1 when the run failed or a result is wrong."""
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times the files (%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one; it decides the file system")
    options = parser.parse_args(arguments)
    try:
        with work_directory(options.dir) as work, start(work, options) as sides:
            _compare(work, sides, _scaled(kinds, options.scale), options.rounds)
    except BenchmarkError as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _start(work: Path, checkout: Path) -> Iterator[Sides]:
    buckets = work / "buckets"
    with (
        Service(work / "this" / "data", buckets) as this,
        Service(work / "before" / "data", buckets, checkout=checkout) as before,
    ):
        yield {"this": this, "before": before}


def _scaled(kinds: Iterable[Kind], scale: float) -> list[Kind]:
    """With so many times the files."""
    return [kind._replace(count=max(1, int(kind.count * scale))) for kind in kinds]


def _compare(work: Path, sides: Sides, kinds: Iterable[Kind], rounds: int) -> None:
    """Print a line for the imports and one for the exports of each kind. Raises BenchmarkError."""
    first, second = (f"{name} /s" for name in sides)
    print(f"{'':22}{first:>14}{second:>14}{'rate':>8}{'CPU':>8}", flush=True)
    for kind in kinds:
        _measure(work, sides, kind, rounds)


def _measure(work: Path, sides: Sides, kind: Kind, rounds: int) -> None:
    bucket = f"bench-{kind.name.lower()}"
    corpus = new_corpus(work / "buckets" / bucket, kind.count, Plan(kind.count, kind.size, 50, rounds, 0), seed=1)
    for name in sides:
        (work / "buckets" / f"{bucket}-{name.lower()}").mkdir()

    def fill(name: str, service: Service, number: int) -> Measured:
        service.create_store(f"{kind.name}-{number}")
        return importing(service, f"{kind.name}-{number}", corpus)()

    def empty(name: str, service: Service, number: int) -> Measured:
        target = f"{bucket}-{name.lower()}/{number}"
        done = exporting(service, f"{kind.name}-{number}", f"gs://{target}", corpus)()
        check_export(corpus, work / "buckets" / target)
        return done

    for verb, run in (("import", fill), ("export", empty)):
        _tell(f"{verb} {kind.name}", corpus, sides, [_round(work, sides, number, run) for number in range(rounds)])


Operation = Callable[[str, Service, int], Measured]


def _round(work: Path, sides: Sides, number: int, run: Operation) -> dict[str, Measured]:
    found = {}
    for name, service in list(sides.items())[:: -1 if number % 2 else 1]:
        settle(work)  # or one server would wait for what the other has left unwritten
        found[name] = run(name, service, number)
    return found


def _tell(what: str, corpus: Corpus, names: Iterable[str], rounds: list[dict[str, Measured]]) -> None:
    first, second = names
    rates = [median(len(corpus.slices) / each[name].seconds for each in rounds) for name in (first, second)]
    rate = median(each[second].seconds / each[first].seconds for each in rounds)
    cpu = median(each[first].cpu.total / each[second].cpu.total for each in rounds)
    print(f"{what:22}{rates[0]:>14,.0f}{rates[1]:>14,.0f}{rate:>8.2f}{cpu:>8.2f}", flush=True)
