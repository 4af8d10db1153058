"""Many objects, faults of every kind among them, and a server that dies again and again: exact counters in the end."""

from __future__ import annotations

import random
import time

import pytest

from tests.buckets.remote import Remote
from tests.support.dicom import make_instance
from tests.support.s3_server import S3Server
from tests.support.server import counts, pending

TRANSIENT = ("503 SlowDown", "429 TooManyRequests", "500 InternalError", "reset before", "reset in body", "wrong bit")


@pytest.mark.parametrize(
    ("count", "kills"),
    [(500, 2), pytest.param(20_000, 10, marks=[pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)])],
)
def test_every_object_is_counted_once(remote: Remote, s3_server: S3Server, count: int, kills: int) -> None:
    """Two objects of a hundred fail for ever; two of a hundred requests fail for a moment, in each of several ways."""
    chance = random.Random(count)
    broken = {f"{number:05}.dcm" for number in chance.sample(range(count), count // 50)}
    sent = {f"{number:05}.dcm": make_instance("1.2", f"1.2.{number % 7}", f"1.3.{number}") for number in range(count)}
    s3_server.put(remote.bucket, dict(sent))
    gantry, server = remote.gantry, remote.gantry.server
    rules = [s3_server.fail("404 NoSuchKey", keys=f"^(?:{'|'.join(map(str, sorted(broken)))})$")]
    rules += [
        s3_server.fail(kind, methods=["GetObject"], share=0.02, each=1, seed=at, seconds=0)
        for at, kind in enumerate(TRANSIENT)
    ]
    try:
        body = {"gcsSource": {"uri": f"s3://{remote.bucket}/**"}}
        name = gantry.call("POST", f"v1/{gantry.store}:import", json=body)["name"]
        for _ in range(kills):
            time.sleep(chance.uniform(0.1, 0.6))
            server.kill9()
            server.start()
        done = server.wait(name, seconds=900)
        assert all(rule.failed for rule in rules)
    finally:
        for rule in rules:
            rule.stop()
    assert counts(done) == (count - len(broken), len(broken)) and not pending(done)
    failures = {uri.rpartition("/")[2]: status for uri, status in gantry.failures(done).items()}
    assert failures.keys() == broken
    assert {status["code"] for status in failures.values()} == {5}
    export_and_compare(remote, {key: data for key, data in sent.items() if key not in broken})


def export_and_compare(remote: Remote, expected: dict[str, bytes]) -> None:
    assert counts(remote.gantry.export(f"s3://{remote.out}")) == (len(expected), 0)
    pages = remote.client.get_paginator("list_objects_v2").paginate(Bucket=remote.out)
    keys = [each["Key"] for page in pages for each in page["Contents"]]
    assert len(keys) == len(expected)
    found = {key: remote.client.get_object(Bucket=remote.out, Key=key)["Body"].read() for key in keys}
    assert sorted(found.values()) == sorted(expected.values())
