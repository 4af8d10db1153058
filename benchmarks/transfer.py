"""Import and export rates: rounds of one operation beside ``cp -r && sync -f`` of the same files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.corpus import Corpus, make_corpus
from benchmarks.machine import BenchmarkError, settle
from benchmarks.measure import Measured, Round, beside_copy, operate
from benchmarks.service import Service

SAMPLE = 20
"""Exported files whose bytes are compared with the imported ones, per round."""
Tell = Callable[[Round], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """``size`` in bytes; ``workers`` 0: the server's default; ``rows``, ``batch``: instances, for growth only."""

    count: int
    size: int
    per_series: int
    rounds: int
    workers: int
    rows: int = 0
    batch: int = 0


@dataclass(slots=True)
class Run:
    """``file_size``: bytes of each file, as made."""

    file_size: int
    rounds: list[Round] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)


def import_rounds(plan: Plan, work: Path, tell: Tell) -> Run:
    """Each round fills a new DICOM store. Nothing is deleted before the end, see ``work_directory``."""
    corpus = new_corpus(work / "buckets" / "bench", plan.count, plan, seed=1)
    run = Run(corpus.size)
    with Service(work / "data", work / "buckets", plan.workers) as service:
        for number in range(1, plan.rounds + 1):
            store = f"round-{number}"
            service.create_store(store)
            add_round(run, tell, number, corpus, work / f"copy-{number}", importing(service, store, corpus))
    return run


def export_rounds(plan: Plan, work: Path, tell: Tell) -> Run:
    """Each round writes the same store to a new prefix and checks what is there."""
    corpus = new_corpus(work / "buckets" / "bench", plan.count, plan, seed=1)
    run = Run(corpus.size)
    (work / "buckets" / "bench-out").mkdir()
    with Service(work / "data", work / "buckets", plan.workers) as service:
        service.create_store("bench")
        importing(service, "bench", corpus)()
        for number in range(1, plan.rounds + 1):
            target = work / "buckets" / "bench-out" / f"round-{number}"
            uri_prefix = f"gs://bench-out/{target.name}"
            copy = work / f"copy-{number}"
            add_round(run, tell, number, corpus, copy, exporting(service, "bench", uri_prefix, corpus))
            check_export(corpus, target, random.Random(number))
    return run


def check_export(corpus: Corpus, target: Path, chance: random.Random | None = None) -> None:
    """Raises BenchmarkError unless every instance is there, and a random sample of them byte for byte."""
    chance = chance or random.Random(0)
    found = sum(len(files) for _, _, files in os.walk(target))
    if found != len(corpus.slices):
        raise BenchmarkError(f"{target.name}: {found} files were exported, {len(corpus.slices)} expected")
    for item in chance.sample(corpus.slices, min(SAMPLE, found)):
        study, series, instance = item.uids
        exported = target / study / series / f"{instance}.dcm"
        if not exported.is_file() or exported.read_bytes() != (corpus.directory / item.path).read_bytes():
            raise BenchmarkError(f"{exported.relative_to(target)} is not the file that was imported")


def new_corpus(directory: Path, count: int, plan: Plan, seed: int) -> Corpus:
    """Files on disk and in the page cache. Raises BenchmarkError when they are to be too small."""
    try:
        corpus = make_corpus(directory, count, plan.size, plan.per_series, seed)
    except ValueError as error:
        raise BenchmarkError(str(error)) from None
    settle(directory)
    corpus.read()
    return corpus


def add_round(run: Run, tell: Tell, number: int, corpus: Corpus, copy: Path, operation: Callable[[], Measured]) -> None:
    """Measure a round, keep it and tell of it."""
    figures, measured = beside_copy(number, corpus, copy, operation)
    run.rounds.append(figures)
    run.measured.append(measured)
    tell(figures)


def importing(service: Service, store: str, corpus: Corpus) -> Callable[[], Measured]:
    """The import of a whole bucket, ready to be carried out; the corpus directory is the bucket."""
    uri = f"gs://{corpus.directory.name}/**"
    return lambda: operate(service, lambda: service.start_import(store, uri), len(corpus.slices))


def exporting(service: Service, store: str, uri_prefix: str, corpus: Corpus) -> Callable[[], Measured]:
    """The export of a store that holds the corpus, ready to be carried out."""
    return lambda: operate(service, lambda: service.start_export(store, uri_prefix), len(corpus.slices))
