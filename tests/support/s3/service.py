"""What the server knows, and its answer to one request."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.s3.errors import S3Error
from tests.support.s3.faults import Faults, make_rule
from tests.support.s3.messages import Answer, Request, answer_xml
from tests.support.s3.operations import name_operation, run_operation
from tests.support.s3.store import Store

CONTROL = "_control"
"""In place of a bucket: no bucket may be called so."""
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)")


@dataclass
class Counts:
    """``bytes_in`` and ``bytes_out`` are those of bodies. Requests of the control path do not count.

    ``faults`` is by kind; in the server, as it was when the counts began.
    """

    operations: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0


@dataclass
class Service:
    """``latency`` is in seconds; ``access_key`` is the only one that is let in, or empty for all."""

    store: Store
    access_key: str = ""
    latency: float = 0.0
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
    answered: int = 0

    def prepare(self, request: Request) -> float:
        """Names the operation, chooses the fault, counts; the seconds to wait before the answer."""
        if request.bucket == CONTROL:
            return 0.0
        self.name_request(request)
        counts = self.counts
        counts.methods[request.method] += 1
        counts.operations[request.operation or "NotImplemented"] += 1
        counts.bytes_in += len(request.body)
        if self.faults.rules and (rule := self.faults.choose(request)) is not None:
            request.fault = rule
            return self.latency + (rule.seconds if rule.kind == "stall" else 0.0)
        return self.latency

    def name_request(self, request: Request) -> None:
        request.operation = name_operation(request)

    def answer(self, request: Request) -> Answer:
        if request.bucket == CONTROL:
            return self._control(request)
        try:
            if request.fault is not None and (made := request.fault.make_error()):
                return self.write_error(request, *made)
            return self.run(request)
        except S3Error as error:
            return self.write_error(request, error, {})

    def run(self, request: Request) -> Answer:
        self._check_access(request)
        return run_operation(self.store, request)

    def write_error(self, request: Request, error: S3Error, headers: dict[str, str]) -> Answer:
        answer = answer_xml(error.write(request.path, f"{self.answered:016X}"), error.status)
        answer.headers |= headers
        if request.method == "HEAD":
            answer.length, answer.body = len(answer.body), b""
        return answer

    def _check_access(self, request: Request) -> None:
        """Only the name of the key: no signature is computed."""
        if not self.access_key:
            return
        sent = request.query.get("X-Amz-Credential", "").partition("/")[0]
        found = CREDENTIAL.search(request.headers.get("authorization", ""))
        key = found[1] if found else sent
        if not key:
            raise S3Error("AccessDenied")
        if key != self.access_key:
            raise S3Error("InvalidAccessKeyId", AWSAccessKeyId=key)

    def _control(self, request: Request) -> Answer:
        try:
            asked = json.loads(request.body)
            found, status = COMMANDS[asked.pop("do")](self, **asked), 200
        except ValueError as error:
            found, status = str(error), 400
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(found).encode())


def _add_rule(service: Service, rule: dict[str, Any]) -> int:
    return service.faults.add(make_rule(rule))


def _stop_rule(service: Service, number: int) -> None:
    service.faults.rules.pop(number, None)


def _read_failed(service: Service, number: int) -> int:
    return service.faults.made[number - 1].failed


def _read_counts(service: Service) -> dict[str, Any]:
    return vars(service.counts) | {"faults": service.faults.count() - service.counts.faults}


def _reset_counts(service: Service) -> None:
    service.counts = Counts(faults=service.faults.count())


def _set_latency(service: Service, seconds: float) -> None:
    service.latency = seconds


COMMANDS: dict[str, Callable[..., Any]] = {
    "add rule": _add_rule,
    "stop rule": _stop_rule,
    "read failed": _read_failed,
    "read counts": _read_counts,
    "reset counts": _reset_counts,
    "set latency": _set_latency,
}
