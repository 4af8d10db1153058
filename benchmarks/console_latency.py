"""``./run bench console``: how long the server takes for each page, beside large stores and long error logs."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from benchmarks.machine import work_directory
from benchmarks.search_growth import PER_SERIES, SERIES_PER_STUDY, fill_index
from benchmarks.service import Service

_DATASET = "projects/bench/locations/us-central1/datasets/bench"
_STORE = f"{_DATASET}/dicomStores/bench"
_PART = {"hx-request": "true"}
_ROLE = "roles/healthcare.dicomViewer"
_GOAL_MS, _GOAL_KB = 150, 100
_AUDIT_LINES = 200_000
_AUDIT_LINE = (
    '{"insertId": "a%(number)d", "logName": "projects/bench/logs/cloudaudit.googleapis.com%%2Fdata_access", '
    '"timestamp": "2026-01-01T00:%(minute)02d:%(second)02d.000000Z", "severity": "INFO", "resource": {"type": '
    '"audited_resource", "labels": {"project_id": "bench", "method": "datasets.dicomStores.get"}}, "protoPayload": '
    '{"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "healthcare.googleapis.com", '
    '"methodName": "google.cloud.healthcare.v1.projects.locations.datasets.dicomStores.get", "resourceName": '
    '"projects/bench/locations/us-central1/datasets/bench/dicomStores/s%(number)d", "authenticationInfo": '
    '{"principalEmail": "person@hospital.example.org"}, "authorizationInfo": [{"resource": "projects/bench", '
    '"permission": "healthcare.dicomStores.get", "granted": true}], "requestMetadata": {"callerIp": "127.0.0.1", '
    '"callerSuppliedUserAgent": "bench"}, "status": {}}}\n'
)
"""As ``api.audit`` writes them."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks console", description=__doc__)
    parser.add_argument("--studies", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--errors", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--dir", help="work in a new directory inside this one")
    options = parser.parse_args(arguments)
    with work_directory(options.dir) as work, _start(work) as service:
        service.create_store("bench")
        fill_index(work / "data", options.studies * PER_SERIES * SERIES_PER_STUDY)
        operation = _failing_import(service, work / "buckets" / "bad", options.errors)
        _fill_policy(service)
        print(f"{options.studies:,} studies, {options.errors:,} errors\n{'ms':60}{'median':>8}{'most':>8}{'kB':>8}")
        with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
            study = client.get(f"/v1/{_STORE}/dicomWeb/studies?limit=1").json()[0]["0020000D"]["Value"][0]
            lines = [_measure(client, path, options.rounds) for path in _pages(operation, study)]
    slow = [each for each in lines if each.median > _GOAL_MS or each.kilobytes > _GOAL_KB]
    for each in slow:
        print(f"above {_GOAL_MS} ms or {_GOAL_KB} kB: {each.name}")
    return 1 if slow else 0


def _start(work: Path) -> Service:
    """With an audit log, which every call of the run is written to; 200,000 older lines are there already."""
    with (work / "audit.jsonl").open("w", encoding="utf-8") as file:
        for number in range(_AUDIT_LINES):
            file.write(_AUDIT_LINE % {"second": number % 60, "minute": number // 60 % 60, "number": number})
    (work / "gantry.toml").write_text(f'audit_log = "{work / "audit.jsonl"}"\n', encoding="utf-8")
    return Service(work / "data", work / "buckets", config=work / "gantry.toml")


def _fill_policy(service: Service) -> None:
    """As many people as a policy can have."""
    members = [f"user:person-{number:04d}@hospital.example.org" for number in range(1500)]
    body = {"policy": {"bindings": [{"role": _ROLE, "members": members}]}}
    answer = httpx.post(f"{service.url}/v1/{_STORE}:setIamPolicy", json=body, timeout=60, trust_env=False)
    answer.raise_for_status()


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
        f"{_STORE}/upload",
        f"{_STORE}/query",
        f"{_STORE}/storage-class/file",
        f"{_STORE}/delete",
        f"{_STORE}/edit",
        f"{_STORE}/buckets",
        f"{_STORE}/access",
        f"{_STORE}/access?q=person-1499",
        f"{_STORE}/access/change?kind=user&name=new@hospital.example.org&role={_ROLE}",
        f"{_DATASET}/access",
        f"{_DATASET}/create",
        f"{_DATASET}/delete",
        f"find?q=name0004321&at={_STORE}",
        "create",
        "access",
        "buckets",
        "audit",
        "audit?who=nobody-at-all",
        "audit?days=2026-01-01",
        "audit?action=Start+an+import&outcome=failed",
        "disk",
        "settings",
    ]


class Line(NamedTuple):
    name: str
    median: float
    kilobytes: float


def _measure(client: httpx.Client, path: str, rounds: int) -> Line:
    """What a page takes; it is printed, too."""
    times, size = [], 0
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = client.get(f"/console/{path}", headers=_PART if "/progress" in path else {})
        times.append((time.perf_counter() - begin) * 1000)
        answer.raise_for_status()
        size = len(answer.content)
    name = "/" + path.replace(_STORE, "STORE").replace(_DATASET, "DATASET")[-58:]
    found = Line(name, statistics.median(times), size / 1000)
    print(f"{name:60}{found.median:>8.1f}{max(times):>8.1f}{found.kilobytes:>8.1f}", flush=True)
    return found
