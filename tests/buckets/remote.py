"""A new DICOM store and new buckets of S3, for one test."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.support.gantry import Gantry
from tests.support.s3_places import KEY, REGION, SECRET, make_client
from tests.support.server import GantryServer

_PLACE = """
[[remote_buckets]]
name = "{name}"
provider = "s3"
endpoint = "{url}"
region = "{region}"
access_key_id = "{key}"
secret_access_key = "{secret}"
{more}
"""


class Remote:
    """``bucket`` and ``out`` are empty buckets; ``gantry`` has a store of its own."""

    def __init__(self, server: GantryServer, url: str) -> None:
        self.gantry, self.client = Gantry(server), make_client(url)
        self.bucket, self.out = self.make_bucket(), self.make_bucket()

    @staticmethod
    def make_settings(url: str) -> str:
        """``s3://NAME`` is each bucket under its own name, ``gs://lab-NAME`` too, ``gs://alias`` is the bucket real."""
        about = {"url": url, "region": REGION, "key": KEY, "secret": SECRET}
        names = {"s3://*": "", "lab-*": "", "alias": 'bucket = "real"', "jumbled-*": "is_sorted = false"}
        return "".join(_PLACE.format(name=name, more=more, **about) for name, more in names.items())

    def make_bucket(self, prefix: str = "b") -> str:
        name = f"{prefix}-{uuid4().hex[:20]}"
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def put(self, key: str, data: bytes, bucket: str = "", **more: Any) -> None:
        self.client.put_object(Bucket=bucket or self.bucket, Key=key, Body=data, **more)

    def objects(self, bucket: str = "") -> dict[str, bytes]:
        bucket = bucket or self.out
        keys = [each["Key"] for each in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key: self.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
