"""The scenarios of ``./run bench dicomweb``: what is asked, what must be answered, and the ratios to reach."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dicomweb_checks as checks
from benchmarks.corpus import SERIES_PER_STUDY, Corpus, make_corpus, patient_of
from benchmarks.dicomweb_checks import JSON, STORED, STOW_TYPE, Check
from benchmarks.load import Load, Plan

PER_SERIES = 40
PER_STUDY = PER_SERIES * SERIES_PER_STUDY
STOW_INSTANCES, STOW_CONNECTIONS = 20, 4
MOST_ROUNDS, _BODIES_PER_ROUND = 4, 12
"""Rounds that have data of their own to store."""
_COLD_SHARES = 10
SMALL_BYTES, LARGE_BYTES = 4000, 530_000


@dataclass(frozen=True)
class Upload:
    """A body of STOW-RS, the UIDs in it, and its last file."""

    path: Path
    uids: tuple[tuple[str, str, str], ...]
    last: Path


@dataclass(frozen=True)
class Data:
    """What both servers hold: many small instances, and one study of large ones; and what they are given to store.

    ``trial`` is stored to see whether a server stores at all.
    """

    small: Corpus
    large: Corpus
    uploads: tuple[Upload, ...]
    trial: Upload

    def uploads_of(self, number: int) -> tuple[Upload, ...]:
        """Those of a round."""
        return self.uploads[number * _BODIES_PER_ROUND : (number + 1) * _BODIES_PER_ROUND]


@dataclass(frozen=True)
class Scenario:
    """``plan(base, data, round)``; ``figure`` of a load, in ``unit``. ``floor`` and ``goal`` are ratios.

    ``check(data)`` is made before anything is timed; ``after(data, round)`` after each round.
    """

    name: str
    variant: str
    unit: str
    floor: float | None
    goal: float | None
    figure: Callable[[Load], float]
    plan: Callable[[str, Data, int], Plan]
    check: Callable[[Data], Check]
    after: Callable[[Data, int], Check] = lambda _data, _number: lambda _base: None


def make_data(work: Path, studies: int) -> Data:
    """``studies`` small ones; the buckets ``small`` and ``large`` are below ``work/buckets``."""
    small = make_corpus(work / "buckets" / "small", studies * PER_STUDY, SMALL_BYTES, PER_SERIES, 1)
    large = make_corpus(work / "buckets" / "large", PER_STUDY, LARGE_BYTES, PER_SERIES, 2, phantom())
    count = MOST_ROUNDS * _BODIES_PER_ROUND * STOW_INSTANCES
    fresh = make_corpus(work / "fresh", count, LARGE_BYTES, PER_SERIES, 3)
    trial = make_corpus(work / "trial", 2, SMALL_BYTES, PER_SERIES, 4)
    (one,) = _bodies(work / "trial-body", trial)
    return Data(small, large, tuple(_bodies(work / "bodies", fresh)), one)


def phantom() -> bytes:
    """A body with an organ and noise in it, 512 × 512: what a picture codec meets in a CT. Two bytes per pixel.

    Stored values, 1024 above Hounsfield's, or the window would show black and white alone.
    """
    import numpy as np

    chance = np.random.default_rng(1)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where(x**2 / 0.8 + y**2 / 0.5 < 1, 40.0, -1000.0) + 60 * np.exp(-((x - 0.3) ** 2 + y**2) * 20)
    return bytes((body + 1024 + chance.normal(0, 12, body.shape)).clip(0).astype("<u2").tobytes())


def _bodies(directory: Path, corpus: Corpus) -> Iterator[Upload]:
    directory.mkdir()
    for start in range(0, len(corpus.slices), STOW_INSTANCES):
        slices = corpus.slices[start : start + STOW_INSTANCES]
        path = directory / f"{start:05d}"
        parts = (b"--bench\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n"
                 for file in (corpus.directory / item.path for item in slices))  # fmt: skip
        path.write_bytes(b"".join(parts) + b"--bench--\r\n")
        yield Upload(path, tuple(item.uids for item in slices), corpus.directory / slices[-1].path)


def _rate(load: Load) -> float:
    return load.per_second


def _throughput(load: Load) -> float:
    return load.megabytes_per_second


def _stored(load: Load) -> float:
    return load.per_second * STOW_INSTANCES


def _gets(
    accept: str, connections: int, paths: Callable[[Data, int], list[str]], seconds: float = 2.0
) -> Callable[[str, Data, int], Plan]:
    return lambda base, data, number: Plan(base, paths(data, number), accept, connections, seconds)


def _series(corpus: Corpus) -> list[str]:
    every = dict.fromkeys(item.uids[:2] for item in corpus.slices)
    return [f"/studies/{study}/series/{series}" for study, series in every]


def _instance(uids: tuple[str, str, str]) -> str:
    return "/studies/{}/series/{}/instances/{}".format(*uids)


def _instances(corpus: Corpus) -> list[str]:
    return [_instance(item.uids) for item in corpus.slices]


def _studies(data: Data) -> list[str]:
    return sorted({item.uids[0] for item in data.small.slices})


def _patients(data: Data, number: int) -> list[str]:
    studies = _studies(data)
    random.Random(number).shuffle(studies)
    return [f"/studies?PatientID=P{patient_of(study)}" for study in studies]


def _cold(data: Data, number: int) -> list[str]:
    """Series that nobody has asked for yet: each once. The last series is never among them."""
    every = _series(data.small)
    share = max(1, len(every) // _COLD_SHARES)
    return [f"{path}/metadata" for path in every[number * share : (number + 1) * share]]


def _warm(data: Data) -> str:
    return f"{_series(data.small)[-1]}/metadata"


def _uploads(base: str, data: Data, number: int) -> Plan:
    """Bodies of a round's own; the same for both servers."""
    files = [str(item.path) for item in data.uploads_of(number)]
    return Plan(base, ["/studies"], JSON, STOW_CONNECTIONS, 0.0, STOW_TYPE, files)


def _all_kept(uploads: Iterable[Upload]) -> Check:
    """Everything that was stored is found, and the last instance of each body is as it was."""
    series: dict[str, list[str]] = defaultdict(list)
    files = {}
    for item in uploads:
        for study, one, instance in item.uids:
            series[f"/studies/{study}/series/{one}/instances"].append(instance)
        files[_instance(item.uids[-1])] = item.last

    def check(base: str) -> None:
        for path, expected in series.items():
            checks.includes_instances(path, expected)(base)
        for path, file in files.items():
            checks.files(path, [file])(base)

    return check


def _check_limit(data: Data) -> Check:
    known = frozenset(_studies(data)) | {item.uids[0] for item in data.large.slices}
    return checks.some_studies(_LIMIT, min(25, len(known)), known)


def _check_patient(data: Data) -> Check:
    study = _studies(data)[0]
    return checks.studies(f"/studies?PatientID=P{patient_of(study)}", [study])


def _last_series(data: Data) -> list[str]:
    return [item.uids[2] for item in data.small.slices[-PER_SERIES:]]


def _check_metadata(data: Data) -> Check:
    return checks.metadata(_warm(data), [data.small.directory / item.path for item in data.small.slices[-PER_SERIES:]])


def _check_study(data: Data) -> Check:
    return checks.files(_study(data), [data.large.directory / item.path for item in data.large.slices])


def _check_instance(data: Data) -> Check:
    return checks.files(_instances(data.large)[0], [data.large.directory / data.large.slices[0].path])


def _check_picture(data: Data) -> Check:
    return checks.picture(f"{_instances(data.large)[0]}/rendered", data.large.directory / data.large.slices[0].path)


def _study(data: Data) -> str:
    return f"/studies/{data.large.slices[0].uids[0]}"


_LIMIT = "/studies?limit=25"
SCENARIOS = (
    Scenario("search-studies", "c=1", "req/s", 30, 100, _rate, _gets(JSON, 1, lambda *_: [_LIMIT]), _check_limit),
    Scenario("search-studies", "c=8", "req/s", 30, 100, _rate, _gets(JSON, 8, lambda *_: [_LIMIT]), _check_limit),
    Scenario("search-patient", "", "req/s", None, None, _rate, _gets(JSON, 1, _patients), _check_patient),
    Scenario(
        "search-instances", "", "req/s", None, None, _rate,
        _gets(JSON, 1, lambda data, _: [f"{path}/instances" for path in _series(data.small)]),
        lambda data: checks.instances(f"{_series(data.small)[-1]}/instances", _last_series(data)),
    ),
    Scenario(
        "series-metadata", "cold", "req/s", 5, 15, _rate, _gets(JSON, 1, _cold, 0.0),
        _check_metadata,
    ),
    Scenario(
        "series-metadata", "warm", "req/s", 5, 15, _rate, _gets(JSON, 1, lambda data, _: [_warm(data)]),
        _check_metadata,
    ),
    Scenario(
        "retrieve-study", "", "MB/s", 4, 8, _throughput,
        _gets(STORED, 1, lambda data, _: [_study(data)], 4.0), _check_study,
    ),
    Scenario(
        "retrieve-instance", "c=8", "req/s", None, None, _rate,
        _gets(STORED, 8, lambda data, _: _instances(data.large)), _check_instance,
    ),
    Scenario(
        "rendered", "c=2", "req/s", 1.2, 3, _rate,
        _gets("image/jpeg", 2, lambda data, _: [f"{path}/rendered" for path in _instances(data.large)]),
        _check_picture,
    ),
    Scenario(
        "store", "c=4", "inst/s", 3, 5, _stored, _uploads,
        lambda data: checks.storing(data.trial.path.read_bytes(), [item[2] for item in data.trial.uids]),
        lambda data, number: _all_kept(data.uploads_of(number)),
    ),
)  # fmt: skip
