"""A server that speaks S3, started by the tests that need one: moto in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import botocore.config
import botocore.session
import httpx

from gantry.storage.remote.bucket import RemoteBucket
from gantry.storage.remote.place import RemotePlace
from tests.support.s3_server import S3Server

KEY, SECRET = "AKIAGANTRYTESTS00000", "a-secret-of-the-tests"
REGION = "eu-west-1"


@contextmanager
def serve_s3() -> Iterator[str]:
    """The address of a server without buckets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "MOTO_ENABLE_ISO_REGIONS": ""}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(url, process)
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "moto ended: pip install 'moto[server,s3]'"
        try:
            httpx.get(f"{url}/moto-api/", timeout=5)
        except httpx.TransportError:
            assert time.monotonic() < deadline, "moto does not answer"
            time.sleep(0.05)
        else:
            return


def make_client(url: str) -> Any:
    """botocore's own client, to look at a bucket past the product."""
    session = botocore.session.Session()
    session.set_credentials(KEY, SECRET)
    config = botocore.config.Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"})
    return session.create_client("s3", region_name=REGION, endpoint_url=url, config=config)


def describe(url: str) -> dict[str, object]:
    """What an entry of the settings says of a server."""
    return {"endpoint": url, "region": REGION, "access_key_id": KEY, "secret_access_key": SECRET}


def make_place(url: str, bucket: str, **more: object) -> RemotePlace:
    return RemotePlace("s3", bucket, f"s3://{bucket}", **(describe(url) | more))  # type: ignore[arg-type]


def make_bucket(server: S3Server, prefix: str = "b", **more: object) -> RemoteBucket:
    """A new and empty bucket of the tests' own server, whose counts begin anew."""
    name = f"{prefix}-{uuid4().hex}"
    answer = httpx.put(f"{server.url}/{name}")
    assert answer.status_code == 200, answer.text
    server.reset_counts()
    return RemoteBucket(make_place(server.url, name, **more))
