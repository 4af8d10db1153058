"""A small Cloud Storage for tests, in a process of its own: that of S3 with the JSON API (``gcs/``)."""

from __future__ import annotations

from tests.support.s3_server import S3Server


class GcsServer(S3Server):
    """Operations of faults and counts have the names of S3: ``ListObjectsV2``, ``UploadPart`` …"""

    module = "tests.support.gcs.serve"
