"""A new DICOM store and new buckets of Cloud Storage, for one test."""

from __future__ import annotations

from tests.support.gantry import Gantry
from tests.support.gcs_places import make_bucket, read_objects
from tests.support.gcs_server import GcsServer
from tests.support.server import GantryServer

_PLACE = """
[[remote_buckets]]
name = "{name}"
provider = "gcs"
endpoint = "{url}"
anonymous = true
{more}
"""


class GcsRemote:
    """``bucket`` and ``out`` are empty buckets, ``gs://b-…``; ``gs://alias-gcs`` is the bucket real."""

    def __init__(self, server: GantryServer, gcs: GcsServer) -> None:
        self.gantry, self.gcs = Gantry(server), gcs
        self.bucket, self.out = (make_bucket(gcs).place.bucket for _ in range(2))

    @staticmethod
    def make_settings(url: str) -> str:
        names = {"b-*": 'storage_class = "NEARLINE"', "alias-gcs": 'bucket = "real"'}
        return "".join(_PLACE.format(name=name, url=url, more=more) for name, more in names.items())

    def put(self, objects: dict[str | bytes, bytes], bucket: str = "") -> None:
        self.gcs.put(bucket or self.bucket, objects)

    def objects(self) -> dict[str, bytes]:
        return read_objects(self.gcs.url, self.out)
