"""A small and fast S3 for tests and benchmarks, in a process of its own; its parts are in ``s3/``.

It has the operations of `tests.support.s3.operations`, with path-style addresses. It keeps objects in memory and checks
no signature. `S3Server.fail` makes requests fail, in the kinds of `tests.support.s3.faults`.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_from_bytes

from tests.support import prepared
from tests.support.s3.service import CONTROL, Counts

ROOT = Path(__file__).parents[2]
MIN_PART = 5 * 2**20
"""Bytes of a part but the last ("Amazon S3 multipart upload limits" in the S3 User Guide)."""


@dataclass(frozen=True)
class Rule:
    """Requests fail until the block ends, or until `stop`."""

    server: S3Server
    number: int

    @property
    def failed(self) -> int:
        """How many cases it has failed so far: a rule that no request meets proves nothing."""
        return int(self.server.control("read failed", number=self.number))

    def stop(self) -> None:
        """A second time it changes nothing; `failed` can still be read."""
        self.server.control("stop rule", number=self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class S3Server:
    """Runs inside a ``with``. ``access_key`` is the only one that may ask; without it everybody may."""

    module = "tests.support.s3.serve"

    def __init__(
        self, buckets: Iterable[str] = ("in",), *, access_key: str = "", latency: float = 0, min_part: int = MIN_PART
    ) -> None:
        settings = {"access_key": access_key, "latency": latency, "min_part": min_part}
        self.settings = json.dumps({"buckets": list(buckets), **settings})

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", self.module, self.settings]
        self.process = prepared.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        assert port, "the S3 server did not start; its error output says why"
        self.port = int(port)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self.process:
            self.process.terminate()

    def fail(
        self,
        kind: str,
        *,
        keys: str | None = None,
        methods: Iterable[str] = (),
        times: int | None = None,
        each: int | None = None,
        after: int = 0,
        share: float = 1,
        seed: int = 0,
        seconds: float | None = None,
    ) -> Rule:
        """From now on requests fail. Raises ValueError for what is no rule.

        ``kind`` is an error such as ``503 SlowDown``, or one of `tests.support.s3.faults.KINDS`. ``keys`` is a regular
        expression, searched in the key (of a listing: in its prefix). ``methods`` are those of HTTP, or operations such
        as ``GetObject``. The first ``after`` matching requests pass, then ``times`` fail at most, the first ``each`` of
        every key, a ``share`` of them by chance. ``seconds`` is the length of a stall, the Retry-After, or how much
        the clock of the server is ahead.
        """
        rule = {"kind": kind, "keys": keys, "methods": list(methods), "times": times, "each": each, "after": after}
        return Rule(self, self.control("add rule", rule=rule | {"share": share, "seed": seed, "seconds": seconds}))

    @property
    def requests(self) -> Counts:
        found: dict[str, Any] = self.control("read counts")
        counters: dict[str, Any] = {name: Counter(found[name]) for name in ("operations", "methods", "faults")}
        counters["statuses"] = Counter({int(status): count for status, count in found["statuses"].items()})
        return Counts(**(found | counters))

    def reset_counts(self) -> None:
        self.control("reset counts")

    def set_latency(self, seconds: float) -> None:
        """Of every request from now on."""
        self.control("set latency", seconds=seconds)

    def put(self, bucket: str, objects: dict[str | bytes, bytes], headers: dict[str, str] | None = None) -> None:
        """Stores objects by their keys, over one connection; they count as requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        for key, data in objects.items():
            path = quote_from_bytes(key.encode() if isinstance(key, str) else key)
            connection.request("PUT", f"/{bucket}/{path}", data, headers or {})
            answer = connection.getresponse()
            assert answer.status in (200, 201), answer.read()
            answer.read()
        connection.close()

    def control(self, do: str, **asked: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", f"/{CONTROL}", json.dumps({"do": do, **asked}))
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        if answer.status != 200:
            raise ValueError(found)
        return found
