"""Clients of an S3 server that are not ours, and what they get."""

from __future__ import annotations

import http.client
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from obstore.store import S3Store

from tests.support.s3_server import S3Server


def connect(server: S3Server, key: str = "any", **config: Any) -> Any:
    """A client of boto3 that asks once, unless ``retries`` says otherwise."""
    settings = Config(s3={"addressing_style": "path"}, **({"retries": {"total_max_attempts": 1}} | config))
    names = {"aws_access_key_id": key, "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=server.url, config=settings, **names)


def open_store(server: S3Server, retries: int = 0, **more: Any) -> S3Store:
    limits: Any = {"max_retries": retries}
    names: Any = {"access_key_id": "any", "secret_access_key": "secret", "region": "us-east-1"} | more
    options: Any = {"allow_http": True}
    return S3Store("in", endpoint=server.url, client_options=options, retry_config=limits, **names)


def keys_of(client: Any, bucket: str = "in", **query: Any) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **query)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def raw(
    server: S3Server, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def code_of(body: bytes) -> str | None:
    return ElementTree.fromstring(body).findtext("Code")  # noqa: S314


def refusal(call: Any, **asked: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**asked)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
