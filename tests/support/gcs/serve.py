"""The process of the server: ``python -m tests.support.gcs.serve SETTINGS``, as that of S3."""

from __future__ import annotations

from tests.support.gcs.service import GcsService
from tests.support.gcs.store import Bucket
from tests.support.s3.serve import main

if __name__ == "__main__":
    main(GcsService, Bucket)
