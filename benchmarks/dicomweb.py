"""``python -m benchmarks.dicomweb``: DICOMweb services beside Debian's Orthanc, on the same data in the same run.

Both servers and the load generator share the machine's cores; rounds are interleaved, and medians of ratios printed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import orthanc
from benchmarks.corpus import Corpus, make_corpus, patient_of
from benchmarks.load import Load, Plan, run
from benchmarks.machine import BenchmarkError, settle, work_directory
from benchmarks.service import Service

JSON = "application/dicom+json"
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
PER_SERIES, PER_STUDY = 50, 200
STOW_INSTANCES, STOW_CONNECTIONS = 20, 4


@dataclass(frozen=True)
class Data:
    """What both servers hold: many small instances, and one study of large ones."""

    small: Corpus
    large: Corpus
    uploads: tuple[Path, ...]


@dataclass(frozen=True)
class Scenario:
    """``plan(base, data, server, round)``; ``figure`` of a load, in ``unit``. ``floor`` and ``goal`` are ratios."""

    name: str
    unit: str
    floor: float
    goal: float
    figure: Callable[[Load], float]
    plan: Callable[[str, Data, int, int], Plan]


def _rate(load: Load) -> float:
    return load.per_second


def _throughput(load: Load) -> float:
    return load.megabytes_per_second


def _gets(
    accept: str, connections: int, paths: Callable[[Data, int], list[str]], seconds: float = 2.0
) -> Callable[..., Plan]:
    def plan(base: str, data: Data, _server: int, number: int) -> Plan:
        return Plan(base, paths(data, number), accept, connections, seconds)

    return plan


def _series(data: Data) -> list[str]:
    every = dict.fromkeys(item.uids[:2] for item in data.small.slices)
    return [f"/studies/{study}/series/{series}" for study, series in every]


def _instances(corpus: Corpus) -> list[str]:
    return [f"/studies/{a}/series/{b}/instances/{c}" for a, b, c in (item.uids for item in corpus.slices)]


def _patients(data: Data, number: int) -> list[str]:
    studies = sorted({item.uids[0] for item in data.small.slices})
    random.Random(number).shuffle(studies)
    return [f"/studies?PatientID=P{patient_of(study)}" for study in studies]


def _cold(data: Data, number: int) -> list[str]:
    """Series that nobody has asked for yet: each once."""
    every = _series(data)
    share = max(1, len(every) // 10)
    return [f"{path}/metadata" for path in every[number * share : (number + 1) * share]]


def _uploads(base: str, data: Data, server: int, number: int) -> Plan:
    """Bodies of a round's own; the same for both servers."""
    share = len(data.uploads) // 4
    files = [str(path) for path in data.uploads[number % 4 * share : (number % 4 + 1) * share]]
    content_type = 'multipart/related; type="application/dicom"; boundary=bench'
    return Plan(base, ["/studies"], JSON, STOW_CONNECTIONS, 0.0, content_type, files)


_STUDY = _gets(STORED, 1, lambda data, _: [f"/studies/{data.large.slices[0].uids[0]}"], 4.0)
SCENARIOS = (
    Scenario("search studies limit=25", "req/s", 30, 100, _rate, _gets(JSON, 1, lambda *_: ["/studies?limit=25"])),
    Scenario("search studies limit=25, c=8", "req/s", 30, 100, _rate, _gets(JSON, 8, lambda *_: ["/studies?limit=25"])),
    Scenario("search studies PatientID=", "req/s", 30, 100, _rate, _gets(JSON, 1, _patients)),
    Scenario(
        "search instances of a series", "req/s", 5, 15, _rate,
        _gets(JSON, 1, lambda data, _: [f"{path}/instances" for path in _series(data)]),
    ),
    Scenario("series metadata, first time", "req/s", 5, 15, _rate, _gets(JSON, 1, _cold, 0.0)),
    Scenario(
        "series metadata, again", "req/s", 5, 15, _rate,
        _gets(JSON, 1, lambda data, _: [f"{_series(data)[0]}/metadata"]),
    ),
    Scenario("retrieve study", "MB/s", 4, 8, _throughput, _STUDY),
    Scenario(
        "retrieve instance, c=8", "req/s", 1, 1, _rate,
        _gets(STORED, 8, lambda data, _: _instances(data.large)),
    ),
    Scenario(
        "rendered JPEG, c=2", "req/s", 1.2, 3, _rate,
        _gets("image/jpeg", 2, lambda data, _: [f"{path}/rendered" for path in _instances(data.large)]),
    ),
    Scenario("store, 20 per request, c=4", "req/s", 3, 5, _rate, _uploads),
)  # fmt: skip


def make_data(work: Path, studies: int) -> Data:
    small = make_corpus(work / "buckets" / "small", studies * PER_STUDY, 4000, PER_SERIES, 1)
    large = make_corpus(work / "buckets" / "large", PER_STUDY, 530_000, PER_SERIES, 2, phantom())
    fresh = make_corpus(work / "fresh", 4 * 12 * STOW_INSTANCES, 530_000, PER_SERIES, 3)
    return Data(small, large, tuple(_bodies(work / "bodies", fresh)))


def phantom() -> bytes:
    """A body with an organ and noise in it, 512 × 512: what a picture codec meets in a CT. Two bytes per pixel."""
    import numpy as np

    chance = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where(x**2 / 0.8 + y**2 / 0.5 < 1, 40.0, -1000.0) + 60 * np.exp(-((x - 0.3) ** 2 + y**2) * 20)
    return bytes((body + chance.normal(0, 12, body.shape)).astype("<i2").tobytes())


def _bodies(directory: Path, corpus: Corpus) -> Iterator[Path]:
    directory.mkdir()
    files = [corpus.directory / item.path for item in corpus.slices]
    for start in range(0, len(files), STOW_INSTANCES):
        path = directory / f"{start:05d}"
        parts = (b"--bench\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
                 for file in files[start : start + STOW_INSTANCES])  # fmt: skip
        path.write_bytes(b"".join(parts) + b"--bench--\r\n")
        yield path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dicomweb", description=__doc__)
    parser.add_argument("--studies", type=int, default=120, help="of 200 small instances each (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="at most 4 (%(default)s)")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    chosen = [item for item in SCENARIOS if options.only in item.name]
    with work_directory(options.dir) as work, ExitStack() as stack:
        print(f"making {options.studies * PER_STUDY:,} small and {PER_STUDY} large instances", flush=True)
        data = make_data(work, options.studies)
        gantry = stack.enter_context(Service(work / "gantry", work / "buckets"))
        gantry.create_store("bench")
        for bucket in ("small", "large"):
            operation = gantry.wait(gantry.start_import("bench", f"gs://{bucket}/**"))
            if "error" in operation:
                raise BenchmarkError(str(operation["error"]))
        bases = [gantry.web("bench")]
        if orthanc.is_installed():
            print("loading Orthanc", flush=True)
            other = stack.enter_context(orthanc.Orthanc(work / "orthanc"))
            other.load(data.small.directory / item.path for item in data.small.slices)
            other.load(data.large.directory / item.path for item in data.large.slices)
            bases.append(other.web)
        else:
            print(f"Orthanc is not installed: {orthanc.INSTALL}")
        print(f"\n{'':32}{'':>8}{'gantry':>10}{'orthanc':>10}{'ratio':>8}{'floor':>7}{'goal':>6}")
        for scenario in chosen:
            print(_row(scenario, bases, data, options.rounds, work), flush=True)
    return 0


def _row(scenario: Scenario, bases: list[str], data: Data, rounds: int, work: Path) -> str:
    figures: list[list[float]] = [[] for _ in bases]
    for number in range(rounds):
        for server, base in enumerate(bases):
            settle(work)  # or one server would wait for what the other has left unwritten
            try:
                found = run(scenario.plan(base, data, server, number))
            except BenchmarkError as error:
                return f"{scenario.name:32}  server {server}: {error}"
            figures[server].append(scenario.figure(found))
    ours = median(figures[0])
    text = f"{scenario.name:32}{scenario.unit:>8}{ours:>10,.0f}"
    if len(bases) < 2:
        return text
    ratio = median(one / other for one, other in zip(*figures, strict=True))
    return f"{text}{median(figures[1]):>10,.0f}{ratio:>8.1f}{scenario.floor:>7g}{scenario.goal:>6g}"


if __name__ == "__main__":
    sys.exit(main())
