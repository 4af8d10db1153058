"""``./run bench console``: how long the server takes for each page, beside large stores and long error logs."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import httpx

from benchmarks.machine import work_directory
from benchmarks.search_growth import PER_SERIES, SERIES_PER_STUDY, fill_index
from benchmarks.service import Service

_DATASET = "projects/bench/locations/us-central1/datasets/bench"
_STORE = f"{_DATASET}/dicomStores/bench"
_PART = {"hx-request": "true"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks console", description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--errors", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work, Service(work / "data", work / "buckets") as service:
        service.create_store("bench")
        fill_index(work / "data", options.studies * PER_SERIES * SERIES_PER_STUDY)
        operation = _failing_import(service, work / "buckets" / "bad", options.errors)
        print(f"{options.studies:,} studies, {options.errors:,} errors\n{'ms':60}{'median':>8}{'most':>8}{'kB':>8}")
        with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
            study = client.get(f"/v1/{_STORE}/dicomWeb/studies?limit=1").json()[0]["0020000D"]["Value"][0]
            for path in _pages(operation, study):
                print(_line(client, path, options.rounds), flush=True)
    return 0


def _failing_import(service: Service, bucket: Path, count: int) -> str:
    """An operation that has failed for every object."""
    for number in range(count):
        directory = bucket / f"{number // 1000:04d}"
        if number % 1000 == 0:
            directory.mkdir(parents=True)
        (directory / f"{number}.dcm").write_bytes(b"no image")
    service.create_store("bad")
    name = service.start_import("bad", f"gs://{bucket.name}/**")
    service.wait(name)
    return name


def _pages(operation: str, study: str) -> list[str]:
    return [
        "",
        _DATASET,
        f"{_DATASET}/operations",
        operation,
        f"{operation}/progress",
        f"{operation}/errors",
        f"{operation}/errors?q=99999",
        f"{operation}/errors?q=none-of-these",
        f"{operation}/errors?code=INVALID_ARGUMENT&after=90000",
        _STORE,
        f"{_STORE}/studies",
        f"{_STORE}/studies?offset=9000",
        f"{_STORE}/studies?PatientName=name0004321",
        f"{_STORE}/studies?ModalitiesInStudy=CT",
        f"{_STORE}/studies/{study}",
        f"{_STORE}/import",
        f"{_STORE}/import/folders?bucket=bad",
        f"{_STORE}/import/preview?bucket=bad",
        f"{_STORE}/export",
    ]


def _line(client: httpx.Client, path: str, rounds: int) -> str:
    times, size = [], 0
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = client.get(f"/console/{path}", headers=_PART if "/progress" in path else {})
        times.append((time.perf_counter() - begin) * 1000)
        answer.raise_for_status()
        size = len(answer.content)
    name = path.replace(_STORE, "STORE").replace(_DATASET, "DATASET")[-58:]
    return f"/{name:59}{statistics.median(times):>8.1f}{max(times):>8.1f}{size / 1000:>8.1f}"
